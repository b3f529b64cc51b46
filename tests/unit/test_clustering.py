"""Clusters by PLDA scores: against joining pairs by hand; speakers found again; what cannot be clustered."""

import numpy as np
import pytest

from sv.backends.clustering import clusters
from sv.backends.plda import Plda, llr_factors
from sv.errors import DataError

RNG = np.random.default_rng(3)
PLDA = Plda(np.zeros(6), np.eye(6), np.linspace(20, 2, 6))


def drawn(speakers=8, per_speaker=5):
    y_SD = RNG.normal(size=(speakers, 6)) * np.sqrt(PLDA.psi_D)
    speaker_N = RNG.permutation(np.repeat(np.arange(speakers), per_speaker))
    return y_SD[speaker_N] + RNG.normal(size=(len(speaker_N), 6)), speaker_N


def joined_by_hand(x_ND, num_speakers=None, threshold=0.0):
    """All means between all clusters anew after every join."""
    u_ND = PLDA.project(x_ND)
    e_NK, t_NK = llr_factors(u_ND, u_ND, PLDA.psi_D)
    scores_NN = e_NK @ t_NK.T
    found = [[i] for i in range(len(x_ND))]
    while len(found) > (num_speakers or 1):
        pairs = [(a, b) for a in range(len(found)) for b in range(a)]
        best = max(pairs, key=lambda pair: scores_NN[np.ix_(found[pair[0]], found[pair[1]])].mean())
        if num_speakers is None and scores_NN[np.ix_(found[best[0]], found[best[1]])].mean() < threshold:
            break
        found[best[1]] += found.pop(best[0])
    return {frozenset(members) for members in found}


def as_sets(cluster_N):
    return {frozenset(np.flatnonzero(cluster_N == c).tolist()) for c in np.unique(cluster_N)}


@pytest.mark.parametrize("stop", [{"num_speakers": 3}, {"num_speakers": 17}, {"threshold": 0.0}, {"threshold": -4.0}])
def test_clusters_are_those_joined_by_hand(stop):
    x_ND, _ = drawn(6, 4)
    cluster_N = clusters(PLDA, x_ND, **stop)
    assert as_sets(cluster_N) == joined_by_hand(x_ND, **stop)
    assert list(dict.fromkeys(cluster_N.tolist())) == list(range(cluster_N.max() + 1))  # in order of first vectors


def test_speakers_are_found_again():
    """As many clusters as speakers; at least nine in ten pairs of a speaker together, and of two speakers apart."""
    x_ND, speaker_N = drawn(12, 8)
    cluster_N = clusters(PLDA, x_ND, 12)
    same, together = speaker_N[:, None] == speaker_N, cluster_N[:, None] == cluster_N
    assert together[same].mean() > 0.9
    assert together[~same].mean() < 0.1


def test_vectors_that_are_equal_leave_the_number_asked_for():
    x_ND = np.repeat(drawn(2, 1)[0], 5, axis=0)
    assert len(np.unique(clusters(PLDA, x_ND, 3))) == 3


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (2, {}, "2 vectors cannot be put into clusters of 2 speakers"),
        (10, {"num_speakers": 10}, "10 vectors cannot be put into clusters of 10 speakers"),
        (10, {"threshold": 1e6}, "the threshold 1e\\+06 leaves clusters of one vector each of 10 vectors"),
        (10, {"threshold": -1e6}, "the threshold -1e\\+06 leaves one cluster of 10 vectors"),
        (20_001, {}, "20001 vectors take too much memory"),
    ],
)
def test_what_cannot_be_clustered_is_one_line(count, options, message):
    with pytest.raises(DataError, match=message):
        clusters(PLDA, RNG.normal(size=(count, 6)), **options)
