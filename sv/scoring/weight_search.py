"""Search for the weights of a fusion that do best on a labelled list.

The paper "Clova baseline system for the VoxCeleb Speaker Recognition Challenge 2020", section 3.7, tries all weights 0,
1, 2 or 3 of each model. Letters in shapes: M systems, N trials, T target and I non-target trials.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sv.data.atomic import atomic_write
from sv.data.trials import list_name
from sv.errors import DataError
from sv.metrics import eer_rocch, min_dcf_point, rocch_edge
from sv.records import fingerprint
from sv.roc import Roc, checked_trials
from sv.systems.ensembles import Metric

Weights = tuple[int, ...]

MOST_COMBINATIONS = 20_000  # of which all are tried: seven systems with weights 0 to 3
P_TARGET = 0.05  # of min_dcf, with costs 1
SAMPLE = 4096  # trials of each kind, or somewhat more, that say about where a threshold is to be looked for


@dataclass(frozen=True)
class Found:
    """The best weights, (M,), without a common divisor; their figure on the list; how many were tried, and how.

    Of weights with the same figure the best have fewest systems, then the least sum, then the greatest weight of the
    first system, of the second, and so on.
    """

    weights: Weights
    figure: float
    tried: int
    way: Literal["exhaustive", "coordinate"]


@dataclass(frozen=True)
class Tuned:
    """What a search found, as it is kept: the weight of each run by its folder, and the list that chose them."""

    weights: dict[str, int]
    metric: Metric
    figure: float  # on that list: flattering, as the weights were chosen by it
    tried: int
    way: str
    trials: str
    sha256: str
    num_targets: int
    num_nontargets: int

    @classmethod
    def read(cls, path: Path) -> Tuned:
        """Read what `write` wrote. Raises DataError if it is missing or something else."""
        try:
            stored = json.loads(path.read_bytes())
            return cls(**{field.name: stored[field.name] for field in fields(cls)})
        except FileNotFoundError:
            raise DataError(
                f"{path} is missing; search the weights first: steps/fuse.sh --tune-on TRIALS RUN"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{path}: not weights of a fusion; search them again with steps/fuse.sh") from None

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        with atomic_write(path) as out:
            json.dump(asdict(self), out, indent=1, ensure_ascii=False)
            out.write("\n")

    def is_on(self, path: Path) -> bool:
        """Whether a list, DATA/trials_NAME, is the one searched on: has its name, or the same bytes by another."""
        return list_name(path) == self.trials or fingerprint(path)[2:] == [self.sha256]


def search(scores_MN: ArrayLike, is_target_N: ArrayLike, metric: Metric, max_weight: int = 3) -> Found:
    """The weights 0 … `max_weight` of M systems whose weighted mean score does best on a list.

    All weights are tried where these are no more than MOST_COMBINATIONS, of those in proportion to each other one (as
    the figure is the same). Else one system's weight is changed at a time, all values of it being tried and the best
    kept, in the order of the systems and round and round, until no change is for the better: begun with the best single
    system at `max_weight`, and again with all systems at 1; the better end of the two counts. That is not always the
    best of all.

    Args:
        scores_MN: (M, N), finite.
        is_target_N: bool (N,).
        metric: `eer` on the convex hull, or `min_dcf` at target prior .05 and costs 1: what `sv.metrics` gives.
    Raises:
        DataError: one kind of trial is missing, or a score is not finite.
    """
    figure_of = _Figures(scores_MN, is_target_N, metric)
    M = len(figure_of)
    every = range(max_weight + 1)
    if len(every) ** M <= MOST_COMBINATIONS:
        return _best(figure_of, (w for w in itertools.product(every, repeat=M) if math.gcd(*w) == 1), "exhaustive")
    single = _best(figure_of, (_at(M, m, max_weight) for m in range(M)), "coordinate")
    found = [_climb(figure_of, start, every) for start in (single.weights, (1,) * M)]
    return _best(figure_of, found, "coordinate")


def _climb(figure_of: _Figures, weights: Weights, every: Iterable[int]) -> Weights:
    """The weights that changing one at a time leads to."""
    unchanged = 0
    for m in itertools.cycle(range(len(weights))):
        changed = ((*weights[:m], value, *weights[m + 1 :]) for value in every)
        best = min((w for w in changed if any(w)), key=lambda w: (figure_of(w), *_order(w), w != weights))
        unchanged = unchanged + 1 if best == weights else 0
        weights = best
        if unchanged == len(weights):
            return weights
    raise AssertionError("no systems")


def _best(figure_of: _Figures, tried: Iterable[Weights], way: Literal["exhaustive", "coordinate"]) -> Found:
    best = min(tried, key=lambda w: (figure_of(w), *_order(w)))
    return Found(_reduced(best), figure_of(best), figure_of.tried, way)


def _order(weights: Weights) -> tuple[int, ...]:
    """What decides between weights with the same figure: the least of these."""
    weights = _reduced(weights)
    return sum(map(bool, weights)), sum(weights), *(-w for w in weights)


def _reduced(weights: Weights) -> Weights:
    divisor = math.gcd(*weights)
    return tuple(w // divisor for w in weights)


def _at(size: int, place: int, value: int) -> Weights:
    return tuple(value * (m == place) for m in range(size))


class _Figures:
    """The figure of weights on a list, each looked up once.

    A figure is decided by the few trials near its threshold. So only these are sorted: those between a low threshold,
    where already too many non-targets are accepted, and a high one, where too many targets are missed. Whether they
    were too many is seen afterwards; if not, more are looked at. The figure is that of `sv.metrics` of all trials.
    """

    def __init__(self, scores_MN: ArrayLike, is_target_N: ArrayLike, metric: Metric) -> None:
        scores_MN = np.asarray(scores_MN, np.float64)
        if bad := int((~np.isfinite(scores_MN)).sum()):
            raise DataError(f"{bad} of {scores_MN.size} scores are not finite; weights need numbers")
        _, is_target_N = checked_trials(scores_MN[0], is_target_N)
        self._target_MT, self._nontarget_MI = scores_MN[:, is_target_N], scores_MN[:, ~is_target_N]
        self._evaluate = {"eer": _eer, "min_dcf": _min_dcf}[metric]
        # How great the two error rates may be, of the figure expected, at the thresholds looked at first.
        self._reach = {"eer": (2.5, 2.5), "min_dcf": (1.1, 1.1 * P_TARGET / (1 - P_TARGET))}[metric]
        self._known: dict[Weights, float] = {}
        self._expected = 0.1

    def __len__(self) -> int:
        return len(self._target_MT)

    @property
    def tried(self) -> int:
        """How many weights have been looked at."""
        return len(self._known)

    def __call__(self, weights: Weights) -> float:
        weights = _reduced(weights)
        if weights not in self._known:
            self._known[weights] = self._expected = self._of(weights)
        return self._known[weights]

    def _of(self, weights: Weights) -> float:
        target_T, nontarget_I = _weighted(weights, self._target_MT), _weighted(weights, self._nontarget_MI)
        for widened in itertools.count():
            miss, false_alarm = (min(1.0, reach * 2**widened * max(self._expected, 1e-3)) for reach in self._reach)
            figure, bound = self._evaluate(_NearRoc.of(target_T, nontarget_I, miss, false_alarm))
            if figure <= bound or miss == false_alarm == 1:
                return figure
        raise AssertionError("parts grow without end")


@dataclass(frozen=True)
class _NearRoc:
    """A ROC of the thresholds between two, of accepting all and of rejecting all.

    All thresholds that it lacks have a false-alarm rate of `false_alarm` or more, or a miss rate of `miss` or more.
    """

    roc: Roc
    miss: float
    false_alarm: float

    @classmethod
    def of(cls, target_T: NDArray, nontarget_I: NDArray, miss: float, false_alarm: float) -> _NearRoc:
        """Of the thresholds with about these error rates or less.

        Of these only the target scores, and one above them: any other accepts as many targets as the next of these, and
        as many non-targets or more.
        """
        high = _about_least(target_T, miss)
        low = min(-_about_least(-nontarget_I, false_alarm), high)
        near_T = np.sort(target_T[(target_T >= low) & (target_T <= high)])
        near_I = np.sort(nontarget_I[(nontarget_I >= low) & (nontarget_I <= high)])
        missed, above = int(np.count_nonzero(target_T < low)), int(np.count_nonzero(nontarget_I > high))
        roc = Roc(
            thresholds_P=np.concatenate([[-np.inf], near_T, [np.nextafter(high, np.inf), np.inf]]),
            missed_P=np.concatenate([
                [0], missed + np.searchsorted(near_T, near_T), [missed + len(near_T), len(target_T)]
            ]),
            false_alarms_P=np.concatenate([
                [len(nontarget_I)], above + len(near_I) - np.searchsorted(near_I, near_T), [above, 0]
            ]),
        )  # fmt: skip
        return cls(roc, (missed + len(near_T)) / len(target_T), (above + len(near_I)) / len(nontarget_I))


def _about_least(x: NDArray, part: float) -> float:
    """A number that about a part of all is below; of a sample, as nothing hangs on it but the time that is taken."""
    sample = x[:: _step(x)]
    last = min(math.ceil(part * len(sample)), len(sample) - 1)
    return float(np.partition(sample, last)[last]) if part < 1 else float(x.max())


def _step(x: NDArray) -> int:
    return max(1, len(x) // SAMPLE)


def _weighted(weights: Weights, scores_MN: NDArray) -> NDArray:
    """Sums of scores, (N,); the order is always the same, and so is the rounding."""
    total_N, weighted_N = np.zeros((2, scores_MN.shape[1]))
    for weight, scores_N in zip(weights, scores_MN, strict=True):
        if weight:
            total_N += np.multiply(scores_N, weight, out=weighted_N)
    return total_N


def _eer(near: _NearRoc) -> tuple[float, float]:
    """The EER, and how great it may be and still be that of all thresholds.

    It is the greatest over priors of the least error rate, and the prior that counts is that of the hull's edge. What
    a threshold costs at this prior is more than the EER where one of its rates alone costs more.
    """
    a, b = rocch_edge(near.roc)
    run = near.roc.false_alarm_P[a] - near.roc.false_alarm_P[b]
    rise = near.roc.miss_P[b] - near.roc.miss_P[a]
    prior = run / (run + rise)
    return eer_rocch(near.roc), min(prior * near.miss, (1 - prior) * near.false_alarm) * (1 + 1e-12)


def _min_dcf(near: _NearRoc) -> tuple[float, float]:
    """The cost, and how great it may be and still be the least of all thresholds."""
    cost = min_dcf_point(near.roc, P_TARGET).cost
    return cost, min(near.miss, near.false_alarm * (1 - P_TARGET) / P_TARGET)
