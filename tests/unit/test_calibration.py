"""`sv.scoring.calibration`: against brute force, finite differences and scores whose calibration is known."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logit

from sv.errors import ConfigError, DataError
from sv.metrics import act_dcf, cllr, min_dcf
from sv.roc import Roc
from sv.scoring.calibration import RIDGE, Calibration, weighted_cost


def llrs(num_targets, num_nontargets, variance=6.0, seed=0):
    """Log-likelihood ratios that are what they say: normal with mean ±variance/2 [Brümmer & van Leeuwen 2013]."""
    rng = np.random.default_rng(seed)
    is_target_N = np.arange(num_targets + num_nontargets) < num_targets
    return rng.normal(np.where(is_target_N, variance / 2, -variance / 2), np.sqrt(variance)), is_target_N


def slow_cost(slope, offset, scores_N, is_target_N, prior):
    """The cost as BOSARIS writes it, a trial at a time."""
    targets = [np.log1p(np.exp(-(slope * s + offset + logit(prior)))) for s in scores_N[is_target_N]]
    nontargets = [np.log1p(np.exp(slope * s + offset + logit(prior))) for s in scores_N[~is_target_N]]
    return prior * np.mean(targets) + (1 - prior) * np.mean(nontargets)


def overlapping(seed=0, num=60):
    """A small list of ten times as many non-targets, on a scale of its own."""
    scores_N, is_target_N = llrs(num, 10 * num, 3.0, seed)
    return 0.02 * scores_N + 7, is_target_N


@pytest.mark.parametrize("prior", [0.01, 0.05, 0.5])
def test_cost_gradient_and_hessian_are_those_of_the_definition(prior):
    """The cost trial by trial, the derivatives by central differences; with a ridge and three columns too."""
    rng = np.random.default_rng(1)
    scores_N, is_target_N = overlapping()
    x_NK = np.stack([scores_N, np.ones_like(scores_N)], axis=1)
    assert weighted_cost(np.array([3.0, -20.0]), x_NK, is_target_N, prior)[0] == pytest.approx(
        slow_cost(3.0, -20.0, scores_N, is_target_N, prior), rel=1e-12
    )
    x_NK, w_K = rng.normal(size=(len(scores_N), 3)), rng.normal(size=3)
    ridge_K = np.array([0.3, 0.0, 2.0])
    _, gradient_K, hessian_KK = weighted_cost(w_K, x_NK, is_target_N, prior, ridge_K)
    for k in range(3):
        e_K = 1e-5 * np.eye(3)[k]
        up, down = (weighted_cost(w_K + sign * e_K, x_NK, is_target_N, prior, ridge_K) for sign in (1, -1))
        assert gradient_K[k] == pytest.approx((up[0] - down[0]) / 2e-5, rel=1e-6, abs=1e-9)
        assert np.allclose(hessian_KK[k], (up[1] - down[1]) / 2e-5, rtol=1e-6, atol=1e-9)


def test_at_prior_one_half_the_cost_is_cllr():
    scores_N, is_target_N = llrs(40, 300)
    x_NK = np.stack([scores_N, np.ones_like(scores_N)], axis=1)
    cost = weighted_cost(np.array([0.7, 0.3]), x_NK, is_target_N, 0.5)[0]
    assert cost / np.log(2) == pytest.approx(cllr(Roc.from_scores(0.7 * scores_N + 0.3, is_target_N)))


@pytest.mark.parametrize("prior", [0.005, 0.05, 0.5, 0.9])
def test_optimum_is_that_of_another_optimiser(prior):
    """Nelder and Mead's simplex on the definition, which knows no derivative."""
    scores_N, is_target_N = overlapping(seed=3)
    found = Calibration.learn(scores_N, is_target_N, prior)
    start = np.array([found.slope * 0.7, found.offset * 0.7 + 1])
    options = {"xatol": 1e-9, "fatol": 1e-15, "maxiter": 10_000, "maxfev": 10_000}
    twin = minimize(
        lambda w: slow_cost(w[0], w[1] - w[0] * 7, scores_N, is_target_N, prior),  # around the scores' middle
        np.array([start[0], start[1] + 7 * start[0]]),
        method="Nelder-Mead",
        options=options,
    )
    slope, offset = twin.x[0], twin.x[1] - 7 * twin.x[0]
    assert (found.slope, found.offset) == (pytest.approx(slope, rel=1e-5), pytest.approx(offset, rel=1e-5))
    assert not found.separable


def test_no_point_of_a_grid_is_better():
    """Slopes and offsets around the optimum, fine and coarse."""
    scores_N, is_target_N = overlapping(seed=4, num=30)
    found = Calibration.learn(scores_N, is_target_N, 0.05)
    middle = scores_N.mean()
    best = slow_cost(found.slope, found.offset, scores_N, is_target_N, 0.05)
    for slope in found.slope * np.array([0.5, 0.9, 0.999, 1, 1.001, 1.1, 2]):
        for shift in (-1, -0.1, -1e-3, 0, 1e-3, 0.1, 1):
            offset = found.offset + (found.slope - slope) * middle + shift
            assert slow_cost(slope, offset, scores_N, is_target_N, 0.05) >= best - 1e-15


@pytest.mark.parametrize("prior", [0.01, 0.05, 0.5])
def test_known_calibration_is_recovered(prior):
    """Of scores (llr - b) / a from 400,000 true log-likelihood ratios, a and b to a few standard errors."""
    llr_N, is_target_N = llrs(100_000, 300_000)
    found = Calibration.learn((llr_N - 1.5) / 0.04, is_target_N, prior)
    assert found.slope == pytest.approx(0.04, rel=0.03)
    assert found.offset == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize(("scale", "shift"), [(1e-9, 0), (1e-200, 0), (1e9, 1e9), (1.0, 1e4), (-3.0, 2.0)])
