"""Range tests: the sweep, the moving average, and what is read off curves whose answers are known."""

import numpy as np
import pytest

from sv.errors import ConfigError, DataError
from sv.training.lr_curve import Smoothed, Suggestion, Sweep, rates_around, rates_between, suggest

SWEEP = Sweep(1e-8, 1.0, 5000)


def smoothed(loss_N, smoothing):
    average = Smoothed(smoothing)
    return np.array([average.add(float(loss)) for loss in loss_N])


def course(sweep, centre=1e-4, width=0.3, plateau=8.7, fall=4.0, diverges_at=2e-3, noise=0.0):
    """Rates and losses: a fall along a logistic curve over log10 lr, then a rise; noise of the seed 0."""
    lr_N = np.array([sweep.rate(step) for step in range(sweep.steps)])
    x_N = np.log10(lr_N)
    loss_N = plateau - fall / (1 + np.exp(-(x_N - np.log10(centre)) / width))
    loss_N += np.square(np.maximum(0, x_N - np.log10(diverges_at))) * 9
    return lr_N, loss_N + noise * np.random.default_rng(0).standard_normal(sweep.steps)


def test_rates_rise_by_the_same_factor():
    lr_N = np.array([SWEEP.rate(step) for step in range(5000)])
    assert lr_N[[0, -1]] == pytest.approx([1e-8, 1])
    assert np.diff(np.log(lr_N)) == pytest.approx(np.full(4999, np.log(1e8) / 4999))


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 0.98])
def test_the_average_is_of_all_losses_with_weights_that_sum_to_one(smoothing):
    """Against the sum over all losses so far, written out."""
    loss_N = np.random.default_rng(1).uniform(1, 3, 60)
    for n, found in enumerate(smoothed(loss_N, smoothing), 1):
        weight_n = smoothing ** np.arange(n - 1, -1, -1.0)
        assert found == pytest.approx(np.average(loss_N[:n], weights=weight_n))


def test_what_a_smooth_curve_suggests_is_where_it_was_drawn():
    """Without smoothing: the logistic's centre, where it has fallen by 2 % of its fall, and the rise's beginning."""
    sweep = Sweep(1e-8, 1.0, 5000, smoothing=0.0)
    lr_N, loss_N = course(sweep)
    found = suggest(sweep, lr_N, loss_N, loss_N)
    lowest = int(loss_N.argmin())
    assert found.stop == lr_N[lowest]
    assert found.lowest == loss_N[lowest]
    assert found.plateau == pytest.approx(8.7, abs=1e-4)
    assert found.steepest == pytest.approx(1e-4, rel=0.01)
    gone = 0.02 * (8.7 - loss_N[lowest]) / 4  # the logistic's value there
    assert found.start == pytest.approx(10 ** (-4 + 0.3 * np.log(gone / (1 - gone))), rel=0.01)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2])
def test_noise_moves_what_is_suggested_by_little(noise):
    """With .98 over 5,000 steps: late by the 50 steps that the average lags, a factor of 1.2, and by some noise."""
    lr_N, loss_N = course(SWEEP, noise=noise)
    found = suggest(SWEEP, lr_N, loss_N, smoothed(loss_N, 0.98))
    assert 0.7 * 1e-4 < found.steepest < 1.7 * 1e-4
    assert 4e-6 < found.start < 2e-5  # 6.8e-6 without noise or lag
    assert 1e-3 < found.stop < 4e-3
    assert found.start < found.steepest < found.stop


def test_the_steepest_is_not_in_what_runs_off():
    """A curve that falls off a cliff after its lowest, as a loss may on its way to no number."""
    lr_N, loss_N = course(SWEEP)
    after = int(loss_N.argmin()) + 10
    loss_N[after : after + 300] = 50
    loss_N[after + 300 :] = 9
    found = suggest(SWEEP, lr_N, loss_N, smoothed(loss_N, 0.98))
    assert found.steepest == pytest.approx(1.2e-4, rel=0.1)
    assert found.stop < lr_N[after]


@pytest.mark.parametrize("level", [0.1, 8.7])
@pytest.mark.parametrize("smoothing", [0.9, 0.98])
@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_is_no_fall(level, smoothing, seed):
    sweep = Sweep(1e-8, 1.0, 5000, smoothing)
    lr_N = course(sweep)[0]
    loss_N = level * (1 + 0.1 * np.random.default_rng(seed).standard_normal(5000))
    with pytest.raises(
        DataError, match=r"the loss never falls by more than its noise, from 1e-08 to 1; take more --st"
    ):
        suggest(sweep, lr_N, loss_N, smoothed(loss_N, smoothing))


def test_a_loss_that_only_rises_or_ends_at_once_is_told():
    lr_N, loss_N = course(SWEEP, fall=0.0)
    with pytest.raises(DataError, match="the loss never falls"):
        suggest(SWEEP, lr_N, loss_N, smoothed(loss_N, 0.98))
    few = (lr_N[:30], loss_N[:30], loss_N[:30])
    with pytest.raises(DataError, match="the loss ran off after 30 steps, too few to judge by; begin lower, by --from"):
        suggest(SWEEP, *few)


def test_a_grid_is_centred_on_the_steepest_and_bounded_by_start_and_stop():
    found = Suggestion(steepest=1e-4, start=1e-5, stop=8e-3, plateau=2.0, lowest=1.0)
    assert rates_around(found, 3) == [1e-5, 1e-4, 8e-3]
    rates = rates_around(found, 7)
    assert (rates[0], rates[3], rates[6]) == (1e-5, 1e-4, 8e-3)
    assert np.diff(np.log(rates[:4])) == pytest.approx(np.full(3, np.log(10) / 3), rel=0.01)
    assert np.diff(np.log(rates[3:])) == pytest.approx(np.full(3, np.log(80) / 3), rel=0.01)
    assert rates_between(1e-5, 1e-2, 4) == [1e-5, 1e-4, 1e-3, 1e-2]
    assert rates_between(1e-5, 1.001e-5, 5) == [1e-5]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ((1e-3, 1e-4, 5000), "--from and --to are rates, one above the other, not 0.001 and 0.0001"),
        ((0.0, 1.0, 5000), "--from and --to are rates, one above the other, not 0 and 1"),
        ((1e-8, float("inf"), 5000), "--from and --to are rates"),
        ((1e-8, 1.0, 5000, 1.0), "--smoothing is a weight from 0, below 1, not 1"),
        ((1e-8, 1.0, 5000, 0.9, 1.0), "--stop-at is above 1, not 1"),
        ((1e-8, 1.0, 499, 0.98), "--steps 499: smoothing remembers 50 steps, and 10 times as many are needed"),
        ((1e-8, 1.0, 9, 0.0), "--steps 9: "),
    ],
)
def test_a_sweep_that_is_none_is_refused(values, problem):
    with pytest.raises(ConfigError, match=problem):
        Sweep(*values)


@pytest.mark.parametrize("points", [1, 2, 6])
def test_a_grid_has_as_many_points_on_each_side(points):
    with pytest.raises(ConfigError, match=f"--points is an odd number from 3, .*not {points}"):
        rates_around(Suggestion(1e-4, 1e-5, 1e-3, 2.0, 1.0), points)


def test_a_grid_between_two_rates_takes_two():
    with pytest.raises(ConfigError, match="--points is a number from 2, not 1"):
        rates_between(1e-5, 1e-3, 1)
    with pytest.raises(ConfigError, match="--from and --to are rates"):
        rates_between(1e-3, 1e-5, 3)
