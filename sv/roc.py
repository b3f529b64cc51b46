"""The sorted form of a list of scored trials, from which every figure of `sv.metrics` is read."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sv.errors import DataError


@dataclass(frozen=True, eq=False)
class Roc:
    """What is missed and what is falsely accepted at every threshold that makes a difference.

    Point i accepts a trial when score >= `thresholds_P[i]`. Thresholds are the distinct scores, ascending, so
    tied scores are accepted together, then +inf for the last point, which rejects every trial (those scored
    +inf too). There are hence P = K + 1 points for K distinct scores, from "accept all" to "reject all".

    Attributes:
        thresholds_P: ascending, float (P,).
        missed_P: target trials rejected at each point, (P,), from 0 to `n_target`; int, or float if weighted.
        false_alarms_P: non-target trials accepted at each point, (P,), from `n_nontarget` down to 0.
    """

    thresholds_P: NDArray
    missed_P: NDArray
    false_alarms_P: NDArray

    @classmethod
    def from_scores(cls, scores: ArrayLike, is_target: ArrayLike, weights: ArrayLike | None = None) -> "Roc":
        """Sorts N trials, O(N log N); each later figure is O(N) or less.

        Args:
            scores: float (N,), greater means more like a target; -inf and +inf are allowed.
            is_target: bool (N,).
            weights: float (N,), >= 0, or None for 1 each. A trial of weight 2 counts as the same trial twice.
        Raises:
            DataError: lengths differ, a score is NaN, a label is not 0 or 1, a weight is negative or not
                finite, or there is no target or no non-target trial (of positive weight).
        """
        scores_N, is_target_N = checked_trials(scores, is_target)
        thresholds_K, k_N = np.unique(scores_N, return_inverse=True)
        size = len(thresholds_K)
        if weights is None:
            all_K = np.bincount(k_N, minlength=size)
            target_K = np.bincount(k_N[is_target_N], minlength=size)
            return cls.from_counts(thresholds_K, target_K, all_K - target_K)
        weights_N = np.asarray(weights, dtype=np.float64)
        if weights_N.shape != scores_N.shape:
            raise DataError(f"{scores_N.size} scores but {weights_N.size} weights; give one a trial")
        if bad := int(np.sum(~(np.isfinite(weights_N) & (weights_N >= 0)))):
            raise DataError(f"{bad} of {weights_N.size} trial weights are negative or not finite")
        target_K = np.bincount(k_N, weights=weights_N * is_target_N, minlength=size)
        nontarget_K = np.bincount(k_N, weights=weights_N * ~is_target_N, minlength=size)
        return cls.from_counts(thresholds_K, target_K, nontarget_K)

    @classmethod
    def from_counts(cls, thresholds_K: NDArray, target_K: NDArray, nontarget_K: NDArray) -> "Roc":
        """From distinct ascending scores and how many (or what weight of) trials of each kind have each.

        Raises:
            DataError: the counts of targets or of non-targets are all zero.
        """
        if not target_K.any() or not nontarget_K.any():
            kind = "non-target" if target_K.any() else "target"
            raise DataError(f"no {kind} trial; error rates need both kinds")
        kept_K = (target_K > 0) | (nontarget_K > 0)
        if not kept_K.all():
            thresholds_K, target_K, nontarget_K = thresholds_K[kept_K], target_K[kept_K], nontarget_K[kept_K]
        rejected_P = np.concatenate([nontarget_K[:1] * 0, np.cumsum(nontarget_K)])
        return cls(
            thresholds_P=np.append(thresholds_K, np.inf),
            missed_P=np.concatenate([target_K[:1] * 0, np.cumsum(target_K)]),
            false_alarms_P=rejected_P[-1] - rejected_P,
        )

    @property
    def n_target(self) -> int | float:
        """Number of target trials; their total weight if weighted."""
        return self.missed_P[-1].item()

    @property
    def n_nontarget(self) -> int | float:
        """Number of non-target trials; their total weight if weighted."""
        return self.false_alarms_P[0].item()

    @property
    def miss_P(self) -> NDArray:
        """Miss rate at each point, float (P,), rising from 0 to 1."""
        return self.missed_P / self.n_target

    @property
    def false_alarm_P(self) -> NDArray:
        """False-alarm rate at each point, float (P,), falling from 1 to 0."""
        return self.false_alarms_P / self.n_nontarget


def checked_trials(scores: ArrayLike, is_target: ArrayLike) -> tuple[NDArray, NDArray]:
    """Scores as float64 (N,) and labels as bool (N,), or a `DataError` that says what is wrong with them."""
    scores_N, label_N = np.asarray(scores, dtype=np.float64), np.asarray(is_target)
    if scores_N.ndim != 1 or scores_N.shape != label_N.shape:
        raise DataError(f"{scores_N.shape} scores but {label_N.shape} trial labels; give one each a trial")
    if nans := int(np.isnan(scores_N).sum()):
        first = int(np.isnan(scores_N).argmax())
        raise DataError(f"{nans} of {scores_N.size} scores are NaN (first: trial {first}, from 0)")
    if label_N.dtype != bool and not (label_N.dtype.kind in "iuf" and np.isin(label_N, (0, 1)).all()):
        raise DataError(f"trial labels must be true or false, or 1 or 0, not {label_N.dtype}")
    is_target_N = label_N.astype(bool)
    n_target = int(is_target_N.sum())
    if n_target in (0, label_N.size):
        kind = "non-target" if n_target else "target"
        raise DataError(f"no {kind} trial among {label_N.size}; error rates need both kinds")
    return scores_N, is_target_N
