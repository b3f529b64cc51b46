"""Audio files for tests, made from their formats' definitions or by an encoder that is not under test; refusals."""

import struct

import av
import numpy as np
import pytest

from sv.data.audio import read_audio
from sv.errors import AudioError


def noise(n, seed=0, scale=3000):
    return (np.random.default_rng(seed).normal(size=n) * scale).astype(np.int16)


def wav_bytes(samples, rate=16000, *, coding=1, bits=16, channels=1, data_size=None, before=b"", after=b"", fmt=b""):
    """A RIFF file with any format tag, any promised size, chunks before and after the samples."""
    data = samples if isinstance(samples, bytes) else samples.tobytes()
    frame = channels * bits // 8
    body = struct.pack("<HHIIHH", coding, channels, rate, rate * frame, frame, bits) + fmt
    head = b"fmt " + struct.pack("<I", len(body)) + body + before
    size = len(data) if data_size is None else data_size
    riff = min(4 + len(head) + 8 + size, 0xFFFFFFFF)
    return b"RIFF" + struct.pack("<I", riff) + b"WAVE" + head + b"data" + struct.pack("<I", size) + data + after


def sphere_bytes(data, coding, n, channels=1, width=2, rate=8000, order="01", header_bytes=1024):
    """A NIST SPHERE file, its header written line by line."""
    text = (
        f"NIST_1A\n{header_bytes:7d}\nchannel_count -i {channels}\nsample_count -i {n}\nsample_rate -i {rate}\n"
        f"sample_n_bytes -i {width}\nsample_byte_format -s{len(order)} {order}\n"
        f"sample_coding -s{len(coding)} {coding}\nend_head\n"
    )
    return text.encode().ljust(header_bytes) + data


def shorten_bytes(wave_CN, block=256):
    """Samples (C, N) by the simplest encoder of shorten 2: differences of order 0 in Rice codes.

    N is a multiple of `block`.
    """
    bits = []

    def rice(value, k):
        bits.append("0" * (value >> k) + "1" + (f"{value & ((1 << k) - 1):0{k}b}" if k else ""))

    def number(value):
        k = max(0, value.bit_length() - 1)
        rice(k, 2)
        rice(value, k)

    for value in (5, len(wave_CN), block, 0, 0, 0):  # type s16lh, channels, block, LPC order, means, skipped bytes
        number(value)
    for start in range(0, wave_CN.shape[1], block):
        for part in wave_CN[:, start : start + block]:
            rice(0, 2)  # differences of order 0
            rice(12, 3)  # 12 + 1 low bits
            for v in part.tolist():
                rice(2 * v if v >= 0 else -2 * v - 1, 13)
    rice(4, 2)  # the end
    text = "".join(bits)
    text += "0" * (-len(text) % 32)
    return b"ajkg\2" + int(text, 2).to_bytes(len(text) // 8, "big")


def write_m4a(path, wave, rate=16000, *, noise_substitution=False, options=None, shape="mono"):
    """AAC in MP4 as ffmpeg writes it, with an edit list that skips the encoder's priming."""
    with av.open(str(path), "w", format="mp4", options=options or {}) as out:
        stream = out.add_stream("aac", rate=rate, options={"aac_pns": str(int(noise_substitution))})
        stream.layout = shape
        stream.bit_rate = 64000
        frame = av.AudioFrame.from_ndarray(wave.T.reshape(1, -1), format="s16", layout=shape)
        frame.sample_rate, frame.pts = rate, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)


def mulaw_value(byte):
    """G.711 mu-law by its definition: sign, segment, step; 14-bit magnitudes, scaled to 16."""
    inverted = byte ^ 0xFF
    segment, step = inverted >> 4 & 7, inverted & 15
    magnitude = ((2 * step + 33) << segment) - 33
    return (-magnitude if inverted & 0x80 else magnitude) * 4


def alaw_value(byte):
    """G.711 A-law by its definition; 13-bit magnitudes, scaled to 16."""
    toggled = byte ^ 0x55
    segment, step = toggled >> 4 & 7, toggled & 15
    magnitude = 2 * step + 1 if segment == 0 else (2 * step + 33) << (segment - 1)
    return (magnitude if toggled & 0x80 else -magnitude) * 8


def refuses(source, says, **options):
    """The one line that read_audio fails with; it names the source."""
    with pytest.raises(AudioError, match=says) as caught:
        read_audio(source, **options)
    message = str(caught.value)
    assert source in message
    assert "\n" not in message
