"""Angular prototypical loss against the authors' values, finite differences and a plain twin."""

import json

import numpy as np
import pytest
import torch
from kaldi_files import ROOT
from model_reference import values

from sv.losses.prototypical import PrototypicalHead, PrototypicalSoftmaxHead

LOSSES = json.loads((ROOT / "tests/data/models" / "values.json").read_text())["losses"]
PAIRS = torch.arange(12).repeat_interleave(2)


def embeddings():
    return torch.from_numpy(values((12, 2, 16), "weight", 3) * 4).view(24, 16).requires_grad_()


def test_value_and_gradient_are_the_references():
    want, x_BE = LOSSES["angleproto{}"], embeddings()
    loss, logits_SS, _ = PrototypicalHead()(x_BE, PAIRS)
    loss.backward()
    assert loss.item() == pytest.approx(want["loss"], rel=1e-5)
    assert x_BE.grad.norm().item() == pytest.approx(want["grad_norm_wrt_embeddings"], rel=1e-5)
    top1 = (logits_SS.argmax(1) == torch.arange(12)).float().mean().item()
    assert 100 * top1 == pytest.approx(want["top1_pct"], rel=1e-5)


def test_with_softmax_beside_it_too():
    """The sum of both, softmax over all utterances: the paper's AP+softmax."""
    want, x_BE = LOSSES["softmaxproto{}"], embeddings()
    head = PrototypicalSoftmaxHead(16, 11)
    head.softmax.linear.weight.data = torch.from_numpy(values((11, 16), "weight", 0))
    head.softmax.linear.bias.data = torch.from_numpy(values((11,), "weight", 1))
    loss = head(x_BE, PAIRS % 11).loss
    loss.backward()
    assert loss.item() == pytest.approx(want["loss"], rel=1e-5)
    assert x_BE.grad.norm().item() == pytest.approx(want["grad_norm_wrt_embeddings"], rel=1e-5)


@pytest.mark.parametrize("utterances", [2, 3])
def test_gradients_are_finite_differences(utterances):
    head = PrototypicalHead(utterances).double()
    x_BE = torch.randn(5 * utterances, 6, dtype=torch.float64, requires_grad=True)
    speaker_B = torch.arange(5).repeat_interleave(utterances)

    def loss(x_BE, scale, offset):
        return torch.func.functional_call(head, {"scale": scale, "offset": offset}, (x_BE, speaker_B))[0]

    parameters = (head.scale.detach().clone().requires_grad_(), head.offset.detach().clone().requires_grad_())
    assert torch.autograd.gradcheck(loss, (x_BE, *parameters))


def test_prototypes_are_means_of_the_other_utterances():
    rng = np.random.default_rng(0)
    x_SME = rng.normal(size=(4, 3, 5))
    loss, logits_SS, _ = PrototypicalHead(3)(torch.from_numpy(x_SME).view(12, 5), torch.arange(4).repeat_interleave(3))
    for one in range(4):
        for other in range(4):
            query, prototype = x_SME[one, 0], (x_SME[other, 1] + x_SME[other, 2]) / 2
            cosine = query @ prototype / np.linalg.norm(query) / np.linalg.norm(prototype)
            assert logits_SS[one, other].item() == pytest.approx(10 * cosine - 5)
    lines = logits_SS.detach().numpy()
    plain = np.mean([np.log(np.exp(line).sum()) - line[i] for i, line in enumerate(lines)])
    assert loss.item() == pytest.approx(plain)


def test_scale_stays_positive():
    """The authors' code clamps a copy and throws it away; a negative scale would turn the loss round."""
    head = PrototypicalHead()
    head.scale.data.fill_(-3.0)
    _, logits_SS, _ = head(embeddings(), PAIRS)
    assert (logits_SS - head.offset).abs().max() <= 1e-6


def test_a_batch_of_another_make_is_refused():
    with pytest.raises(ValueError, match="a batch of 23 is not of 3 utterances of each speaker"):
        PrototypicalHead(3)(embeddings()[:23], PAIRS[:23])


def test_decisions_are_of_the_nearest_prototype_or_of_the_classes():
    """Two queries of twelve are given each other's prototypes; the classes are what the softmax alone decides."""
    x_SME = torch.randn(12, 1, 16).repeat(1, 2, 1)
    x_SME[[3, 7], 1] = x_SME[[7, 3], 1]
    assert PrototypicalHead()(x_SME.view(24, 16), PAIRS).accuracy.item() == 10 / 12
    both = PrototypicalSoftmaxHead(16, 12)
    outcome, alone = both(x_SME.view(24, 16), PAIRS), both.classifier(x_SME.view(24, 16), PAIRS)
    assert outcome.accuracy == alone.accuracy == (alone.logits.argmax(1) == PAIRS).double().mean()
    assert PrototypicalHead().classifier is None
