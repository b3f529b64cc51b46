"""Sliding-window mean and variance normalisation, as Kaldi's apply-cmvn-sliding."""

from __future__ import annotations

import numpy as np

VARIANCE_FLOOR = 1e-10  # Kaldi's


def sliding_cmvn(
    features_TD: np.ndarray,
    window: int = 300,
    center: bool = True,
    norm_vars: bool = False,
    min_window: int = 100,
    span: tuple[int, int] | None = None,
) -> np.ndarray:
    """Subtract from each frame the mean of the window around it; with `norm_vars` divide by its deviation.

    Args:
        features_TD: float (T, D), a whole recording.
        window, center, min_window: see `windows`.
        norm_vars: divide by the standard deviation (variances floored at 1e-10).
        span: first and one-past-last frame wanted; default all.
    Returns:
        float32 (stop - start, D), equal to the same rows of the whole.
    """
    start, stop = span or (0, len(features_TD))
    if start == stop:
        return np.zeros((0, features_TD.shape[1]), np.float32)
    first, last = windows(np.arange(start, stop), len(features_TD), window, center, min_window)

    # Only frames that some window holds are summed: a chunk costs what the chunk needs.
    low, high = first.min(), last.max()
    x_TD = np.asarray(features_TD[low:high], np.float64)
    x_TD = x_TD - x_TD.mean(0)  # changes no result, and sums of squares keep their digits
    count = (last - first)[:, None]
    sums = np.zeros((len(x_TD) + 1, x_TD.shape[1]))
    np.cumsum(x_TD, 0, out=sums[1:])
    mean = (sums[last - low] - sums[first - low]) / count
    normalised = x_TD[start - low : stop - low] - mean
    if norm_vars:
        np.cumsum(x_TD**2, 0, out=sums[1:])
        variance = (sums[last - low] - sums[first - low]) / count - mean**2
        # Kaldi: a window of one frame has no variance, and the frame becomes zero.
        normalised = np.where(count > 1, normalised / np.sqrt(np.maximum(variance, VARIANCE_FLOOR)), 0.0)
    return normalised.astype(np.float32)


def windows(
    frame_T: np.ndarray, num_frames: int, window: int = 300, center: bool = True, min_window: int = 100
) -> tuple[np.ndarray, np.ndarray]:
    """First and one-past-last frame of the window of each frame, by Kaldi's rule.

    At the ends a window is shifted inwards, not cut, so it holds `window` frames wherever the recording does.

    Args:
        frame_T: the frames asked for, int (T,).
        num_frames: of the recording.
        window: frames, >= 1.
        center: window centred on the frame; otherwise the frame and the `window` before it, at least `min_window`.
    """
    if center:
        first = frame_T - window // 2
        last = first + window
    else:
        first, last = frame_T - window, frame_T + 1
    # A window that starts before the recording moves to its first frame, then one that ends after it to its end.
    last = last + np.maximum(-first, 0)
    first = np.maximum(first, 0)
    if not center:
        last = np.maximum(frame_T + 1, min_window)
    first = np.maximum(first - np.maximum(last - num_frames, 0), 0)
    return first, np.minimum(last, num_frames)
