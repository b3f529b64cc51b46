"""The scores of an ensemble's runs: which files they are, what normalises them, the weight of each run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sv.data.tables import read_table
from sv.data.trials import Trials, list_name, require_other_speakers, speaker_files
from sv.errors import DataError
from sv.records import record_of
from sv.run import Run
from sv.scoring.fusion import Impostors
from sv.scoring.score_files import score_file
from sv.scoring.trials import read_scores, scored_trials
from sv.scoring.weight_search import Tuned


def scores_of(this: Run, members: list[Run], path: Path, calibration: Path | None) -> list[Path]:
    """All that decides the runs' scores of a list, and what they are normalised by."""
    ensemble = this.system.ensemble
    lists = [path] if ensemble.normalise == "none" else list(dict.fromkeys([path, calibration]))
    names = [(member, list_name(each)) for each in lists for member in members]
    scores = [member.scores(name, ensemble.backend) for member, name in names]
    return [
        *lists,
        *(file for each in lists[1:] for file in (*speaker_files(each), *speaker_files(path))),
        *(file for each in scores for file in (score_file(each), record_of(each.name, each.parent))),
        *(member.dropped(name) for member, name in names),
    ]


def all_scores(path: Path, members: list[Run], backend: str) -> tuple[Trials, np.ndarray, dict[str, str]]:
    """The trials of a list that all runs scored, the scores (M, N), and the ids that some run left out, with why.

    Raises DataError if they have no trial in common, or one that is not left out has no score.
    """
    trials, dropped = Trials.read(path), dict[str, str]()
    try:
        for record in (member.dropped(list_name(path)) for member in members):
            dropped |= read_table(record) if record.exists() else {}
            trials = scored_trials(trials, record)
    except DataError as error:
        raise DataError(f"{path}: {error} in each of the runs") from None
    scores = [member.scores(list_name(path), backend) for member in members]
    return trials, np.stack([read_scores(each, trials) for each in scores]), dropped


def found_weights(this: Run, members: list[Run]) -> tuple[int, ...] | None:
    """The weight of each run, given or searched; None where there are none. DataError if they are still to search."""
    if not this.system.ensemble.search:
        return this.system.ensemble.given_weights
    weights = Tuned.read(this.weights()).weights
    try:
        return tuple(weights[os.path.relpath(member.path, this.path)] for member in members)
    except KeyError as error:
        raise DataError(
            f"{this.weights()}: no weight of {error.args[0]}; search them again with steps/fuse.sh"
        ) from None


def impostors_for(this: Run, members: list[Run], calibration: Path | None, lists: Iterable[Path]) -> Impostors | None:
    """By which the scores of some lists are normalised, if they are: how the runs score the calibration non-targets.

    Raises DataError if one of the lists, but for the calibration list itself, has speakers of that one, or that one has
    no labels or no non-targets.
    """
    if this.system.ensemble.normalise == "none":
        return None
    require_other_speakers(calibration, [path for path in lists if path != calibration])
    trials, scores_MN, _ = all_scores(calibration, members, this.system.ensemble.backend)
    if trials.is_target is None:
        raise DataError(f"{calibration}: its trials have no labels, target or nontarget")
    try:
        return Impostors.of(scores_MN, trials.is_target)
    except DataError as error:
        raise DataError(f"{calibration}: {error}") from None
