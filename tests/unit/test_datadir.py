"""`sv.data.datadir`: what a directory holds, read, written and heard."""

import doctest
import os

import numpy as np
import pytest
from data_dirs import full, plain, write_data, write_lines, write_wav
from kaldi_files import ROOT

import sv.data.datadir
from sv.data.audio import read_audio
from sv.data.datadir import DataDir, Segment, write_dropped
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
        ("u1 r1 0.5", "'r1 0.5' is not 'recording start end' in seconds"),
        ("u1 r1 a b", "'r1 a b' is not"),
        ("u1 r1 2 1", "2..1 s is not a stretch of time"),
        ("u1 r1 -1 1", "-1..1 s is not"),
        ("u1 r1 nan 1", "nan..1 s is not"),
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
