"""Optimisers by the names that a system's YAML gives them."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from sv.system import Adam, Sgd


def build_optimiser(settings: Adam | Sgd, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of some parameters; the loop sets its learning rate at every step."""
    if isinstance(settings, Sgd):
        return torch.optim.SGD(
            parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
    return torch.optim.Adam(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
