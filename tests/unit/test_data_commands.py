"""hold_out, validate_data, fix_data, subset_data, combine_data: what they leave, their one line for a mistake."""

import os
import subprocess
import sys

import pytest
from commands import refused, run_command
from data_dirs import write_data, write_lines
from kaldi_files import ROOT

from sv.cli.hold_out import number_of_speakers
from sv.data.datadir import DataDir
from sv.data.parts import join_parts
from sv.data.tables import read_table
from sv.data.validate import validate


@pytest.fixture
def command(monkeypatch, capsys):
    return lambda *words: run_command(monkeypatch, capsys, *words)


@pytest.fixture
def data(tmp_path):
    """Seven utterances of three speakers, in a path with blanks."""
    return write_data(tmp_path / "my data" / "set", {f"s{n // 3}-{n}": 4800 for n in range(7)})


def test_hold_out_writes_both_sides(command, data):
    code, out, _ = command("hold_out", "--fraction", 0.3, data, data.parent / "train", data.parent / "valid")
    rest, held = DataDir.read(data.parent / "train"), DataDir.read(data.parent / "valid")
    assert code == 0
    assert sorted(rest.utterances + held.utterances) == DataDir.read(data).utterances
    assert f"{len(rest)} utterances" in out


def test_hold_out_of_speakers_stays_done_when_a_list_is_drawn_from_them(command, data):
    """The step that draws trials writes into its output; with another number all is made anew, and then stays."""
    folders = [data, data.parent / "rest", data.parent / "held"]
    for number in (1, 1):
        code, out, _ = command("hold_out", "--speakers", number, *folders)
        command("make_trials", "--targets", 2, "--nontargets", 2, "--name", "x", folders[2])
    assert (code, out) == (0, f"hold_out {folders[1]}: unchanged, skipped\n")
    rest, held = (DataDir.read(folder) for folder in folders[1:])
    assert sorted(rest.utterances + held.utterances) == DataDir.read(data).utterances
    assert not set(rest.utt2spk.values()) & set(held.utt2spk.values())


def test_hold_out_writes_over_nothing_that_it_needs(command, data):
    """Neither what it splits, by another name too, nor one side over the other."""
    (data.parent / "link").symlink_to(data)
    rest, held = data.parent / "rest", data.parent / "held"
    for folders in ((data, data, held), (data, rest, data.parent / "link"), (data, rest, rest)):
        assert "would be written over itself; name another folder" in refused(
            command("hold_out", "--fraction", 0.3, *folders)
        )
    assert len(DataDir.read(data)) == 7
    assert not rest.exists()


@pytest.mark.parametrize("segments", [False, True])
def test_hold_out_says_what_has_no_speaker(command, data, segments):
    """A recording or, where there are segments, an utterance, that utt2spk lacks: it goes into neither side."""
    if segments:
        write_lines(data / "segments", *(f"s{n // 3}-{n} s{n // 3}-{n} 0 0.1" for n in range(7)))
    table = read_table(data / "utt2spk")
    write_lines(data / "utt2spk", *(f"{utt} {speaker}" for utt, speaker in table.items() if utt != "s1-4"))
    rest, held = data.parent / "rest", data.parent / "held"
    code, out, _ = command("hold_out", "--fraction", 0.3, data, rest, held)
    assert (code, out.splitlines()[0]) == (0, f"{data}: 1 without a speaker in utt2spk, on neither side: s1-4")
    assert len(DataDir.read(rest)) + len(DataDir.read(held)) == 6


def test_a_dry_run_knows_that_both_sides_are_made_anew(command, data, monkeypatch, tmp_path):
    """What is made of the side that is held out would run, as what is made of the rest would."""
    folders = (data, data.parent / "rest", data.parent / "held")
    command("hold_out", "--speakers", 1, *folders)
    combined = [("combine_data", data.parent / f"of {side.name}", side) for side in folders[1:]]
    for words in combined:
        command(*words)
    (tmp_path / "dry").mkdir()
    monkeypatch.setenv("SV_DRY_RUN", str(tmp_path / "dry"))
    for words in combined:
        assert command(*words)[1] == f"combine_data {words[1]}: unchanged\n"
    command("hold_out", "--speakers", 1, "--seed", 9, *folders)
    for words in combined:
        assert command(*words)[1] == f"combine_data {words[1]}: would run: after hold_out\n"


