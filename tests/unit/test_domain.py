"""The domain classifier and gradient reversal: against finite differences and numpy; the schedule of its weight."""

import math

import numpy as np
import pytest
import torch

from sv.errors import ConfigError
from sv.losses.domain import DomainHead, reversed_gradient
from sv.systems.reading import load_system
from sv.systems.training import Adversarial
from sv.training.schedule import reversal


@pytest.mark.parametrize("weight", [0.0, 0.3, 2.0])
def test_reversal_is_the_identity_forward_and_minus_its_weight_backward(weight):
    """The gradient of sum(sin(3 x)) by central differences, times -weight."""
    x = torch.linspace(-1, 1, 7, dtype=torch.float64, requires_grad=True)
    y = reversed_gradient(x, weight)
    assert torch.equal(y, x)
    torch.sin(3 * y).sum().backward()
    step = 1e-6
    with torch.no_grad():
        slope = (torch.sin(3 * (x + step)) - torch.sin(3 * (x - step))) / (2 * step)
    torch.testing.assert_close(x.grad, -weight * slope, rtol=1e-8, atol=1e-8)


def test_loss_is_the_binary_cross_entropy_of_a_hidden_layer():
    """In numpy, of 3 embeddings of one domain and 5 of the other; and the part that lies on its side of 0."""
    torch.manual_seed(0)
    head = DomainHead(4, hidden_dim=6)
    x_BE = torch.randn(8, 4)
    loss, accuracy = head(x_BE, first=3, reversal=1.0)
    w_HE, b_H, w_H, b = (p.detach().double().numpy() for p in head.parameters())
    logit_B = np.maximum(x_BE.numpy() @ w_HE.T + b_H, 0) @ w_H[0] + b
    is_other_B = np.arange(8) >= 3
    posterior_B = 1 / (1 + np.exp(-logit_B))
    assert loss.item() == pytest.approx(-np.log(np.where(is_other_B, posterior_B, 1 - posterior_B)).mean(), rel=1e-5)
    assert accuracy.item() == ((posterior_B > 0.5) == is_other_B).mean()


def test_the_classifier_descends_where_the_embeddings_climb():
    """Its own gradients are those of the loss whatever the reversal; the embeddings' have the weight and other sign."""
    torch.manual_seed(0)
    head = DomainHead(4, hidden_dim=6)
    x_BE = torch.randn(8, 4)

    def gradients(weight):
        inputs_BE = x_BE.clone().requires_grad_()
        head.zero_grad()
        head(inputs_BE, 4, weight)[0].backward()
        return inputs_BE.grad, [p.grad.clone() for p in head.parameters()]

    plain, own = gradients(-1.0)  # reversed twice
    assert plain.abs().min() > 0
    for weight in (0.0, 0.7):
        climbing, same = gradients(weight)
        torch.testing.assert_close(climbing, -weight * plain)
        assert all(map(torch.equal, same, own))


def test_reversal_rises_over_all_epochs_or_is_constant():
    """Ganin & Lempitsky's figures: 0 at the start, .46 of the weight after a tenth, .9999 at the end."""
    ganin = Adversarial(weight=2.0)
    assert reversal(ganin, 0.0, 40) == 0
    assert reversal(ganin, 4.0, 40) == pytest.approx(2 * math.tanh(0.5))
    assert reversal(ganin, 40.0, 40) == pytest.approx(2 * 0.9999, rel=1e-5)
    rising = [reversal(ganin, done, 40) for done in range(41)]
    assert rising == sorted(rising)
    assert {reversal(Adversarial(weight=0.3, schedule="constant"), done, 40) for done in (0.0, 7.5, 40.0)} == {0.3}
    assert reversal(None, 3.0, 40) == 0


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("{}", "training.adversarial.weight"),
        ("{weight: -1.0}", "training.adversarial.weight"),
        ("{weight: 1.0, schedule: linear}", "training.adversarial.schedule"),
        ("{weight: 1.0, hidden: 3}", "training.adversarial.hidden"),
    ],
)
def test_settings_are_strict(setting, problem):
    from trainings import SMALL

    with pytest.raises(ConfigError, match=problem) as caught:
        load_system(SMALL, sets=[f"training.adversarial={setting}"])
    assert "\n" not in str(caught.value)
