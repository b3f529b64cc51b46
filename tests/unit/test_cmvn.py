"""`sv.features.cmvn`: Kaldi's archives, and its rule transcribed frame by frame."""

import numpy as np
import pytest
from kaldi_files import read_text_ark

from sv.features.cmvn import sliding_cmvn


def kaldi_sliding(x_TD, window, center, norm_vars, min_window):
    """SlidingWindowCmnInternal of feature-functions.cc, its comments left out, each window summed anew."""
    num_frames, out_TD = len(x_TD), []
    for t in range(num_frames):
        if center:
            start = t - window // 2
            end = start + window
        else:
            start, end = t - window, t + 1
        if start < 0:
            end -= start
            start = 0
        if not center and end > t:
            end = max(t + 1, min_window)
        if end > num_frames:
            start -= end - num_frames
            end = num_frames
            start = max(start, 0)
        part = x_TD[start:end]
        frame = x_TD[t] - part.mean(0)
        if norm_vars:
            variance = np.maximum((part**2).mean(0) - part.mean(0) ** 2, 1e-10)
            frame = frame * variance**-0.5 if len(part) > 1 else frame * 0
        out_TD.append(frame)
    return np.array(out_TD)


@pytest.mark.parametrize(
    ("reference", "source", "options"),
    [
        ("cmvn300_mfcc30_16k", "mfcc30_16k", {"window": 300}),
        ("cmvn100var_mfcc23_8k", "mfcc23_8k", {"window": 100, "norm_vars": True}),
    ],
)
def test_sliding_cmvn_equals_kaldi(reference, source, options):
    """Of the features that Kaldi wrote, printed to 7 digits: 1e-4 of values up to 100, or of 10 deviations."""
    features = read_text_ark(source)
    for key, expected_TD in read_text_ark(reference).items():
        np.testing.assert_allclose(sliding_cmvn(features[key], **options), expected_TD, atol=1e-4)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("norm_vars", [True, False])
@pytest.mark.parametrize("window", [1, 2, 7, 20, 21, 300])
def test_windows_follow_kaldis_rule(window, norm_vars, center):
    """Against the transcription, for recordings shorter than, as long as and longer than window and least window.

    1e-4, as two neighbours that happen to be alike have a variance near the square of float64's last digit.
    """
    rng = np.random.default_rng(window)
    for num_frames in (1, 2, 5, 20, 21, 65):
        for min_window in (1, 10, 100):
            x_TD = rng.normal(5, 3, (num_frames, 2))
            ours_TD = sliding_cmvn(x_TD, window, center, norm_vars, min_window)
            np.testing.assert_allclose(ours_TD, kaldi_sliding(x_TD, window, center, norm_vars, min_window), atol=1e-4)


@pytest.mark.parametrize("center", [True, False])
def test_a_span_equals_rows_of_the_whole(center):
    """Every span of a recording of 40 frames, windows of 15, with variance."""
    x_TD = np.random.default_rng(0).normal(size=(40, 3))
    whole_TD = sliding_cmvn(x_TD, 15, center, norm_vars=True, min_window=6)
    for start in range(41):
        for stop in range(start, 41):
            part_TD = sliding_cmvn(x_TD, 15, center, norm_vars=True, min_window=6, span=(start, stop))
            np.testing.assert_allclose(part_TD, whole_TD[start:stop], atol=1e-6)


def test_a_constant_column_becomes_zero():
    """Its variance is below the floor of 1e-10; no division by zero."""
    normalised_TD = sliding_cmvn(np.full((50, 2), 7.0), window=10, norm_vars=True)
    np.testing.assert_array_equal(normalised_TD, np.zeros((50, 2)))


def test_a_long_recording_keeps_its_precision():
    """Three hours around a mean of 100: the last frames as if they stood alone, to float32's precision."""
    x_TD = np.random.default_rng(0).normal(100, 1, (1_000_000, 1)).astype(np.float32)
    last_TD = sliding_cmvn(x_TD, 300, norm_vars=True)[-300:]
    np.testing.assert_allclose(last_TD, sliding_cmvn(x_TD[-600:], 300, norm_vars=True)[-300:], atol=1e-5)
