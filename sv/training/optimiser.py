"""Optimisers by the names that a system's YAML gives them."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from sv.systems.training import Optimiser, RmsProp, Sgd


def build_optimiser(settings: Optimiser, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of some parameters; the loop sets its learning rate at every step."""
    if isinstance(settings, Sgd):
        return torch.optim.SGD(
            parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
    if isinstance(settings, RmsProp):
        return torch.optim.RMSprop(parameters, lr=settings.lr, alpha=settings.alpha, weight_decay=settings.weight_decay)
    return torch.optim.Adam(parameters, lr=settings.lr, weight_decay=settings.weight_decay)


def set_pace(optimiser: torch.optim.Optimizer, lr: float, momentum: float | None) -> None:
    """Set the learning rate of the next step and, unless it is None, its momentum, or Adam's beta1."""
    for group in optimiser.param_groups:
        group["lr"] = lr
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif momentum is not None:
            group["momentum"] = momentum
