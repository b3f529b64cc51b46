"""What a report says of a run: its title, what its scores are, how it was trained and calibrated."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from sv.errors import DataError
from sv.members import found_weights
from sv.records import counts_of, dry_run, holds, record_of, settings_of
from sv.run import Run
from sv.scoring.weight_search import Tuned

SHOWN = {"eer": "EER", "min_dcf": "minDCF.05"}  # figures that weights are searched for


def titles_of(runs: list[Run]) -> list[str]:
    """What each run is called beside the others: with its seed or its path where these tell it from another."""
    several_seeds = len({this.seed for this in runs}) > 1
    count = Counter((this.name, this.seed) for this in runs)
    return [
        this.name
        + (f" seed {this.seed}" if several_seeds else "")
        + (f" ({this.path})" if count[this.name, this.seed] > 1 else "")
        for this in runs
    ]


def shown(this: Run, backend: str) -> str:
    """The name of a back end in the table; an ensemble's says of how many scores it is."""
    if not (ensemble := this.system.ensemble):
        return backend
    weighted = "weighted " if ensemble.weights or ensemble.search else ""
    return f"{weighted}mean of {ensemble.size}" + (", normalised" if ensemble.normalise != "none" else "")


def how_trained(this: Run) -> str | None:
    """How long and on what, as the record of the training says; None of embeddings that came from elsewhere.

    Of an ensemble, whose scores it is the mean of.
    """
    if ensemble := this.system.ensemble:
        by = " by deviations from the calibration list's non-targets" if ensemble.normalise != "none" else ""
        members = this.members()
        weights = found_weights(this, members) or [None] * len(members)
        named = [
            f"{member.name} seed {member.seed}" + ("" if weight is None else f" (weight {weight})")
            for member, weight in zip(members, weights, strict=True)
            if weight != 0
        ]
        return f"mean of the {ensemble.backend} scores{by} of {', '.join(named)}{how_searched(this)}"
    maker = this.embedder()
    counts = counts_of("train", maker.path)
    if counts is None:
        return None
    whose = f"embeddings of {maker.name}, " if maker is not this else ""
    if file := (settings_of("train", maker.path) or {}).get("imported"):
        return f"{whose}a public network's weights ({file}), not trained here"
    unit = "iterations" if maker.system.ivector else "epochs"
    return f"{whose}{counts['epochs']} {unit} on {counts['utterances']:,} utterances of {counts['speakers']:,} speakers"


def how_searched(this: Run) -> str:
    """On what an ensemble's weights were searched, if they were, and how."""
    if not this.system.ensemble.search:
        return ""
    tuned = Tuned.read(this.weights())
    trials = f"{tuned.num_targets:,} target and {tuned.num_nontargets:,} non-target trials"
    tried = f"{tuned.way} search, {tuned.tried:,} weights of {this.system.ensemble.size} runs tried"
    return f"; weights with the least {SHOWN[tuned.metric]} on the list {tuned.trials} ({trials}; {tried})"


def tuned_for(this: Run, path: Path) -> str | None:
    """The figure by which an ensemble's weights were searched, if that was on this list."""
    if not (this.system.ensemble and this.system.ensemble.search):
        return None
    tuned = Tuned.read(this.weights())
    return SHOWN[tuned.metric] if tuned.is_on(path) else None


def how_calibrated(this: Run, backend: str) -> str:
    """On what, and near which decisions."""
    learnt = json.loads(this.calibration(backend).read_bytes())
    trials = f"{learnt['num_targets']:,} target and {learnt['num_nontargets']:,} non-target trials"
    speakers = f" of {learnt['num_speakers']:,} speakers" if learnt["num_speakers"] else ""
    return f"on the list {learnt['trials']} ({trials}{speakers}) at prior {learnt['prior']:g}"


def calibrated_record(this: Run, name: str, backend: str) -> Path:
    """The record of a list's calibrated scores."""
    path = this.calibrated(name, backend)
    return record_of(path.name, path.parent)


def is_calibrated(this: Run, name: str, backend: str) -> bool:
    """Whether there are calibrated scores of a list, and they are of the scores that it now has."""
    try:
        return holds(calibrated_record(this, name, backend))
    except DataError:
        if dry_run():  # of what an earlier step would mend
            return False
        raise
