"""`sv.data.audio`: values against the formats' definitions, parts against wholes, and every way a file can be bad."""

import os
import stat
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from audio_files import (
    alaw_value,
    mulaw_value,
    noise,
    shorten_bytes,
    sphere_bytes,
    wav_bytes,
    write_m4a,
)

from sv.data.audio import audio_info, open_audio, read_audio, read_part
from sv.errors import AudioError


@pytest.fixture
def put(tmp_path):
    """Write bytes to a file whose path has a space; returns the path."""

    def write(data, name="a file.wav"):
        (tmp_path / "some dir").mkdir(exist_ok=True)
        path = tmp_path / "some dir" / name
        path.write_bytes(data)
        return str(path)

    return write


@pytest.fixture
def chirp():
    """10.0077 s at 16 kHz, tonal, so that an encoder has nothing to replace by noise."""
    t = np.arange(160123) / 16000
    return (8000 * np.sin(2 * np.pi * t * (300 + 50 * t))).astype(np.int16)


def refuses(source, says, **options):
    """The one line that read_audio fails with; it names the source."""
    with pytest.raises(AudioError, match=says) as caught:
        read_audio(source, **options)
    message = str(caught.value)
    assert source in message
    assert "\n" not in message


# Values


def test_pcm16_is_exact(put):
    """Extremes and noise come back as the same integers in float32, writable, with the rate."""
    x = np.concatenate([[-32768, 32767, 0, -1], noise(5000)]).astype("<i2")
    wave, rate = read_audio(put(wav_bytes(x, 22050)))
    assert rate == 22050
    assert wave.dtype == np.float32
    assert wave.flags.writeable
    assert wave.flags.c_contiguous
    np.testing.assert_array_equal(wave, x)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        (kind, subtype)
        for kind in ("WAV", "WAVEX", "RF64", "FLAC")
        for subtype in ("PCM_16", "PCM_24", "PCM_32", "PCM_U8", "PCM_S8", "FLOAT", "DOUBLE", "ULAW", "ALAW")
        if soundfile.check_format(kind, subtype)
    ],
)
def test_values_of_every_coding(tmp_path, kind, subtype):
    """int16 value scale whatever the width: against the same file read by libsndfile as doubles in [-1, 1)."""
    path = str(tmp_path / "x")
    soundfile.write(path, np.random.default_rng(0).uniform(-0.9, 0.9, 4000), 16000, subtype, format=kind)
    expected = soundfile.read(path, dtype="float64")[0] * 32768
    wave, _ = read_audio(path)
    np.testing.assert_array_equal(wave, expected.astype(np.float32))
    assert audio_info(path) == (16000, 4000, 1)


def test_wide_samples_keep_their_fraction(put):
    """24-bit: value / 256; 32-bit: value / 65536; float: value * 32768, beyond full scale too."""
    data = b"".join(v.to_bytes(3, "little", signed=True) for v in (1, -256, 2**23 - 1))
    np.testing.assert_array_equal(read_audio(put(wav_bytes(data, bits=24)))[0], [1 / 256, -1, (2**23 - 1) / 256])
    data = np.array([65536, -32768], "<i4")
    np.testing.assert_array_equal(read_audio(put(wav_bytes(data, bits=32)))[0], [1, -0.5])
    data = np.array([0.5, -1.5], "<f4")
    np.testing.assert_array_equal(read_audio(put(wav_bytes(data, coding=3, bits=32)))[0], [16384, -49152])


@pytest.mark.parametrize(("coding", "value"), [("ulaw", mulaw_value), ("alaw", alaw_value)])
def test_sphere_companded_equals_g711(put, coding, value):
    """All 256 bytes against the definition of G.711."""
    path = put(sphere_bytes(bytes(range(256)), coding, 256, width=1), "x.sph")
    wave, rate = read_audio(path)
    assert rate == 8000
    np.testing.assert_array_equal(wave, [value(b) for b in range(256)])


