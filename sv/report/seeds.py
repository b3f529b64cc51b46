"""Which runs are one system's with several seeds, so that the mean of their figures is one of that system."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from sv.records import counts_of, differences, settings_of
from sv.run import Run
from sv.systems.system import System


def apart(runs: Sequence[Run]) -> dict[tuple[Path, str], str]:
    """What keeps a run's scores out of the mean over seeds, by its folder and back end; of most runs nothing does.

    The first run of a name that has a back end is what the others of that name are compared with: by all settings that
    decide the scores of this back end, and by the size of the training set.
    """
    first: dict[tuple[str, str], Run] = {}
    found: dict[tuple[Path, str], str] = {}
    for this in runs:
        for backend in this.system.scored_by:
            other = first.setdefault((this.name, backend), this)
            if difference := next(differences(made_of(other, backend), made_of(this, backend)), None):
                key, was, now = difference
                found[this.path, backend] = f"not averaged with seed {other.seed}: its {key} is {now}, not {was}"
    return found


def made_of(this: Run, backend: str) -> dict[str, Any]:
    """All that is known to decide a run's scores by a back end, but for the seed.

    How long a network was trained is not: early stopping may end each seed at another epoch.
    """
    settings = _settings(this.system, backend)
    if ensemble := this.system.ensemble:
        members = enumerate(this.members(), start=1)
        return settings | {"member": {f"{i}": made_of(each, ensemble.backend) for i, each in members}}
    maker = this.embedder()
    if maker is not this:
        settings["embeddings"] = _settings(maker.system)
    trained = settings_of("train", maker.path) or {}
    counts = counts_of("train", maker.path) or {}
    return settings | {
        "waveform": maker.waveform,
        "training_record": {key: value for key, value in trained.items() if key != "seed"},
        "training_set": {key: counts.get(key) for key in ("utterances", "speakers", "unlabelled")},
    }


def _settings(system: System, backend: str | None = None) -> dict[str, Any]:
    """A system's settings, of its back ends those of one."""
    settings = system.model_dump(mode="json", exclude={"published"})
    return settings | {"backends": {name: each for name, each in settings["backends"].items() if name == backend}}


def that_share_runs(runs: Sequence[Run]) -> list[str]:
    """The names of ensembles of which two seeds have a run in common: their figures are not independent."""
    ensembles = [
        (this.name, {member.path.absolute() for member in this.members()}) for this in runs if this.system.ensemble
    ]
    pairs = combinations(ensembles, 2)
    return list(dict.fromkeys(name for (name, one), (other, two) in pairs if name == other and one & two))
