"""Attentive statistics pooling with a weight for each channel and frame."""

from __future__ import annotations

import torch


class ChannelAttention(torch.nn.Module):
    """Weighted mean and deviation over time; a channel has weights of its own (Desplanques et al. 2020, eq. 1-4).

    >>> ChannelAttention(2048, bottleneck=128)(torch.randn(4, 2048, 25)).shape
    torch.Size([4, 4096])

    Args:
        channels: of the activations (B, C, T).
        bottleneck: of the attention.
        context: the attention sees the mean and the deviation of the whole recording beside each frame.
        tanh: after the bottleneck's batch norm, as in ECAPA-TDNN.
        floor: of the variance.
    """

    def __init__(
        self, channels: int, bottleneck: int, context: bool = False, tanh: bool = False, floor: float = 1e-5
    ) -> None:
        super().__init__()
        self.context, self.floor = context, floor
        self.hidden = torch.nn.Conv1d(3 * channels if context else channels, bottleneck, 1)
        self.norm = torch.nn.BatchNorm1d(bottleneck)
        self.bounded: torch.nn.Module = torch.nn.Tanh() if tanh else torch.nn.Identity()
        self.energy = torch.nn.Conv1d(bottleneck, channels, 1)

    def forward(self, h_BCT: torch.Tensor) -> torch.Tensor:
        """Means and deviations (B, 2 C), in float32 at least."""
        seen_BKT = h_BCT
        if self.context:
            mean_BC1 = h_BCT.mean(2, keepdim=True)
            deviation_BC1 = h_BCT.var(2, keepdim=True).clamp_min(self.floor).sqrt()
            seen_BKT = torch.cat([h_BCT, mean_BC1.expand_as(h_BCT), deviation_BC1.expand_as(h_BCT)], 1)
        energy_BCT = self.energy(self.bounded(self.norm(torch.relu(self.hidden(seen_BKT)))))
        h_BCT, energy_BCT = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (h_BCT, energy_BCT))
        weight_BCT = torch.softmax(energy_BCT, 2)
        mean_BC = (h_BCT * weight_BCT).sum(2)
        variance_BC = ((h_BCT - mean_BC[:, :, None]).square() * weight_BCT).sum(2)
        return torch.cat([mean_BC, variance_BC.clamp_min(self.floor).sqrt()], 1)
