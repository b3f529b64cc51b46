"""What a learning rate range test says: the loss over the rate, smoothed, and which rates are worth trying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from sv.errors import ConfigError, DataError

FALLEN = 0.02  # the part of the whole fall that is still the plateau
NOISE = 10  # standard deviations of the smoothed loss's noise that are no fall; a maximum over a test may reach 4
ROUNDING = 1e-6  # of the plateau: six digits of losses are kept


@dataclass(frozen=True)
class Sweep:
    """How a test raises the rate: from `low` to `high` by the same factor every step (Smith 2017, section 3.3).

    >>> sweep = Sweep(1e-8, 1.0, 5000)
    >>> sweep.rate(0), sweep.rate(4999), sweep.memory
    (1e-08, 1.0, 50)

    `smoothing` is the weight of what was, in the mean of the losses so far; the test ends early when that mean is above
    `stop_at` times its lowest. Raises ConfigError for a sweep that is none.
    """

    low: float
    high: float
    steps: int
    smoothing: float = 0.98
    stop_at: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < float("inf"):
            raise ConfigError(f"--from and --to are rates, one above the other, not {self.low:g} and {self.high:g}")
        if not 0 <= self.smoothing < 1:
            raise ConfigError(f"--smoothing is a weight from 0, below 1, not {self.smoothing:g}")
        if not self.stop_at > 1:
            raise ConfigError(f"--stop-at is above 1, not {self.stop_at:g}")
        if self.steps < LEAST * self.memory:
            raise ConfigError(
                f"--steps {self.steps}: smoothing remembers {self.memory} steps, and {LEAST} times as many are needed;"
                " take more, or lower --smoothing"
            )

    def rate(self, step: int) -> float:
        """The rate of a step, from 0."""
        part = step / (self.steps - 1)
        return self.low ** (1 - part) * self.high**part

    @property
    def memory(self) -> int:
        """The steps that a smoothed loss is the mean of, more or less, and by which it lags."""
        return round(1 / (1 - self.smoothing))


LEAST = 10  # memories of a test: of 5,000 steps with .98 there are 100


class Smoothed:
    """The exponential moving average of losses, divided by the sum of its weights, as at first they are few."""

    def __init__(self, smoothing: float) -> None:
        self._smoothing = smoothing
        self._sum = self._weight = 0.0

    def add(self, loss: float) -> float:
        """The average with one more."""
        self._sum = self._smoothing * self._sum + (1 - self._smoothing) * loss
        self._weight = self._smoothing * self._weight + (1 - self._smoothing)
        return self._sum / self._weight


@dataclass(frozen=True)
class Suggestion:
    """Rates: of the steepest fall of the smoothed loss over the log of the rate, and where it starts and stops falling.

    `plateau` is the loss before, `lowest` the lowest smoothed one.
    """

    steepest: float
    start: float
    stop: float
    plateau: float
    lowest: float

    def as_dict(self) -> dict[str, float]:
        """As suggestion.json holds it."""
        return asdict(self)


def suggest(sweep: Sweep, lr_N: NDArray, loss_N: NDArray, smoothed_N: NDArray) -> Suggestion:
    """What the losses of a test's N steps, float (N,), say; N may be fewer than the sweep's, where it ended early.

    The plateau is the mean of the first losses, as many as the smoothing remembers. The loss stops falling where its
    smoothed course is lowest. It starts where that course leaves the plateau for good: the first step after the last
    one before the lowest that is still within 2 % of the whole fall of it, as noise may come that low earlier. It falls
    most steeply where a straight line through so many steps before and after, none beyond the lowest, does.

    Raises DataError if there are too few steps, or no fall that is more than noise.
    """
    memory = sweep.memory
    if len(loss_N) < LEAST * memory // 2:
        raise DataError(f"the loss ran off after {len(loss_N)} steps, too few to judge by; begin lower, by --from")
    # At first a smoothed loss is the mean of a few, and low or high by chance.
    plateau, lowest = float(loss_N[:memory].mean()), memory + int(smoothed_N[memory:].argmin())
    fall = plateau - float(smoothed_N[lowest])
    if fall <= max(NOISE * _noise(loss_N[: lowest + 1], sweep.smoothing), ROUNDING * abs(plateau)):
        raise DataError(
            f"the loss never falls by more than its noise, from {lr_N[0]:.2g} to {lr_N[-1]:.2g}; take more --steps,"
            " another --from and --to, or a larger training.batch_size"
        )
    on_plateau = np.flatnonzero(smoothed_N[:lowest] >= plateau - FALLEN * fall)
    start = int(on_plateau[-1]) + 1 if len(on_plateau) else 0
    slope_of = {}
    for step in range(start, lowest + 1):
        near = slice(max(0, step - memory), min(step + memory, lowest) + 1)
        slope_of[step] = np.polyfit(np.log(lr_N[near]), smoothed_N[near], 1)[0]
    steepest = min(slope_of, key=slope_of.__getitem__)
    return Suggestion(*(float(lr_N[i]) for i in (steepest, start, lowest)), plateau, float(smoothed_N[lowest]))


def _noise(loss_N: NDArray, smoothing: float) -> float:
    """The standard deviation of a smoothed loss, of losses that differ from step to step by noise."""
    of_one = np.sqrt(np.square(np.diff(loss_N)).mean() / 2) if len(loss_N) > 1 else 0.0
    return float(of_one * np.sqrt((1 - smoothing) / (1 + smoothing)))


def rates_around(suggestion: Suggestion, points: int) -> list[float]:
    """An odd number of rates: from the start to the steepest, and on to the stop, half of them each, evenly in the log.

    Raises ConfigError for another number.
    """
    if points < 3 or points % 2 == 0:
        raise ConfigError(f"--points is an odd number from 3, as many on each side of the steepest, not {points}")
    half = points // 2 + 1
    return _distinct(
        [
            *np.geomspace(suggestion.start, suggestion.steepest, half),
            *np.geomspace(suggestion.steepest, suggestion.stop, half),
        ]
    )


def rates_between(low: float, high: float, points: int) -> list[float]:
    """Rates from one to another, evenly in the log. Raises ConfigError if they are none."""
    if not 0 < low < high < float("inf"):
        raise ConfigError(f"--from and --to are rates, one above the other, not {low:g} and {high:g}")
    if points < 2:
        raise ConfigError(f"--points is a number from 2, not {points}")
    return _distinct(np.geomspace(low, high, points))


def _distinct(rates: Sequence[float] | NDArray) -> list[float]:
    """With three digits, each once."""
    return sorted({float(f"{rate:.2e}") for rate in rates})
