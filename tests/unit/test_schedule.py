"""Schedules and ends of a training, as functions of the epoch and the held-out errors."""

import itertools

import pytest
import torch
from trainings import SMALL

from sv.errors import ConfigError
from sv.systems.reading import load_system
from sv.systems.training import Constant, Exponential, OneCycle, Plateau, Steps, TriStage
from sv.training.optimiser import build_optimiser, set_pace
from sv.training.schedule import anneals, ended, margin_part, momentum, rate


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


def test_constant_stays():
    assert [rate(Constant(name="constant"), done, 9, []) for done in (0, 4.5, 8.9)] == [1, 1, 1]


CYCLES = {
    "default": {},
    "other": {"pct_start": 0.25, "div_factor": 10.0, "final_div_factor": 100.0, "base_momentum": 0.7},
}


def of_torch(cycle, steps, kind):
    """torch's rate, as a part of its maximum, and momentum at each step of a training."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = (
        torch.optim.Adam([weight], lr=1.0) if kind == "adam" else torch.optim.SGD([weight], lr=1.0, momentum=0.5)
    )
    options = cycle.model_dump(exclude={"name"})
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=1.0, total_steps=steps, **options)
    group, found = optimiser.param_groups[0], []
    for _ in range(steps):
        found.append((group["lr"], group["betas"][0] if kind == "adam" else group["momentum"]))
        optimiser.step()
        if len(found) < steps:
            scheduler.step()
    return found


@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("options", CYCLES.values(), ids=CYCLES)
def test_one_cycle_is_the_curve_of_torch(options, kind):
    """Step by step, read where torch's two halves put a step: in the first s / (pct S - 1), in the second a step on."""
    cycle, steps, epochs = OneCycle(name="one_cycle", **options), 400, 7
    first = cycle.pct_start * steps
    for step, (lr, beta) in enumerate(of_torch(cycle, steps, kind)):
        part = cycle.pct_start * step / (first - 1) if step <= first - 1 else (step + 1) / steps
        assert rate(cycle, part * epochs, epochs, []) == pytest.approx(lr, rel=1e-6)
        assert momentum(cycle, part * epochs, epochs) == pytest.approx(beta, rel=1e-6)


@pytest.mark.parametrize("options", CYCLES.values(), ids=CYCLES)
def test_one_cycle_is_behind_torch_by_a_step_at_most(options):
    """As the loop reads it, at step s of S when s / S is done: between torch's of this step and of the one before."""
    cycle, steps = OneCycle(name="one_cycle", **options), 400
    theirs = of_torch(cycle, steps, "adam")
    assert rate(cycle, 0, steps, []) == pytest.approx(theirs[0][0], rel=1e-12)
    for step in range(1, steps):
        for ours, a, b in zip(
            (rate(cycle, step, steps, []), momentum(cycle, step, steps)), theirs[step - 1], theirs[step], strict=True
        ):
            if step > cycle.pct_start * steps:
                assert ours == pytest.approx(a, rel=1e-9)
            else:
                assert min(a, b) * (1 - 1e-9) <= ours <= max(a, b) * (1 + 1e-9)


def test_a_cycle_may_leave_the_momentum_alone():
    still = OneCycle(name="one_cycle", cycle_momentum=False)
    assert momentum(still, 1, 3) is None
    assert momentum(Constant(name="constant"), 1, 3) is None


@pytest.mark.parametrize(
    ("optimiser", "before", "after"),
    [
        ("{name: adam, lr: 1.0}", {"betas": (0.9, 0.999)}, {"betas": (0.8, 0.999)}),
        ("{name: sgd, lr: 1.0, momentum: 0.3}", {"momentum": 0.3}, {"momentum": 0.8}),
    ],
)
def test_the_pace_is_set_in_every_group(optimiser, before, after):
    made = build_optimiser(settings(f"training.optimiser={optimiser}").optimiser, [torch.nn.Parameter(torch.zeros(1))])
    made.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))]})
    for value, expected in ((None, before), (0.8, after)):
        set_pace(made, 0.25, value)
        for group in made.param_groups:
            assert {"lr": 0.25, **expected}.items() <= group.items()


def test_tri_stage_is_the_papers():
    """Wav2vec2's for speakers: of 100,000 steps, 1e-7 to 1e-5 in 10,000, 40,000 flat, exponentially to 1e-7."""
    schedule = TriStage(name="tri_stage")
    at = {step: 1e-5 * rate(schedule, step / 20_000, 5, []) for step in range(0, 100_001, 2500)}
    assert at[0] == pytest.approx(1e-7)
    assert at[5000] == pytest.approx((1e-7 + 1e-5) / 2)
    assert [at[step] for step in range(10_000, 50_001, 2500)] == pytest.approx([1e-5] * 17)
    falling = [at[step] for step in range(50_000, 100_001, 2500)]
    assert falling[-1] == pytest.approx(1e-7)
    assert all(b / a == pytest.approx(0.01 ** (1 / 20)) for a, b in itertools.pairwise(falling))


@pytest.mark.parametrize(
    ("warmup", "hold", "rates"),
    [(0.0, 0.0, [1, 0.1, 0.01]), (0.5, 0.5, [0.01, 1, 1]), (0.0, 1.0, [1, 1, 1]), (1.0, 0.0, [0.01, 0.505, 1])],
)
def test_tri_stage_may_lack_a_stage(warmup, hold, rates):
    schedule = TriStage(name="tri_stage", warmup=warmup, hold=hold)
    assert [rate(schedule, done, 2, []) for done in (0, 1, 2)] == pytest.approx(rates)


@pytest.mark.parametrize(
    ("sets", "problem"),
    [
        (
            ["training.schedule={name: tri_stage, warmup: 0.7, hold: 0.4}"],
            r"warmup \(0\.7\) and hold \(0\.4\) are parts",
        ),
        (
            ["training.schedule={name: one_cycle, base_momentum: 0.97}"],
            r"base_momentum: 0\.97 is above max_momentum, 0",
        ),
        (
            ["training.schedule={name: one_cycle}", "training.optimiser={name: rmsprop, lr: 1.0}"],
            r"training\.schedule\.cycle_momentum: rmsprop has no momentum to cycle; set it to false",
        ),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(sets, problem):
    with pytest.raises(ConfigError, match=problem):
        settings(*sets)


def test_rmsprop_may_have_a_cycle_of_the_rate_alone():
    rms = "training.optimiser={name: rmsprop, lr: 1.0}"
    assert settings(rms, "training.schedule={name: one_cycle, cycle_momentum: false}").schedule.div_factor == 25


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
