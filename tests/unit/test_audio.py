"""`sv.data.audio`: values against the formats' definitions, and parts against wholes."""

import os
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
    refuses,
    shorten_bytes,
    sphere_bytes,
    wav_bytes,
    write_m4a,
)

from sv.data.audio import audio_info, open_audio, read_audio, read_part

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
    refuses(path, r" is not within its 10\.01 s", start_s=start, end_s=end)


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


def test_import_is_cheap():
    """Reading WAV needs neither torch nor PyAV."""
    code = "import sys, sv.data.audio, sv.data.resample; sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
