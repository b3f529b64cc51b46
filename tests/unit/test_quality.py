"""`sv.scoring.quality`, and calibration with it: against loops over trials, and where what is right is known."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logit

from sv.data.trials import Trials
from sv.data.vectors import Vectors
from sv.errors import DataError
from sv.metrics import cllr
from sv.roc import Roc
from sv.scoring.calibration import RIDGE, Calibration
from sv.scoring.normalisation import Statistics
from sv.scoring.quality import Side, names_of, read_quality, seconds_heard, trial_quality, write_quality

MEASURES = ("duration", "norm", "cohort_mean")


def a_side(keys, seed):
    """Vectors of keys, with seconds and cohort statistics."""
    rng = np.random.default_rng(seed)
    vectors = Vectors(list(keys), rng.normal(size=(len(keys), 4)), np.ones(len(keys), int))
    seconds = dict(zip(keys, rng.uniform(1, 9, len(keys)), strict=True))
    mean = dict(zip(keys, rng.normal(size=len(keys)), strict=True))
    return vectors, seconds, mean, lambda x: Statistics(np.array([mean[key] for key in x.keys]), np.ones(len(x.keys)))


def test_of_a_trial_it_is_the_least_and_the_most_of_both_sides(tmp_path):
    """Trial by trial, from memory and from the file; an id may be on both sides with other measures."""
    one, one_s, one_mean, one_of = a_side(["a", "b", "c"], 1)
    other, other_s, other_mean, other_of = a_side(["a", "t", "u"], 2)
    trials = Trials(["c", "a", "a", "b"], ["t", "a", "u", "t"], None)
    sides = Side.of(MEASURES, one, one_s, one_of), Side.of(MEASURES, other, other_s, other_of)
    found_NQ = trial_quality(*sides, trials)
    expected = []
    for e, t in trials.pairs():
        x_e, x_t = one.x_ND[one.index()[e]], other.x_ND[other.index()[t]]
        pairs = [
            (np.log(one_s[e]), np.log(other_s[t])),
            (np.sqrt((x_e**2).sum()), np.sqrt((x_t**2).sum())),
            (one_mean[e], other_mean[t]),
        ]
        expected.append([end(pair) for pair in pairs for end in (min, max)])
    np.testing.assert_allclose(found_NQ, expected, rtol=1e-12)
    assert names_of(MEASURES)[:3] == ["least_duration", "most_duration", "least_norm"]
    write_quality(tmp_path / "q", MEASURES, *sides)
    np.testing.assert_allclose(read_quality(tmp_path / "q", MEASURES, trials), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no quality measures are there"),
        ("", "no quality measures are there"),
        ("side id duration\nenrol a 1\ntest t 2\n", "other measures than norm"),
        ("side id norm\nenrol a 1\ntest t one\n", "is not 'side id' and 1 numbers"),
        ("side id norm\nenrol a 1 2\ntest t 1\n", "is not 'side id' and 1 numbers"),
        ("side id norm\nenrol a 1\ntest t nan\n", "is not a number"),
        ("side id norm\nenrol a 1\ntest u 1\n", "a quality measure"),
    ],
)
def test_a_file_of_something_else_is_one_line(tmp_path, text, says):
    if text is not None:
        (tmp_path / "q").write_text(text)
    with pytest.raises(DataError, match=says):
        read_quality(tmp_path / "q", ("norm",), Trials(["a"], ["t"], None))


def test_durations_that_nobody_wrote_are_one_line(tmp_path):
    with pytest.raises(DataError, match=r"utt2dur is missing.*--stage 5 --force"):
        seconds_heard(tmp_path, ["a"])
    (tmp_path / "utt2dur").write_text("a 1.25\nb 2\n")
    assert seconds_heard(tmp_path, ["a"]) == {"a": 1.25}


def shifted(num=400, seed=0):
    """Scores that a measure shifts by a known weight: llr = 2 s - 1.5 x + 0.3, with x on a scale of its own."""
    rng = np.random.default_rng(seed)
    is_target_N = np.arange(num) < num // 4
    llr_N = rng.normal(np.where(is_target_N, 2.0, -2.0), 2.0)  # variance 4, means ±2: ratios that are what they say
    x_N = 100 + 2 * rng.normal(size=num)
    return (llr_N - 0.3 + 1.5 * x_N) / 2, is_target_N, x_N[:, None], llr_N


def test_a_measure_that_shifts_scores_is_found_and_taken_out():
    """Of many trials the weights are those that made them; without the measure the scores tell less."""
    scores_N, is_target_N, x_NQ, llr_N = shifted(40_000)
    found = Calibration.learn(scores_N, is_target_N, 0.5, ["x"], x_NQ)
    assert (found.slope, found.quality["x"]) == (pytest.approx(2, rel=0.05), pytest.approx(-1.5, rel=0.05))
    after = cllr(Roc.from_scores(found(scores_N, x_NQ), is_target_N))
    assert after == pytest.approx(cllr(Roc.from_scores(llr_N, is_target_N)), abs=0.005)
    alone = Calibration.learn(scores_N, is_target_N, 0.5)
    assert cllr(Roc.from_scores(alone(scores_N), is_target_N)) > after + 0.1


def test_weights_are_those_of_another_optimiser():
    """Nelder and Mead on the definition of the cost, ridge on the standardised measure included."""
    scores_N, is_target_N, x_NQ, _ = shifted(300, seed=2)
    found = Calibration.learn(scores_N, is_target_N, 0.1, ["x"], x_NQ)
    score_N = (scores_N - scores_N.mean()) / scores_N.std()
    x_N = (x_NQ[:, 0] - x_NQ.mean()) / x_NQ.std()

    def cost(w):
        llr_N = w[0] * score_N + w[1] * x_N + w[2] + logit(0.1)
        one, other = np.logaddexp(0, -llr_N[is_target_N]).mean(), np.logaddexp(0, llr_N[~is_target_N]).mean()
        return 0.1 * one + 0.9 * other + 0.5 * RIDGE * w[1] ** 2

    options = {"xatol": 1e-9, "fatol": 1e-15, "maxiter": 20_000, "maxfev": 20_000}
    twin = minimize(cost, np.array([1.0, 0.0, 0.0]), method="Nelder-Mead", options=options).x
    assert found.slope == pytest.approx(twin[0] / scores_N.std(), rel=1e-4)
    assert found.quality["x"] == pytest.approx(twin[1] / x_NQ.std(), rel=1e-4)
    llr_N = twin[0] * score_N + twin[1] * x_N + twin[2]
    np.testing.assert_allclose(found(scores_N, x_NQ), llr_N, rtol=1e-3, atol=1e-3)


def test_a_measure_that_is_the_same_everywhere_changes_nothing():
    scores_N, is_target_N, x_NQ, _ = shifted()
    alone = Calibration.learn(scores_N, is_target_N)
    found = Calibration.learn(scores_N, is_target_N, names=["x"], quality_NQ=np.full_like(x_NQ, 3.3))
    assert found.quality == {"x": 0.0}
    assert (found.slope, found.offset) == (pytest.approx(alone.slope), pytest.approx(alone.offset))


def test_a_measure_that_separates_what_scores_do_not_gets_a_finite_weight():
    scores_N, is_target_N, _, _ = shifted()
    found = Calibration.learn(scores_N, is_target_N, names=["x"], quality_NQ=is_target_N[:, None].astype(float))
    assert np.isfinite(found.quality["x"])
    assert found.quality["x"] > 0


def test_it_is_kept_in_its_file(tmp_path):
    """And a file from before there were measures is one without."""
    scores_N, is_target_N, x_NQ, _ = shifted()
    found = Calibration.learn(scores_N, is_target_N, 0.05, ["x"], x_NQ)
    found.write(tmp_path / "c.json")
    assert Calibration.read(tmp_path / "c.json") == found
    stored = json.loads((tmp_path / "c.json").read_text())
    del stored["quality"]
    (tmp_path / "c.json").write_text(json.dumps(stored))
    assert Calibration.read(tmp_path / "c.json").quality == {}


def test_the_score_that_is_a_ratio_is_known_where_nothing_else_weighs():
    alone = Calibration(slope=2.0, offset=-1.0, prior=0.05)
    assert alone(np.array([alone.score_at(3.0)]))[0] == pytest.approx(3.0)
    assert Calibration(2.0, -1.0, 0.05, quality={"x": 1.0}).score_at(3.0) is None
    assert Calibration(-2.0, -1.0, 0.05).score_at(3.0) is None
