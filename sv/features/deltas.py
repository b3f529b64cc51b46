"""Time derivatives of features, as Kaldi's add-deltas (Furui 1986)."""

from __future__ import annotations

import numpy as np


def add_deltas(features_TD: np.ndarray, order: int = 2, window: int = 2) -> np.ndarray:
    """Append the first `order` regression derivatives over ±`window` frames; the end frames are repeated.

    Args:
        features_TD: float (T, D).
    Returns:
        float32 (T, D × (order + 1)): the features, their deltas, the deltas of these in one filter, …
    """
    x_TD = np.asarray(features_TD, np.float64)
    slope = np.arange(-window, window + 1) / sum(k * k for k in range(-window, window + 1))
    blocks, kernel = [x_TD], np.ones(1)
    for _ in range(order):
        kernel = np.convolve(kernel, slope)
        reach = len(kernel) // 2
        padded = np.pad(x_TD, ((reach, reach), (0, 0)), mode="edge")
        blocks.append(sum(weight * padded[k : k + len(x_TD)] for k, weight in enumerate(kernel)))
    return np.concatenate(blocks, 1).astype(np.float32)
