"""Every figure of one list's scores, its interval, and the errors that it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import NamedTuple

import numpy as np

from sv.bootstrap import FiguresOf, bootstrap_ci
from sv.data.trials import Trials
from sv.equalised import UNCOUNTED, equalised_roc
from sv.metrics import (
    OperatingPoint,
    act_cprimary,
    act_dcf,
    act_dcf_point,
    bayes_threshold,
    cllr,
    eer_nearest,
    eer_rocch,
    min_cllr,
    min_cprimary,
    min_dcf,
    min_dcf_point,
    rocch,
)
from sv.report.too_few import PRIORS, Errors
from sv.resampled import Blocks, Resampled, Speakers, between, runs_of_a_kind
from sv.roc import Roc


class Kind(NamedTuple):
    """Figures of one kind of scores: functions of the ROC by their names in a row, the same of that with partitions."""

    plain: Mapping[str, Callable[[Roc], float]]
    equalised: Mapping[str, Callable[[Roc], float]]
    point: Callable[[Roc, float], OperatingPoint]  # where a cost at a target prior is


LEAST = Kind(
    {
        "eer": eer_rocch,
        "min_dcf_05": lambda roc: min_dcf(roc, 0.05),
        "min_dcf_01": lambda roc: min_dcf(roc, 0.01),
        "min_cllr": min_cllr,
    },
    {"equalised_eer": eer_rocch, "equalised_min_cprimary": min_cprimary},
    min_dcf_point,
)
ACTUAL = Kind(  # and Cllr, which takes more than decisions
    {"act_dcf_05": lambda roc: act_dcf(roc, 0.05), "act_cprimary": act_cprimary},
    {"equalised_act_cprimary": act_cprimary},
    act_dcf_point,
)


def figures(
    trials: Trials,
    scores_N: np.ndarray,
    speaker: Mapping[str, str],
    llr_N: np.ndarray | None = None,
    cells: Sequence[str] | None = None,
) -> tuple[dict[str, object], Roc]:
    """The figures of a row, and the ROC of the scores.

    Args:
        trials: labelled trials, of a whole list or of a part of it.
        scores_N: their scores, (N,).
        speaker: of every model and test id; without all of them there are no intervals.
        llr_N: their log-likelihood ratios in nats, (N,), where they are calibrated: for the actual costs.
        cells: their partitions, (N,), where they have some: for the equalised figures.
    """
    roc = Roc.from_scores(scores_N, trials.is_target)
    found = {"eer_nearest": eer_nearest(roc), "num_trials": len(trials), "num_targets": trials.num_targets}
    errors: dict[str, Errors] = {}
    rocs = [(LEAST, scores_N, roc)]
    if llr_N is not None:
        rocs.append((ACTUAL, llr_N, Roc.from_scores(llr_N, trials.is_target)))
        found["cllr"] = cllr(rocs[-1][-1])
    for kind, values_N, plain in rocs:
        found |= {name: figure(plain) for name, figure in kind.plain.items()}
        errors |= errors_of(kind.plain, kind.point, plain, plain)
        if cells:
            equalised = equalised_roc(values_N, trials.is_target, cells)
            found |= {name: figure(equalised) for name, figure in kind.equalised.items()}
            found["num_partitions"] = round(equalised.n_target), round(equalised.n_nontarget)  # each weighs 1
            counted = Roc.from_scores(values_N, trials.is_target, [cell != UNCOUNTED for cell in cells])
            errors |= errors_of(kind.equalised, kind.point, equalised, counted)
    found |= {"errors": errors, "intervals": {}, "num_speakers": 0, "num_skipped": 0}
    if all(i in speaker for ids in (trials.enrol, trials.test) for i in ids):
        boot = bootstrap_ci(*figures_over(trials, scores_N, speaker, llr_N, cells))
        found |= {"intervals": boot.intervals, "num_speakers": boot.n_speakers, "num_skipped": boot.n_skipped}
    return found, roc


def errors_of(
    wanted: Mapping[str, Callable[[Roc], float]], point: Callable[[Roc, float], OperatingPoint], roc: Roc, counts: Roc
) -> dict[str, Errors]:
    """The errors that figures of a ROC rest on, in trials as another ROC over the same scores counts them."""
    found = {}
    for name, figure in wanted.items():
        if name in PRIORS:
            thresholds = [point(roc, p).threshold for p in PRIORS[name]]
            at = np.searchsorted(counts.thresholds_P, thresholds, side="left")
            found[name] = round(counts.missed_P[at].min()), round(counts.false_alarms_P[at].min())
        elif figure is eer_rocch:
            rate = figure(roc)
            found[name] = round(rate * counts.n_target), round(rate * counts.n_nontarget)
    return found


def figures_over(
    trials: Trials,
    scores_N: np.ndarray,
    speaker: Mapping[str, str],
    llr_N: np.ndarray | None = None,
    cells: Sequence[str] | None = None,
) -> tuple[FiguresOf, int]:
    """These figures, by their names, of draws of the list's speakers, and how many speakers it has.

    Arguments are as for `figures`. Trials of the same speakers have the same draws, whatever system scored them.
    Partitions are made anew in each draw: a trial's share is over the trials drawn, and a partition without any has no
    say in it. A draw without a counted trial of a kind is left out for all figures.
    """
    is_target_N = np.asarray(trials.is_target)
    enrol, test = ([speaker[i] for i in ids] for ids in (trials.enrol, trials.test))
    speakers = Speakers.of(enrol, test, is_target_N)

    def resampled(blocks: Blocks, cost_N: np.ndarray | None = None) -> Resampled:
        return Resampled(blocks, is_target_N, speakers, cells, cost_N)

    sources = [(LEAST, resampled(runs_of_a_kind(scores_N, is_target_N)), rocch)]
    if llr_N is not None:
        priors = {p for name in (*ACTUAL.plain, *ACTUAL.equalised) for p in PRIORS[name]}
        bits_N = np.logaddexp(0, np.where(is_target_N, -llr_N, llr_N)) / log(2)
        sources.append((ACTUAL, resampled(between([*map(bayes_threshold, priors)], llr_N), bits_N), lambda roc: roc))

    def figures_of(copies_S: np.ndarray) -> dict[str, float] | None:
        found: dict[str, float] = {}
        for kind, source, reduced in sources:
            drawn = source.drawn(copies_S)
            rocs = drawn and [drawn.roc, *([drawn.equalised_roc] if cells else [])]
            if not rocs or None in rocs:
                return None
            for roc, wanted in zip(map(reduced, rocs), (kind.plain, kind.equalised), strict=False):
                found |= {name: figure(roc) for name, figure in wanted.items()}
            if kind is ACTUAL:
                found["cllr"] = sum(drawn.mean_costs) / 2
        return found

    return figures_of, speakers.count
