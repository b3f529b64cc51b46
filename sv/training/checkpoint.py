"""Checkpoints: one file that owns all state of a training, read with weights_only=True."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sv.data.atomic import atomic_write
from sv.data.tables import first_few
from sv.errors import DataError
from sv.models.build import build_model
from sv.models.xvector import XVectorNet
from sv.run import Run


@dataclass
class TrainingState:
    """What a training is made of; `save` and `load` cover all of it.

    `epoch` counts finished epochs. `best` is the highest held-out accuracy so far and its epoch.
    """

    model: torch.nn.Module
    head: torch.nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    speakers: list[str]
    feature_dim: int
    epoch: int = 0
    best: tuple[float, int] = (-1.0, 0)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write beside the target and rename when whole."""
        parts = {name: getattr(self, name).state_dict() for name in ("model", "head", "optimiser", "scaler")}
        plain = {name: getattr(self, name) for name in ("speakers", "feature_dim", "epoch")}
        content = io.BytesIO()  # torch hides a full disk behind an error of its own
        torch.save({**parts, **plain, "best": list(self.best)}, content)
        with atomic_write(path, "wb") as out:
            out.write(content.getbuffer())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take over a checkpoint of the same training; DataError if it is of another."""
        stored = read_checkpoint(path)
        for name in ("speakers", "feature_dim"):
            if stored[name] != getattr(self, name):
                raise DataError(f"{path}: its {name} differ from the training data's; remove the run to train anew")
        _load_weights(self.model, stored["model"], f"{path}: model")
        _load_weights(self.head, stored["head"], f"{path}: head")
        try:
            self.optimiser.load_state_dict(stored["optimiser"])
            self.scaler.load_state_dict(stored["scaler"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise DataError(f"{path}: optimiser: does not fit: {' '.join(str(error).split())}") from None
        self.epoch, self.best = stored["epoch"], (stored["best"][0], stored["best"][1])


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; DataError if it is missing or not one."""
    if not Path(path).exists():
        raise DataError(f"{path} is missing; train the system first (stage 4)")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # the checksums, which torch does not look at
    except Exception as error:  # a damaged zip fails in many ways, none of which is a bug of ours
        raise DataError(f"{path}: not a whole checkpoint ({error}); remove it, or put a copy back") from None
    if damaged is not None:
        raise DataError(f"{path}: damaged ({damaged} is not what was written); remove it, or put a copy back")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise DataError(f"{path}: cannot be loaded as numbers and text alone ({why[:100]} …)") from None
    wanted = {"model", "head", "optimiser", "scaler", "speakers", "feature_dim", "epoch", "best"}
    if not isinstance(stored, dict) or stored.keys() != wanted:
        found = first_few(map(str, stored), 9) if isinstance(stored, dict) else f"a {type(stored).__name__}"
        raise DataError(f"{path}: not a checkpoint of a training here (it holds {found or 'nothing'})")
    return stored


def load_model(run: Run) -> XVectorNet:
    """A run's trained network; DataError if its checkpoint is missing, damaged or of another system."""
    stored = read_checkpoint(run.checkpoint())
    model = build_model(run.system, stored["feature_dim"])
    _load_weights(model, stored["model"], f"{run.checkpoint()}: model")
    return model


def _load_weights(module: torch.nn.Module, stored: dict[str, torch.Tensor], what: str) -> None:
    """Load a state dict that fits exactly; DataError names the first keys that do not, and loads nothing."""
    own = module.state_dict()
    for problem, keys in (
        ("missing", own.keys() - stored.keys()),
        ("unknown", stored.keys() - own.keys()),
        ("of another size", {key for key in own.keys() & stored.keys() if own[key].shape != stored[key].shape}),
    ):
        if keys:
            raise DataError(
                f"{what}: does not fit this system: {len(keys)} of its tensors are {problem}: {first_few(keys)}"
            )
    module.load_state_dict(stored)