@pytest.mark.parametrize("order", ["01", "10"])
def test_sphere_pcm_in_both_byte_orders(put, order):
    x = noise(3000)
    data = x.astype("<i2" if order == "01" else ">i2").tobytes()
    np.testing.assert_array_equal(read_audio(put(sphere_bytes(data, "pcm", 3000, order=order), "x.sph"))[0], x)


def test_sphere_two_channels(put):
    """Channel 0 (A) and 1 (B) of interleaved mu-law, and a segment of B."""
    data = np.random.default_rng(0).integers(0, 256, (9000, 2)).astype(np.uint8)
    path = put(sphere_bytes(data.tobytes(), "ulaw", 9000, channels=2, width=1), "x.sph")
    table = np.array([mulaw_value(b) for b in range(256)])
    for channel in (0, 1):
        np.testing.assert_array_equal(read_audio(path, channel=channel)[0], table[data[:, channel]])
    part, _ = read_audio(path, channel=1, start_s=0.5, end_s=1.0)
    np.testing.assert_array_equal(part, table[data[4000:8000, 1]])
    assert audio_info(path) == (8000, 9000, 2)


@pytest.mark.parametrize("channels", [1, 2])
def test_shortened_sphere(put, channels):
    """PCM compressed by shorten 2: whole and a part, from an encoder of the test's own."""
    x = noise(256 * 40 * channels, scale=500).reshape(channels, -1)
    data = sphere_bytes(shorten_bytes(x), "pcm,embedded-shorten-v2.00", x.shape[1], channels=channels)
    path = put(data, "x.sph")
    last = channels - 1
    np.testing.assert_array_equal(read_audio(path, channel=last)[0], x[last])
    np.testing.assert_array_equal(read_audio(path, channel=last, start_s=0.5, end_s=0.75)[0], x[last, 4000:6000])
    assert audio_info(path) == (8000, x.shape[1], channels)


def test_sphere_header_has_the_number_of_samples(put):
    """Bytes after them, as some copies have, are not samples; a longer header is skipped."""
    x = noise(3000)
    path = put(sphere_bytes(x.tobytes() + bytes(10), "pcm", 3000, header_bytes=2048), "x.sph")
    np.testing.assert_array_equal(read_audio(path)[0], x)
    assert audio_info(path) == (8000, 3000, 1)


def test_sphere_under_a_wav_name(put):
    """The bytes decide, not the suffix: TIMIT's .WAV are SPHERE."""
    x = noise(100)
    np.testing.assert_array_equal(read_audio(put(sphere_bytes(x.tobytes(), "pcm", 100), "x.WAV"))[0], x)


def test_wav_with_other_chunks(put):
    """A list before the samples (longer than the first read), odd-sized with its pad byte, and one after."""
    x = noise(1000)
    before = b"LIST" + struct.pack("<I", 2001) + bytes(2002)
    path = put(wav_bytes(x, before=before, after=b"LIST" + struct.pack("<I", 10) + b"0123456789"))
    np.testing.assert_array_equal(read_audio(path)[0], x)


def test_wav_extensible(put):
    """Format tag 0xFFFE with the PCM identifier."""
    x = noise(1000)
    guid = struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    np.testing.assert_array_equal(read_audio(put(wav_bytes(x, coding=0xFFFE, fmt=guid)))[0], x)


def test_m4a_follows_the_original(tmp_path, chirp):
    """AAC: as long as what was encoded, in its place (not a frame late), at its level."""
    write_m4a(tmp_path / "a b.m4a", chirp)
    wave, rate = read_audio(str(tmp_path / "a b.m4a"))
    assert (rate, wave.shape) == (16000, chirp.shape)
    assert audio_info(str(tmp_path / "a b.m4a")) == (16000, len(chirp), 1)
    error = wave[2000:-2000] - chirp[2000:-2000]
    assert np.mean(error**2) < 1e-3 * np.mean(chirp.astype(float) ** 2)


