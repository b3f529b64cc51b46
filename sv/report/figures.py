"""Every figure of one list's scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sv.bootstrap import bootstrap_ci
from sv.data.trials import Trials
from sv.equalised import equalised_roc
from sv.metrics import act_cprimary, act_dcf, cllr, eer_nearest, eer_rocch, min_cllr, min_cprimary, min_dcf
from sv.roc import Roc


def figures(trials: Trials, scores_N: np.ndarray, speaker: Mapping[str, str]) -> tuple[dict[str, object], Roc]:
    """The figures of a row, and the ROC they come from.

    Args:
        trials: labelled trials.
        scores_N: their scores, (N,).
        speaker: of every model and test id; without all of them there is no interval.
    """
    roc = Roc.from_scores(scores_N, trials.is_target)
    interval, num_speakers, num_skipped = None, 0, 0
    if all(i in speaker for ids in (trials.enrol, trials.test) for i in ids):
        enrol, test = ([speaker[i] for i in ids] for ids in (trials.enrol, trials.test))
        boot = bootstrap_ci(scores_N, trials.is_target, enrol, test, {"eer": eer_rocch})
        interval, num_speakers, num_skipped = boot.intervals["eer"], boot.n_speakers, boot.n_skipped
    return {
        "eer": eer_rocch(roc),
        "eer_interval": interval,
        "eer_nearest": eer_nearest(roc),
        "min_dcf_05": min_dcf(roc, 0.05),
        "min_dcf_01": min_dcf(roc, 0.01),
        "min_cllr": min_cllr(roc),
        "num_trials": len(trials),
        "num_targets": trials.num_targets,
        "num_speakers": num_speakers,
        "num_skipped": num_skipped,
    }, roc


def actual_costs(trials: Trials, llr_N: np.ndarray) -> dict[str, float]:
    """The figures of a row that need log-likelihood ratios, (N,), in nats: of calibrated scores alone."""
    roc = Roc.from_scores(llr_N, trials.is_target)
    return {"act_dcf_05": act_dcf(roc, 0.05), "act_cprimary": act_cprimary(roc), "cllr": cllr(roc)}


def equalised_figures(trials: Trials, scores_N: np.ndarray, cells: Sequence[str]) -> dict[str, object]:
    """The figures of a row in which every partition of the trials, `cells` (N,), has the same say."""
    roc = equalised_roc(scores_N, trials.is_target, cells)
    return {
        "equalised_eer": eer_rocch(roc),
        "equalised_min_cprimary": min_cprimary(roc),
        "num_partitions": (round(roc.n_target), round(roc.n_nontarget)),  # each weighs 1
    }


def equalised_actual_cost(trials: Trials, llr_N: np.ndarray, cells: Sequence[str]) -> dict[str, float]:
    """SRE16's primary metric, of log-likelihood ratios (N,) in nats and partitions (N,)."""
    return {"equalised_act_cprimary": act_cprimary(equalised_roc(llr_N, trials.is_target, cells))}
