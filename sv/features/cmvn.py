"""Sliding-window mean and variance normalisation, as Kaldi's apply-cmvn-sliding."""

from __future__ import annotations

import numpy as np


def sliding_cmvn(
    features_TD: np.ndarray,
    window: int = 300,
    center: bool = True,
    norm_vars: bool = False,
    min_window: int = 100,
    span: tuple[int, int] | None = None,
) -> np.ndarray:
    """Subtract from each frame the mean of the window around it; with `norm_vars` divide by its deviation.

    At the ends the window is shifted inwards, not cut, so it holds `window` frames wherever the recording does.

    Args:
        features_TD: float (T, D), a whole recording.
        window: frames, >= 1.
        center: window centred on the frame; otherwise it ends with the frame (and holds at least `min_window`).
        norm_vars: divide by the standard deviation (variances floored at 1e-10).
        span: first and one-past-last frame wanted; default all.
    Returns:
        float32 (stop - start, D), equal to the same rows of the whole.
    """
    x_TD = np.asarray(features_TD, np.float64)
    num_frames = len(x_TD)
    start, stop = span or (0, num_frames)
    t = np.arange(start, stop)
    if center:
        first = t - window // 2
        last = first + window
    else:
        first, last = t - window, t + 1
    # Move a window that starts before the recording to its first frame, then one that ends after it to its end.
    last = np.where(first < 0, last - first, last)
    first = np.maximum(first, 0)
    if not center:
        last = np.maximum(t + 1, min_window)
    first = np.where(last > num_frames, first - (last - num_frames), first)
    first, last = np.maximum(first, 0), np.minimum(last, num_frames)

    # Only frames that some window holds are summed: a chunk costs what the chunk needs.
    low, high = first.min(initial=num_frames), last.max(initial=0)
    count = (last - first)[:, None]
    sums = np.zeros((high - low + 1, x_TD.shape[1]))
    np.cumsum(x_TD[low:high], 0, out=sums[1:])
    mean = (sums[last - low] - sums[first - low]) / count
    normalised = x_TD[start:stop] - mean
    if norm_vars:
        np.cumsum(x_TD[low:high] ** 2, 0, out=sums[1:])
        variance = (sums[last - low] - sums[first - low]) / count - mean**2
        # Kaldi: a window of one frame has no variance, and the frame becomes zero.
        normalised = np.where(count > 1, normalised / np.sqrt(np.maximum(variance, 1e-10)), 0.0)
    return normalised.astype(np.float32)
