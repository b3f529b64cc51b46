"""Crops of recordings: the same samples as the whole, of files, segments and channels; and how they are measured."""

import os
import pickle

import numpy as np
import pytest
import soundfile
from audio_files import noise, wav_bytes, write_m4a
from commands import refused, run_command
from data_dirs import write_data, write_lines

from sv.data.datadir import DataDir
from sv.data.tables import read_table
from sv.errors import AudioError, ConfigError, DataError
from sv.features.wave_reader import WaveReader, inputs
from sv.records import Step, record_of


@pytest.fixture
def measure(monkeypatch, capsys):
    return lambda *words: run_command(monkeypatch, capsys, "measure_audio", "--rate", 16000, *words)


@pytest.fixture
def mixed(tmp_path):
    """One second of the same kind of noise in every coding, and two segments of a recording of two channels."""
    folder = tmp_path / "train"
    (folder / "wav").mkdir(parents=True)
    waves = {name: noise(16000, seed) for seed, name in enumerate(("s1-flac", "s1-wav", "s2-m4a", "s2-float"))}
    soundfile.write(folder / "wav/flac.flac", waves["s1-flac"], 16000)
    (folder / "wav/wav.wav").write_bytes(wav_bytes(waves["s1-wav"], after=b"LIST" + bytes(40000)))
    write_m4a(folder / "wav/m4a.m4a", waves["s2-m4a"])
    soundfile.write(folder / "wav/float.wav", waves["s2-float"] / 32768, 16000, subtype="FLOAT")
    stereo_NC = noise(64000, 9).reshape(-1, 2)
    soundfile.write(folder / "wav/stereo.flac", stereo_NC, 16000)
    names = ("flac.flac", "wav.wav", "m4a.m4a", "float.wav", "stereo.flac")
    write_lines(folder / "wav.scp", *(f"{name.replace('.', '-')} {folder}/wav/{name}" for name in sorted(names)))
    segments = {"s1-flac": "flac-flac 0 -1", "s1-wav": "wav-wav 0 -1", "s2-m4a": "m4a-m4a 0 -1"}
    segments |= {"s2-float": "float-wav 0.1 0.9", "s3-a": "stereo-flac 0.25 1.5 0", "s3-b": "stereo-flac 0.5 2.3 1"}
    write_lines(folder / "segments", *(f"{utt} {segments[utt]}" for utt in sorted(segments)))
    write_lines(folder / "utt2spk", *(f"{utt} {utt.split('-')[0]}" for utt in sorted(segments)))
    return folder


def test_counts_are_what_reading_gives(mixed, measure):
    """Of all codings, segments and channels; a segment's end may pass the recording's by half a second."""
    assert measure("--nj", 2, mixed)[0] == 0
    data = DataDir.read(mixed)
    counts = {utt: int(count) for utt, count in read_table(mixed / "utt2num_samples").items()}
    assert counts == {utt: len(data.read_audio(utt)[0]) for utt in data.utterances}
    assert counts["s3-b"] == 32000 - 8000


def test_a_crop_is_a_part_of_the_whole(mixed, measure):
    """Against the utterance as features read it, at both ends and in the middle."""
    measure(mixed)
    reader, data = WaveReader(mixed, 16000), DataDir.read(mixed)
    assert reader.frames_per_s == 16000
    for utt, total in reader.num_frames.items():
        whole_N = data.read_audio(utt)[0]
        np.testing.assert_array_equal(reader.whole(utt), whole_N)
        for start, length in ((0, 100), (total // 3, 5000), (total - 7, 7)):
            crop_N = reader.chunk(utt, start, length)
            assert crop_N.dtype == np.float32
            np.testing.assert_array_equal(crop_N, whole_N[start : start + length])


def test_only_the_crop_is_read(tmp_path, measure, monkeypatch):
    """Of a WAV file: its header and the bytes of the crop."""
    folder = write_data(tmp_path / "train", {"s1-1": 100_000})
    measure(folder)
    reader, sizes = WaveReader(folder, 16000), []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, count, at: sizes.append(count) or pread(fd, count, at))
    reader.chunk("s1-1", 60_000, 2000)
    assert sum(sizes) <= 4000 + 1024


def test_a_reader_goes_to_a_worker(tmp_path, measure):
    folder = write_data(tmp_path / "train", {"s1-1": 4000})
    measure(folder)
    reader = WaveReader(folder, 16000)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(reader)).whole("s1-1"), reader.whole("s1-1"))


