"""Engines by name: `conf/engines/NAME.yaml`, checked strictly."""

from __future__ import annotations

import os
from pathlib import Path

from sv.errors import ConfigError
from sv.launch.engine import Engine
from sv.launch.local import Local
from sv.launch.slurm import Slurm
from sv.launch.wrapper import Wrapper
from sv.yaml_errors import nearest, validated
from sv.yaml_tree import read_yaml

KINDS: dict[str, type[Engine]] = {"local": Local, "slurm": Slurm, "wrapper": Wrapper}
CONF = Path(__file__).parents[2] / "conf"


def chosen_engine() -> Engine:
    """The engine that the environment variable SV_ENGINE names; `local` if it is not set."""
    return load_engine(os.environ.get("SV_ENGINE") or "local")


def load_engine(name: str, conf: str | os.PathLike[str] = CONF) -> Engine:
    """The engine of `CONF/engines/NAME.yaml`.

    Raises ConfigError for an unknown name, kind or key with the nearest right one, and for an ill-typed value.
    """
    known = {path.stem: path for path in sorted(Path(conf, "engines").glob("*.yaml"))}
    if name not in known:
        raise ConfigError(f"unknown engine {name}{nearest(name, known)} (conf/engines/*.yaml)")
    tree = read_yaml(known[name])
    kind = tree.get("engine")
    if kind is None:
        raise ConfigError(f"{known[name]}: engine is missing; it is one of {', '.join(KINDS)}")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"{known[name]}: engine: unknown kind {kind!r}{nearest(str(kind), KINDS)}")
    return validated(KINDS[kind], tree, known[name])
