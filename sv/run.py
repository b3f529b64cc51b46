"""A run: one system trained in one recipe with one seed, and the folder that holds all of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sv.data.atomic import atomic_write
from sv.errors import ConfigError
from sv.system import System, validate_system
from sv.yaml_tree import read_yaml

# What of a system decides the trained network; the rest (back ends, published figures) may change after training.
TRAINED_BY = ("features", "vad", "cmn", "model", "loss", "training")


@dataclass(frozen=True)
class Run:
    """`EXP/NAME/seedN`: config.yaml, checkpoints/, embeddings/, backend/, scores/.

    >>> run = Run.open("exp/mini/xvector-small/seed1")
    >>> run.name, run.seed, run.system.features
    ('xvector-small', 1, 'mfcc30_16k')

    `name` is the system's, with `+BUDGET` where a budget was laid over it.
    """

    path: Path
    name: str
    seed: int
    system: System

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """Open a folder that `create` made. Raises ConfigError if it is not one."""
        this = _read(Path(path))
        if this is None:
            raise ConfigError(f"{path}: not a run (config.yaml is missing); run.sh makes runs, at any stage")
        return this

    @classmethod
    def create(cls, exp: str | os.PathLike[str], name: str, seed: int, system: System) -> Run:
        """Make the run's folder, or take the one that is there if it was trained with the same configuration.

        Raises ConfigError naming the first setting that differs from the one that a trained run was made with.
        """
        this = cls(Path(exp, name, f"seed{seed}"), name, seed, system)
        content = {"name": name, "seed": seed, "system": system.model_dump(mode="json")}
        if (this.path / "checkpoints").exists() and (trained := _read(this.path)) is not None:
            for key, was, now in _differences(_trained_by(trained.system), _trained_by(system)):
                raise ConfigError(
                    f"{this.path} was trained with {key} = {was}, which is now {now};"
                    " move the folder away to train anew"
                )
        with atomic_write(this.path / "config.yaml") as out:
            yaml.safe_dump(content, out, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
        return this

    def checkpoint(self) -> Path:
        """The network that embeddings are extracted with: that of the last epoch."""
        return self.path / "checkpoints" / "last.pt"

    def embeddings(self, set_name: str) -> Path:
        """Where the embeddings of a set are."""
        return self.path / "embeddings" / set_name

    def backend(self, name: str) -> Path:
        """Where a back end's parameters are."""
        return self.path / "backend" / name

    def scores(self, trials: str, backend: str) -> Path:
        """The scores of a trial list by a back end."""
        return self.path / "scores" / f"{trials}.{backend}"


def _read(path: Path) -> Run | None:
    config = path / "config.yaml"
    if not config.exists():
        return None
    stored = read_yaml(config)
    if {key: type(value) for key, value in stored.items()} != {"name": str, "seed": int, "system": dict}:
        raise ConfigError(f"{config}: not what a run's configuration holds (name, seed, system); remove it")
    return Run(path, stored["name"], stored["seed"], validate_system(stored["system"], config))


def _trained_by(system: System) -> dict[str, Any]:
    # Of validated systems, so that a setting which is newer than a run counts with its default.
    return system.model_dump(mode="json", include=set(TRAINED_BY))


def _differences(was: dict[str, Any], now: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The settings that two trees differ in, in the order of the YAML."""
    for key in {**now, **was}:
        a, b = was.get(key), now.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _differences(a, b, f"{above}{key}.")
        elif a != b:
            yield above + key, a, b
