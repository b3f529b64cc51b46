"""Learning rates, reversals, ends of a training: functions of its settings, the step and the held-out errors so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sv.systems.training import (
    Adversarial,
    Constant,
    Exponential,
    OneCycle,
    Plateau,
    Schedule,
    Steps,
    Training,
    TriStage,
)


def rate(schedule: Schedule, done: float, epochs: int, errors: Sequence[float]) -> float:
    """What the learning rate is multiplied by.

    Args:
        done: epochs that are finished, and the part of the next one.
        epochs: of the whole training.
        errors: the held-out error after each finished epoch; what is kept of a training, so that one that was
            interrupted goes on as if it had not been.
    """
    match schedule:
        case Exponential(final_ratio=final):
            return final ** (done / epochs)
        case Steps(every=every, factor=factor):
            return factor ** (int(done) // every)
        case Plateau():
            return schedule.factor ** anneals(schedule, errors)
        case Constant():
            return 1.0
        case OneCycle(div_factor=div, final_div_factor=final):
            return _cycle(schedule, done / epochs, 1 / div, 1.0, 1 / (div * final))
        case TriStage():
            return _tri_stage(schedule, done / epochs)
    raise TypeError(f"no schedule: {schedule}")


def momentum(schedule: Schedule, done: float, epochs: int) -> float | None:
    """The momentum that a schedule sets at each step, `done` and `epochs` as for `rate`; None: it leaves it alone."""
    if isinstance(schedule, OneCycle) and schedule.cycle_momentum:
        high = schedule.max_momentum
        return _cycle(schedule, done / epochs, high, schedule.base_momentum, high)
    return None


def _cycle(schedule: OneCycle, part: float, first: float, middle: float, last: float) -> float:
    """From `first` to `middle` and on to `last`, along half a cosine each, when `part` of a training is done.

    Step s of S comes when s / S is done. torch's OneCycleLR lets the halves end at the steps pct_start S - 1 and S - 1,
    so that its curve is ours, and is ahead of it: in the second half by a step, in the first by a step at its end and
    by less before. Ours does not ask how many steps an epoch has.
    """
    if part <= schedule.pct_start:
        return _cosine(first, middle, part / schedule.pct_start)
    return _cosine(middle, last, (part - schedule.pct_start) / (1 - schedule.pct_start))


def _cosine(start: float, end: float, part: float) -> float:
    """From one value to another along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def _tri_stage(schedule: TriStage, part: float) -> float:
    """Rising evenly, constant, falling by the same factor every step, when `part` of a training is done."""
    falls_from = schedule.warmup + schedule.hold
    if part < schedule.warmup:
        return schedule.initial_ratio + (1 - schedule.initial_ratio) * part / schedule.warmup
    if part <= falls_from:
        return 1.0
    return schedule.final_ratio ** ((part - falls_from) / (1 - falls_from))


def margin_part(settings: Training, done: float) -> float:
    """The part of a loss's margin that is in force: it rises evenly over the first `margin_epochs`."""
    return min(1.0, done / settings.margin_epochs) if settings.margin_epochs else 1.0


def reversal(settings: Adversarial | None, done: float, epochs: int) -> float:
    """Lambda, by which a domain classifier's gradient is reversed; 0 where there is none.

    `ganin` is weight (2 / (1 + exp(-10 p)) - 1), where p is the part of the training that is done (Ganin & Lempitsky
    2015, section 4): of all its epochs, also where the held-out error may end it before (`done` and `epochs` are as
    for `rate`).
    """
    if settings is None:
        return 0.0
    if settings.schedule == "constant":
        return settings.weight
    return settings.weight * (2 / (1 + math.exp(-10 * done / epochs)) - 1)


def ended(settings: Training, errors: Sequence[float]) -> bool:
    """Whether a training with these held-out errors, one for each finished epoch, is at its end."""
    if len(errors) >= settings.epochs:
        return True
    if settings.stop_after is not None and _since_best(errors) >= settings.stop_after:
        return True
    schedule = settings.schedule
    return isinstance(schedule, Plateau) and schedule.factor ** anneals(schedule, errors) < schedule.final_ratio


def anneals(schedule: Plateau, errors: Sequence[float]) -> int:
    """How often the rate has fallen: after `hold` epochs, once for every `patience` epochs without a better one."""
    count, waited, best = 0, 0, float("inf")
    for epoch, error in enumerate(errors, 1):
        if error < best:
            best, waited = error, 0
        else:
            waited += 1
        if epoch < schedule.hold:
            waited = 0  # what happens at the full rate does not count
        elif waited >= schedule.patience:
            count, waited = count + 1, 0
    return count


def _since_best(errors: Sequence[float]) -> int:
    """Epochs after the (first) best one."""
    return len(errors) - 1 - min(range(len(errors)), key=errors.__getitem__) if errors else 0
