"""Schedules and ends of a training, as functions of the epoch and the held-out errors."""

import itertools

import pytest
from trainings import SMALL

from sv.systems.reading import load_system
from sv.systems.training import Exponential, Plateau, Steps
from sv.training.schedule import anneals, ended, margin_part, rate


def test_exponential_falls_by_the_same_factor_and_ends_at_the_final_ratio():
    schedule = Exponential(name="exponential", final_ratio=0.01)
    rates = [rate(schedule, done / 4, 5, []) for done in range(21)]
    assert rates[0] == 1
    assert rates[-1] == pytest.approx(0.01)
    assert all(b / a == pytest.approx(rates[1] / rates[0]) for a, b in itertools.pairwise(rates))


def test_steps_fall_every_so_many_epochs():
    schedule = Steps(name="steps", every=3, factor=0.5)
    assert [rate(schedule, epoch + part, 9, []) for epoch in range(9) for part in (0, 0.9)] == [
        *[1] * 6,
        *[0.5] * 6,
        *[0.25] * 6,
    ]


@pytest.mark.parametrize(
    ("errors", "count"),
    [
        ([], 0),
        ([5, 4, 3, 2], 0),  # better every time
        ([5, 6, 6], 1),  # two epochs without a better one
        ([5, 6, 6, 6], 1),  # the wait begins anew
        ([5, 6, 6, 6, 6], 2),
        ([5, 6, 4, 5, 5, 3, 4], 1),
        ([5, 5, 5], 1),  # equal is not better
    ],
)
def test_plateau_falls_when_nothing_better_comes(errors, count):
    assert anneals(Plateau(name="plateau", patience=2), errors) == count


def test_plateau_holds_first():
    """Epochs at the full rate do not count, but what they reached is to be bettered."""
    schedule = Plateau(name="plateau", hold=4, patience=2)
    assert [anneals(schedule, [1, 2, 2, 2, 2, 2, 2][:n]) for n in range(8)] == [0, 0, 0, 0, 0, 1, 1, 2]


def settings(*sets):
    return load_system(SMALL, sets=sets).training


def test_a_training_ends_after_its_epochs_or_without_a_better_error_or_at_the_least_rate():
    assert not ended(settings("training.epochs=3"), [1, 2])
    assert ended(settings("training.epochs=3"), [1, 2, 3])
    patient = settings("training.epochs=9", "training.stop_after=2")
    assert not ended(patient, [3, 2, 2])
    assert ended(patient, [3, 2, 2, 2])
    assert not ended(patient, [])
    plateau = settings(
        "training.epochs=9", "training.schedule={name: plateau, patience: 1, factor: 0.1, final_ratio: 0.05}"
    )
    assert not ended(plateau, [1, 1])
    assert ended(plateau, [1, 1, 1])


def test_margin_rises_evenly_and_is_whole_at_once_unless_asked():
    whole, rising = (load_system(SMALL, sets=[f"training.margin_epochs={n}"]).training for n in ("null", 4))
    assert [margin_part(whole, done) for done in (0, 0.5, 9)] == [1, 1, 1]
    assert [margin_part(rising, done) for done in (0, 1, 3.5, 4, 9)] == [0, 0.25, 0.875, 1, 1]
