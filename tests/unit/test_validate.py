"""`sv.data.validate`: every kind of mistake is found and named, and a right directory has none."""

import pytest
from data_dirs import write_data, write_lines
from kaldi_files import ROOT

from sv.data.datadir import DataDir
from sv.data.validate import Problem, validate
from sv.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """Four utterances of two speakers, a quarter of a second each."""
    return write_data(tmp_path / "set", dict.fromkeys(["s1-a", "s1-b", "s2-a", "s2-b"], 4000))


def change(path, edit):
    """Rewrite a table's lines by a function of their list."""
    write_lines(path, *edit(path.read_text().splitlines()))


def found(folder, **options):
    return [str(problem) for problem in validate(folder, **options)]


def test_a_right_directory_has_no_problem(folder):
    """With all that can be looked at: audio, rate, trials, models, another set."""
    write_data(folder.parent / "train", {"s3-a": 4000})
    write_lines(folder / "models", "m1 s1-a s1-b")
    write_lines(folder / "trials_x", "m1 s1-a target", "m1 s2-a nontarget")
    assert found(folder, audio=True, rate=16000, disjoint_from=[folder.parent / "train"]) == []


def test_the_example_directory_is_right(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert found("tests/data/tiny", audio=True, rate=16000) == []


@pytest.mark.parametrize("name", ["utt2spk", "wav.scp", "segments", "feats.scp", "utt2sess"])
def test_unsorted_keys_are_named(folder, name):
    """The first that is out of order, once a file."""
    keys = ["s1-a", "s1-b", "s2-b", "s2-a"]
    value = {"utt2spk": "{0[0]}{0[1]}", "segments": "{0} 0 0.2"}.get(name, "{0}")
    write_lines(folder / name, *(f"{key} {value.format(key)}" for key in keys))
    assert found(folder) == [f"{name}: s2-a: comes after s2-b: not sorted; sort it with LC_ALL=C sort"]


def test_sorting_in_another_language_is_named(folder):
    """As `sort` does without LC_ALL=C: small letters before capitals."""
    write_lines(folder / "utt2spk", "s1-a s1", "s1-b s1", "s2-a s2", "s2-b s2", "sa-a sa", "SB-a SB")
    assert found(folder)[0].startswith("utt2spk: SB-a: comes after sa-a: not sorted")


def test_a_key_that_comes_twice_is_an_error(folder):
    """Malformed for every reader, so `validate` raises what they would: file, line and key."""
    change(folder / "wav.scp", lambda lines: [lines[0], *lines])
    with pytest.raises(DataError, match=r"wav\.scp:2: key 's1-a' comes twice"):
        found(folder)


def test_an_utterance_without_a_speaker_is_named(folder):
    change(folder / "utt2spk", lambda lines: lines[1:])
    assert found(folder) == ["utt2spk: s1-a: has a recording and no speaker"]


def test_an_utterance_without_a_recording_is_named(folder):
    change(folder / "wav.scp", lambda lines: lines[1:])
    assert found(folder) == ["wav.scp: s1-a: has no recording"]


def test_a_speaker_that_is_no_prefix_is_named(folder):
    change(folder / "utt2spk", lambda lines: ["s1-a x1", *lines[1:]])
    assert found(folder) == ["utt2spk: s1-a: does not start with its speaker's id x1, so that sort orders differ"]


def test_segments_without_utterance_or_recording_are_named(folder):
    """One without a speaker, one of no recording, one missing."""
    write_lines(folder / "segments", "s1-a s1-a 0 0.1", "s1-b r 0 0.1", "s2-a s2-a 0 0.1", "s9-a s2-a 0 0.1")
    assert sorted(found(folder)) == [
        "segments: s2-b: has no segment",
        "utt2spk: s9-a: has a segment and no speaker",
        "wav.scp: r: has no recording",
    ]


@pytest.mark.parametrize(
    ("name", "lines", "missing"),
    [("utt2sess", ["s1-a x", "s1-b x", "s2-a y"], "s2-b"), ("spk2gender", ["s1 f"], "s2")],
)
def test_a_table_with_gaps_is_named(folder, name, lines, missing):
    write_lines(folder / name, *lines)
    assert found(folder) == [f"{name}: {missing}: is missing"]


def test_an_empty_set_is_a_problem(folder):
    for name in ("utt2spk", "wav.scp"):
        write_lines(folder / name)
    assert found(folder) == ["utt2spk: holds no utterances"]


def test_trials_with_unknown_ids_are_named(folder):
    write_lines(folder / "trials_x", "s1-a s2-a nontarget", "s1-x s1-a target", "s1-a s1-y target")
    assert found(folder) == [
        "trials_x: s1-x: is the id of a model and unknown here",
        "trials_x: s1-y: is the id of a test utterance and unknown here",
    ]


def test_models_are_the_enrolment_side_where_there_are_any(folder):
    """Of Kaldi's plain list too; a model's own utterances must be known."""
    write_lines(folder / "models", "m1 s1-a s1-z")
    write_lines(folder / "trials", "m1 s2-a nontarget", "s1-a s2-a nontarget")
    assert found(folder) == [
        "models: s1-z: is the id of an utterance and unknown here",
        "trials: s1-a: is the id of a model and unknown here",
    ]


def test_what_was_dropped_is_not_unknown(folder):
    """A trial may name an utterance of dropped.txt: scoring says what it does about it."""
    write_lines(folder / "trials_x", "s1-a s1-c target")
    write_lines(folder / "dropped.txt", "s1-c truncated")
    assert found(folder) == []


def test_shared_speakers_are_named(folder):
    """Those of every other set."""
    others = [write_data(folder.parent / name, {utt: 4000}) for name, utt in (("x", "s1-q"), ("y", "s2-q"))]
    problems = found(folder, disjoint_from=others)
    assert [problem.split(";")[0] for problem in problems] == [
        f"utt2spk: s1: is a speaker of {others[0]} too",
        f"utt2spk: s2: is a speaker of {others[1]} too",
    ]


def test_bad_audio_is_named_by_recording_and_file(folder):
    """Missing, empty, truncated, and no audio at all, each with its file; one that is right is not named."""
    wav = folder / "wav"
    (wav / "s1-a.wav").unlink()
    (wav / "s1-b.wav").write_bytes(b"")
    (wav / "s2-a.wav").write_bytes((wav / "s2-a.wav").read_bytes()[:3000])
    problems = list(validate(folder, audio=True))
    assert [problem.key for problem in problems] == ["s1-a", "s1-b", "s2-a"]
    for problem, reason in zip(problems, ("No such file", "is empty", "truncated"), strict=True):
        assert problem.is_bad_audio
        assert f"{wav}/{problem.key}.wav" in problem.what
        assert reason in problem.what


def test_audio_is_left_alone_unless_asked(folder):
    (folder / "wav" / "s1-a.wav").unlink()
    assert found(folder) == []


def test_another_rate_is_named_and_not_bad_audio(folder):
    """It can be read and resampled, so it is no reason to drop it."""
    (problem, *others) = validate(folder, audio=True, rate=8000)
    assert problem == Problem("wav.scp", "s1-a", f"is sampled at 16000 Hz, not 8000 ({folder}/wav/s1-a.wav)")
    assert len(others) == 3


def test_commands_are_run_only_if_allowed(folder, tmp_path):
    """A command that leaves a trace."""
    trace = tmp_path / "ran"
    change(folder / "wav.scp", lambda lines: [f"s1-a touch {trace}; cat {folder}/wav/s1-a.wav |", *lines[1:]])
    assert found(folder, audio=True, rate=16000) == []
    assert not trace.exists()
    assert found(folder, audio=True, rate=16000, allow_pipes=True) == []
    assert trace.exists()


def test_validation_changes_nothing(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found(folder, audio=True)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_what_datadir_writes_is_right(folder):
    """Every operation's result is valid."""
    data = DataDir.read(folder)
    for part in (data.split(2, 1), data.subset(speakers=["s2"]), *data.hold_out(0.3, 0)):
        part.write(folder.parent / "part")
        assert found(folder.parent / "part") == []