def test_llrs_do_not_depend_on_how_scores_are_stretched(scale, shift):
    """A negative factor gives a negative slope and the same ratios; 1e4 away, to what is left of the digits."""
    scores_N, is_target_N = llrs(200, 900, 3.0)
    expected_N = Calibration.learn(scores_N, is_target_N, 0.05)(scores_N)
    found = Calibration.learn(scale * scores_N + shift, is_target_N, 0.05)
    assert np.allclose(found(scale * scores_N + shift), expected_N, rtol=0, atol=1e-7)
    assert (found.slope > 0) == (scale > 0)


def test_number_of_trials_of_a_kind_does_not_matter():
    """Every non-target five times."""
    scores_N, is_target_N = overlapping()
    more_N = np.concatenate([scores_N, np.repeat(scores_N[~is_target_N], 4)])
    labels_N = np.arange(len(more_N)) < is_target_N.sum()
    one, five = Calibration.learn(scores_N, is_target_N, 0.05), Calibration.learn(more_N, labels_N, 0.05)
    assert (five.slope, five.offset) == (pytest.approx(one.slope), pytest.approx(one.offset))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("gap", [0.0, 1e-6, 5.0])
def test_separable_list_has_a_finite_calibration(sign, gap):
    """Its slope is where the ridged cost is level, it decides as the scores do, and it says that it was ridged."""
    rng = np.random.default_rng(0)
    is_target_N = np.arange(80) < 30
    scores_N = np.where(is_target_N, gap + rng.random(80), -rng.random(80))
    scores_N[[0, -1]] = gap, 0.0
    found = Calibration.learn(sign * scores_N, is_target_N, 0.05)
    assert found.separable
    assert np.isfinite([found.slope, found.offset]).all()
    assert np.sign(found.slope) == sign
    scale = scores_N.std()

    def ridged(slope):
        return slow_cost(slope, found.offset, sign * scores_N, is_target_N, 0.05) + RIDGE / 2 * (slope * scale) ** 2

    assert ridged(found.slope) <= min(ridged(found.slope * part) for part in (0.9, 0.99, 1.01, 1.1))


def test_one_wrong_trial_is_no_ridge():
    """Nearly separable: steep, finite, and the exact optimum, where the cost's gradient is nothing."""
    rng = np.random.default_rng(0)
    is_target_N = np.arange(2000) < 1000
    scores_N = np.where(is_target_N, 1 + rng.random(2000), -rng.random(2000))
    scores_N[0] = -0.001
    found = Calibration.learn(scores_N, is_target_N, 0.05)
    assert not found.separable
    x_NK = np.stack([scores_N, np.ones_like(scores_N)], axis=1)
    gradient_K = weighted_cost(np.array([found.slope, found.offset]), x_NK, is_target_N, 0.05)[1]
    assert np.abs(gradient_K).max() < 1e-9


def test_calibrated_scores_cost_what_true_ratios_cost():
    """On a list of the same kind that was not learnt from: actual costs near the least ones, where they were 1."""
    (learnt_N, labels_N), (llr_N, is_target_N) = llrs(4000, 4000, 8.0), llrs(20_000, 20_000, 8.0, seed=1)
    calibrated = Roc.from_scores(Calibration.learn(0.01 * learnt_N, labels_N)(0.01 * llr_N), is_target_N)
    assert act_dcf(Roc.from_scores(0.01 * llr_N, is_target_N), 0.05) == 1
    assert act_dcf(calibrated, 0.05) < min_dcf(calibrated, 0.05) + 0.02
    assert cllr(calibrated) == pytest.approx(cllr(Roc.from_scores(llr_N, is_target_N)), abs=0.01)


@pytest.mark.parametrize(
    ("scores", "labels", "prior", "error", "said"),
    [
        ([1, 2, 3], [0, 0, 0], 0.05, DataError, "no target trial among 3"),
        ([1, 2, 3], [1, 1, 1], 0.05, DataError, "no non-target trial among 3"),
        ([2, 2, 2], [1, 0, 0], 0.05, DataError, "all 3 scores are 2; there is nothing to calibrate"),
        ([1, np.inf, 3], [1, 0, 0], 0.05, DataError, "1 of 3 scores are not finite"),
        ([1, np.nan, 3], [1, 0, 0], 0.05, DataError, "1 of 3 scores are NaN"),
        ([1, 2, 3, 1e308, -1e308], [1, 0, 1, 0, 1], 0.05, DataError, "out of all proportion"),
        ([1, 2, 3], [1, 0, 0], 0.0, ConfigError, "a prior lies between 0 and 1, not 0.0"),
        ([1, 2, 3], [1, 0, 0], 1.0, ConfigError, "a prior lies between 0 and 1"),
    ],
)
def test_what_cannot_be_calibrated_is_one_line(scores, labels, prior, error, said):
    with pytest.raises(error, match=said):
        Calibration.learn(scores, labels, prior)


def test_file_holds_every_digit(tmp_path):
    calibration = Calibration.learn(*overlapping())
    calibration.write(tmp_path / "c.json", trials="x")
    assert Calibration.read(tmp_path / "c.json") == calibration
    assert json.loads((tmp_path / "c.json").read_text())["trials"] == "x"


@pytest.mark.parametrize("text", [None, "{", "[1]", '{"slope": 1}'])
def test_file_that_is_none_is_one_line(tmp_path, text):
    if text:
        (tmp_path / "c.json").write_text(text)
    with pytest.raises(DataError, match=r"c\.json(:| is) .*calibrate (first|again) \(stage 8\)$"):
        Calibration.read(tmp_path / "c.json")
