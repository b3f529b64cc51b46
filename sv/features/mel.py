"""What the front ends have in common: triangular filters on a scale of frequency, and the cosine transform."""

from __future__ import annotations

import numpy as np

from sv.errors import ConfigError


def triangles(at_K: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Triangular filters (K, M) over FFT bins, on the scale that their places `at_K` are given on.

    Filter m rises from `edges[m]` to 1 at `edges[m + 1]` and falls to 0 at `edges[m + 2]`. Raises ConfigError if one
    catches no bin.
    """
    left_M, centre_M, right_M = edges[:-2], edges[1:-1], edges[2:]
    rising_KM = (at_K[:, None] - left_M) / (centre_M - left_M)
    falling_KM = (right_M - at_K[:, None]) / (right_M - centre_M)
    bank_KM = np.maximum(0.0, np.minimum(rising_KM, falling_KM))
    empty = np.flatnonzero(bank_KM.sum(0) == 0)
    if len(empty):
        raise ConfigError(f"--num-mel-bins={len(centre_M)} is too many: filter {empty[0]} catches no FFT bin")
    return bank_KM


def dct(num_inputs: int, num_outputs: int) -> np.ndarray:
    """The first columns of the orthonormal DCT-II, (inputs, outputs), float64."""
    m, d = np.arange(num_inputs)[:, None], np.arange(num_outputs)
    dct_MD = np.sqrt(2.0 / num_inputs) * np.cos(np.pi / num_inputs * (m + 0.5) * d)
    dct_MD[:, :1] = np.sqrt(1.0 / num_inputs)
    return dct_MD
