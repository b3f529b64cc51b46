"""`sv.data.datadir`: what a directory holds, read, written and heard."""

import doctest
import os

import numpy as np
import pytest
from audio_files import noise, wav_bytes
from data_dirs import full, plain, write_data, write_lines, write_wav
from kaldi_files import ROOT

import sv.data.datadir
from sv.data.audio import read_audio
from sv.data.datadir import DataDir, Segment, combine, write_dropped
from sv.data.utterance_audio import UtteranceReader
from sv.errors import AudioError, DataError


def test_examples_run(monkeypatch):
    """The docstring's example, on tests/data/tiny."""
    monkeypatch.chdir(ROOT)
    result = doctest.testmod(sv.data.datadir)
    assert result.attempted > 0
    assert result.failed == 0


def test_what_is_written_is_read(tmp_path):
    """Every table of every kind; and again, to the byte."""
    full().write(tmp_path / "a b" / "set")
    data = DataDir.read(tmp_path / "a b" / "set")
    assert (data.utt2spk, data.wav, data.segments, data.tables) == (
        full().utt2spk,
        full().wav,
        full().segments,
        full().tables,
    )
    data.write(tmp_path / "again")
    for file in sorted(os.listdir(tmp_path / "again")):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "a b" / "set" / file).read_bytes()


def test_spk2utt_is_utt2spk_inverted(tmp_path):
    """Speakers and their utterances in C order, whatever the order of utt2spk."""
    plain(["s2-b", "s1-c", "s2-a", "s10-a"]).write(tmp_path)
    assert (tmp_path / "spk2utt").read_text() == "s1 s1-c\ns10 s10-a\ns2 s2-a s2-b\n"


def test_tables_of_an_earlier_set_go(tmp_path):
    """A set with segments and all tables, notes and trials, then a plain one in the same place."""
    full().write(tmp_path)
    for name in ("dropped.txt", "problems.txt", "trials_x"):
        (tmp_path / name).write_text("s1-a-1 something\n")
    plain(["s1-a"]).write(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["spk2utt", "trials_x", "utt2spk", "wav.scp"]


def test_fractions_of_seconds_survive(tmp_path):
    """Segment times as SRE's tables give them, to the sample."""
    data = full()
    data.segments["s1-a-1"] = Segment("s1-a", 1234.56789, 1e-5 + 2345.0000625)
    data.write(tmp_path)
    segment = DataDir.read(tmp_path).segments["s1-a-1"]
    assert abs(segment.start_s - 1234.56789) < 1e-6
    assert abs(segment.end_s - 2345.0000725) < 1e-6


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("u1 r1", "'r1' is not 'recording start end' in seconds"),
        ("u1 r1 0.5", "'r1 0.5' is not"),
        ("u1 r1 a b", "'r1 a b' is not"),
        ("u1 r1 2 1", "2..1 s is not a stretch of time"),
        ("u1 r1 -1 1", "-1..1 s is not"),
        ("u1 r1 nan 1", "nan..1 s is not"),
        ("u1 r1 0 nan", "0..nan s is not"),
        ("u1 r1 0 inf", "0..inf s is not"),
        ("u1 r1 0 -2", "0..-2 s is not"),
        ("u1 r1 0 1 A", "'A' after the end is not a channel, 0, 1, …"),
        ("u1 r1 0 1 -1", "'-1' after the end is not a channel"),
        ("u1 r1 0 1 0 1", "'0 1' after the end is not a channel"),
    ],
)
def test_malformed_segments_are_refused(tmp_path, line, said):
    write_lines(tmp_path / "utt2spk", "u1 u1")
    write_lines(tmp_path / "segments", line)
    with pytest.raises(DataError) as caught:
        DataDir.read(tmp_path)
    assert f"{tmp_path}/segments: u1: {said}" in str(caught.value)


def test_a_missing_directory_or_utt2spk_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none is not a data directory \(no such folder\)"):
        DataDir.read(tmp_path / "none")
    with pytest.raises(DataError, match="utt2spk is missing"):
        DataDir.read(tmp_path)


def test_audio_of_an_utterance_is_its_file(tmp_path):
    data = DataDir.read(write_data(tmp_path / "set", {"s1-a": 4000, "s1-b": 5000}, rate=8000))
    wave_N, rate = data.read_audio("s1-b")
    np.testing.assert_array_equal(wave_N, read_audio(str(tmp_path / "set/wav/s1-b.wav"))[0])
    assert (len(wave_N), rate) == (5000, 8000)


def test_audio_of_a_segment_is_that_part(tmp_path):
    """Samples 0.25 to 0.75 s of the recording's."""
    path = write_wav(tmp_path / "r.wav", 16000)
    data = DataDir({"u": "u"}, {"r": str(path)}, {"u": Segment("r", 0.25, 0.75)})
    wave_N, _ = data.read_audio("u")
    np.testing.assert_array_equal(wave_N, read_audio(str(path))[0][4000:12000])


def test_a_segment_that_ends_with_its_recording(tmp_path):
    """Kaldi's -1, read, written and heard."""
    path = write_wav(tmp_path / "r.wav", 16000)
    data = DataDir({"u": "u"}, {"r": str(path)}, {"u": Segment("r", 0.25, -1)})
    data.write(tmp_path / "set")
    assert (tmp_path / "set/segments").read_text() == "u r 0.25 -1\n"
    wave_N, _ = DataDir.read(tmp_path / "set").read_audio("u")
    np.testing.assert_array_equal(wave_N, read_audio(str(path))[0][4000:])


