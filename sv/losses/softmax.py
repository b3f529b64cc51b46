"""Softmax: a linear layer over the training speakers and cross entropy."""

from __future__ import annotations

import torch


class SoftmaxHead(torch.nn.Module):
    """Cross entropy of the training speakers.

    >>> head = SoftmaxHead(512, num_speakers=1211)
    >>> loss, logits_BS = head(torch.randn(8, 512), torch.arange(8))
    """

    def __init__(self, input_dim: int, num_speakers: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(input_dim, num_speakers)

    def forward(self, x_BE: torch.Tensor, speaker_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean loss in nats, and the logits (B, S)."""
        logits_BS = self.linear(x_BE)
        return torch.nn.functional.cross_entropy(logits_BS.float(), speaker_B), logits_BS