@pytest.mark.parametrize(("wanted", "of", "count"), [("12", 40, 12), ("5%", 200, 10), ("5%", 12, 2), ("30%", 12, 4)])
def test_speakers_are_held_out_by_number_or_part(wanted, of, count):
    assert number_of_speakers(wanted, of) == count


@pytest.mark.parametrize("wanted", ["many", "5.5%", "-1", "%", "0x3"])
def test_other_numbers_of_speakers_are_refused(command, data, wanted):
    folders = (data, data.parent / "train", data.parent / "valid")
    assert "not " + repr(wanted) in refused(command("hold_out", f"--speakers={wanted}", *folders))


def test_hold_out_wants_sessions_or_speakers(command, data):
    folders = data, data.parent / "rest", data.parent / "held"
    assert "--every-speaker is of sessions" in refused(
        command("hold_out", "--speakers", 1, "--every-speaker", *folders)
    )
    assert "not allowed with" in refused(command("hold_out", "--fraction", 0.1, "--speakers", 1, *folders))
    assert "one of the arguments" in refused(command("hold_out", *folders))
    assert "2 of its 3 speakers cannot be held out" in refused(command("hold_out", "--speakers", 2, *folders))
    assert not folders[1].exists()


def test_a_list_is_drawn_once(command, data):
    """As many as asked for or as there are, said; the same list again for the same seed; then it is left alone."""
    options = ("--targets", 3, "--nontargets", 100, "--name", "mine")
    first = command("make_trials", *options, data)
    path = data / "trials_mine"
    said = "3 target and 15 non-target trials; no more non-target trials exist (100 were asked for)"
    assert first == (0, f"{path}: {said}\n", "")
    assert command("make_trials", *options, data)[1] == f"trials_mine {data}: unchanged, skipped\n"
    before = path.read_bytes()
    assert command("make_trials", "--seed", 1, *options, data)[0] == 0
    assert path.read_bytes() != before
    assert list(validate(data)) == []


def test_a_list_that_cannot_be_is_refused(command, data):
    options = ("--targets", 3, "--nontargets", 3)
    assert "cannot be part of a file's name" in refused(command("make_trials", *options, "--name", "a/b", data))
    assert "counted from 1" in refused(command("make_trials", "--targets", 0, "--nontargets", 3, "--name", "a", data))
    lonely = write_data(data.parent / "lonely", {"s0-0": 800, "s0-1": 800})
    assert "no non-target trial can be made of its 1 speakers" in refused(
        command("make_trials", *options, "--name", "a", lonely)
    )
    assert not list(data.parent.glob("*/trials_*"))


def test_valid_data_is_one_line(command, data):
    (data / "problems.txt").write_text("of an earlier time\n")
    code, out, _ = command("validate_data", "--audio", "--rate", 16000, data)
    assert (code, out) == (0, f"{data}: 7 utterances of 3 speakers, valid\n")
    assert not (data / "problems.txt").exists()


def test_a_set_to_be_tested_has_a_trial_list(command, data):
    """One that is valid without is refused all the same, though nothing has changed since."""
    assert command("validate_data", data)[0] == 0
    assert f"{data}: there is no trial list; write one, trials_NAME" in refused(
        command("validate_data", "--trials", data)
    )
    (data / "trials_mine").write_text("s0-0 s0-1 target\ns0-0 s1-3 nontarget\n")
    assert command("validate_data", "--trials", data)[0] == 0


def test_problems_are_listed_and_the_first_is_told(command, data):
    (data / "wav/s0-0.wav").unlink()
    (data / "wav/s1-3.wav").write_bytes(b"")
    said = refused(command("validate_data", "--audio", data))
    problems = (data / "problems.txt").read_text().splitlines()
    assert len(problems) == 2
    assert problems[0].startswith(f"wav.scp: s0-0: {data}/wav/s0-0.wav: cannot open")
    assert said == (
        f"validate_data: {data}: {problems[0]} (and 1 more: {data}/problems.txt);"
        " --drop-bad-audio goes on without what cannot be read (2 of these)\n"
    )