def test_a_segments_channel_is_read(tmp_path):
    """Kaldi's fifth column, from 0; without it, and beyond the last, the recording is refused."""
    both_NC = noise(2000).reshape(-1, 2)
    (tmp_path / "r.wav").write_bytes(wav_bytes(both_NC, channels=2))
    segments = {f"u{n}": Segment("r", 0, -1, channel) for n, channel in enumerate((0, 1, 2, None))}
    data = DataDir(dict.fromkeys(segments, "u"), {"r": f"{tmp_path}/r.wav"}, segments)
    data.write(tmp_path / "set")
    data = DataDir.read(tmp_path / "set")
    assert data.segments == segments
    for channel in (0, 1):
        np.testing.assert_array_equal(data.read_audio(f"u{channel}")[0], both_NC[:, channel])
    with pytest.raises(DataError, match=r"u2: .*r\.wav: has no channel 2, only 2, counted from 0"):
        data.read_audio("u2")
    with pytest.raises(DataError, match=r"u3: .*r\.wav: has 2 channels; name one in segments, 'u3 r 0 -1 CHANNEL'"):
        data.read_audio("u3")


def test_a_recording_is_opened_once_for_its_segments(tmp_path):
    """A command that counts its runs: three segments of two recordings in a row, each as if read alone."""
    runs = tmp_path / "runs"
    sources = {}
    for name in ("r", "q"):
        path = write_wav(tmp_path / f"{name}.wav", 16000, seed=ord(name))
        sources[name] = f"echo {name} >>{runs}; cat {path} |"
    segments = {f"{name}-{n}": Segment(name, n / 4, n / 4 + 0.25) for name in ("q", "r") for n in range(3)}
    data = DataDir(dict.fromkeys(segments, "u"), sources, segments)
    with UtteranceReader(data, allow_pipes=True) as reader:
        waves = {utt: reader.read(utt)[0] for utt in data.utterances}
    assert runs.read_text() == "q\nr\n"
    for utt, wave_N in waves.items():
        np.testing.assert_array_equal(wave_N, data.read_audio(utt, allow_pipes=True)[0])


def test_a_recording_that_cannot_be_read_is_told_for_each_of_its_segments(tmp_path):
    """The command that fails runs once; the recording after it is read."""
    runs, path = tmp_path / "runs", write_wav(tmp_path / "r.wav")
    segments = {"a": Segment("q", 0, 0.1), "b": Segment("q", 0.1, 0.2), "c": Segment("r", 0, 0.1)}
    data = DataDir(dict.fromkeys(segments, "u"), {"q": f"echo q >>{runs}; false |", "r": str(path)}, segments)
    with UtteranceReader(data, allow_pipes=True) as reader:
        for utt in ("a", "b"):
            with pytest.raises(AudioError, match=f"^{utt}: .*the command failed"):
                reader.read(utt)
        assert len(reader.read("c")[0]) == 1600
    assert runs.read_text() == "q\n"


def test_what_is_synthetic_stays_so(tmp_path):
    """SYNTHETIC.txt through every operation and back from disk; a set without it in the same place has none."""
    label = "These recordings are SYNTHETIC.\nmade by – a test\n"
    data = full()
    data.synthetic = label
    rest, held = data.hold_out(0.3, 0)
    made = [rest, held, data.split(2, 1), data.subset(speakers=["s1"]), data.fix()[0], combine([rest, held])]
    made.append(combine([data.subset(speakers=["s1"]), full().subset(speakers=["s2"])]))  # half of it real
    for number, part in enumerate(made):
        part.write(tmp_path / str(number))
        assert (tmp_path / str(number) / "SYNTHETIC.txt").read_text() == label
        assert DataDir.read(tmp_path / str(number)).synthetic == label
    full().write(tmp_path / "0")
    assert DataDir.read(tmp_path / "0").synthetic is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (DataDir({"u": "u"}, {}), "u: recording u is not in wav.scp"),
        (DataDir({"u": "u"}, {"r": "x.wav"}, {"u": Segment("q", 0, 1)}), "u: recording q is not in wav.scp"),
        (DataDir({"u": "u"}, {"r": "x.wav"}, {}), "u is not in segments"),
        (DataDir({"u": "u"}, {"u": "none.wav"}), "u: none.wav: cannot open"),
        (DataDir({"u": "u"}, {"u": "cat none.wav |"}), "--allow-pipes"),
    ],
)
def test_audio_that_is_not_there_is_named(data, said):
    with pytest.raises(AudioError, match="u") as caught:
        data.read_audio("u")
    assert said in str(caught.value)


def test_dropped_txt_is_there_only_if_something_was_dropped(tmp_path):
    write_dropped(tmp_path / "dropped.txt", {"b": "too short", "a": "silent"})
    assert (tmp_path / "dropped.txt").read_text() == "a silent\nb too short\n"
    write_dropped(tmp_path / "dropped.txt", {})
    write_dropped(tmp_path / "dropped.txt", {})
    assert not (tmp_path / "dropped.txt").exists()