def test_m4a_primed_by_another_encoder(tmp_path, chirp):
    """An edit list that starts within a packet (2112 samples, as Apple's encoder): the start moves, parts agree."""
    write_m4a(tmp_path / "x.m4a", chirp)
    whole, _ = read_audio(str(tmp_path / "x.m4a"))
    data = bytearray((tmp_path / "x.m4a").read_bytes())
    at = data.index(b"elst") + 16  # past the name, version, count and duration
    assert data[at : at + 4] == struct.pack(">I", 1024)
    data[at : at + 4] = struct.pack(">I", 2112)
    (tmp_path / "x.m4a").write_bytes(data)
    moved, _ = read_audio(str(tmp_path / "x.m4a"))
    np.testing.assert_array_equal(moved, whole[1088:])
    assert audio_info(str(tmp_path / "x.m4a")).num_samples == len(moved)
    for start in (0.5, 4, 9):
        part, _ = read_audio(str(tmp_path / "x.m4a"), start_s=start, end_s=start + 0.5)
        np.testing.assert_array_equal(part, moved[int(16000 * start) :][:8000])


def test_m4a_path_with_a_colon(tmp_path, chirp):
    """What stands before the colon is no protocol."""
    write_m4a(tmp_path / "x.m4a", chirp)
    (tmp_path / "http: b.m4a").write_bytes((tmp_path / "x.m4a").read_bytes())
    assert len(read_audio(str(tmp_path / "http: b.m4a"))[0]) == len(chirp)


def test_m4a_stereo(tmp_path, chirp):
    """The channels are kept apart: A is tonal, B is silent."""
    write_m4a(tmp_path / "x.m4a", np.stack([chirp, 0 * chirp]), shape="stereo")
    a, b = (read_audio(str(tmp_path / "x.m4a"), channel=c)[0] for c in (0, 1))
    assert a.std() > 5000
    assert b.std() < 10


# Parts


@pytest.mark.parametrize("kind", ["wav", "float", "flac", "m4a", "m4a-fragments", "ogg", "mp3"])
@pytest.mark.parametrize(("start", "end"), [(0, 1), (0.5, 1.25), (1.9, 2.1), (2.01, 3), (5.123, 7.9), (9.9, None)])
def test_segment_equals_part_of_whole(tmp_path, chirp, kind, start, end):
    """Sample for sample, wherever it begins; AAC bit for bit when the encoder did not substitute noise."""
    path = str(tmp_path / f"x.{kind}")
    if kind == "m4a":
        write_m4a(path, chirp)
    elif kind == "m4a-fragments":
        write_m4a(path, chirp, options={"movflags": "frag_keyframe+empty_moov"})
    elif kind == "float":
        soundfile.write(path, chirp / 32768, 16000, "FLOAT", format="WAV")
    else:
        soundfile.write(path, chirp, 16000, format=kind.upper())
    whole, _ = read_audio(path)
    part, _ = read_audio(path, start_s=start, end_s=end)
    stop = len(whole) if end is None else int(end * 16000)
    np.testing.assert_array_equal(part, whole[int(start * 16000) : stop])


def test_m4a_with_noise_substitution_keeps_its_place(tmp_path):
    """Noise at a low rate, where the decoder draws bands at random: a part still lies where it should."""
    write_m4a(tmp_path / "x.m4a", noise(160000), noise_substitution=True)
    whole, _ = read_audio(str(tmp_path / "x.m4a"))
    part, _ = read_audio(str(tmp_path / "x.m4a"), start_s=6, end_s=8)
    correlation = [np.corrcoef(part, whole[96000 + lag : 128000 + lag])[0, 1] for lag in range(-3, 4)]
    assert np.argmax(correlation) == 3
    assert correlation[3] > 0.9


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_segment_reads_only_its_part(tmp_path, kind, monkeypatch):
    """Bytes read from a minute of audio for 0.1 s of it, by the kernel's count for this process."""
    path = str(tmp_path / f"x.{kind}")
    soundfile.write(path, noise(60 * 16000), 16000)
    read_audio(path, start_s=30, end_s=30.1)  # what is imported or mapped once

    def bytes_read():
        with open("/proc/self/io") as f:
            return int(f.readline().split()[1])

    before = bytes_read()
    read_audio(path, start_s=30, end_s=30.1)
    assert bytes_read() - before < 0.2 * os.path.getsize(path)


