"""Softmax: a linear layer over the training speakers and cross entropy."""

from __future__ import annotations

import torch

from sv.losses.head import Head, Outcome


class SoftmaxHead(Head):
    """Cross entropy of the training speakers.

    >>> head = SoftmaxHead(512, num_speakers=1211)
    >>> loss, logits_BS, _ = head(torch.randn(8, 512), torch.arange(8))
    """

    def __init__(self, input_dim: int, num_speakers: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(input_dim, num_speakers)

    def forward(self, x_BE: torch.Tensor, speaker_B: torch.Tensor) -> Outcome:
        """Of the logits (B, S)."""
        logits_BS = self.linear(x_BE)
        return Outcome(torch.nn.functional.cross_entropy(logits_BS.float(), speaker_B), logits_BS, speaker_B)