def test_headers_of_many_recordings_are_opened_by_jobs(command, data, monkeypatch):
    """What one process finds, three find; what they leave is taken out, and a job that is done is not done again."""
    (data / "wav/s0-0.wav").unlink()
    (data / "wav/s2-6.wav").write_bytes(b"")
    alone = refused(command("validate_data", "--audio", data))
    problems = (data / "problems.txt").read_text()
    monkeypatch.setattr("sv.cli.validate_data.PART", 2)
    assert refused(command("validate_data", "--audio", "--nj", 3, data)) == alone
    assert (data / "problems.txt").read_text() == problems
    parts = sorted((data / "validated").glob("*.problems"))
    assert len(parts) == 3
    before = [part.stat().st_mtime_ns for part in parts]
    parts[1].unlink()
    refused(command("validate_data", "--audio", "--nj", 3, data))
    after = [part.stat().st_mtime_ns for part in parts]
    assert [after[0], after[2]] == [before[0], before[2]]
    assert command("validate_data", "--audio", "--nj", 3, "--drop-bad-audio", data)[0] == 0
    assert sorted(read_table(data / "dropped.txt")) == ["s0-0", "s2-6"]


def test_bad_audio_may_be_taken_out_of_the_set(command, data):
    """The rest is valid, sorted or not before; dropped.txt says why, and a later check keeps what it says."""
    (data / "wav/s0-0.wav").unlink()
    lines = (data / "wav.scp").read_text().splitlines()
    write_lines(data / "wav.scp", *reversed(lines))
    write_lines(data / "trials_x", "s0-0 s0-1 target")
    assert command("validate_data", "--audio", "--drop-bad-audio", data)[0] == 0
    (data / "wav/s1-4.wav").write_bytes(b"")
    assert command("validate_data", "--audio", "--drop-bad-audio", data)[0] == 0
    assert sorted(read_table(data / "dropped.txt")) == ["s0-0", "s1-4"]
    assert len(DataDir.read(data)) == 5
    assert command("validate_data", "--audio", "--drop-bad-audio", data)[0] == 0
    assert sorted(read_table(data / "dropped.txt")) == ["s0-0", "s1-4"]


def test_other_mistakes_are_not_dropped(command, data):
    """Unsorted lists and another rate stay problems under --drop-bad-audio."""
    lines = (data / "wav.scp").read_text().splitlines()
    write_lines(data / "wav.scp", *reversed(lines))
    said = refused(command("validate_data", "--audio", "--rate", 8000, "--drop-bad-audio", data))
    assert "not sorted" in said
    assert len(DataDir.read(data)) == 7


def test_only_the_bad_segments_of_a_recording_are_dropped(command, tmp_path):
    """Two of one recording, one of them beyond its end."""
    data = write_data(tmp_path / "set", {"r": 16000})
    write_lines(data / "utt2spk", "u1 u1", "u2 u2")
    write_lines(data / "segments", "u1 r 0 1", "u2 r 2 3")
    said = refused(command("validate_data", "--audio", data))
    assert "segments: u2: " in said
    assert "--drop-bad-audio" in said
    assert command("validate_data", "--audio", "--drop-bad-audio", data)[0] == 0
    assert list(read_table(data / "dropped.txt")) == ["u2"]
    assert DataDir.read(data).utterances == ["u1"]


def test_advice_is_given_only_where_it_helps(command, data):
    lines = (data / "wav.scp").read_text().splitlines()
    write_lines(data / "wav.scp", *reversed(lines))
    assert "--drop-bad-audio" not in refused(command("validate_data", "--audio", data))


def test_commands_that_were_not_checked_are_counted(command, data):
    """Without --audio nothing is said of them; with --allow-pipes they are run, and what one lacks is a problem."""
    lines = (data / "wav.scp").read_text().splitlines()
    write_lines(data / "wav.scp", "s0-0 false |", f"s0-1 cat '{data}/wav/s0-1.wav' |", *lines[2:])
    said = f"{data}: 2 recordings are commands ('… |') and were not checked; --allow-pipes runs them\n"
    valid = f"{data}: 7 utterances of 3 speakers, valid\n"
    assert command("validate_data", "--audio", data)[:2] == (0, said + valid)
    assert command("validate_data", data)[1].endswith(f"(audio is false, was true)\n{valid}")
    assert "s0-0: false |: the command failed" in refused(command("validate_data", "--audio", "--allow-pipes", data))
    code, out, _ = command("validate_data", "--audio", "--allow-pipes", "--drop-bad-audio", data)
    assert (code, "not checked" in out) == (0, False)
    assert list(read_table(data / "dropped.txt")) == ["s0-0"]


