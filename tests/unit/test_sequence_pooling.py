"""Pooling of sequences, on sequences made by hand; padding is never seen."""

import numpy as np
import pytest
import torch

from sv.models.sequence_pooling import POOLS, pool
from sv.systems.wav2vec2 import POOLINGS

# Two sequences of three and five vectors of two numbers; what is beyond is padding that would stand out.
ONE = [[4.0, 1.0], [0.0, -1.0], [2.0, 3.0]]
TWO = [[1.0, 0.0], [3.0, 8.0], [5.0, 4.0], [7.0, 2.0], [9.0, 6.0]]
PADDED = torch.tensor([[*ONE, [99.0, -99.0], [99.0, -99.0]], TWO])
COUNTS = torch.tensor([3, 5])

BY_HAND = {
    "mean": ([2.0, 1.0], [5.0, 4.0]),
    "max": ([4.0, 3.0], [9.0, 8.0]),
    "mean+std": ([2.0, 1.0, np.sqrt(8 / 3), np.sqrt(8 / 3)], [5.0, 4.0, np.sqrt(8), np.sqrt(8)]),
    "std+mean": ([2.0, 2.0, 2.0, 1.0], [np.sqrt(10), np.sqrt(10), 5.0, 4.0]),
    "quantile": (
        [0.0, -1.0, 1.0, 0.0, 2.0, 1.0, 3.0, 2.0, 4.0, 3.0],
        [1.0, 0.0, 3.0, 2.0, 5.0, 4.0, 7.0, 6.0, 9.0, 8.0],
    ),
    "first": ([4.0, 1.0], [1.0, 0.0]),
    "first+cls": ([4.0, 1.0], [1.0, 0.0]),
    "middle": ([0.0, -1.0], [5.0, 4.0]),
    "last": ([2.0, 3.0], [9.0, 6.0]),
}


def test_every_pooling_has_a_size():
    assert set(POOLS) == set(POOLINGS) == {*BY_HAND, "random"}


@pytest.mark.parametrize("name", BY_HAND)
def test_pooling_by_hand(name):
    found = pool(name, PADDED, COUNTS)
    np.testing.assert_allclose(found, np.array(BY_HAND[name]), rtol=1e-6)
    assert found.shape[1] == 2 * POOLINGS[name]


@pytest.mark.parametrize("name", BY_HAND)
def test_without_counts_all_of_a_sequence_is_pooled(name):
    np.testing.assert_allclose(pool(name, torch.tensor([TWO]))[0], BY_HAND[name][1], rtol=1e-6)


@pytest.mark.parametrize("name", POOLS)
def test_a_sequence_of_one_is_pooled(name):
    """Its deviation is that of rounding, floored."""
    found = pool(name, PADDED, torch.tensor([1, 1]))
    assert found.isfinite().all()


@pytest.mark.parametrize("name", POOLS)
def test_padding_gets_no_gradient(name):
    torch.manual_seed(0)
    h_BTC = PADDED.clone().requires_grad_()
    pool(name, h_BTC, COUNTS).sum().backward()
    assert h_BTC.grad.isfinite().all()
    assert not h_BTC.grad[0, 3:].any()


def test_quantiles_are_those_of_torch():
    h_TC = torch.randn(1, 149, 7, dtype=torch.float64)
    want_QC = torch.quantile(h_TC[0], torch.tensor([0, 0.25, 0.5, 0.75, 1], dtype=torch.float64), dim=0)
    torch.testing.assert_close(pool("quantile", h_TC)[0], want_QC.flatten())


def test_random_draws_a_place_of_each_sequence_alike():
    """4,000 draws of three or five places: within four deviations; by torch's seed."""
    h_BTC = torch.cat([PADDED] * 4000)
    torch.manual_seed(1)
    found_B2 = pool("random", h_BTC, COUNTS.repeat(4000))
    for first, places in ((0, ONE), (1, TWO)):
        counts = [(found_B2[first::2] == torch.tensor(place)).all(1).sum().item() for place in places]
        assert sum(counts) == 4000
        mean = 4000 / len(places)
        assert all(abs(count - mean) < 4 * np.sqrt(mean) for count in counts)
    torch.manual_seed(1)
    assert torch.equal(found_B2, pool("random", h_BTC, COUNTS.repeat(4000)))


def test_half_precision_is_pooled_in_single():
    assert pool("mean+std", PADDED.bfloat16(), COUNTS).dtype == torch.float32
