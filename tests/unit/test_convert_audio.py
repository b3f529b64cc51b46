"""`steps/convert_audio.sh`: the same utterances of recordings written anew; broken ones are named and the rest done."""

import os
import shutil

import numpy as np
import pytest
import soundfile
from audio_files import noise, write_m4a
from commands import refused, run_command
from data_dirs import write_data, write_lines

from sv.data.audio import read_audio
from sv.data.convert import converted, file_name
from sv.data.datadir import DataDir
from sv.data.resample import resample
from sv.data.utterance_audio import UtteranceReader
from sv.errors import AudioError
from sv.features.wave_reader import WaveReader

FORMS = ("flac", "wav", "flac.ark", "wav.ark")


@pytest.fixture
def data(tmp_path):
    """Five utterances of two speakers, one of them AAC, and trials."""
    folder = tmp_path / "some data"
    write_data(folder, {"a-1": 9000, "a-2": 12345, "b-1": 8000, "b-2": 40000})
    write_m4a(folder / "wav/b-3.m4a", noise(30000, 9))
    for name, value in (("wav.scp", folder / "wav/b-3.m4a"), ("utt2spk", "b")):
        (folder / name).write_text((folder / name).read_text() + f"b-3 {value}\n")
    write_lines(folder / "trials_some", "a-1 a-2 target")
    return folder


def convert(monkeypatch, capsys, *options):
    return run_command(monkeypatch, capsys, "convert_audio", "--rate", 16000, *options)


def samples(folder):
    read = DataDir.read(folder)
    with UtteranceReader(read) as reader:
        return {utt: reader.read(utt)[0] for utt in read.utterances}


@pytest.mark.parametrize("form", FORMS)
def test_the_samples_stay_and_all_else(data, tmp_path, monkeypatch, capsys, form):
    """Bit for bit; of AAC rounded to 16 bits. With one job and with three."""
    before = samples(data)
    for jobs in (1, 3):
        out = tmp_path / f"out {jobs}"
        code, said, err = convert(monkeypatch, capsys, "--nj", jobs, "--to", form, data, out)
        assert (code, err) == (0, "")
        assert f"{out}: 5 utterances, 5 recordings as {form} at 16000 Hz\n" in said
        for utt, wave in samples(out).items():
            np.testing.assert_array_equal(wave, np.rint(before[utt]).clip(-32768, 32767))
        read = DataDir.read(out)
        assert read.utt2spk == DataDir.read(data).utt2spk
        assert (out / "trials_some").read_text() == "a-1 a-2 target\n"
        if "ark" not in form:
            assert read.wav["a-1"] == str(out / f"audio/a/a-1.{form}")
        assert "unchanged, skipped" in convert(monkeypatch, capsys, "--nj", jobs, "--to", form, data, out)[1]


def test_crops_of_all_forms_are_the_same(data, tmp_path, monkeypatch, capsys):
    """What a network is trained on, from files as they came, from files and from archives."""
    DataDir.read(data).subset(["a-1", "a-2", "b-1", "b-2"]).write(data)  # an AAC crop is not rounded
    folders = [data]
    for form in FORMS:
        folders.append(tmp_path / form)
        convert(monkeypatch, capsys, "--nj", 2, "--to", form, data, folders[-1])
    readers = []
    for folder in folders:
        assert run_command(monkeypatch, capsys, "measure_audio", "--rate", 16000, folder)[0] == 0
        readers.append(WaveReader(folder, 16000))
    first, *others = readers
    for reader in others:
        assert reader.num_frames == first.num_frames
        for utt, count in first.num_frames.items():
            start = count // 3
            np.testing.assert_array_equal(reader.chunk(utt, start, 5000), first.chunk(utt, start, 5000))


def test_another_rate_and_two_channels(tmp_path):
    wave_NC = np.stack([noise(8000, 1), noise(8000, 2)], 1)
    soundfile.write(tmp_path / "x.wav", wave_NC, 8000)
    for coding in ("wav", "flac"):
        content, count = converted(str(tmp_path / "x.wav"), 16000, coding)
        (tmp_path / f"y.{coding}").write_bytes(content)
        assert count == 16000
        for channel in (0, 1):
            found, rate = read_audio(str(tmp_path / f"y.{coding}"), channel=channel)
            assert rate == 16000
            whole = resample(wave_NC[:, channel].astype(np.float32), 8000, 16000)
            np.testing.assert_array_equal(found, np.rint(whole).clip(-32768, 32767))


