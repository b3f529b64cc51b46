"""Fusion of scores: a twin that goes trial by trial, what normalising makes equal, and what is refused."""

import statistics

import numpy as np
import pytest

from sv.errors import DataError
from sv.scoring.fusion import Impostors, mean_score

RNG = np.random.default_rng(0)
IS_TARGET_N = RNG.random(50) < 0.3
SCORES_MN = RNG.normal(size=(3, 50)) * [[1], [20], [0.01]] + [[0], [-5], [3]] + IS_TARGET_N


def test_mean_is_that_of_a_trials_scores():
    expected = [statistics.fmean(scores) for scores in zip(*SCORES_MN.tolist(), strict=True)]
    assert mean_score(SCORES_MN) == pytest.approx(expected, rel=1e-12)


def test_weighted_mean_counts_a_system_as_often_as_its_weight_says():
    """Weights of 3, 0 and 1: as if the first were there three times and the second not at all."""
    repeated_MN = SCORES_MN[[0, 0, 0, 2]]
    assert mean_score(SCORES_MN, weights_M=(3, 0, 1)) == pytest.approx(mean_score(repeated_MN), rel=1e-12)
    impostors = Impostors.of(SCORES_MN, IS_TARGET_N)
    expected = mean_score(impostors.deviations(SCORES_MN)[[0, 0, 0, 2]])
    assert mean_score(SCORES_MN, impostors, (3, 0, 1)) == pytest.approx(expected, rel=1e-10)


def test_normalised_mean_is_that_of_the_deviations_from_the_other_lists_nontargets():
    """One by one, with the deviation of the whole (not of a sample)."""
    other_MN, other_N = RNG.normal(size=(3, 40)) * [[2], [3], [4]], RNG.random(40) < 0.5
    nontargets = [[s for s, target in zip(row, other_N, strict=True) if not target] for row in other_MN.tolist()]
    expected = [
        statistics.fmean(
            (s - statistics.fmean(o)) / statistics.pstdev(o) for s, o in zip(scores, nontargets, strict=True)
        )
        for scores in zip(*SCORES_MN.tolist(), strict=True)
    ]
    assert mean_score(SCORES_MN, Impostors.of(other_MN, other_N)) == pytest.approx(expected, rel=1e-10)


def test_normalised_mean_does_not_depend_on_a_systems_scale():
    """Nor on where its scores lie; the plain mean does."""
    moved_MN = SCORES_MN * [[1], [7], [100]] + [[0], [3], [-9]]
    means = [mean_score(s_MN, Impostors.of(s_MN, IS_TARGET_N)) for s_MN in (SCORES_MN, moved_MN)]
    assert means[1] == pytest.approx(means[0], abs=1e-9)
    assert not np.allclose(mean_score(moved_MN), mean_score(SCORES_MN))


@pytest.mark.parametrize(
    ("scores_MN", "is_target_N", "problem"),
    [
        (SCORES_MN[:, :2], [True, True], "no non-target trial"),
        ([[1, 2, 3], [4, 5, 5]], [True, False, False], "all its non-target trials alike"),
    ],
)
def test_a_list_that_is_no_measure_is_refused(scores_MN, is_target_N, problem):
    with pytest.raises(DataError, match=problem):
        Impostors.of(scores_MN, is_target_N)
