"""What a list's scores are like, as drawings on a page: histograms, and the cost of decisions by calibrated scores.

Letters in names: P points of a ROC, K distinct scores, B bins, E prior log-odds.
"""

from __future__ import annotations

import numpy as np

from sv.metrics import act_dcf, act_dcf_point, min_dcf
from sv.report.det import P_TARGET
from sv.report.svg import Frame, drawing, round_ticks
from sv.roc import Roc

BINS = 60
OUTSIDE = 0.0005  # part of the trials of each kind that may lie beyond either end of a histogram, in its outer bars
LOG_ODDS = (-7.0, 7.0)  # of priors .0009 to .9991
PRIORS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999)
MOST_COST = 1.2  # drawn; 1 is that of deciding without a look at the scores


def histogram(roc: Roc, is_calibrated: bool) -> tuple[str, str]:
    """Histograms of target and non-target scores, each over its own number, and what is decided at the threshold.

    Args:
        roc: of the scores.
        is_calibrated: they are log-likelihood ratios, so the Bayes threshold at prior .05 is marked; of others that of
            the equal error rate, where misses and false alarms are nearest.
    Returns:
        The drawing, and a sentence on the threshold.
    """
    if is_calibrated:
        _, threshold, miss, false_alarm = act_dcf_point(roc, P_TARGET)
        name, unit = f"Bayes threshold (prior {P_TARGET:g})", "log-likelihood ratio"
    else:
        i = int(np.abs(roc.miss_P - roc.false_alarm_P).argmin())
        threshold, miss, false_alarm = (float(each[i]) for each in (roc.thresholds_P, roc.miss_P, roc.false_alarm_P))
        name, unit = "EER threshold", "score"
    at = f"{threshold:.3g}".replace("-", "−").replace("inf", "∞")
    score_K = roc.thresholds_P[:-1]
    edges = _edges(roc, threshold)
    shares = [
        np.histogram(np.clip(score_K, edges[0], edges[-1]), edges, weights=np.diff(count_P) / total)[0]
        for count_P, total in ((-roc.false_alarms_P, roc.n_nontarget), (roc.missed_P, roc.n_target))
    ]
    frame = Frame((edges[0], edges[-1]), (0, 1.18 * max(map(np.max, shares))), 360, 150, left=8)
    areas = [
        f'<path class="area {kind}" d="{_outline(frame, share_B, edges)}"><title>{said}</title></path>'
        for kind, said, share_B in zip(("non", "tar"), ("non-targets", "targets"), shares, strict=True)
    ]
    svg = drawing(
        frame.width,
        frame.height,
        "Histograms of scores",
        frame.axes(round_ticks(*frame.x), (), unit),
        *areas,
        frame.mark(threshold, at),
    )
    return svg, f"{name} {at}: misses {100 * miss:.2f} %, false alarms {100 * false_alarm:.2f} %"


def _edges(roc: Roc, threshold: float) -> np.ndarray:
    """Of the bins, (B + 1,): over the finite scores of both kinds, less the outermost, and over the threshold."""
    score_K = roc.thresholds_P[:-1]
    rejected_K = roc.n_nontarget - roc.false_alarms_P[1:]
    ends = [threshold]
    for count_K, total in ((rejected_K, roc.n_nontarget), (roc.missed_P[1:], roc.n_target)):
        for part in (OUTSIDE, 1 - OUTSIDE):
            ends.append(score_K[min(int(np.searchsorted(count_K, part * total)), len(score_K) - 1)])
    finite = [float(end) for end in ends if np.isfinite(end)] or [0.0]
    low, high = min(finite), max(finite)
    return np.linspace(low, high, BINS + 1) if high > low else np.linspace(low - 0.5, high + 0.5, BINS + 1)


def _outline(frame: Frame, share_B: np.ndarray, edges: np.ndarray) -> str:
    """The stairs of a histogram as the data of a path, closed along the axis."""
    x, y = frame.at(np.repeat(edges, 2), np.concatenate([[0], np.repeat(share_B, 2), [0]]))
    kept = np.append(True, (np.diff(x) != 0) | (np.diff(y) != 0))
    return "M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[kept], y[kept], strict=True)) + "Z"


def bayes_error(roc: Roc) -> tuple[str, str]:
    """The normalised Bayes error rate of log-likelihood ratios by the target prior [Brümmer & de Villiers 2013].

    At every prior the detection cost (of costs 1) of decisions at that prior's Bayes threshold, and the least that any
    threshold gives; the space between the two is what calibration loses.

    Returns:
        The drawing, and a sentence on the loss at prior .05.
    """
    frame = Frame(LOG_ODDS, (0, MOST_COST), 360, 220, right=16)
    log_odds_E = np.linspace(*LOG_ODDS, 85)
    prior_E = 1 / (1 + np.exp(-log_odds_E))
    actual_E, least_E = (np.array([cost(roc, float(p)) for p in prior_E]) for cost in (act_dcf, min_dcf))
    x_ticks = [(float(np.log(p / (1 - p))), f"{p:g}".removeprefix("0")) for p in PRIORS]
    svg = drawing(
        frame.width,
        frame.height,
        "Detection cost by target prior, of decisions at the Bayes threshold and the least",
        frame.axes(x_ticks, round_ticks(*frame.y), "target prior"),
        frame.curve(np.array(LOG_ODDS), np.ones(2), 'class="diagonal"'),
        # The part beyond the frame is cut at its upper edge, from where a curve may come back.
        frame.curve(log_odds_E, np.minimum(least_E, MOST_COST), 'class="line held-out"'),
        frame.curve(log_odds_E, np.minimum(actual_E, MOST_COST), 'class="line own"'),
        frame.mark(float(np.log(P_TARGET / (1 - P_TARGET))), f"{P_TARGET:g}"),
    )
    actual, least = act_dcf(roc, P_TARGET), min_dcf(roc, P_TARGET)
    return svg, f"At prior {P_TARGET:g}: actual {actual:.3f}, least {least:.3f}"
