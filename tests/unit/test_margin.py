"""AM and AAM against the values of the VoxSRC authors' code, their formulas, and finite differences."""

import json
import math

import numpy as np
import pytest
import torch
from kaldi_files import ROOT
from model_reference import values

from sv.losses.margin import MarginHead

REFERENCE = json.loads((ROOT / "tests/data/models/values.json").read_text())["losses"]
SPEAKER_B = torch.arange(12) % 11


def reference_embeddings():
    return torch.from_numpy(values((12, 2, 16), "weight", 3) * 4)[:, 0]


def head(kind, margin, scale, **options):
    """With the reference's weights, which AM there keeps the other way round."""
    made = MarginHead(16, 11, kind, margin, scale, **options)
    shape = (16, 11) if kind == "am" else (11, 16)
    weight = torch.from_numpy(values(shape, "weight", 0))
    with torch.no_grad():
        made.weight_SE.copy_(weight.T if kind == "am" else weight)
    return made


@pytest.mark.parametrize(
    ("kind", "margin", "scale", "name"),
    [
        ("am", 0.2, 30, 'amsoftmax{"margin": 0.2, "scale": 30}'),
        ("am", 0.6, 40, 'amsoftmax{"margin": 0.6, "scale": 40}'),
        ("aam", 0.2, 30, 'aamsoftmax{"margin": 0.2, "scale": 30}'),
        ("aam", 0.6, 40, 'aamsoftmax{"margin": 0.6, "scale": 40}'),
    ],
)
def test_value_and_gradient_equal_the_reference(kind, margin, scale, name):
    """Loss and norm of its gradient with respect to the embeddings, to 1e-5 of them."""
    x_BE = reference_embeddings().requires_grad_()
    loss, *_ = head(kind, margin, scale)(x_BE, SPEAKER_B)
    loss.backward()
    assert loss.item() == pytest.approx(REFERENCE[name]["loss"], rel=1e-5)
    assert x_BE.grad.norm().item() == pytest.approx(REFERENCE[name]["grad_norm_wrt_embeddings"], rel=1e-5)


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("kind", ["am", "aam"])
def test_loss_is_the_formula(kind, normalise):
    """One embedding after the other, by angles, in numpy; some are past pi with the margin."""
    torch.manual_seed(1)
    made = MarginHead(5, 4, kind, 0.6, 7.0, normalise)
    x_BE, speaker_B = torch.randn(40, 5), torch.arange(40) % 4
    x_BE[:4] = 0.1 * x_BE[:4] - made.weight_SE.detach()
    expected, beyond = [], 0
    for x_E, speaker in zip(x_BE.double().numpy(), speaker_B.tolist(), strict=True):
        w_SE = made.weight_SE.detach().double().numpy()
        theta_S = np.arccos(w_SE @ x_E / np.linalg.norm(w_SE, axis=1) / np.linalg.norm(x_E))
        logit_S = np.cos(theta_S)
        if kind == "am":
            logit_S[speaker] -= 0.6
        elif theta_S[speaker] + 0.6 < math.pi:
            logit_S[speaker] = np.cos(theta_S[speaker] + 0.6)
        else:
            beyond += 1
            logit_S[speaker] -= 0.6 * np.sin(0.6)
        logit_S *= 7.0 if normalise else np.linalg.norm(x_E)
        expected.append(np.log(np.exp(logit_S).sum()) - logit_S[speaker])
    loss, *_ = made(x_BE, speaker_B)
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-5)
    assert kind == "am" or beyond > 0


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("kind", ["am", "aam"])
def test_gradients_are_finite_differences(kind, normalise):
    torch.manual_seed(2)
    made = MarginHead(4, 3, kind, 0.3, 5.0, normalise).double()
    x_BE = torch.randn(6, 4, dtype=torch.double, requires_grad=True)

    def loss(x_BE, weight_SE):
        return torch.func.functional_call(made, {"weight_SE": weight_SE}, (x_BE, torch.arange(6) % 3))[0]

    assert torch.autograd.gradcheck(loss, (x_BE, made.weight_SE), eps=1e-6, atol=1e-5)


def test_no_margin_is_softmax_of_scaled_cosines():
    x_BE = reference_embeddings()
    for kind in ("am", "aam"):
        loss, logits_BS, _ = head(kind, 0.0, 30.0)(x_BE, SPEAKER_B)
        assert loss.item() == pytest.approx(torch.nn.functional.cross_entropy(logits_BS, SPEAKER_B).item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["am", "aam"])
def test_logits_are_without_the_margin(kind):
    x_BE = reference_embeddings()
    assert torch.equal(head(kind, 0.6, 40)(x_BE, SPEAKER_B)[1], head(kind, 0.0, 40)(x_BE, SPEAKER_B)[1])


def test_an_embedding_on_its_speakers_weights_has_a_gradient():
    """At an angle of zero the sine's slope is infinite; the gradient must be a number all the same."""
    made = MarginHead(4, 3, "aam", 0.2, 30.0)
    x_BE = made.weight_SE.detach().clone().requires_grad_()
    made(x_BE, torch.arange(3))[0].backward()
    assert x_BE.grad.isfinite().all()
    assert made.weight_SE.grad.isfinite().all()


def test_halves_are_taken_as_single_precision():
    """Under bf16 autocast, of an embedding in halves: the loss of the same numbers in float32."""
    x_BE = reference_embeddings().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss, *_ = head("aam", 0.2, 30)(x_BE, SPEAKER_B)
    assert loss.item() == head("aam", 0.2, 30)(x_BE.float(), SPEAKER_B)[0].item()


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind is am or aam, not arc"):
        MarginHead(4, 3, "arc", 0.2, 30)


@pytest.mark.parametrize(("kind", "normalise"), [("am", True), ("aam", True), ("am", False)])
def test_part_of_the_margin_is_a_smaller_margin(kind, normalise):
    x_BE, speaker_B = torch.randn(6, 8), torch.arange(6)
    whole = MarginHead(8, 6, kind, 0.6, 40, normalise)
    half = MarginHead(8, 6, kind, 0.3, 40, normalise)
    half.weight_SE.data = whole.weight_SE.data
    whole.margin_part = 0.5
    assert torch.equal(whole(x_BE, speaker_B)[0], half(x_BE, speaker_B)[0])
