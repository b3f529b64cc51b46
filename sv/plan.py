"""The plan of a request: of the systems asked for and all that they are made of, the runs, and what each is needed for.

This module imports no torch and writes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sv.errors import ConfigError
from sv.run import Run
from sv.systems.system import Link, System
from sv.yaml_errors import nearest

# What is done with a run: it is trained as a network or an extractor, its embeddings are extracted, and of the training
# set too as back ends learn from them, and of a cohort as scores are normalised by it, it or a back end on its
# embeddings learns from unlabelled speech of another domain, it is scored by its own back ends or as an ensemble, and
# was asked for.
TASKS = ("network", "ivector", "extracted", "learnt", "normalises", "adapts", "scored", "ensemble", "asked")


@dataclass(frozen=True)
class Planned:
    """A run and what is done with it, of `TASKS` and in their order."""

    run: Run
    tasks: tuple[str, ...]


def with_needed(names: Iterable[str], known: Iterable[str], load: Callable[[str], System]) -> dict[str, System]:
    """The systems of these names, each loaded once, after all those that it is made of.

    Raises ConfigError for an unknown name, for systems that are made of each other, and for one that is made of what
    another does not have.
    """
    known, found = set(known), dict[str, System]()

    def want(name: str, above: tuple[str, ...], key: str) -> None:
        if name not in known:
            raise ConfigError(f"{key}unknown system {name}{nearest(name, sorted(known))}")
        if name in above:
            circle = " is made of ".join([*above[above.index(name) :], name])
            raise ConfigError(f"{key}a system cannot be made of itself: {circle}")
        if name in found:
            return
        system = load(name)
        for link in system.links:
            key = f"system {name}: {link.key}: "
            want(link.system, (*above, name), key)
            require_fit(system, link, found[link.system], key)
        found[name] = system

    for name in names:
        want(name, (), "")
    return found


def require_fit(system: System, link: Link, other: System, key: str) -> None:
    """Raise ConfigError, which begins with `key`, if the other system of a link has not what is wanted of it."""
    if link.what == "network" and not other.model:
        raise ConfigError(f"{key}{link.system} is {other.kind.called}, there is no network to begin with")
    if link.what == "embeddings":
        if not other.embedding_dim:
            raise ConfigError(f"{key}{link.system} is {other.kind.called}, with no embeddings of its own")
        try:
            system.require_lda_within(other.embedding_dim, link.system)
        except ValueError as error:
            raise ConfigError(f"{key.partition(':')[0]}: {error}") from None
    if link.what == "scores" and (wanted := system.ensemble.backend) not in other.scored_by:
        raise ConfigError(f"{key}{link.system} has no back end {wanted}{nearest(wanted, other.scored_by)}")


def plan(
    exp: Path,
    names: Iterable[str],
    seeds: Iterable[int],
    systems: Mapping[str, System],
    budget: str | None = None,
    waveforms: Mapping[str, dict[str, Any]] | None = None,
) -> list[Planned]:
    """Every run that the named systems need at some seeds, once, after those that it needs itself.

    All that the first seed needs comes before what only the others do.

    Args:
        exp: where runs go: EXP/SYSTEM/seedN.
        names: of the systems asked for.
        seeds: of the runs asked for; an ensemble's members have later ones too.
        systems: as `with_needed` finds them.
        budget: that was laid over them, for their runs' names.
        waveforms: of the systems that read recordings, what `Run.waveform` holds.
    """
    runs: dict[tuple[str, int], Run] = {}
    tasks: dict[tuple[str, int], set[str]] = {}

    def want(name: str, seed: int, what: str) -> None:
        system = systems[name]
        for link in system.links:
            for more in range(link.num_seeds):
                want(link.system, seed + more, link.what)
        waveform = (waveforms or {}).get(name)
        run = runs[name, seed] = Run.plan(exp, f"{name}+{budget}" if budget else name, seed, system, waveform)
        done = _tasks(system, what)
        tasks.setdefault((name, seed), set()).update(done)
        embedder = system.embeddings_of or name  # its own embeddings or those of the system that it names
        if "scored" in done and system.learns:
            tasks[embedder, seed].add("learnt")
        if "scored" in done and system.normalises:
            tasks[name, seed].add("normalises")
            tasks[embedder, seed].add("normalises")
        if "scored" in done and run.needs_adapt():
            tasks[name, seed].add("adapts")
            tasks[embedder, seed].add("adapts")
        if "network" in done and run.learns_from_adapt():
            tasks[name, seed].add("adapts")

    for seed, name in itertools.product(seeds, names):
        want(name, seed, "report")
    return [Planned(run, tuple(task for task in TASKS if task in tasks[key])) for key, run in runs.items()]


def _tasks(system: System, what: str) -> list[str]:
    """What is done with a run of which the network, the embeddings, the scores or all, in the report, are wanted."""
    asked = ["asked"] if what == "report" else []
    if system.ensemble:
        return ["ensemble", *asked]
    own = [] if system.embeddings_of else ["ivector" if system.ivector else "network"]
    if what == "network":
        return own
    extracted = [*own, "extracted"] if own and not system.compares else own
    return extracted if what == "embeddings" else [*extracted, "scored", *asked]