def test_shared_speakers_are_told(command, data):
    other = write_data(data.parent / "train", {"s1-x": 4000})
    said = refused(command("validate_data", "--disjoint-from", other, data))
    assert f"utt2spk: s1: is a speaker of {other} too" in said


# -- fix_data ------------------------------------------------------------------------------------------------


def test_fix_sorts_and_drops_what_lacks_something(command, data):
    """A recording without a speaker, a speaker without a recording, a stale spk2utt: valid after; each is told."""
    lines = (data / "wav.scp").read_text().splitlines()
    write_lines(data / "wav.scp", *reversed(lines[1:]))
    write_lines(data / "utt2spk", *(data / "utt2spk").read_text().splitlines()[:-1])
    write_lines(data / "spk2utt", "s0 s0-0")
    write_lines(data / "dropped.txt", "s0-9 of an earlier time")
    assert list(validate(data))
    code, out, _ = command("fix_data", data)
    assert code == 0
    assert out == (
        f"{data}: 2 dropped: s0-0, s2-6; why stands in dropped.txt\n"
        f"{data}: 5 utterances of 2 speakers, sorted, spk2utt written\n"
    )
    assert list(validate(data, audio=True)) == []
    assert read_table(data / "dropped.txt") == {
        "s0-0": "recording s0-0 is not in wav.scp",
        "s0-9": "of an earlier time",
        "s2-6": "has no speaker in utt2spk",
    }


def test_fix_of_a_right_directory_changes_no_table(command, data):
    command("fix_data", data)
    before = {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()}
    code, out, _ = command("fix_data", "--audio", data)
    assert (code, "dropped" in out) == (0, False)
    assert {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()} == before


def test_fix_opens_recordings_if_asked(command, data):
    (data / "wav/s1-4.wav").write_bytes(b"")
    assert command("fix_data", data)[0] == 0
    assert len(DataDir.read(data)) == 7
    assert command("fix_data", "--audio", data)[0] == 0
    assert list(read_table(data / "dropped.txt")) == ["s1-4"]


def test_fix_drops_what_has_no_features(command, data):
    write_lines(data / "utt2dur", *(f"{utt} 0.3" for utt in DataDir.read(data).utterances))
    write_lines(data / "feats.scp", "s0-0 nowhere.ark:3", "s0-1 nowhere.ark:9")
    said = refused(command("fix_data", data))
    assert "mended, and still wrong: feats.scp: s0-0: nowhere.ark: cannot read the archive" in said
    assert DataDir.read(data).utterances == ["s0-0", "s0-1"]
    assert set(read_table(data / "dropped.txt").values()) == {"has no features in feats.scp"}


def test_what_fix_cannot_mend_is_told(command, data):
    """An id that does not start with its speaker's; all that it can do is done."""
    lines = (data / "utt2spk").read_text().splitlines()
    write_lines(data / "utt2spk", *reversed(["s0-0 x1", *lines[1:]]))
    said = refused(command("fix_data", data))
    assert said.startswith(f"fix_data: {data}: mended, and still wrong: utt2spk: s0-0: does not start with")
    assert (data / "utt2spk").read_text().splitlines() == ["s0-0 x1", *lines[1:]]
    assert (data / "problems.txt").exists()


def test_fix_that_would_leave_nothing_changes_nothing(command, data):
    write_lines(data / "wav.scp", "r r.wav")
    before = {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()}
    assert "no utterance is left" in refused(command("fix_data", data))
    assert {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()} == before


# -- subset_data and combine_data ----------------------------------------------------------------------------


def subset(command, data, *options):
    """The utterances that a call leaves, and what it says."""
    code, out, err = command("subset_data", *options, data, data.parent / "part of it")
    assert (code, err) == (0, "")
    assert list(validate(data.parent / "part of it", audio=True)) == []
    return DataDir.read(data.parent / "part of it").utterances, out


