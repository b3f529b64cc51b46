"""`sv.data.audio_ark`: recordings in archives, as Kaldi and kaldiio have them, and what is no such."""

import io

import kaldiio
import numpy as np
import pytest
import soundfile
from audio_files import noise, refuses, wav_bytes

from sv.data.audio import audio_info, read_audio
from sv.data.audio_ark import open_bytes, split_value, write_recording
from sv.data.own_commands import files_of
from sv.data.recordings import probe
from sv.data.tables import read_table
from sv.errors import AudioError


def flac_bytes(wave, rate=16000):
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


@pytest.fixture
def waves():
    return {"a": noise(9000, 0), "b c": noise(20000, 1), "d": noise(400, 2)}


@pytest.fixture(params=["wav", "flac"])
def values(request, tmp_path, waves):
    """An archive of three recordings: {name: value of a wav.scp}."""
    path = tmp_path / "some audio.ark"
    content = {"wav": wav_bytes, "flac": flac_bytes}[request.param]
    with path.open("wb") as archive:
        return {name: write_recording(archive, path, name, content(wave)) for name, wave in waves.items()}


def test_a_recording_is_what_went_in_and_so_is_a_part_of_it(values, waves):
    for name, wave in waves.items():
        found, rate = read_audio(values[name])
        np.testing.assert_array_equal(found, wave)
        assert audio_info(values[name]) == (rate, len(wave), 1) == (16000, len(wave), 1)
    part, _ = read_audio(values["b c"], start_s=0.5, end_s=1)
    np.testing.assert_array_equal(part, waves["b c"][8000:16000])


def test_kaldiio_reads_it(values, waves):
    """By offset; WAV archives from end to end too."""
    for name, wave in waves.items():
        rate, found = kaldiio.load_mat(values[name])
        scale = 1 if np.issubdtype(found.dtype, np.integer) else 32768
        assert rate == 16000
        np.testing.assert_allclose(found * scale, wave)


def test_reads_what_kaldiio_writes(tmp_path, waves):
    for options in ({}, {"write_function": "soundfile", "write_kwargs": {"format": "flac", "subtype": "PCM_16"}}):
        arrays = {name.replace(" ", "_"): (16000, wave) for name, wave in waves.items()}
        kaldiio.save_ark(str(tmp_path / "k.ark"), arrays, scp=str(tmp_path / "k.scp"), **options)
        for value, wave in zip(read_table(tmp_path / "k.scp").values(), waves.values(), strict=True):
            np.testing.assert_array_equal(read_audio(value)[0], wave)


def test_a_recording_ends_where_the_next_begins(values):
    with_next = open_bytes(values["a"])
    assert with_next.read_at(with_next.size - 2, 100) == with_next.read_at(0, with_next.size)[-2:]
    with_next.close()


def test_digits_behind_a_colon_are_an_offset():
    assert split_value("/a b/c.ark:120") == ("/a b/c.ark", 120)
    for path in ("/a/b.wav", "/a/12:30.wav", ":12", "a.ark:", "a.ark:-1"):
        assert split_value(path) == (path, None)


def test_its_files_and_probes(values, tmp_path):
    """One file; of every recording another probe, which a changed byte changes and a move within the archive not."""
    assert {file for value in values.values() for file in files_of(value)} == {str(tmp_path / "some audio.ark")}
    probes = {name: probe(value) for name, value in values.items()}
    assert len(set(probes.values())) == 3
    content = open_bytes(values["d"]).read_at(0, 10**6)
    with (tmp_path / "other.ark").open("wb") as archive:
        moved = write_recording(archive, tmp_path / "other.ark", "a longer name", content)
        changed = write_recording(archive, tmp_path / "other.ark", "d", content[:-1] + bytes([content[-1] ^ 1]))
    assert probe(moved) == probes["d"] != probe(changed)


def test_mistakes_are_told(values, tmp_path):
    path = tmp_path / "some audio.ark"
    with pytest.raises(AudioError, match=r"none\.ark: cannot open the recording \(No such file"):
        read_audio(f"{tmp_path}/none.ark:2")
    refuses(f"{path}:3", "some audio.ark:3: no recording begins there; the list is of another archive")
    refuses(f"{path}:{10**9}", "no recording begins there")
    path.write_bytes(path.read_bytes()[:-7])
    refuses(values["d"], "truncated, has .* of .* bytes; make the archive again")
    assert len(read_audio(values["a"])[0]) == 9000