def breakages(wave):
    """Ways to break a file of a data directory, by what is said of it."""
    return {
        "is empty": lambda path: path.write_bytes(b""),
        "truncated": lambda path: path.write_bytes(path.read_bytes()[:-500]),
        "cannot be decoded": lambda path: path.write_bytes(b"<html>not found</html>"),
        "cannot open": lambda path: path.unlink(),
        "a header only": lambda path: path.write_bytes(path.read_bytes()[:40] + b"\0\0\0\0"),
    }[wave]


@pytest.mark.parametrize("form", ["flac", "wav.ark"])
@pytest.mark.parametrize("said", ["is empty", "truncated", "cannot be decoded", "cannot open", "a header only"])
def test_a_broken_recording_is_named_and_the_rest_done(data, tmp_path, monkeypatch, capsys, said, form):
    """Then left out when asked, or, mended, converted with the rest."""
    path, out = data / "wav/a-2.wav", tmp_path / "out"
    whole = path.read_bytes()
    breakages(said)(path)
    line = refused(convert(monkeypatch, capsys, "--to", form, data, out))
    assert f"1 of 5 recordings cannot be converted (a-2): see {out}/failed.txt" in line
    assert not (out / "utt2spk").exists()
    assert said in (out / "failed.txt").read_text()
    assert convert(monkeypatch, capsys, "--to", form, "--drop-bad-audio", data, out)[0] == 0
    assert DataDir.read(out).utterances == ["a-1", "b-1", "b-2", "b-3"]
    assert said in (out / "dropped.txt").read_text()
    path.write_bytes(whole)
    assert convert(monkeypatch, capsys, "--to", form, data, out)[0] == 0
    assert len(DataDir.read(out)) == 5
    assert not (out / "dropped.txt").exists()
    assert not (out / "failed.txt").exists()


def test_what_is_converted_is_not_converted_again(data, tmp_path, monkeypatch, capsys):
    """File by file: after a kill all but those that lack, are cut short, or whose source has changed since."""
    out = tmp_path / "out"
    convert(monkeypatch, capsys, data, out)
    content = {path.name: path.read_bytes() for path in out.glob("audio/*/*")}
    inode = {path.name: path.stat().st_ino for path in out.glob("audio/*/*")}
    for folder in (".done", "parts"):
        shutil.rmtree(out / folder)
    (out / "audio/a/a-1.flac").unlink()
    short = out / "audio/a/a-2.flac"
    changed = short.stat().st_mtime_ns
    short.write_bytes(b"")
    os.utime(short, ns=(changed, changed))
    os.utime(data / "wav/b-1.wav", ns=(1, 1))
    assert convert(monkeypatch, capsys, data, out)[0] == 0
    assert {path.name: path.read_bytes() for path in out.glob("audio/*/*")} == content
    again = {path.name for path in out.glob("audio/*/*") if path.stat().st_ino != inode[path.name]}
    assert {"a-2.flac", "b-1.flac"} <= again <= {"a-1.flac", "a-2.flac", "b-1.flac"}


def test_a_header_that_promises_more_than_there_is(tmp_path, monkeypatch):
    from sv.data.libav import LibavRecording

    write_m4a(tmp_path / "x.m4a", noise(30000))
    monkeypatch.setattr(LibavRecording, "num_samples", 30400)  # 25 ms more
    with pytest.raises(AudioError, match=r"x.m4a: decodes to 1\.88 s, its header says 1\.90 s; get it again"):
        converted(str(tmp_path / "x.m4a"), 16000, "flac")


def test_names_of_files_do_not_leave_the_folder():
    assert file_name("id1-a-00001", "id1", "flac") == "id1/id1-a-00001.flac"
    assert file_name("../../etc", "..", "wav") == "%2E%2E/..%2F..%2Fetc.wav"


def test_a_folder_is_not_converted_into_itself(data, monkeypatch, capsys):
    assert "would be written over itself" in refused(convert(monkeypatch, capsys, data, data))