def test_subset_takes_the_first(command, data):
    utts, out = subset(command, data, "--first", 4)
    assert utts == ["s0-0", "s0-1", "s0-2", "s1-3"]
    assert out == f"{data.parent}/part of it: 4 of 7 utterances, 2 of 3 speakers\n"


def test_subset_draws_by_the_seed(command, data):
    """As many as asked; the same for the same seed, and within a larger draw; another for another."""
    draws = {(n, seed): subset(command, data, "--random", n, "--seed", seed)[0] for n in (3, 5) for seed in range(6)}
    assert all(len(utts) == n for (n, _), utts in draws.items())
    assert draws[3, 1] == subset(command, data, "--seed", 1, "--random", 3)[0]
    assert all(set(draws[3, seed]) < set(draws[5, seed]) for seed in range(6))
    assert len({tuple(draws[3, seed]) for seed in range(6)}) > 1


def test_subset_takes_so_many_of_every_speaker(command, data):
    """Two of each, all of those who have fewer, and that is said."""
    utts, out = subset(command, data, "--per-speaker", 2)
    assert [utt.partition("-")[0] for utt in utts] == ["s0", "s0", "s1", "s1", "s2"]
    assert out.endswith(": 5 of 7 utterances, 3 of 3 speakers (1 of these have fewer than 2)\n")


def test_subset_takes_a_list_or_a_table(command, data):
    """Of utterances, of speakers, and then a number of these."""
    ids = data.parent / "the list"
    write_lines(ids, "s1-4", "s0-1 anything")
    assert subset(command, data, "--utterances", ids)[0] == ["s0-1", "s1-4"]
    write_lines(ids, "s2 s2-6", "s0 s0-0")
    assert subset(command, data, "--speakers", ids)[0] == ["s0-0", "s0-1", "s0-2", "s2-6"]
    assert subset(command, data, "--speakers", ids, "--first", 2)[0] == ["s0-0", "s0-1"]


def test_subset_leaves_lists_out(command, data):
    """Of several lists, which may share utterances; then a number of the rest."""
    one, two = data.parent / "one list", data.parent / "two list"
    write_lines(one, "s0-1 anything", "s2-6 else")
    write_lines(two, "s0-0", "s0-1")
    options = ["--without", one, "--without", two]
    assert subset(command, data, *options)[0] == ["s0-2", "s1-3", "s1-4", "s1-5"]
    assert subset(command, data, *options, "--first", 2)[0] == ["s0-2", "s1-3"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "say what to keep: --utterances, --speakers, --without, --first, --random or --per-speaker"),
        (["--first", "0"], "a number of utterances from 1 is wanted, not 0"),
        (["--first", "8"], "8 utterances are wanted and 7 are there; ask for fewer"),
        (["--random", "8"], "8 utterances are wanted and 7 are there; ask for fewer"),
        (["--random", "2", "--seed", "-1"], "a seed is a number from 0, not -1"),
        (["--random", "2", "--first", "2"], "not allowed with argument"),
        (["--utterances", "LIST"], "1 utterances are not here: s9-9"),
        (["--speakers", "LIST"], "1 speakers are not here: s9-9"),
        (["--without", "LIST"], "1 utterances are not here: s9-9"),
        (["--utterances", "NONE"], "the empty list names nothing"),
        (["--utterances", "GONE"], "no list is missing"),
    ],
)
def test_a_subset_that_cannot_be_made_is_one_line(command, data, options, said):
    """Nothing is written."""
    names = {"LIST": "the list", "NONE": "the empty list", "GONE": "no list"}
    write_lines(data.parent / "the list", "s9-9")
    write_lines(data.parent / "the empty list")
    words = [data.parent / names[word] if word in names else word for word in options]
    assert said in refused(command("subset_data", *words, data, data.parent / "part"))
    assert not (data.parent / "part").exists()


