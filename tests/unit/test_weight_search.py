"""The search for weights against a twin that tries all, one by one, with `sv.metrics` on all trials."""

import itertools
import math

import numpy as np
import pytest

import sv.scoring.weight_search
from sv.errors import DataError
from sv.metrics import eer_rocch, min_dcf
from sv.roc import Roc
from sv.scoring.weight_search import _Figures, search

METRICS = {"eer": eer_rocch, "min_dcf": lambda roc: min_dcf(roc, 0.05)}


def scored(seed, systems=3, trials=400, apart=2.0, decimals=None):
    """Scores of systems of which each knows something else, and labels; rounded, many are the same."""
    rng = np.random.default_rng(seed)
    is_target_N = rng.random(trials) < 0.3
    apart_M1 = apart * np.linspace(0.7, 1.3, systems)[:, None]
    scores_MN = apart_M1 * is_target_N + rng.normal(size=(systems, trials)) + 0.5 * rng.normal(size=trials)
    return (scores_MN if decimals is None else scores_MN.round(decimals)), is_target_N


def figure(metric, weights, scores_MN, is_target_N):
    """Of all trials."""
    total_N = sum(w * s_N for w, s_N in zip(weights, scores_MN, strict=True))
    return METRICS[metric](Roc.from_scores(total_N, is_target_N))


def all_weights(systems, most=3):
    """Each once: of those that are proportional the least."""
    seen = {}
    for weights in itertools.product(range(most + 1), repeat=systems):
        if any(weights):
            direction = tuple(w / max(weights) for w in weights)
            seen[direction] = min(seen.get(direction, weights), weights)
    return sorted(seen.values())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_all_weights_are_tried_and_the_best_is_found(metric, decimals):
    """Ties as stated: fewest systems, least sum, then the greatest of the first system, and so on."""
    for seed in range(4):
        scores_MN, is_target_N = scored(seed, decimals=decimals)
        tried = all_weights(3)
        expected = min(
            tried,
            key=lambda w: (figure(metric, w, scores_MN, is_target_N), sum(map(bool, w)), sum(w), *(-x for x in w)),
        )
        found = search(scores_MN, is_target_N, metric)
        assert (found.weights, found.tried, found.way) == (expected, len(tried), "exhaustive")
        assert found.figure == figure(metric, expected, scores_MN, is_target_N)


def test_a_tie_goes_to_fewest_systems_then_to_the_first():
    """The same scores twice: any weights do as well."""
    scores_MN, is_target_N = scored(0, systems=1)
    found = search(np.repeat(scores_MN, 3, axis=0), is_target_N, "eer")
    assert (found.weights, found.figure) == ((1, 0, 0), figure("eer", (1,), scores_MN, is_target_N))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("apart", [-1.0, 0.0, 0.5, 2.0, 4.0, 30.0])
@pytest.mark.parametrize("trials", [12, 300, 30_000])
def test_few_trials_near_the_threshold_give_the_figure_of_all(metric, apart, trials):
    """Worse than chance, and separable, as well; with few targets, and ties; whatever was expected before."""
    for decimals, expected in itertools.product((None, 0), (1e-6, 0.05, 1.0)):
        scores_MN, is_target_N = scored(1, 2, trials, apart, decimals)
        is_target_N[:2] = True, False
        figures = _Figures(scores_MN, is_target_N, metric)
        for weights in ((1, 0), (1, 1), (3, 2)):
            figures._expected = expected
            assert figures(weights) == pytest.approx(figure(metric, weights, scores_MN, is_target_N), abs=1e-12)


def test_coordinates_are_searched_where_there_are_too_many_weights(monkeypatch):
    """No change of one weight is for the better; never worse than the best single system and than the plain mean."""
    monkeypatch.setattr(sv.scoring.weight_search, "MOST_COMBINATIONS", 100)
    for metric, seed in itertools.product(METRICS, range(3)):
        scores_MN, is_target_N = scored(seed, systems=5)
        found = search(scores_MN, is_target_N, metric)
        assert found.way == "coordinate"
        assert found.tried < len(all_weights(5)) / 3
        assert found.figure == figure(metric, found.weights, scores_MN, is_target_N)
        assert math.gcd(*found.weights) == 1
        begun_with = [(1,) * 5, *(tuple(int(m == n) for m in range(5)) for n in range(5))]
        assert all(found.figure <= figure(metric, weights, scores_MN, is_target_N) for weights in begun_with)
        for m, value in itertools.product(range(5), range(4)):
            changed = (*found.weights[:m], value, *found.weights[m + 1 :])
            if any(changed) and max(found.weights) == 3:
                assert found.figure <= figure(metric, changed, scores_MN, is_target_N)


def test_scale_of_a_system_matters_and_max_weight_bounds():
    """A system of narrow scores wants more weight than there is."""
    scores_MN, is_target_N = scored(2, systems=2, trials=3000)
    scores_MN[0] /= 5
    small, large = (search(scores_MN, is_target_N, "eer", most) for most in (1, 6))
    assert max(small.weights) == 1
    assert large.weights[0] > large.weights[1]
    assert large.figure < small.figure


@pytest.mark.parametrize(
    ("scores_MN", "is_target_N", "problem"),
    [
        ([[1, 2], [3, 4]], [True, True], "no non-target trial among 2"),
        ([[1, 2], [3, 4]], [False, False], "no target trial among 2"),
        ([[1, 2], [3, np.inf]], [True, False], "1 of 4 scores are not finite; weights need numbers"),
    ],
)
def test_a_list_that_decides_nothing_is_refused(scores_MN, is_target_N, problem):
    with pytest.raises(DataError, match=problem):
        search(scores_MN, is_target_N, "eer")
