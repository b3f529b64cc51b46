"""Squeeze and excitation: channels weighed by what all of a recording says (Hu, Shen & Sun, CVPR 2018)."""

from __future__ import annotations

import torch
from torch.nn.functional import relu


class SqueezeExcitation(torch.nn.Module):
    """Multiplies each channel of (B, C, …) by a weight in 0 … 1, a function of all channels' means.

    >>> SqueezeExcitation(64, bottleneck=8)(torch.randn(2, 64, 40, 100)).shape
    torch.Size([2, 64, 40, 100])
    """

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.squeeze = torch.nn.Linear(channels, bottleneck)
        self.excite = torch.nn.Linear(bottleneck, channels)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """The weighed channels, of the same shape."""
        weight_BC = torch.sigmoid(self.excite(relu(self.squeeze(h.flatten(2).mean(2)))))
        return h * weight_BC.view(*weight_BC.shape, *[1] * (h.dim() - 2))
