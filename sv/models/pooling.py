"""Pooling of frame-level activations into one vector a recording."""

from __future__ import annotations

from dataclasses import dataclass

import torch

VARIANCE_FLOOR = 1e-10


@dataclass(frozen=True)
class Moments:
    """Of the frames of each recording: how many (B, 1), their mean and their summed squared deviation (B, C)."""

    n_B1: torch.Tensor
    mean_BC: torch.Tensor
    scatter_BC: torch.Tensor

    @classmethod
    def of(cls, h_BTC: torch.Tensor, num_frames_B: torch.Tensor | None = None) -> Moments:
        """Moments over time of activations (B, T, C), in float32 at least; `num_frames_B` counts the valid frames.

        The mean is subtracted before squaring: a silent channel, constant over time, has no deviation then, and not
        that of the rounding of its square.
        """
        h_BTC = h_BTC.to(torch.promote_types(h_BTC.dtype, torch.float32))  # autocast hands over halves
        if num_frames_B is None:
            n_B1 = torch.full((len(h_BTC), 1), h_BTC.shape[1], dtype=h_BTC.dtype, device=h_BTC.device)
            mean_BC = h_BTC.mean(1)
            return cls(n_B1, mean_BC, (h_BTC - mean_BC[:, None]).square().sum(1))
        n_B1 = num_frames_B[:, None].to(h_BTC.dtype)
        valid_BT1 = (torch.arange(h_BTC.shape[1], device=h_BTC.device) < num_frames_B[:, None])[:, :, None]
        mean_BC = (h_BTC * valid_BT1).sum(1) / n_B1
        return cls(n_B1, mean_BC, ((h_BTC - mean_BC[:, None]) * valid_BT1).square().sum(1))

    def joined(self, later: Moments) -> Moments:
        """Moments of the frames of both [Chan, Golub & LeVeque 1979, eq. 2.1]."""
        n_B1 = self.n_B1 + later.n_B1
        step_BC = later.mean_BC - self.mean_BC
        mean_BC = self.mean_BC + step_BC * (later.n_B1 / n_B1)
        scatter_BC = self.scatter_BC + later.scatter_BC + step_BC.square() * (self.n_B1 * later.n_B1 / n_B1)
        return Moments(n_B1, mean_BC, scatter_BC)


class StatsPooling(torch.nn.Module):
    """Mean and standard deviation over time (Snyder et al. 2018).

    >>> StatsPooling()(Moments.of(torch.randn(4, 50, 1500))).shape
    torch.Size([4, 3000])

    It takes moments, so that a long recording can be pooled piece by piece (`Moments.joined`).
    """

    def forward(self, moments: Moments) -> torch.Tensor:
        """Means and deviations (B, 2 C)."""
        variance_BC = moments.scatter_BC / moments.n_B1
        return torch.cat([moments.mean_BC, variance_BC.clamp_min(VARIANCE_FLOOR).sqrt()], 1)


@dataclass(frozen=True)
class WeightedMoments:
    """Of the weighted frames of each recording: the log of the weights' sum (B, 1), mean and variance (B, C)."""

    log_weight_B1: torch.Tensor
    mean_BC: torch.Tensor
    variance_BC: torch.Tensor

    def joined(self, later: WeightedMoments) -> WeightedMoments:
        """Moments of the frames of both [as `Moments.joined`, with weights in place of counts]."""
        log_weight_B1 = torch.logaddexp(self.log_weight_B1, later.log_weight_B1)
        a_B1, b_B1 = ((part.log_weight_B1 - log_weight_B1).exp() for part in (self, later))
        step_BC = later.mean_BC - self.mean_BC
        variance_BC = a_B1 * self.variance_BC + b_B1 * later.variance_BC + a_B1 * b_B1 * step_BC.square()
        return WeightedMoments(log_weight_B1, self.mean_BC + b_B1 * step_BC, variance_BC)

    def statistics(self) -> torch.Tensor:
        """Means and deviations (B, 2 C)."""
        return torch.cat([self.mean_BC, self.variance_BC.clamp_min(VARIANCE_FLOOR).sqrt()], 1)


class AttentivePooling(torch.nn.Module):
    """Attentive statistics pooling: one learnt weight a frame (Okabe, Koshinaka & Shinoda, Interspeech 2018, eq. 1-6).

    >>> pooling = AttentivePooling(2048)
    >>> pooling.moments(torch.randn(4, 50, 2048)).statistics().shape
    torch.Size([4, 4096])

    It gives moments, so that a long recording can be pooled piece by piece (`WeightedMoments.joined`).
    """

    def __init__(self, channels: int, attention_dim: int = 128) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(channels, attention_dim)
        self.energy = torch.nn.Linear(attention_dim, 1, bias=False)  # a softmax over frames takes any bias out again

    def moments(self, h_BTC: torch.Tensor, num_frames_B: torch.Tensor | None = None) -> WeightedMoments:
        """Weighted moments of activations (B, T, C), in float32 at least; `num_frames_B` counts the valid frames."""
        energy_BT1 = self.energy(torch.tanh(self.hidden(h_BTC)))
        h_BTC, energy_BT1 = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (h_BTC, energy_BT1))
        if num_frames_B is not None:
            valid_BT1 = (torch.arange(h_BTC.shape[1], device=h_BTC.device) < num_frames_B[:, None])[:, :, None]
            energy_BT1 = energy_BT1.masked_fill(~valid_BT1, -torch.inf)
        log_weight_B1 = torch.logsumexp(energy_BT1, 1)
        weight_BT1 = (energy_BT1 - log_weight_B1[:, None]).exp()
        mean_BC = (weight_BT1 * h_BTC).sum(1)
        return WeightedMoments(log_weight_B1, mean_BC, (weight_BT1 * (h_BTC - mean_BC[:, None]).square()).sum(1))
