"""Levels of a waveform, and what its samples are known by. Samples are in the int16 range; full scale is 32768."""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

import numpy as np

FULL_SCALE = 32768
CLIP_RUN = 3  # samples alike at full scale that count as clipped; fewer are a peak
# Of full scale, where samples alike count: the highest values of mu-law and A-law are 32124 and 32256.
CLIP_FROM = 0.98
_BLOCK = 1 << 16  # samples summed at a time in float64


class Levels(NamedTuple):
    """Of a waveform: the peak and the level in dB below full scale, its mean and how much of it is clipped."""

    peak_dbfs: float  # of the largest magnitude; -inf of zeros
    rms_dbfs: float  # of the deviation from the mean; 0 is a square wave at full scale; -inf of a constant
    dc: float  # the mean, as a part of full scale, with its sign
    clipped: float  # part of the samples that stand at full scale in runs of `CLIP_RUN` or more


def levels(wave_N: np.ndarray) -> Levels:
    """The levels of a waveform, float32 (N,) in the int16 range, N >= 1; sums are in float64."""
    total = squares = 0.0
    for start in range(0, len(wave_N), _BLOCK):
        block_N = wave_N[start : start + _BLOCK].astype(np.float64)
        total += float(block_N.sum())
        squares += float(block_N @ block_N)
    mean = total / len(wave_N)
    power = max(squares / len(wave_N) - mean**2, 0.0)
    peak = max(float(wave_N.max()), -float(wave_N.min()))
    if power < 1e-9 * mean**2:  # what rounding leaves of a constant
        power = 0.0
    clipped = clipped_fraction(wave_N) if peak >= CLIP_FROM * FULL_SCALE else 0.0
    return Levels(_db(peak), _db(math.sqrt(power)), mean / FULL_SCALE, clipped)


def clipped_fraction(wave_N: np.ndarray) -> float:
    """Part of the samples (N,) that are clipped: `CLIP_RUN` or more alike in a row, at `CLIP_FROM` or above.

    What lies beyond full scale, as floats and decoders have it, counts as full scale. A peak that only touches full
    scale has no such run, so that a recording which was normalised to its peak is not taken for a clipped one.
    """
    at_N = np.clip(wave_N, 1 - FULL_SCALE, FULL_SCALE - 1)
    same_N = np.zeros(len(at_N) + 1, np.int8)  # whether a sample is as the one before it; 0 at both ends
    same_N[1:-1] = (at_N[1:] == at_N[:-1]) & (np.abs(at_N[1:]) >= CLIP_FROM * FULL_SCALE)
    turns = np.flatnonzero(np.diff(same_N))
    runs = turns[1::2] - turns[::2] + 1
    return int(runs[runs >= CLIP_RUN].sum()) / len(wave_N)


def content_hash(wave_N: np.ndarray) -> str:
    """32 digits that samples (N,) are known by, whatever container and lossless coding they came in.

    Of the values alone: 16 and 24 bits of the same samples have one, and another rate in the header none of its own.
    """
    values_N = np.ascontiguousarray(wave_N, "<f4") + np.float32(0)  # -0, of files of floats, becomes 0
    return hashlib.sha256(values_N).hexdigest()[:32]


def _db(value: float) -> float:
    return 20 * math.log10(value / FULL_SCALE) if value else -math.inf