def test_combine_gives_parts_back_as_one(command, data):
    """Two subsets; a table that one of them lacks is left out, and that is said."""
    write_lines(data / "utt2dur", *(f"{utt} 0.3" for utt in DataDir.read(data).utterances))
    ids = data.parent / "ids"
    for name, speakers in (("one", ["s0", "s2"]), ("two", ["s1"])):
        write_lines(ids, *speakers)
        command("subset_data", "--speakers", ids, data, data.parent / name)
    out = data.parent / "one and two"
    code, said, _ = command("combine_data", out, data.parent / "one", data.parent / "two")
    assert (code, said) == (0, f"{out}: 7 utterances of 3 speakers, from 2 directories\n")
    whole, before = DataDir.read(out), DataDir.read(data)
    assert (whole.utt2spk, whole.wav, whole.tables) == (before.utt2spk, before.wav, before.tables)
    (data.parent / "two" / "utt2dur").unlink()
    _, said, _ = command("combine_data", out, data.parent / "one", data.parent / "two")
    assert said.endswith("; left out, as not all of them have it: utt2dur\n")
    assert not (out / "utt2dur").exists()


def test_combine_is_not_repeated(command, data):
    """Until a part changes."""
    words = ("combine_data", data.parent / "all", data)
    command(*words)
    assert command(*words)[1] == f"combine_data {data.parent}/all: unchanged, skipped\n"
    write_lines(data / "utt2dur", *(f"{utt} 0.3" for utt in DataDir.read(data).utterances))
    assert f"runs again ({data}/utt2dur is a new input)" in command(*words)[1]
    assert "utt2dur" in DataDir.read(data.parent / "all").tables


def test_models_of_another_set_are_an_input_of_its_check(command, data):
    """`validate_data --enrol`: checked again when the models there change."""
    enrol = data.parent / "enrol"
    write_lines(enrol / "utt2spk", "s9-a s9")
    write_lines(enrol / "models", "m1 s9-a")
    write_lines(data / "trials_x", "m1 s0-0 nontarget")
    words = ("validate_data", "--enrol", enrol, data)
    assert command(*words)[0] == 0
    assert "unchanged, skipped" in command(*words)[1]
    write_lines(enrol / "models", "m2 s9-a")
    assert "trials_x: m1: is the id of a model and unknown here" in refused(command(*words))


def test_combine_of_what_overlaps_is_one_line(command, data):
    said = refused(command("combine_data", data.parent / "out", data, data))
    assert f"{data}: 7 utterances are in an earlier part too: s0-0, s0-1, s0-2 …" in said
    assert not (data.parent / "out").exists()


def test_a_directory_is_not_written_over_what_it_is_made_of(command, data):
    """By another name too."""
    (data.parent / "link").symlink_to(data)
    for words in (("subset_data", "--first", 2, data, data.parent / "link"), ("combine_data", data, data)):
        assert "would be written over itself; name another folder" in refused(command(*words))
    assert len(DataDir.read(data)) == 7


def test_the_label_of_synthetic_speech_stays(command, data):
    (data / "SYNTHETIC.txt").write_text("made by a test\n")
    command("hold_out", "--fraction", 0.3, data, data.parent / "train", data.parent / "valid")
    command("combine_data", data.parent / "all", data.parent / "train", data.parent / "valid")
    command("subset_data", "--first", 2, data.parent / "all", data.parent / "two")
    command("fix_data", data.parent / "two")
    two = data.parent / "two"
    write_lines(two / "parts" / "feats.1.scp", "s0-0 a.ark:5", "s0-1 a.ark:9")
    join_parts(DataDir.read(two), two / "parts" / "feats", 1, two / "feats" / "x", "feats.scp")
    assert (two / "feats" / "x" / "SYNTHETIC.txt").read_text() == "made by a test\n"


def test_steps_run_the_commands(data):
    """As a user types them, with blanks in the paths."""
    env = {**os.environ, "SV_PYTHON": sys.executable}
    part = data.parent / "a part"
    for words in (
        ("validate_data", "--audio", data),
        ("audit", "--nj", "2", data, data.parent / "an audit"),
        ("subset_data", "--per-speaker", "1", data, part),
        ("combine_data", data.parent / "a copy", part),
        ("fix_data", "--audio", data.parent / "a copy"),
    ):
        done = subprocess.run(
            [ROOT / "steps" / f"{words[0]}.sh", *words[1:]], env=env, cwd=data.parent, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert len(DataDir.read(data.parent / "a copy")) == 3
    assert (data.parent / "an audit" / "audit.html").exists()
