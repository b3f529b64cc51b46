"""`sv.features.deltas`: Kaldi's archive, and the regression formula."""

import numpy as np
import pytest
from kaldi_files import read_text_ark

from sv.features.deltas import add_deltas


def test_deltas_equal_kaldi():
    """Order 2, window 3, of the features that Kaldi wrote."""
    features = read_text_ark("mfcc20_8k")
    for key, expected_TD in read_text_ark("deltas_mfcc20_8k").items():
        np.testing.assert_allclose(add_deltas(features[key], order=2, window=3), expected_TD, atol=1e-4)


@pytest.mark.parametrize(("order", "window"), [(1, 2), (2, 2), (2, 3), (3, 1)])
def test_deltas_of_deltas_by_the_formula(order, window):
    """Furui's regression applied again and again, away from the ends (Kaldi applies it at once, so ends differ)."""
    x_TD = np.random.default_rng(0).normal(size=(40, 3))
    blocks = [x_TD]
    for _ in range(order):
        last_TD = blocks[-1]
        delta_TD = np.zeros_like(x_TD)
        for t in range(window, 40 - window):
            rise = sum(k * (last_TD[t + k] - last_TD[t - k]) for k in range(1, window + 1))
            delta_TD[t] = rise / (2 * sum(k * k for k in range(1, window + 1)))
        blocks.append(delta_TD)
    inner = slice(order * window, 40 - order * window)
    np.testing.assert_allclose(add_deltas(x_TD, order, window)[inner], np.concatenate(blocks, 1)[inner], atol=1e-5)


def test_a_ramp_has_its_slope():
    """Delta 2 and delta-delta 0 of 2 t, away from the ends."""
    deltas_TD = add_deltas(2.0 * np.arange(20)[:, None])
    np.testing.assert_allclose(deltas_TD[4:-4, 1:], np.tile([2.0, 0.0], (12, 1)), atol=1e-6)


def test_end_frames_are_repeated():
    """A recording with its ends repeated before has the same deltas in its middle."""
    x_TD = np.random.default_rng(0).normal(size=(6, 2))
    longer_TD = np.concatenate([np.repeat(x_TD[:1], 9, 0), x_TD, np.repeat(x_TD[-1:], 9, 0)])
    np.testing.assert_allclose(add_deltas(x_TD), add_deltas(longer_TD)[9:-9], atol=1e-6)


def test_order_0_changes_nothing():
    x_TD = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    np.testing.assert_array_equal(add_deltas(x_TD, order=0), x_TD)
