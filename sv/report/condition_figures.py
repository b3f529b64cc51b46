"""Figures of a list's trials under each condition.

One threshold or calibration serves all trials, so figures of a part tell where a system is weak, and actual costs where
its calibration does not hold.

Letters in names: N trials of the list, n those of it that have a score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sv.bootstrap import bootstrap_ci, of_hull
from sv.data.trials import Trials
from sv.metrics import act_dcf, cllr, eer_rocch, min_cllr, min_dcf
from sv.report.conditions import UNKNOWN, Division
from sv.resampled import Speakers
from sv.roc import Roc

ALL = "all trials"
LEAST_TRIALS, LEAST_SPEAKERS = 30, 5  # of fewer targets, non-targets or speakers in target trials there are no figures
MOST_TRIALS, REPLICATES = 100_000, 200  # of a list that has intervals, as they take minutes for longer ones


@dataclass(frozen=True)
class Found:
    """A condition's trials, and a system's figures on them or `why` there are none.

    Rates are fractions, Cllr is in bits. Actual costs are of calibrated scores, None without. `num_speakers` is of
    target trials, None if a speaker of the list is not known.
    """

    kind: str
    condition: str
    num_targets: int
    num_nontargets: int
    num_speakers: int | None
    why: str | None = None
    eer: float | None = None
    eer_interval: tuple[float, float] | None = None
    min_dcf_05: float | None = None
    act_dcf_05: float | None = None
    min_cllr: float | None = None
    cllr: float | None = None


class ByConditions:
    """The rows of a list's conditions below that of all its trials, to be filled for one run after the other.

    There are none if nothing divides it. That of all trials is to compare with; its interval stands in the results.

    Args:
        trials: labelled, (N,).
        divisions: of these.
        speaker: of every model and test id; without all of them there are no intervals.
    """

    def __init__(self, trials: Trials, divisions: Sequence[Division], speaker: Mapping[str, str]) -> None:
        self._is_target_N = trials.is_target
        self._rows = [(each.kind, *row) for each in divisions for row in each.rows(trials.is_target)]
        if divisions:
            self._rows.insert(0, (ALL, ALL, np.ones(len(trials), bool)))
        self._speakers: list[np.ndarray] = []  # of both sides, by number, (N,) each
        if divisions and speaker.keys() >= {*trials.enrol, *trials.test}:
            number = {name: i for i, name in enumerate(sorted(set(speaker.values())))}
            for ids in (trials.enrol, trials.test):
                self._speakers.append(np.fromiter((number[speaker[i]] for i in ids), np.intp, len(trials)))

    def figures(self, kept: Sequence[int], scores_n: np.ndarray, llr_n: np.ndarray | None = None) -> list[Found]:
        """Those of a run, a row each; rows are the same for all runs.

        Args:
            kept: numbers of the trials that it scored.
            scores_n: their scores.
            llr_n: the same calibrated, in nats, if they are.
        """
        kept_n = np.asarray(kept)
        return [
            self._found(kind, condition, kept_n, chosen_N[kept_n], scores_n, llr_n)
            for kind, condition, chosen_N in self._rows
        ]

    def _found(
        self,
        kind: str,
        condition: str,
        kept_n: np.ndarray,
        chosen_n: np.ndarray,
        scores_n: np.ndarray,
        llr_n: np.ndarray | None,
    ) -> Found:
        trials = kept_n[chosen_n]
        is_target = self._is_target_N[trials]
        speakers = [side_N[trials] for side_N in self._speakers]
        num_targets = int(is_target.sum())
        num_speakers = len(np.unique(speakers[0][is_target])) if speakers else None
        found = Found(kind, condition, num_targets, len(trials) - num_targets, num_speakers)
        if condition == UNKNOWN:
            return replace(found, why="the condition is not known")
        if min(num_targets, found.num_nontargets) < LEAST_TRIALS:
            return replace(found, why=f"fewer than {LEAST_TRIALS} target or non-target trials")
        if num_speakers is not None and num_speakers < LEAST_SPEAKERS:
            return replace(found, why=f"fewer than {LEAST_SPEAKERS} speakers in target trials")
        scores = scores_n[chosen_n]
        roc = Roc.from_scores(scores, is_target)
        found = replace(found, eer=eer_rocch(roc), min_dcf_05=min_dcf(roc, 0.05), min_cllr=min_cllr(roc))
        if speakers and len(self._is_target_N) <= MOST_TRIALS and kind != ALL:
            those, number_2n = np.unique(speakers, return_inverse=True)
            drawn = Speakers(*number_2n.reshape(2, -1), len(those))
            boot = bootstrap_ci(of_hull(scores, is_target, drawn, {"eer": eer_rocch}), len(those), REPLICATES)
            found = replace(found, eer_interval=boot.intervals["eer"])
        if llr_n is not None:
            calibrated = Roc.from_scores(llr_n[chosen_n], is_target)
            found = replace(found, act_dcf_05=act_dcf(calibrated, 0.05), cllr=cllr(calibrated))
        return found