@pytest.mark.parametrize(("start", "length"), [(-1, 10), (3995, 10), (10, 0)])
def test_samples_that_are_not_there_are_refused(tmp_path, measure, start, length):
    folder = write_data(tmp_path / "train", {"s1-1": 4000})
    measure(folder)
    with pytest.raises(DataError, match=r"^s1-1: samples .* are not there \(there are 4000\)$"):
        WaveReader(folder, 16000).chunk("s1-1", start, length)


def test_a_recording_that_has_become_shorter_is_refused(tmp_path, measure):
    """What stands behind the samples in the file is never given for sound."""
    folder = write_data(tmp_path / "train", {"s1-1": 4000})
    measure(folder)
    reader = WaveReader(folder, 16000)
    (folder / "wav/s1-1.wav").write_bytes(wav_bytes(noise(3000), after=b"LIST" + bytes(5000)))
    with pytest.raises(AudioError, match=r"^s1-1: .*truncated"):
        reader.chunk("s1-1", 2500, 1000)


def test_another_rate_is_one_line_before_any_reading(tmp_path, measure):
    folder = write_data(tmp_path / "train", {"s1-1": 4000})
    measure(folder)
    with pytest.raises(ConfigError, match=r"train is sampled at 16000 Hz, the network takes 8000"):
        WaveReader(folder, 8000)


def test_a_recording_of_another_rate_is_named(tmp_path, measure):
    """While they are measured, and when a list that others made does not tell."""
    folder = write_data(tmp_path / "train", {"s1-1": 4000}, rate=8000)
    assert "s1-1 is sampled at 8000 Hz, --rate says 16000" in refused(measure(folder))
    assert not (folder / "utt2num_samples").exists()
    write_lines(folder / "utt2num_samples", "s1-1 4000")
    with pytest.raises(ConfigError, match=r"^s1-1 is sampled at 8000 Hz, the network takes 16000; "):
        WaveReader(folder, 16000).chunk("s1-1", 0, 10)


def test_what_lacks_is_told_with_what_to_do(tmp_path):
    folder = write_data(tmp_path / "train", {"s1-1": 4000, "s2-1": 4000})
    with pytest.raises(DataError, match=r"utt2num_samples is missing.*measure_audio"):
        WaveReader(folder, 16000)
    write_lines(folder / "utt2num_samples", "s1-1 4000")
    with pytest.raises(DataError, match=r"1 utterances lack: s2-1; run stage 1"):
        WaveReader(folder, 16000)
    write_lines(folder / "utt2num_samples", "s1-1 4000", "s2-1 many")
    with pytest.raises(DataError, match=r"a count is not a number .*'many'"):
        WaveReader(folder, 16000)


def test_commands_are_refused_with_the_way_out(tmp_path, measure):
    """Before anything is measured, and by a reader of a list that others measured."""
    folder = write_data(tmp_path / "train", {"s1-1": 4000})
    measure(folder)
    write_lines(folder / "wav.scp", f"s1-1 cat {folder}/wav/s1-1.wav |")
    assert "run anew for every crop; write what they print to files, or train on features" in refused(measure(folder))
    with pytest.raises(DataError, match=r"--set input=null"):
        WaveReader(folder, 16000)


def test_measuring_is_done_once_and_again_when_a_recording_has_changed(tmp_path, measure):
    folder = write_data(tmp_path / "train", {"s1-1": 4000, "s2-1": 5000})
    assert "2 utterances" in measure(folder)[1]
    assert "unchanged, skipped" in measure(folder)[1]
    (folder / "wav/s2-1.wav").write_bytes(wav_bytes(noise(6000)))
    assert "the recordings have changed" in measure(folder)[1]
    assert read_table(folder / "utt2num_samples")["s2-1"] == "6000"
    assert record_of("measure_audio", folder) in inputs(folder)


@pytest.mark.parametrize("place", [50, 2_500, 4_990])
def test_what_reads_recordings_runs_again_for_others_of_the_same_length_alone(tmp_path, measure, place):
    """A step that takes what is read as its input; a file that was only touched is the same."""
    folder = write_data(tmp_path / "train", {"s1-1": 4000, "s2-1": 5000})
    samples = noise(5000)
    path = folder / "wav/s2-1.wav"
    path.write_bytes(wav_bytes(samples))
    measure(folder)

    def reads():
        return Step("train", tmp_path / "run", inputs=inputs(folder))

    reads().begin()
    reads().done([])
    path.touch()
    measure(folder)
    assert reads().skip()
    samples[place] += 1
    path.write_bytes(wav_bytes(samples))
    measure(folder)
    assert not reads().skip()
