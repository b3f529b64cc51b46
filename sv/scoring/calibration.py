"""Calibration: scores to log-likelihood ratios, by prior-weighted logistic regression.

Letters in shapes: N trials, Q quality measures, K weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from sv.data.atomic import atomic_write
from sv.errors import ConfigError, DataError
from sv.roc import checked_trials

DEFAULT_PRIOR = 0.05  # that of the first actual cost that the report gives
RIDGE = 1e-4  # on the slope of a separable list, and on quality measures: half of it times the square of a weight
_MOST_STEPS = 100
_DONE = 1e-10  # part of the cost that the last step promises; the steps' errors being squared, no more is to be had

_OUT_OF_PROPORTION = "calibration does not converge: a few scores are out of all proportion to the others"


@dataclass(frozen=True)
class Calibration:
    """An affine calibration s -> slope s + sum_q w_q x_q + offset into a log-likelihood ratio, in nats.

    >>> calibration = Calibration.learn(scores_N, is_target_N, prior=0.05)
    >>> llr_M = calibration(other_scores_M)

    `separable`: in the list it was learnt from no target scores below a non-target, or none above, so that the
    steeper the better, and the slope is what RIDGE made it. `quality`: the weights of quality measures by name (see
    `sv.scoring.quality`); without any the order of scores stays.
    """

    slope: float
    offset: float
    prior: float
    separable: bool = False
    quality: dict[str, float] = field(default_factory=dict)

    @classmethod
    def learn(
        cls,
        scores: ArrayLike,
        is_target: ArrayLike,
        prior: float = DEFAULT_PRIOR,
        names: Sequence[str] = (),
        quality_NQ: NDArray | None = None,
    ) -> Calibration:
        """Learn from the scores of labelled trials.

        Minimises `weighted_cost` over slope, offset and weights, in float64 on standardised scores and measures, so
        that their scale does not matter. Where the scores are separable (in either sense) the least cost is at an
        infinite slope; there, and only there, RIDGE keeps it finite. The weights of measures, which together with the
        scores may separate what the scores do not, have it always; one that is the same in all trials gets 0.

        Args:
            scores: (N,), finite.
            is_target: bool (N,).
            prior: of a target: the cost is most exact about decisions at this prior.
            names: of the Q measures, if there are any.
            quality_NQ: the measures, (N, Q), finite.
        Raises:
            DataError: one kind of trial is missing, a score is not finite, or all scores are the same.
            ConfigError: prior not within (0, 1).
        """
        if not 0 < prior < 1:
            raise ConfigError(f"a prior lies between 0 and 1, not {prior}")
        scores_N, is_target_N = checked_trials(scores, is_target)
        if bad := int((~np.isfinite(scores_N)).sum()):
            raise DataError(f"{bad} of {scores_N.size} scores are not finite; calibration needs numbers")
        if scores_N.min() == scores_N.max():
            raise DataError(f"all {scores_N.size} scores are {scores_N[0]:g}; there is nothing to calibrate")
        columns = [scores_N, *([] if quality_NQ is None else np.asarray(quality_NQ, np.float64).T)]
        means, scales = np.array([_mean_and_scale(x_N) for x_N in columns]).T
        standardised = [(x_N - mean) / scale for x_N, mean, scale in zip(columns, means, scales, strict=True)]
        separable = _separable(scores_N[is_target_N], scores_N[~is_target_N])
        ridge_K = np.array([RIDGE * separable, *[RIDGE] * len(names), 0.0])
        x_NK = np.stack([*standardised, np.ones_like(scores_N)], axis=1)
        *weights, offset = _minimise(x_NK, is_target_N, prior, ridge_K)
        weights = np.array(weights) / scales
        quality = dict(zip(names, weights[1:].tolist(), strict=True))
        return cls(float(weights[0]), float(offset - weights @ means), prior, separable, quality)

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """Read what `write` wrote. Raises DataError if it is missing or something else."""
        try:
            stored = json.loads(path.read_bytes())
            return cls(**{each.name: stored[each.name] for each in fields(cls) if each.name in stored})
        except FileNotFoundError:
            raise DataError(f"{path} is missing; calibrate first (stage 8)") from None
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{path}: not a calibration; calibrate again (stage 8)") from None

    def __call__(self, scores_N: NDArray, quality_NQ: NDArray | None = None) -> NDArray:
        """Log-likelihood ratios of scores, float64 (N,), in nats; with the measures (N, Q) that it was learnt with."""
        llr_N = self.slope * np.asarray(scores_N, np.float64) + self.offset
        return llr_N + quality_NQ @ np.array([*self.quality.values()]) if self.quality else llr_N

    def score_at(self, llr: float) -> float | None:
        """The score from which on the ratio is `llr` or more, whatever the trial; None where measures weigh in."""
        return (llr - self.offset) / self.slope if self.slope > 0 and not self.quality else None

    def write(self, path: Path, **about: object) -> None:
        """Write it as JSON, with what else there is to know about it."""
        with atomic_write(path) as out:
            json.dump(asdict(self) | about, out, indent=1, ensure_ascii=False)
            out.write("\n")


def weighted_cost(
    w_K: NDArray, x_NK: NDArray, is_target_N: NDArray, prior: float, ridge_K: NDArray | float = 0.0
) -> tuple[float, NDArray, NDArray]:
    """The prior-weighted logistic cost of log-likelihood ratios x w, its gradient and its Hessian.

    C(w) = P/T sum_tar log(1 + exp(-(x w + logit P))) + (1-P)/N sum_non log(1 + exp(x w + logit P))
    [Brümmer & du Preez 2006; Brümmer & de Villiers, The BOSARIS Toolkit, 2013], plus half of ridge times w².
    At P = 1/2 it is Cllr, in nats instead of bits.

    Args:
        w_K: weights, (K,); x_NK: what they weigh, a column of ones for an offset, (N, K).
        is_target_N: bool (N,), with both kinds.
    Returns:
        The cost in nats; its gradient, (K,); its Hessian, (K, K), positive definite where the columns are independent.
    """
    num_targets = int(is_target_N.sum())
    weight_N = np.where(is_target_N, prior / num_targets, (1 - prior) / (len(is_target_N) - num_targets))
    sign_N = np.where(is_target_N, 1.0, -1.0)
    margin_N = sign_N * (x_NK @ w_K + logit(prior))
    wrong_N = expit(-margin_N)
    cost = weight_N @ np.logaddexp(0.0, -margin_N) + 0.5 * np.sum(ridge_K * w_K**2)
    gradient_K = ridge_K * w_K - x_NK.T @ (weight_N * sign_N * wrong_N)
    hessian_KK = x_NK.T @ ((weight_N * wrong_N * expit(margin_N))[:, None] * x_NK)
    hessian_KK[np.diag_indices(len(w_K))] += ridge_K
    return float(cost), gradient_K, hessian_KK


def _mean_and_scale(x_N: NDArray) -> tuple[float, float]:
    """Mean and standard deviation of what differs; of what does not, 1, so that it is 0 when standardised."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, spread = x_N.mean(), np.ptp(x_N)
        if spread == 0:
            return x_N[0], 1.0
        scale = spread * ((x_N - mean) / spread).std()  # the deviation's square may be too small to be held
    if not np.isfinite(scale):
        raise DataError(_OUT_OF_PROPORTION)
    return mean, scale