def test_segment_times_truncate_as_in_kaldi(put):
    """0.29 s at 100 Hz is sample 28: 0.29 * 100 is 28.999999999999996 in doubles, and Kaldi casts."""
    x = noise(100)
    wave, _ = read_audio(put(wav_bytes(x, 100)), start_s=0.29, end_s=0.5)
    np.testing.assert_array_equal(wave, x[28:50])


def test_segment_end_is_clipped(put):
    """Up to 0.5 s past the end is clipped, -1 is the end."""
    x = noise(16000)
    path = put(wav_bytes(x))
    for end in (1.5, -1, None):
        np.testing.assert_array_equal(read_audio(path, start_s=0.25, end_s=end)[0], x[4000:])


@pytest.mark.parametrize("kind", ["wav", "m4a"])
@pytest.mark.parametrize(("start", "end"), [(0, 10.6), (11, 12), (11, None), (3, 3), (4, 3), (-1, 3)])
def test_segment_outside_is_named(tmp_path, chirp, kind, start, end):
    path = str(tmp_path / f"x.{kind}")
    write_m4a(path, chirp) if kind == "m4a" else soundfile.write(path, chirp, 16000)
    refuses(path, r"segment u-7: .* is not within its 10\.01 s", start_s=start, end_s=end, segment="u-7")


def test_channel_must_be_named(put):
    x = noise(3000).reshape(-1, 3)
    path = put(wav_bytes(x, channels=3))
    refuses(path, "has 3 channels; name one of them")
    refuses(path, "no channel 3; it has 3", channel=3)
    refuses(path, "no channel -1", channel=-1)
    np.testing.assert_array_equal(read_audio(path, channel=1)[0], x[:, 1])
    np.testing.assert_array_equal(read_audio(path, channel=2, start_s=0.01, end_s=0.03)[0], x[160:480, 2])


def test_mono_has_only_channel_0(put):
    x = noise(100)
    path = put(wav_bytes(x))
    np.testing.assert_array_equal(read_audio(path, channel=0)[0], x)
    refuses(path, "no channel 1; it has 1", channel=1)


def test_one_opening_gives_many_parts(tmp_path, chirp):
    """open_audio and read_part: the same as read_audio each time; a command is run once."""
    write_m4a(tmp_path / "x.m4a", chirp)
    soundfile.write(tmp_path / "x.wav", chirp, 16000)
    log = tmp_path / "log"
    pipe = f"echo run >> {log}; cat {tmp_path}/x.wav |"
    for source in (str(tmp_path / "x.m4a"), pipe):
        with open_audio(source, allow_pipes=True) as recording:
            parts = [read_part(recording, source, s, s + 1.5) for s in (7, 0, 3)]
        whole, _ = read_audio(str(tmp_path / source[-5:])) if source != pipe else (chirp, 0)
        for part, s in zip(parts, (7, 0, 3), strict=True):
            np.testing.assert_array_equal(part, whole[s * 16000 : s * 16000 + 24000])
    assert log.read_text() == "run\n"


# Bad files


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


# Commands


def test_command_needs_leave(tmp_path):
    """It is not run, and the line says why and what to pass."""
    refuses(f"touch {tmp_path}/ran |", "must not run commands.*--allow-pipes")
    assert os.listdir(tmp_path) == []


