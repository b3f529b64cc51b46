"""`sv.data.validate`: every kind of mistake is found and named, and a right directory has none."""

import numpy as np
import pytest
from audio_files import noise, wav_bytes
from data_dirs import write_data, write_lines
from kaldi_files import ROOT

from sv.data.ark import ArkWriter
from sv.data.datadir import DataDir
from sv.data.validate import Problem, validate
from sv.errors import AudioError, DataError


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


@pytest.mark.parametrize("name", ["utt2spk", "wav.scp", "segments", "utt2dur", "utt2sess"])
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


def test_a_table_with_other_utterances_is_named(folder):
    """As it is left when utterances were taken out of utt2spk alone."""
    write_lines(folder / "utt2dur", *(f"{utt} 1" for utt in ("s1-a", "s1-b", "s2-a", "s2-b", "s3-a")))
    assert found(folder) == ["utt2dur: s3-a: stands here and not in utt2spk"]


def test_spk2utt_that_is_not_utt2spk_the_other_way_round_is_named(folder):
    """An utterance of another speaker, a speaker too many, one missing; the order in a line does not matter."""
    write_lines(folder / "spk2utt", "s1 s1-b s1-a", "s2 s2-a s2-b")
    assert found(folder) == []
    write_lines(folder / "spk2utt", "s1 s1-a s2-a", "s3 s2-b")
    assert found(folder) == [
        "spk2utt: s1: its utterances are not those of utt2spk; steps/fix_data.sh writes it anew",
        "spk2utt: s2: is missing; steps/fix_data.sh writes it anew",
        "spk2utt: s3: its utterances are not those of utt2spk; steps/fix_data.sh writes it anew",
    ]


@pytest.fixture
def feats(tmp_path):
    """A feature folder: features and VAD of three utterances."""
    folder = tmp_path / "feats" / "mfcc"
    DataDir({utt: "s1" for utt in ("s1-a", "s1-b", "s1-c")}).write(folder)
    for name in ("feats", "vad"):
        with ArkWriter(folder / "arks" / name) as archive:
            for utt in ("s1-a", "s1-b", "s1-c"):
                archive.write(utt, np.ones((20, 3) if name == "feats" else 20, np.float32))
        (folder / "arks" / f"{name}.scp").rename(folder / f"{name}.scp")
    return folder


def test_a_right_feature_folder_has_no_problem(feats):
    assert found(feats) == []


def test_features_of_other_utterances_are_named(feats):
    """One line moved to another utterance's name: one missing, one too many."""
    change(feats / "feats.scp", lambda lines: [*lines[:2], lines[2].replace("s1-c", "s1-d")])
    assert found(feats) == ["feats.scp: s1-c: is missing", "feats.scp: s1-d: stands here and not in utt2spk"]


def test_archives_that_are_not_there_or_cut_short_are_named(feats):
    """The VAD's whole archive, and the features' end."""
    (feats / "arks" / "vad.ark").unlink()
    ark = feats / "arks" / "feats.ark"
    ark.write_bytes(ark.read_bytes()[:-10])
    last, *others = found(feats)
    assert last.startswith(f"feats.scp: s1-c: {ark}:")
    assert "truncated, has 230 of 240 bytes" in last
    assert [problem.partition(": ")[0] for problem in others] == ["vad.scp"] * 3
    assert f"{feats}/arks/vad.ark: cannot read the archive (No such file or directory)" in others[0]


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


def test_models_may_be_of_another_set(folder, tmp_path):
    """Theirs are the utterances and the names that trials may have on the one side, and no others."""
    enrol = tmp_path / "enrol"
    write_lines(enrol / "utt2spk", "s9-a s9")
    write_lines(enrol / "dropped.txt", "s9-b truncated")
    write_lines(enrol / "models", "m1 s9-a s9-b", "m2 s1-a")
    write_lines(folder / "trials_x", "m1 s1-a target", "s1-a s1-b nontarget", "m1 s9-a nontarget")
    assert [str(problem) for problem in validate(folder, enrol=enrol)] == [
        f"{enrol}/models: s1-a: is the id of an utterance and unknown here",
        "trials_x: s1-a: is the id of a model and unknown here",
        "trials_x: s9-a: is the id of a test utterance and unknown here",
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


def segmented(tmp_path, *segments, channels=1, source=None):
    """A set of segments of one recording `r` of 2 s: [segment without its name, …]; u0, u1, …"""
    path = tmp_path / "r.wav"
    path.write_bytes(wav_bytes(noise(32000 * channels), channels=channels))
    folder = tmp_path / "segmented"
    write_lines(folder / "wav.scp", f"r {source or path}")
    write_lines(folder / "utt2spk", *(f"u{n} u{n}" for n in range(len(segments))))
    write_lines(folder / "segments", *(f"u{n} r {segment}" for n, segment in enumerate(segments)))
    return folder


def test_segments_beyond_the_end_are_named_and_bad_audio(tmp_path):
    """Of 2 s: a start at the end, and an end more than Kaldi's half second late; -1 and a bit late are right."""
    folder = segmented(tmp_path, "0 2", "0.5 2.5", "1 -1", "0 2.51", "2 -1", "1.9 2.2")
    problems = list(validate(folder, audio=True))
    assert [str(problem) for problem in problems] == [
        f"segments: u3: {tmp_path}/r.wav: 0 s to 2.51 s is not within its 2.00 s",
        f"segments: u4: {tmp_path}/r.wav: 2 s to the end is not within its 2.00 s",
    ]
    assert all(problem.is_bad_audio for problem in problems)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    "segment", ["0 2", "0 2.5", "0 2.50001", "0.3 2.6", "2 2.1", "1 -1", "0 1 0", "0 1 1", "0 -1 2"]
)
def test_what_the_reader_refuses_is_a_problem_and_nothing_else(tmp_path, segment, channels):
    """The validator on headers against the reader on samples."""
    folder = segmented(tmp_path, segment, channels=channels)
    try:
        DataDir.read(folder).read_audio("u0")
        refusal = None
    except DataError as error:
        refusal = error
    problems = list(validate(folder, audio=True))
    assert len(problems) == (refusal is not None)
    for problem in problems:
        assert f"u0: {problem.what}" == str(refusal)
        assert problem.is_bad_audio == isinstance(refusal, AudioError)


def test_a_recording_of_two_channels_is_named_and_not_bad_audio(folder):
    """It can be read once a channel is named, so it is no reason to drop it; how is said."""
    (folder / "wav/s1-a.wav").write_bytes(wav_bytes(noise(8000), channels=2))
    write_lines(folder / "reco2file_and_channel", *(f"{utt} call B" for utt in ("s1-a", "s1-b", "s2-a", "s2-b")))
    (problem,) = validate(folder, audio=True)
    assert problem == Problem(
        "wav.scp",
        "s1-a",
        f"{folder}/wav/s1-a.wav: has 2 channels; name one in segments, 's1-a s1-a 0 -1 CHANNEL' with CHANNEL from 0"
        " (the B of reco2file_and_channel selects none, as in Kaldi)",
    )


def test_segments_of_what_a_command_prints_are_checked_where_it_may_run(tmp_path):
    folder = segmented(tmp_path, "0 2", "1 9", source=f"cat '{tmp_path}/r.wav' |")
    assert found(folder, audio=True) == []
    (problem,) = found(folder, audio=True, allow_pipes=True)
    assert problem.startswith("segments: u1: cat")


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
