"""Room, microphone, noise and level: what stands between a mouth and a file in `local/generate_mini.py`.

Letters in names: F frames, T samples, B frequency bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mini_speech import HOP, RATE, generator, to_samples


@dataclass(frozen=True)
class Channel:
    """What stays through one session of one speaker. Draw one with `draw_channel`."""

    eq_db: np.ndarray  # cosine coefficients of the channel over the mel scale
    band_hz: tuple[float, float]  # where the channel begins and ends
    snr_db: float
    noise_slope_db: float  # dB per octave
    noise_sway_db: float  # slow rise and fall of the noise
    hum: float  # mains hum relative to the noise
    level_db: float  # of active speech, dB re full scale
    room_T: np.ndarray  # impulse response: direct sound 1, then the tail


def draw_channel(seed: int, part: int, speaker: int, session: int) -> Channel:
    rng = generator(seed, part, speaker, session, 1)
    narrow = rng.random() < 0.15  # now and then something near a telephone band
    return Channel(
        eq_db=rng.normal(0, 1, 8) * np.array([5.5, 3.5, 2.5, 2, 1.5, 1.5, 1, 1]),
        band_hz=(rng.uniform(150, 350), rng.uniform(3300, 5000)) if narrow else (rng.uniform(20, 120), 9000),
        snr_db=float(np.clip(rng.normal(26, 7), 8, 42)),
        noise_slope_db=rng.uniform(-7, 0),
        noise_sway_db=rng.uniform(0, 4),
        hum=rng.uniform(0.5, 2) if rng.random() < 0.15 else 0.0,
        level_db=rng.uniform(-40, -24),
        room_T=room(rng.uniform(0.1, 0.5), rng.uniform(2, 18), rng),
    )


def record(speech_T: np.ndarray, active: float, channel: Channel, rng: np.random.Generator) -> np.ndarray:
    """Speech at the lips, of which the share `active` is not pause, as it comes out of the channel: int16 (T,).

    The SNR is of those stretches, behind the channel; it and the level vary a little between recordings.
    """
    n = len(speech_T)
    size = _fast_length(n + len(channel.room_T))
    hz_B = np.arange(size // 2 + 1, dtype=np.float32) * np.float32(RATE / size)
    channel_B = _magnitude(channel, hz_B)
    speech_B = np.fft.rfft(speech_T, size) * np.fft.rfft(channel.room_T, size) * channel_B

    sway_F = np.convolve(rng.standard_normal(n // HOP), np.hanning(41) / 4, "same") * channel.noise_sway_db
    noise_T = rng.standard_normal(n, dtype=np.float32) * to_samples(10 ** (sway_F / 20))
    if channel.hum:
        cycle_T = np.arange(n, dtype=np.float32) * np.float32(2 * np.pi * 50 / RATE) + rng.uniform(0, 2 * np.pi)
        noise_T += channel.hum * (np.sin(cycle_T) + 0.5 * np.sin(3 * cycle_T)).astype(np.float32)
    slope_B = np.maximum(hz_B / 1000, 0.05) ** np.float32(channel.noise_slope_db / 6.02)
    noise_B = np.fft.rfft(noise_T, size) * slope_B * channel_B

    snr_db = channel.snr_db + rng.normal(0, 1.5)
    gain = np.sqrt(_power(speech_B) / active / _power(noise_B)) * 10 ** (-snr_db / 20)
    out_T = np.fft.irfft(speech_B + np.float32(gain) * noise_B, size)[:n]
    rms = max(float(np.sqrt(np.mean(out_T**2) / active)), 1e-9)
    level = 10 ** ((channel.level_db + rng.normal(0, 1)) / 20) / rms
    level = min(level, 0.9 / max(float(np.max(np.abs(out_T))), 1e-9))  # never clipped
    return np.rint(out_T * np.float32(level * 32767)).astype(np.int16)


def _power(x_B: np.ndarray) -> float:
    return float(np.vdot(x_B, x_B).real)


def _magnitude(channel: Channel, hz_B: np.ndarray) -> np.ndarray:
    """Magnitude of microphone and line: a smooth curve over the mel scale, and the ends of the band."""
    grid_hz = np.concatenate([[0, 20], np.geomspace(30, RATE / 2, 120)])
    mel = np.log1p(grid_hz / 700) / np.log1p(RATE / 2 / 700)
    order = np.arange(1, len(channel.eq_db) + 1)
    curve_db = np.cos(np.pi * order * mel[:, None]) @ channel.eq_db
    low, high = channel.band_hz
    curve_db -= 10 * np.log10(1 + (low / np.maximum(grid_hz, 5)) ** 4) + 10 * np.log10(1 + (grid_hz / high) ** 12)
    return np.interp(hz_B, grid_hz, 10 ** (curve_db / 20)).astype(np.float32)


def room(rt60_s: float, direct_db: float, rng: np.random.Generator) -> np.ndarray:
    """An impulse response, float32 (T,): direct sound, from 2 ms on a tail of noise that falls by 60 dB in
    `rt60_s`; `direct_db` is the ratio of their energies."""
    t = np.arange(int(rt60_s * RATE)) / RATE
    tail_T = rng.standard_normal(len(t)) * 10 ** (-3 * t / rt60_s)
    tail_T[: int(0.002 * RATE)] = 0
    tail_T *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(tail_T**2))
    tail_T[0] = 1
    return tail_T.astype(np.float32)


def _fast_length(n: int) -> int:
    """The smallest even 2^a 3^b 5^c that is at least n: lengths for which an FFT is fast."""
    best = 1 << (n - 1).bit_length()
    for odd in (3, 5, 9, 15, 25, 27, 45, 75, 81):
        best = min(best, odd << max((-(-n // odd) - 1).bit_length(), 1))
    return best
