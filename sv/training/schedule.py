"""Learning rates, reversals, ends of a training: functions of its settings, the step and the held-out errors so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sv.systems.training import Adversarial, Exponential, Plateau, Schedule, Steps, Training


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
    raise TypeError(f"no schedule: {schedule}")


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
