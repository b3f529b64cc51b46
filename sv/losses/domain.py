"""A domain classifier behind gradient reversal (Ganin & Lempitsky, "Unsupervised domain adaptation by
backpropagation", ICML 2015): it learns to tell two domains apart, and what is below it learns that it cannot.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, relu


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: float) -> torch.Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return -ctx.weight * gradient, None


def reversed_gradient(x: torch.Tensor, weight: float) -> torch.Tensor:
    """`x` itself, whose gradient is that of the loss times -`weight`."""
    return _Reversal.apply(x, weight)


class DomainHead(torch.nn.Module):
    """Which of two domains an embedding is of: one hidden layer, a logit, binary cross entropy.

    >>> head = DomainHead(64, hidden_dim=100)
    >>> loss, accuracy = head(torch.randn(16, 64), first=8, reversal=0.5)

    The classifier's own weights descend its loss; embeddings get the gradient of -`reversal` times the loss, so that
    with 0 they get none.

    Args:
        input_dim: E, numbers an embedding.
        hidden_dim: of the layer between.
    """

    def __init__(self, input_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(input_dim, hidden_dim)
        self.logit = torch.nn.Linear(hidden_dim, 1)

    def forward(self, x_BE: torch.Tensor, first: int, reversal: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean loss in nats, and the part told right; the `first` embeddings are of one domain, all others not."""
        logit_B = self.logit(relu(self.hidden(reversed_gradient(x_BE, reversal))))[:, 0].float()
        is_other_B = torch.arange(len(x_BE), device=x_BE.device) >= first
        accuracy = ((logit_B > 0) == is_other_B).double().mean()
        return binary_cross_entropy_with_logits(logit_B, is_other_B.float()), accuracy