def test_command_output_is_read(tmp_path):
    """WAV with sizes, FLAC, SPHERE and m4a as a command prints them, and a segment of each."""
    x = noise(30000)
    soundfile.write(tmp_path / "x.wav", x, 16000)
    soundfile.write(tmp_path / "x.flac", x, 16000)
    (tmp_path / "x.sph").write_bytes(sphere_bytes(x.tobytes(), "pcm", 30000, rate=16000))
    write_m4a(tmp_path / "x.m4a", x)
    for name in ("x.wav", "x.flac", "x.sph", "x.m4a"):
        whole, rate = read_audio(f"cat {tmp_path}/{name} | ", allow_pipes=True)
        assert rate == 16000
        np.testing.assert_array_equal(whole, read_audio(str(tmp_path / name))[0])
        part, _ = read_audio(f"cat {tmp_path}/{name} |", allow_pipes=True, start_s=0.5, end_s=1)
        np.testing.assert_array_equal(part, whole[8000:16000])


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("echo one >&2; echo two >&2; exit 3 |", r"failed \(exit code 3\): two"),
        ("no-such-program-here x.sph |", r"failed \(exit code 127\): .*not found"),
        ("(echo broken >&2; exit 4) | cat |", r"failed \(exit code 4\): broken"),
        ("true |", "printed no audio: it says nothing on stderr"),
        ("echo hello |", "cannot be decoded"),
    ],
)
def test_command_failure_is_told(command, says):
    refuses(command, says, allow_pipes=True)


def test_truncated_wav_from_a_command(put):
    """A header with a true size is held to it on a pipe too."""
    path = put(wav_bytes(noise(1000))[:-100])
    refuses(f"cat '{path}' |", "truncated, has 950 of 1000", allow_pipes=True)


# sph2pipe


@pytest.fixture
def shortened_mulaw(put):
    """A header that says mu-law by shorten; what follows is for sph2pipe alone."""
    return put(sphere_bytes(b"ajkg\2....", "ulaw,embedded-shorten-v2.00", 1000, width=1), "x.sph")


def fake_sph2pipe(folder, monkeypatch, script):
    program = folder / "bin" / "sph2pipe"
    program.parent.mkdir()
    program.write_text("#!/bin/bash\n" + script)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_mulaw_shorten_without_sph2pipe(shortened_mulaw, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    refuses(shortened_mulaw, "needs sph2pipe, which is not on PATH; install it .* or convert the file to WAV")


def test_mulaw_shorten_by_sph2pipe(tmp_path, shortened_mulaw, monkeypatch):
    """The program is asked for a 16-bit WAV of this file, and its output is read."""
    x = noise(1000)
    (tmp_path / "out.wav").write_bytes(wav_bytes(x, 8000))
    script = f'[ "$*" = "-p -f wav {shortened_mulaw}" ] && cat {tmp_path}/out.wav'
    fake_sph2pipe(tmp_path, monkeypatch, script)
    np.testing.assert_array_equal(read_audio(shortened_mulaw)[0], x)


def test_sph2pipe_failure_is_told(tmp_path, shortened_mulaw, monkeypatch):
    fake_sph2pipe(tmp_path, monkeypatch, "echo bad block >&2; exit 2")
    refuses(shortened_mulaw, r"sph2pipe failed \(exit code 2\): bad block")


def test_sph2pipe_short_output_is_told(tmp_path, shortened_mulaw, monkeypatch):
    """Fewer samples than the SPHERE header has, although the program ended well."""
    (tmp_path / "out.wav").write_bytes(wav_bytes(noise(600), 8000))
    fake_sph2pipe(tmp_path, monkeypatch, f"cat {tmp_path}/out.wav")
    refuses(shortened_mulaw, "truncated, has 600 of 1000 samples")


def test_import_is_cheap():
    """Reading WAV needs neither torch nor PyAV."""
    code = "import sys, sv.data.audio, sv.data.resample; sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
