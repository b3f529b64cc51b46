"""`sv.data.audio`: every way a file can be bad, each told in one line."""

import numpy as np
import pytest
import soundfile
from audio_files import (
    noise,
    refuses,
    shorten_bytes,
    sphere_bytes,
    wav_bytes,
    write_m4a,
)

from sv.data.audio import audio_info, read_audio
from sv.errors import AudioError


def test_missing_empty_and_folder(tmp_path, put):
    refuses(str(tmp_path / "no.wav"), "No such file")
    refuses(put(b""), r"empty \(0 bytes\)")
    refuses(str(tmp_path), "is a folder")


@pytest.mark.parametrize("data", [b"hello, world\n" * 100, b"\0" * 5000, b"RIFF", b"fLaC\0\0", b"ID3\4\0"])
def test_undecodable(put, data):
    refuses(put(data), "cannot be decoded")


@pytest.mark.parametrize("name", ["x.raw", "x.pcm", "x.wav", "x.m4a", "x"])
def test_undecodable_under_any_name(put, name):
    """libsndfile takes some suffixes for headerless formats; that is not asked for."""
    refuses(put(b"xx" * 999, name), "cannot be decoded|has no audio track")


def test_sphere_coding_that_nobody_decodes(put):
    refuses(put(sphere_bytes(bytes(900), "pcm,embedded-wavpack-v2.0", 900), "x.sph"), "cannot be decoded")


@pytest.mark.parametrize("data", [b"", bytes(44), b"NIST_1A\n   1024\nsample_rate -i 8000\nend_head\n"])
def test_damaged_sphere_header(put, data):
    refuses(put(b"NIST_1A\n   1024\n" + data, "x.sph"), "SPHERE header")


@pytest.mark.parametrize("coding", [(1, 16), (1, 24), (3, 32), (7, 8)], ids=str)
@pytest.mark.parametrize("channels", [1, 2])
def test_truncated_wav(put, coding, channels):
    """Cut anywhere, by one byte or by half: told by the header, also from audio_info and for a part that is there."""
    frame = channels * coding[1] // 8
    data = wav_bytes(bytes(1000 * frame), coding=coding[0], bits=coding[1], channels=channels)
    for cut, has in [(1, 999), (500 * frame, 500)]:
        path = put(data[:-cut])
        refuses(path, f"truncated, has {has} of 1000 samples", channel=0)
        refuses(path, "truncated", channel=0, start_s=0, end_s=0.001)
        with pytest.raises(AudioError, match="truncated"):
            audio_info(path)


@pytest.mark.parametrize("keep", [12, 20, 36, 43, 44])
def test_wav_header_only(put, keep):
    """Cut within the header, or exactly after it."""
    refuses(put(wav_bytes(noise(100))[:keep]), "header|truncated, has 0 of 100")


def test_wav_without_samples(put):
    refuses(put(wav_bytes(b"")), "a header only, no samples")


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
@pytest.mark.parametrize("coding", [(1, 16), (3, 32)], ids=str)
def test_stream_header_is_for_pipes(put, size, coding):
    """What sox, ffmpeg and sph2pipe print when they cannot go back: read from a pipe, refused in a file."""
    x = np.arange(-400, 400, dtype="<i2" if coding[0] == 1 else "<f4")
    path = put(wav_bytes(x, coding=coding[0], bits=coding[1], data_size=size))
    refuses(path, "written to a pipe and lacks the number of samples")
    source = f"cat '{path}' |"
    np.testing.assert_array_equal(read_audio(source, allow_pipes=True)[0], x if coding[0] == 1 else x * 32768)
    assert audio_info(source, allow_pipes=True) == (16000, 800, 1)


@pytest.mark.parametrize("keep", [0.5, 0.9, 0.995])
def test_truncated_flac(tmp_path, keep):
    soundfile.write(tmp_path / "x.flac", noise(50000), 16000)
    data = (tmp_path / "x.flac").read_bytes()
    (tmp_path / "x.flac").write_bytes(data[: int(keep * len(data))])
    refuses(str(tmp_path / "x.flac"), "truncated")
    refuses(str(tmp_path / "x.flac"), "truncated", start_s=3.0)


@pytest.mark.parametrize("options", [{}, {"movflags": "faststart"}], ids=["index last", "index first"])
@pytest.mark.parametrize("keep", [0.5, 0.95])
def test_truncated_m4a(tmp_path, chirp, options, keep):
    """Without its index nothing can be decoded; with it, the index tells what is missing."""
    write_m4a(tmp_path / "x.m4a", chirp, options=options)
    data = (tmp_path / "x.m4a").read_bytes()
    (tmp_path / "x.m4a").write_bytes(data[: int(keep * len(data))])
    says = "truncated, has" if options else "cannot be decoded"
    refuses(str(tmp_path / "x.m4a"), says)
    refuses(str(tmp_path / "x.m4a"), says, start_s=0, end_s=1)
    with pytest.raises(AudioError, match=says):
        audio_info(str(tmp_path / "x.m4a"))


@pytest.mark.parametrize(("coding", "width"), [("pcm", 2), ("ulaw", 1)])
@pytest.mark.parametrize("channels", [1, 2])
def test_truncated_sphere(put, coding, width, channels):
    data = sphere_bytes(bytes(900 * channels * width), coding, 1000, channels=channels, width=width)
    refuses(put(data, "x.sph"), "truncated, has 900 of 1000 samples", channel=0)
    refuses(put(data[:1024], "x.sph"), "a header only, no samples", channel=0)


def test_truncated_shorten(put):
    x = noise(256 * 40, scale=500)[None]
    data = sphere_bytes(shorten_bytes(x), "pcm,embedded-shorten-v2.00", x.shape[1])
    path = put(data[: len(data) // 2], "x.sph")
    refuses(path, "truncated")
    refuses(path, "truncated", start_s=1.0)


def test_nan_in_float_wav(put):
    x = np.zeros(1000, "<f4")
    x[700] = np.nan
    path = put(wav_bytes(x, coding=3, bits=32))
    refuses(path, "NaN")
    assert len(read_audio(path, end_s=0.01)[0]) == 160


def test_flac_of_unknown_length(tmp_path):
    """A FLAC written to a pipe has 0 samples in its header: it is read to its end."""
    x = noise(9000)
    soundfile.write(tmp_path / "x.flac", x, 16000)
    data = bytearray((tmp_path / "x.flac").read_bytes())
    data[21] &= 0xF0  # total samples: 36 bits from the middle of byte 21
    data[22:26] = bytes(4)
    (tmp_path / "x.flac").write_bytes(data)
    np.testing.assert_array_equal(read_audio(str(tmp_path / "x.flac"))[0], x)
    np.testing.assert_array_equal(read_audio(str(tmp_path / "x.flac"), start_s=0.1, end_s=0.2)[0], x[1600:3200])
    assert audio_info(str(tmp_path / "x.flac")) == (16000, 9000, 1)
