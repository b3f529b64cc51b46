"""What every loss head is: embeddings in, a loss out, and with it the decisions that it is the loss of."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Outcome(NamedTuple):
    """Mean loss in nats, the logits of Q decisions among C classes (Q, C), and the right class of each (Q,)."""

    loss: torch.Tensor
    logits: torch.Tensor
    target: torch.Tensor

    @property
    def accuracy(self) -> torch.Tensor:
        """The part of the decisions that is right, float64; on the device, so that nothing waits for it."""
        return (self.logits.argmax(1) == self.target).double().mean()


class Head(torch.nn.Module):
    """A loss over a batch of embeddings: `head(x_BE, speaker_B)` is its `Outcome`.

    `compares` says whether the loss of an embedding depends on the others of the batch: where several processes share
    a batch, such a head must see all of it.
    """

    compares = False

    @property
    def classifier(self) -> Head | None:
        """The head that tells the training speakers apart, by which held-out chunks of theirs are judged, if any."""
        return self