def _separable(target_N: NDArray, nontarget_N: NDArray) -> bool:
    """Whether one kind lies wholly on one side of the other, a shared boundary score included."""
    return bool(nontarget_N.max() <= target_N.min() or target_N.max() <= nontarget_N.min())


def _minimise(x_NK: NDArray, is_target_N: NDArray, prior: float, ridge_K: NDArray) -> NDArray:
    """The weights of least cost, (K,), by Newton's method; a step is halved until it pays."""
    w_K = np.zeros(x_NK.shape[1])
    cost, gradient_K, hessian_KK = weighted_cost(w_K, x_NK, is_target_N, prior, ridge_K)
    for _ in range(_MOST_STEPS):
        try:
            step_K = -np.linalg.solve(hessian_KK, gradient_K)
        except np.linalg.LinAlgError:
            break
        gain = -float(gradient_K @ step_K)  # twice what the step promises
        if gain <= _DONE * cost:
            return w_K + step_K
        for part in 0.5 ** np.arange(40):
            found = weighted_cost(w_K + part * step_K, x_NK, is_target_N, prior, ridge_K)
            if found[0] <= cost - 1e-4 * part * gain:
                break
        else:
            break
        w_K = w_K + part * step_K
        cost, gradient_K, hessian_KK = found
    raise DataError(_OUT_OF_PROPORTION)
