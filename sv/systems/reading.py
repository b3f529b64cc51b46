"""Systems by name, and each as it is asked for: its YAML under overlays and settings.

This module imports no torch, so that a mistake is told at once.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sv.errors import ConfigError
from sv.systems.system import System, kind_of
from sv.yaml_errors import first_problem, nearest
from sv.yaml_tree import Tree, laid_over, read_yaml, with_setting


def find_systems(conf: str | os.PathLike[str]) -> dict[str, Path]:
    """Every system by name: `conf/systems/<paper>/<name>.yaml`. A name used twice is a ConfigError."""
    found: dict[str, Path] = {}
    for path in sorted(Path(conf, "systems").glob("*/*.yaml")):
        if path.stem in found:
            raise ConfigError(f"system {path.stem} is defined twice: {found[path.stem]} and {path}")
        found[path.stem] = path
    return found


def names_of(wanted: Iterable[str], known: Iterable[str]) -> list[str]:
    """The names of the systems asked for, each once: in place of a pattern (`Q?`, `R28-*`) all names that it matches.

    These are in natural order, Q2 before Q10. What is a name itself is no pattern; a name that is none is left as it
    is. Raises ConfigError for a pattern that matches nothing.

    >>> names_of(["H1", "Q?"], ["H1", "Q2", "Q1", "Q10"])
    ['H1', 'Q1', 'Q2']
    """
    known = sorted(known, key=_natural)
    found: list[str] = []
    for name in wanted:
        if name in known or not re.search(r"[*?[]", name):
            found.append(name)
        elif matching := fnmatch.filter(known, name):
            found += matching
        else:
            raise ConfigError(f"no system is called {name}{nearest(re.sub(r'[][*?]', '', name), known)}")
    return list(dict.fromkeys(found))


def _natural(name: str) -> list[str | int]:
    """What names are sorted by: their numbers as such."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+)", name))]


def load_system(
    path: str | os.PathLike[str],
    overlays: Iterable[str | os.PathLike[str]] = (),
    sets: Iterable[str] = (),
    backends: Iterable[Path] = (),
) -> System:
    """Read a system's YAML, lay overlays (YAML of the same form) over it, then `path.to.key=value` settings.

    First it gets more back ends, each the YAML of one, called by its file's name, which must not be one of its own.

    Of overlays and settings only those are laid whose block the system has: one budget, and one `training.epochs=3`,
    serve all kinds of systems side by side (`lacked_block` tells). An overlay may have `models` by trunk in place of
    `model`, `fine_tuning` to be laid over the `training` of systems that start from another one, and `lr_times`, by
    trunk, by which the system's own rate is multiplied; it says for each way to draw an epoch how long it is, and
    leaves back ends alone that the system has not.

    Raises ConfigError for anything unknown, missing or ill-typed: names the key, the nearest right one, and the file
    or setting that brought it in.
    """
    sources, trees = [str(path)], [read_yaml(path)]
    for backend in backends:
        sources.append(str(backend))
        trees.append(_with_backend(trees[-1], backend, Path(path).stem))
    for overlay in overlays:
        sources.append(str(overlay))
        trees.append(laid_over(trees[-1], _that_fits(read_yaml(overlay), trees[-1])))
    for setting in sets:
        if lacked_block(trees[-1], setting):
            continue
        sources.append(f"--set {setting}")
        trees.append(with_setting(trees[-1], setting))
    found = _check(trees[-1])
    if isinstance(found, System):
        return found
    first = next(source for source, tree in zip(sources, trees, strict=True) if _check(tree) == found)
    raise ConfigError(f"{first}: {found}")


def _with_backend(tree: Tree, path: Path, system: str) -> Tree:
    """`tree` with one more back end, if its kind has any; ConfigError if it has one of that name."""
    if _is_of_another_kind("backends", tree):
        return tree
    name, own = path.stem, tree.get("backends") or {}
    if name in own:
        raise ConfigError(
            f"--backend {name}: the system {system} has a back end {name} of its own; change that by"
            f" --set backends.{name}.KEY=VALUE, or give {path} another name"
        )
    return {**tree, "backends": {**own, name: read_yaml(path)}}


def _that_fits(overlay: Tree, tree: Tree) -> Tree:
    """What of an overlay is of blocks that a system has: its network's or its extractor's, and its back ends'."""
    models = overlay.get("models") or {}
    fitting = {key: value for key, value in overlay.items() if key != "models" and not _is_of_another_kind(key, tree)}
    if (trunk := (tree.get("model") or {}).get("trunk")) in models:
        fitting["model"] = models[trunk]
    fine_tuning = fitting.pop("fine_tuning", None) or {}
    if (tree.get("training") or {}).get("start_from"):
        fitting["training"] = laid_over(fitting.get("training") or {}, fine_tuning)
    times = (fitting.pop("lr_times", None) or {}).get(trunk)
    if times and (lr := ((tree.get("training") or {}).get("optimiser") or {}).get("lr")):
        fitting["training"] = laid_over({"optimiser": {"lr": lr * times}}, fitting.get("training") or {})
    if isinstance(training := fitting.get("training"), dict):
        fitting["training"] = _of_its_epochs(training, tree)
    if "backends" in fitting:
        known = tree.get("backends") or {}
        fitting["backends"] = {
            name: block for name, block in fitting["backends"].items() if name in known or "name" in block
        }
    return fitting


def _of_its_epochs(training: Tree, tree: Tree) -> Tree:
    """An overlay's training without what it says of epochs that are not drawn as this system's are.

    Whole groups, or their end (null), are a way to draw that the overlay brings.
    """
    groups = training.get("groups", {})
    if not isinstance(groups, dict) or "utterances" in groups:
        return training
    has_groups = (tree.get("training") or {}).get("groups") is not None
    others = ("chunks_per_speaker", "chunks_per_recording", "steps_per_epoch") if has_groups else ("groups",)
    return {key: value for key, value in training.items() if key not in others}


def lacked_block(system: System | Tree, setting: str) -> str | None:
    """The block, or key, of a `path.to.key=value` that this system does not have, so that it does nothing to it.

    A key that no kind of system has is not told here: it is an error when the setting is laid over the system.
    """
    keys = setting.partition("=")[0].split(".")
    if _is_of_another_kind(keys[0], system):
        return keys[0]
    if keys[0] == "backends" and len(keys) > 2 and keys[2] != "name":  # one that is named may be a new one
        return None if keys[1] in (dict(system).get("backends") or {}) else ".".join(keys[:2])
    return None


def _is_of_another_kind(key: str, system: System | Tree) -> bool:
    """Whether a top-level key is one that other kinds of systems have."""
    return key in System.model_fields and key not in kind_of(system).keys


def validate_system(tree: Tree, source: str | os.PathLike[str]) -> System:
    """The system that a YAML tree describes; ConfigError names `source` and the key."""
    found = _check(tree)
    if isinstance(found, System):
        return found
    raise ConfigError(f"{source}: {found}")


def _check(tree: Tree) -> System | str:
    """The system, or what is wrong."""
    try:
        return System.model_validate(_tuples(tree))
    except ValidationError as error:
        return first_problem(error, System, tree)


def _tuples(value: Any) -> Any:
    # YAML knows lists only; the fields that are tuples take no other type.
    if isinstance(value, dict):
        return {key: _tuples(v) for key, v in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
