"""Error rates and costs of a list of scored trials: EER, detection costs, Cllr.

Everything is a function of a `Roc`, which sorts the scores once:

>>> roc = Roc.from_scores([2.0, 1.0, 0.0, -1.0], [True, False, True, False])
>>> eer_rocch(roc), min_dcf(roc, p_target=0.5)
(0.25, 0.5)

Rates are fractions, not percent; log-likelihood ratios are natural logarithms; costs are normalised by the
best decision made without looking at the scores, so that 1 is useless; Cllr is in bits. Whoever prints an EER
says which of the three definitions it is: `eer_rocch` is the house's, `eer_nearest` and `eer_kaldi` are there
to compare with numbers made by others.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from sv.errors import ConfigError
from sv.roc import Roc

SRE16_PRIORS = (0.01, 0.005)


class OperatingPoint(NamedTuple):
    """A decision threshold (accept when score >= threshold) and what it costs."""

    cost: float
    threshold: float
    miss: float
    false_alarm: float


# -- Equal error rate ----------------------------------------------------------------------------------------


def eer_rocch(roc: Roc) -> float:
    """Equal error rate on the convex hull of the ROC: the house's definition.

    Where the lower convex hull of the points (false alarm, miss) meets the diagonal [Brümmer & de Villiers,
    The BOSARIS Toolkit, 2013; Fawcett & Niculescu-Mizil, PAV and the ROC convex hull, 2007]. It is also the
    greatest, over priors, of the least achievable error rate, and does not depend on how the score axis is
    stretched. It is never above the other two (from two targets on): they are rates at or beside one step of
    the ROC, which with few targets is long; with many targets all three agree. Weighted trials are allowed.
    """
    a, b = rocch_edge(roc)
    miss_P, fa_P, n_tar, n_non = roc.missed_P, roc.false_alarms_P, roc.n_target, roc.n_nontarget
    gap_a = fa_P[a] / n_non - miss_P[a] / n_tar
    gap_b = miss_P[b] / n_tar - fa_P[b] / n_non
    return float((miss_P[a] * gap_b + miss_P[b] * gap_a) / (n_tar * (gap_a + gap_b)))


def rocch_edge(roc: Roc) -> tuple[int, int]:
    """The two points of the ROC between which its lower convex hull goes over the diagonal, by their numbers.

    The hull's edge over the diagonal is found by bisection with hull vertices, so the rest of the hull is
    never made: from the chord between two vertices on either side of the diagonal, the point farthest below
    is a vertex too and replaces its side's end, until nothing lies below.
    """
    miss_P, fa_P, n_tar, n_non = roc.missed_P, roc.false_alarms_P, roc.n_target, roc.n_nontarget
    a, b = 0, len(miss_P) - 1  # false alarm >= miss at a, < at b
    while True:
        below = (miss_P[a : b + 1] - miss_P[a]) * (fa_P[a] - fa_P[b])
        below += (fa_P[a : b + 1] - fa_P[a]) * (miss_P[b] - miss_P[a])
        c = int(below.argmin())
        if below[c] >= 0:
            break
        c += a
        if fa_P[c] * n_tar >= miss_P[c] * n_non:
            a = c
        else:
            b = c
    return a, b


def eer_nearest(roc: Roc) -> float:
    """max(miss, false alarm) at the corner of the ROC where they are nearest: the VoxSRC 2020 trainer's EER.

    Equals `tuneThresholdfromScore` of the authors' voxceleb_trainer [Chung et al. 2020] on
    scikit-learn's `roc_curve`, that is, over the corners only: points in the middle of a straight run, where
    only one of the two rates moves, are not considered; of equally near corners the one with the highest
    threshold counts. With few targets the runs are long and the figure can be far from the others: for the
    4012 trials and 12 targets of tests/data/metrics/few_targets it is 2.2 %, Kaldi's 8.3 %. Reference:
    tests/data/metrics/official_voxceleb_trainer.json.
    """
    # By falling threshold, less "reject all".
    missed, alarms = roc.missed_P[-2::-1], roc.false_alarms_P[-2::-1]
    corner = np.ones(len(missed), dtype=bool)
    corner[1:-1] = (np.diff(missed, 2) != 0) | (np.diff(alarms, 2) != 0)
    # In percent and by way of the hit rate, as there: the rounding decides between equally near corners.
    miss = np.append(1.0, 1 - (roc.n_target - missed[corner]) / roc.n_target) * 100
    false_alarm = np.append(0.0, alarms[corner] / roc.n_nontarget) * 100
    nearest = np.abs(miss - false_alarm).argmin()
    return float(max(miss[nearest], false_alarm[nearest]) / 100)


def eer_kaldi(roc: Roc) -> float:
    """The equal error rate that Kaldi's `compute-eer` prints.

    k / n_target for the least k such that the target score number k from below (from 0) is above the
    non-target score number floor(k n_nontarget / n_target) from above; (n_target - 1) / n_target if there is
    none. It is always a multiple of 1/n_target, so coarse and mostly high where targets are few. Kaldi keeps
    scores in single precision; those that differ only beyond it are ties there and not here. Reference:
    tests/data/metrics/kaldi.txt.

    Raises:
        ValueError: weighted trials whose weights do not add up to whole numbers.
    """
    missed_P, alarms_P = np.rint(roc.missed_P).astype(np.int64), np.rint(roc.false_alarms_P).astype(np.int64)
    if (missed_P != roc.missed_P).any() or (alarms_P != roc.false_alarms_P).any():
        raise ValueError("Kaldi's EER counts trials; use eer_rocch with fractional weights")
    n_tar, n_non = int(missed_P[-1]), int(alarms_P[0])
    # Targets number missed[i] .. missed[i+1]-1 share threshold i, which alarms[i] non-targets reach: "above"
    # there means alarms[i] <= floor(k n_non / n_tar).
    k_K = np.maximum(missed_P[:-1], -(-alarms_P[:-1] * n_tar // n_non))
    return int(k_K[k_K < missed_P[1:]].min(initial=n_tar - 1)) / n_tar


# -- Detection cost ------------------------------------------------------------------------------------------


def min_dcf_point(roc: Roc, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> OperatingPoint:
    """The threshold of least detection cost, that cost (normalised), and its two error rates.

    C(t) = (c_miss p Pmiss(t) + c_fa (1 - p) Pfa(t)) / min(c_miss p, c_fa (1 - p)), over every threshold that
    makes a difference, "accept all" and "reject all" among them (threshold +inf), so never above 1. Of equal
    costs the lowest threshold. Equals Kaldi's compute_min_dcf.py and the VoxSRC 2020 trainer where no target
    ties with a non-target. Those two take tied trials one by one in the order of the list, so they may
    find a cost that no threshold has and that changes when the list is shuffled: 0.988 instead of 0.990 for
    tests/data/metrics/ties at p = 0.01.

    Raises:
        ConfigError: p_target not within (0, 1) or a cost not positive.
    """
    miss_weight, fa_weight = _normalised_costs(p_target, c_miss, c_fa)
    cost_P = roc.missed_P * (miss_weight / roc.n_target)
    cost_P += roc.false_alarms_P * (fa_weight / roc.n_nontarget)
    return _operating_point(roc, int(cost_P.argmin()), miss_weight, fa_weight)


def min_dcf(roc: Roc, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Least normalised detection cost over all thresholds; `min_dcf_point` has its threshold too."""
    return min_dcf_point(roc, p_target, c_miss, c_fa).cost


