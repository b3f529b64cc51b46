"""Telephone lines for the calls of `local/generate_mini.py`: channel, sampling at 8 kHz, mu-law, NIST SPHERE.

Mu-law: ITU-T G.711. Letters in names: T samples, C channels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mini_channel import Channel, room
from mini_speech import generator

RATE = 8000  # Hz
# band (Hz, lowest and highest of either end), SNR (mean and spread, dB), size of the channel's ripple, room (s, dB)
LINES = {
    "land": ((200, 320), (3300, 3600), (32, 5), 0.8, (0.1, 0.25), (12, 25)),
    "cellular": ((180, 350), (3200, 3600), (24, 6), 1.2, (0.1, 0.35), (8, 22)),
    "abroad": ((250, 420), (2900, 3400), (18, 6), 1.4, (0.15, 0.45), (5, 18)),
}


def draw_line(kind: str, *address: int) -> Channel:
    """The channel of one side of a call, of a kind in LINES; a function of the address."""
    rng = generator(*address)
    low_hz, high_hz, (snr_db, spread_db), ripple, rt60_s, direct_db = LINES[kind]
    return Channel(
        eq_db=rng.normal(0, 1, 8) * ripple * np.array([5.5, 3.5, 2.5, 2, 1.5, 1.5, 1, 1]),
        band_hz=(rng.uniform(*low_hz), rng.uniform(*high_hz)),
        snr_db=float(np.clip(rng.normal(snr_db, spread_db), 8, 42)),
        noise_slope_db=rng.uniform(-7, 0),
        noise_sway_db=rng.uniform(0, 4),
        hum=rng.uniform(0.5, 2) if rng.random() < 0.15 else 0.0,
        level_db=rng.uniform(-36, -24),
        room_T=room(rng.uniform(*rt60_s), rng.uniform(*direct_db), rng),
    )


def at_8_khz(wave_T: np.ndarray) -> np.ndarray:
    """Every second sample, int16 (T / 2,), of int16 (T,) at 16 kHz without what lies above 4 kHz; T is even."""
    spectrum = np.fft.rfft(wave_T.astype(np.float32))[: len(wave_T) // 4 + 1]
    half_T = np.fft.irfft(spectrum, len(wave_T) // 2) / 2
    return np.clip(np.rint(half_T), -32768, 32767).astype(np.int16)


def mulaw(wave_T: np.ndarray) -> np.ndarray:
    """16-bit samples in mu-law, uint8 (T,)."""
    magnitude_T = np.minimum(np.abs(wave_T.astype(np.int32)), 32635) + 132
    segment_T = np.frexp(magnitude_T)[1] - 8  # 132 is the first of segment 0
    step_T = magnitude_T >> (segment_T + 3) & 15
    return (~((wave_T < 0) << 7 | segment_T << 4 | step_T) & 0xFF).astype(np.uint8)


def write_sphere(path: Path, waves: list[np.ndarray]) -> None:
    """Write channels of equal length, int16 (T,) at 8 kHz, as a mu-law SPHERE file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = (
        f"NIST_1A\n   1024\nchannel_count -i {len(waves)}\nsample_count -i {len(waves[0])}\nsample_rate -i {RATE}\n"
        "sample_n_bytes -i 1\nsample_byte_format -s1 1\nsample_coding -s4 ulaw\nend_head\n"
    )
    data_TC = np.stack([mulaw(wave_T) for wave_T in waves], 1)
    path.write_bytes(header.encode().ljust(1024) + data_TC.tobytes())
