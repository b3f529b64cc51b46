"""What augmentation does to a waveform: pure functions of samples, as Kaldi's `wav-reverberate` computes them.

The copies of a set (`sv.augment.copies`) and crops in training (`sv.augment.online`) are made by the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import scipy.fft

_FFT_SIZE = 1 << 16  # of a block
_FFT_STEP = 1 << 13  # between the sizes for what is shorter: 2**13 times 1 to 8


class Noise(NamedTuple):
    """A noise to add: its samples (M,), the ratio of signal to noise in dB, the sample where it begins."""

    samples_M: np.ndarray
    snr_db: float
    start: int = 0


def power(wave_N: np.ndarray) -> float:
    """Mean square of samples (N,).

    Not by a dot product: its library would start threads, which wait for each other on a busy machine, and sum in an
    order that depends on their number.
    """
    return float(np.square(wave_N, dtype=np.float64).mean())


def reverberate(wave_N: np.ndarray, response_M: np.ndarray) -> np.ndarray:
    """Speech as it sounds in a room, aligned with the dry speech and as loud.

    As `wav-reverberate --shift-output=true --normalize-output=true`: the convolution with the room's impulse
    response, N + M - 1 samples, is scaled to the mean square of the input, and N samples are taken from the response's
    peak (its largest value) on. The scale of the response does not matter.

    Args:
        wave_N: float (N,).
        response_M: impulse response at the same rate, float (M,).
    Returns:
        float32 (N,).
    Raises:
        ValueError: the response is all zeros.
    """
    _require_sound(response_M)
    wet_L = _convolved(np.asarray(wave_N, np.float32), np.asarray(response_M, np.float32) / np.abs(response_M).max())
    peak = int(np.argmax(response_M))
    return _at_power(power(wave_N), wet_L)[peak : peak + len(wave_N)]


def reverberate_unit_energy(wave_N: np.ndarray, response_M: np.ndarray) -> np.ndarray:
    """Speech as it sounds in a room, as the VoxSRC 2020 authors' loader computes it: late, and as loud as it comes.

    The first N samples of the convolution with the response scaled to a sum of squares of 1: speech is later by the
    response's direct path, its end is lost, and its power changes with the room.

    Args, returns and raises as `reverberate`.
    """
    _require_sound(response_M)
    energy = power(response_M) * len(response_M)
    unit_M = np.asarray(response_M, np.float32) / np.float32(math.sqrt(energy))
    return _convolved(np.asarray(wave_N, np.float32), unit_M)[: len(wave_N)]


def _require_sound(response_M: np.ndarray) -> None:
    if not np.any(response_M):
        raise ValueError("an impulse response of zeros only")


def _convolved(wave_N: np.ndarray, response_M: np.ndarray) -> np.ndarray:
    """The convolution, float32 (N + M - 1,), block by block: FFTs of a few sizes, whose preparation is kept."""
    whole = -(-(len(wave_N) + len(response_M) - 1) // _FFT_STEP) * _FFT_STEP
    size = whole if whole <= _FFT_SIZE else max(_FFT_SIZE, scipy.fft.next_fast_len(2 * len(response_M), real=True))
    hop = size - len(response_M) + 1
    spectrum_K = scipy.fft.rfft(response_M, size)
    wet_L = np.zeros(len(wave_N) + len(response_M) - 1, np.float32)
    for start in range(0, len(wave_N), hop):
        block = scipy.fft.irfft(scipy.fft.rfft(wave_N[start : start + hop], size) * spectrum_K, size)
        place = wet_L[start : start + size]
        place += block[: len(place)]
    return wet_L


def sum_of_equals(noises: Iterable[np.ndarray]) -> np.ndarray:
    """Noises (M,) of one length, each at a mean square of 1, added: float32 (M,); one of zeros adds nothing."""
    parts = [noise_M / np.float32(math.sqrt(power(noise_M) or 1.0)) for noise_M in noises]
    return np.sum(parts, axis=0, dtype=np.float32)


def looped(noise_M: np.ndarray, length: int) -> np.ndarray:
    """A noise from its beginning on, repeated or cut to `length` samples: `wav-reverberate --duration`."""
    return np.resize(noise_M, length)


def add_noises(wave_N: np.ndarray, noises: Iterable[Noise]) -> np.ndarray:
    """Speech with noises, each at its own signal-to-noise ratio, as loud as the speech alone.

    As `wav-reverberate --additive-signals --snrs --start-times`: a ratio is that of the mean square of the whole
    utterance to that of the whole noise, pauses and what lies beyond the utterance's end included; what lies there is
    not added. The sum is scaled to the utterance's mean square. A noise of zeros adds nothing.

    Args:
        wave_N: float (N,).
        noises: any number, at the same rate.
    Returns:
        float32 (N,).
    """
    sum_N = np.array(wave_N, np.float32)
    speech_power = power(wave_N)
    for noise in noises:
        if (noise_power := power(noise.samples_M)) > 0:
            gain = math.sqrt(speech_power / noise_power) * 10 ** (-noise.snr_db / 20)
            place = sum_N[noise.start : noise.start + len(noise.samples_M)]
            place += np.float32(gain) * noise.samples_M[: len(place)]
    return _at_power(speech_power, sum_N)


def _at_power(mean_square: float, wave_M: np.ndarray) -> np.ndarray:
    """`wave_M` (M,), changed in place to that mean square; silence stays silence."""
    loudness = power(wave_M)
    if loudness > 0:
        wave_M *= np.float32(math.sqrt(mean_square / loudness))
    return wave_M