def bayes_threshold(p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """The log-likelihood ratio, in nats, from which on accepting costs least: log(c_fa (1 - p) / (c_miss p)).

    Raises:
        ConfigError: p_target not within (0, 1) or a cost not positive.
    """
    _normalised_costs(p_target, c_miss, c_fa)
    return float(np.log(c_fa * (1 - p_target)) - np.log(c_miss * p_target))


def act_dcf_point(roc: Roc, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> OperatingPoint:
    """Normalised detection cost at `bayes_threshold`, and the rates there.

    For scores that are log-likelihood ratios (natural logarithm); of other scores it says nothing.

    Raises:
        ConfigError: p_target not within (0, 1) or a cost not positive.
    """
    miss_weight, fa_weight = _normalised_costs(p_target, c_miss, c_fa)
    threshold = bayes_threshold(p_target, c_miss, c_fa)
    i = int(np.searchsorted(roc.thresholds_P, threshold, side="left"))
    return _operating_point(roc, i, miss_weight, fa_weight)._replace(threshold=threshold)


def act_dcf(roc: Roc, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Normalised detection cost of log-likelihood ratios at the Bayes threshold; see `act_dcf_point`."""
    return act_dcf_point(roc, p_target, c_miss, c_fa).cost


def min_cprimary(roc: Roc) -> float:
    """Mean of the minimum normalised costs at priors 0.01 and 0.005 [NIST SRE 2016 plan, section 3].

    SRE16 gives every partition (language, gender, ...) the same say: for that, see `sv.equalised`. Of plain lists it
    is "unequalised".
    """
    return sum(min_dcf(roc, p) for p in SRE16_PRIORS) / len(SRE16_PRIORS)


def act_cprimary(roc: Roc) -> float:
    """The same mean of actual costs of log-likelihood ratios, which is SRE16's primary metric."""
    return sum(act_dcf(roc, p) for p in SRE16_PRIORS) / len(SRE16_PRIORS)


def _normalised_costs(p_target: float, c_miss: float, c_fa: float) -> tuple[float, float]:
    if not (0 < p_target < 1 and c_miss > 0 and c_fa > 0):
        raise ConfigError(
            f"a detection cost needs a prior between 0 and 1 and positive costs, not prior {p_target:g}, C_miss"
            f" {c_miss:g}, C_fa {c_fa:g}"
        )
    best_blind = min(c_miss * p_target, c_fa * (1 - p_target))
    return c_miss * p_target / best_blind, c_fa * (1 - p_target) / best_blind


def _operating_point(roc: Roc, i: int, miss_weight: float, fa_weight: float) -> OperatingPoint:
    miss, false_alarm = float(roc.missed_P[i] / roc.n_target), float(roc.false_alarms_P[i] / roc.n_nontarget)
    cost = miss_weight * miss + fa_weight * false_alarm
    return OperatingPoint(cost, float(roc.thresholds_P[i]), miss, false_alarm)


# -- Log-likelihood-ratio cost -------------------------------------------------------------------------------


def cllr(roc: Roc) -> float:
    """Cost of log-likelihood ratios over all priors, in bits [Brümmer & du Preez 2006].

    Half the mean of log2(1 + exp(-s)) over targets plus half that of log2(1 + exp(s)) over non-targets; 0 is
    perfect, 1 what s = 0 for all costs. Infinite if a target has -inf or a non-target +inf.
    """
    return _cllr(roc, roc.thresholds_P[:-1])


def min_cllr(roc: Roc) -> float:
    """Cllr after the best monotone mapping of the scores: what is left of it without any calibration error.

    The mapping is `pav_llr`, as in BOSARIS. Between 0 (separable) and 1.
    """
    return _cllr(roc, pav_llr(roc))


def pav_llr(roc: Roc) -> NDArray:
    """Log-likelihood ratio of each distinct score by pool-adjacent-violators, float (P-1,), non-decreasing.

    The log odds of a target in the score's pool, less those of the whole list [Brümmer & de Villiers 2013;
    Fawcett & Niculescu-Mizil 2007]. Tied scores share a pool. -inf and +inf where a pool is pure; such a
    pool's cost is 0.
    """
    target_K, nontarget_K = np.diff(roc.missed_P), -np.diff(roc.false_alarms_P)
    pool_starts = _pools(roc)
    target_B = np.add.reduceat(target_K, pool_starts[:-1])
    nontarget_B = np.add.reduceat(nontarget_K, pool_starts[:-1])
    with np.errstate(divide="ignore"):
        llr_B = np.log(target_B / roc.n_target) - np.log(nontarget_B / roc.n_nontarget)
    return np.repeat(llr_B, np.diff(pool_starts))


def rocch(roc: Roc) -> Roc:
    """The points of a ROC that are vertices of its lower convex hull, as a ROC.

    `eer_rocch`, least costs and `min_cllr` are the same of both, as they depend on the hull alone; where a figure is
    wanted of thousands of ROCs, they are quick of this one. The vertices are the ends of the pools [Fawcett &
    Niculescu-Mizil 2007].
    """
    vertices = _pools(roc)
    return Roc(roc.thresholds_P[vertices], roc.missed_P[vertices], roc.false_alarms_P[vertices])


def _pools(roc: Roc) -> NDArray:
    """Where pools of adjacent violators begin among the distinct scores, and the end of the last."""
    target_K = np.diff(roc.missed_P)
    all_K = (target_K - np.diff(roc.false_alarms_P)).astype(np.float64)
    return isotonic_regression(target_K / all_K, weights=all_K).blocks


def _cllr(roc: Roc, llr_K: NDArray) -> float:
    """Cllr with the given log-likelihood ratio at each distinct score, (P-1,)."""
    total = 0.0
    for count_K, sign, n in (
        (np.diff(roc.missed_P), -1, roc.n_target),
        (-np.diff(roc.false_alarms_P), 1, roc.n_nontarget),
    ):
        there_K = count_K > 0  # elsewhere the logarithm may be infinite, times zero trials
        total += count_K[there_K] @ np.logaddexp(0.0, sign * llr_K[there_K]) / n
    return float(total / (2 * np.log(2)))
