"""Normalisation of what a network is given, over the chunk or the utterance."""

import numpy as np
import pytest
import torch

from sv.models.normalised import Normalised, normalised
from sv.models.xvector import XVectorNet


def features():
    return torch.from_numpy(np.random.default_rng(0).normal(3, 2, size=(3, 40, 5)).astype(np.float32))


def test_with_variance_it_is_instance_normalisation():
    x_BTF = features()
    wanted = torch.nn.functional.instance_norm(x_BTF.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(normalised(x_BTF, True), wanted)


def test_without_it_is_the_mean_alone():
    x_BTF = features()
    np.testing.assert_allclose(normalised(x_BTF, False), x_BTF - x_BTF.mean(1, keepdim=True), atol=1e-6)


@pytest.mark.parametrize("variance", [False, True])
def test_padding_does_not_count_and_becomes_nothing(variance):
    x_BTF = features()
    found = normalised(x_BTF, variance, torch.tensor([40, 17, 2]))
    for row, frames in enumerate((40, 17, 2)):
        alone = normalised(x_BTF[row : row + 1, :frames], variance)
        torch.testing.assert_close(found[row : row + 1, :frames], alone)
        assert found[row, frames:].eq(0).all()


def test_a_network_behind_it_hears_neither_gain_nor_offset():
    net = Normalised(XVectorNet(5, (8, 8, 8, 8, 8), 6, 7), variance=True).eval()
    x_BTF = features()
    other = x_BTF * 3 - 2
    for embed in (net.embed, net.forward, lambda x: net.embed_long(x[0], 20)):
        torch.testing.assert_close(embed(other), embed(x_BTF), atol=1e-3, rtol=1e-3)
    assert (net.min_frames, net.embedding_dim, net.output_dim, net.equal_lengths) == (15, 6, 7, False)
