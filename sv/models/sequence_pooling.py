"""Pooling of a sequence's vectors into one, as the wav2vec2 systems vary it ("Fine-tuning wav2vec2 …", section 3.3)."""

from __future__ import annotations

from collections.abc import Callable

import torch

from sv.models.pooling import Moments, StatsPooling

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
Pool = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def pool(name: str, h_BTC: torch.Tensor, num_frames_B: torch.Tensor | None = None) -> torch.Tensor:
    """One vector of each sequence (B, T, C): (B, C), or (B, 2 C) and (B, 5 C), float32 at least.

    >>> pool("mean+std", torch.randn(4, 149, 768)).shape
    torch.Size([4, 1536])

    Args:
        name: of `POOLINGS`: mean, max; mean+std, of population variance; std+mean, as the authors' code has it, of
            the unbiased one; quantile, the five of `QUANTILES`, one after the other; first, middle (index T // 2) and
            last; first+cls, which is the first too, of a sequence that a start token begins; random, drawn for each
            utterance by torch's generator on the CPU.
        num_frames_B: valid frames of each, 1 or more; the rest is padding.
    """
    h_BTC = h_BTC.to(torch.promote_types(h_BTC.dtype, torch.float32))  # autocast hands over halves
    if num_frames_B is None:
        num_frames_B = torch.full((len(h_BTC),), h_BTC.shape[1], device=h_BTC.device)
    return POOLS[name](h_BTC, num_frames_B)


def _padding(h_BTC: torch.Tensor, num_frames_B: torch.Tensor) -> torch.Tensor:
    return (torch.arange(h_BTC.shape[1], device=h_BTC.device) >= num_frames_B[:, None])[:, :, None]


def _max(h_BTC: torch.Tensor, num_frames_B: torch.Tensor) -> torch.Tensor:
    return h_BTC.masked_fill(_padding(h_BTC, num_frames_B), -torch.inf).amax(1)


def _mean_std(h_BTC: torch.Tensor, num_frames_B: torch.Tensor) -> torch.Tensor:
    return StatsPooling()(Moments.of(h_BTC, num_frames_B))


def _std_mean(h_BTC: torch.Tensor, num_frames_B: torch.Tensor) -> torch.Tensor:
    moments = Moments.of(h_BTC, num_frames_B)
    unbiased = Moments((moments.n_B1 - 1).clamp_min(1), moments.mean_BC, moments.scatter_BC)
    mean_BC, std_BC = StatsPooling()(unbiased).chunk(2, 1)
    return torch.cat([std_BC, mean_BC], 1)


def _quantile(h_BTC: torch.Tensor, num_frames_B: torch.Tensor) -> torch.Tensor:
    """By linear interpolation between the two nearest of the sorted values."""
    sorted_BTC = h_BTC.masked_fill(_padding(h_BTC, num_frames_B), torch.inf).sort(1).values
    place_BQ = (num_frames_B - 1)[:, None] * torch.tensor(QUANTILES, dtype=h_BTC.dtype, device=h_BTC.device)
    below_BQ, above_BQ = place_BQ.floor().long(), place_BQ.ceil().long()
    low_BQC, high_BQC = (_at(sorted_BTC, index_BQ) for index_BQ in (below_BQ, above_BQ))
    return torch.lerp(low_BQC, high_BQC, (place_BQ - below_BQ)[:, :, None]).flatten(1)


def _random(h_BTC: torch.Tensor, num_frames_B: torch.Tensor) -> torch.Tensor:
    draw_B = torch.rand(len(h_BTC), dtype=torch.float64).to(h_BTC.device)
    return _one(h_BTC, (draw_B * num_frames_B).long())


def _at(h_BTC: torch.Tensor, index_BQ: torch.Tensor) -> torch.Tensor:
    return h_BTC.gather(1, index_BQ[:, :, None].expand(-1, -1, h_BTC.shape[2]))


def _one(h_BTC: torch.Tensor, index_B: torch.Tensor) -> torch.Tensor:
    return _at(h_BTC, index_B[:, None])[:, 0]


POOLS: dict[str, Pool] = {
    "mean": lambda h_BTC, num_frames_B: Moments.of(h_BTC, num_frames_B).mean_BC,
    "max": _max,
    "mean+std": _mean_std,
    "std+mean": _std_mean,
    "quantile": _quantile,
    "first": lambda h_BTC, _: h_BTC[:, 0],
    "first+cls": lambda h_BTC, _: h_BTC[:, 0],
    "middle": lambda h_BTC, num_frames_B: _one(h_BTC, num_frames_B // 2),
    "last": lambda h_BTC, num_frames_B: _one(h_BTC, num_frames_B - 1),
    "random": _random,
}
