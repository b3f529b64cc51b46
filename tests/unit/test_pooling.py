"""Statistics pooling against numpy, masked, in pieces, and where a plain formula would round badly."""

import numpy as np
import pytest
import torch

from sv.models.pooling import Moments, StatsPooling

RNG = np.random.default_rng(0)


def pooled(h_BTC, num_frames_B=None):
    return StatsPooling()(Moments.of(torch.as_tensor(h_BTC), num_frames_B)).numpy()


def by_numpy(h_TC):
    return np.concatenate([h_TC.mean(0), h_TC.std(0)])


def test_pooling_is_mean_and_deviation():
    """The deviation of the frames themselves, not of a sample (numpy's ddof = 0)."""
    h_BTC = RNG.normal(3, 2, size=(4, 50, 6))
    assert np.allclose(pooled(h_BTC), [by_numpy(h_TC) for h_TC in h_BTC], rtol=1e-12)


def test_padding_does_not_count():
    """Each recording cut to its length, by numpy; the padding holds large values."""
    h_BTC = RNG.normal(size=(3, 40, 5))
    lengths = [40, 7, 1]
    for h_TC, n in zip(h_BTC, lengths, strict=True):
        h_TC[n:] = 1e6
    expected = [by_numpy(h_TC[:n]) for h_TC, n in zip(h_BTC, lengths, strict=True)]
    assert np.allclose(pooled(h_BTC, torch.tensor(lengths))[:, :5], np.array(expected)[:, :5], rtol=1e-9)
    assert np.allclose(pooled(h_BTC, torch.tensor(lengths))[:, 5:], np.maximum(np.array(expected)[:, 5:], 1e-5))


@pytest.mark.parametrize("cuts", [[20], [1, 2, 3], [10, 10, 37]])
def test_pieces_join_to_the_moments_of_the_whole(cuts):
    h_BTC = torch.as_tensor(RNG.normal(5, 1, size=(2, 60, 4)))
    pieces = [
        Moments.of(piece) for piece in torch.tensor_split(h_BTC, np.cumsum(cuts).tolist(), dim=1) if piece.numel()
    ]
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole.joined(piece)
    assert np.allclose(StatsPooling()(whole), pooled(h_BTC), rtol=1e-12)


def test_channel_that_hardly_moves_keeps_its_deviation():
    """Mean 100, deviation 1e-3: in float32 the mean of squares less the squared mean would be rounding only."""
    h_BTC = (100 + 1e-3 * RNG.normal(size=(1, 400, 3))).astype(np.float32)
    assert np.allclose(pooled(h_BTC)[0, 3:], h_BTC[0].astype(np.float64).std(0), rtol=1e-2)


def test_constant_channel_has_a_gradient():
    """The floor below the variance keeps the root's slope finite."""
    h_BTC = torch.ones(2, 10, 3, requires_grad=True)
    StatsPooling()(Moments.of(h_BTC)).sum().backward()
    assert torch.isfinite(h_BTC.grad).all()


def test_halves_are_summed_in_float32():
    """bf16 activations, as autocast hands over, against their own float64 moments."""
    h_BTC = torch.as_tensor(RNG.normal(1, 1, size=(2, 300, 4))).bfloat16()
    expected = [by_numpy(h_TC) for h_TC in h_BTC.double().numpy()]
    assert pooled(h_BTC).dtype == np.float32
    assert np.allclose(pooled(h_BTC), expected, rtol=1e-5)
