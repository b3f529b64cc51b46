"""What augmentation does to a waveform: pure functions of samples, as Kaldi's `wav-reverberate` computes them.

The copies of a set (`sv.augment.copies`) and crops in training (`sv.augment.online`) are made by the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.fft

_TOGETHER = 4  # transforms side by side take as long as one alone
# Few and of small factors: the library prepares itself for each, and keeps that. The largest is half an hour at 16 kHz.
_FFT_SIZES = tuple(quarters << power for power in range(10, 23) for quarters in (4, 5, 6, 7))


class Noise(NamedTuple):
    """A noise to add: its samples (M,), the ratio of signal to noise in dB, the sample where it begins."""

    samples_M: np.ndarray
    snr_db: float
    start: int = 0


def power(wave_N: np.ndarray) -> float:
    """Mean square of samples (N,).

    Not by a dot product: its library would start threads, which wait for each other on a busy machine, and sum in an
    order that depends on their number. Squares of float32 may be rounded to it: it is their sum that needs the digits.
    """
    return float(np.square(wave_N, dtype=np.result_type(wave_N, np.float32)).sum(dtype=np.float64)) / len(wave_N)


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
    """The convolution, float32 (N + M - 1,), by overlapping blocks; the response and three of them go first."""
    size = _fft_size(len(wave_N), len(response_M))
    hop = size - len(response_M) + 1
    pieces = [response_M, *(wave_N[start : start + hop] for start in range(0, len(wave_N), hop))]
    wet_L = np.zeros(len(wave_N) + len(response_M) - 1, np.float32)
    for first in range(0, len(pieces), _TOGETHER):
        rows_RS = np.zeros((_TOGETHER, size), np.float32)
        for row_S, piece in zip(rows_RS, pieces[first : first + _TOGETHER], strict=False):
            row_S[: len(piece)] = piece
        spectra_RK = scipy.fft.rfft(rows_RS)
        if first == 0:
            response_K = spectra_RK[0].copy()
        wet_RS = scipy.fft.irfft(spectra_RK * response_K, size)
        for index in range(max(first, 1), min(first + _TOGETHER, len(pieces))):
            place = wet_L[(index - 1) * hop :][:size]
            place += wet_RS[index - first, : len(place)]
    return wet_L


@lru_cache(1 << 14)
def _fft_size(length: int, response: int) -> int:
    """The size at which the response and blocks of `length` samples, as many at once as are, make the least to do."""

    def work(size: int) -> int:
        pieces = 1 + -(-length // (size - response + 1))
        return -(-pieces // _TOGETHER) * size

    return min((size for size in _FFT_SIZES if size > response), key=work)


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
