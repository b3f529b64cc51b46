"""Clusters of unlabelled vectors, one speaker's each as far as a PLDA model can tell."""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from sv.backends.plda import Plda, llr_factors
from sv.errors import DataError
from sv.systems.backends import LengthNorm

MOST_VECTORS = 20_000  # whose matrix of scores takes 3 GB


def clusters(
    plda: Plda,
    x_ND: np.ndarray,
    num_speakers: int | None = None,
    threshold: float = 0.0,
    length_norm: LengthNorm = "model",
) -> np.ndarray:
    """The cluster of each vector, int (N,) from 0, in order of their first vectors.

    Agglomerative: of all pairs of clusters the two with the highest mean score between their vectors are joined,
    again and again (average linkage on PLDA scores: Garcia-Romero et al. 2014; Shum et al. 2014).

    Args:
        plda: the model that scores pairs.
        x_ND: vectors as the model was trained on.
        num_speakers: stop at so many clusters; the threshold is then not looked at.
        threshold: stop when the best pair scores below it, in nats. Scores of another domain are seldom calibrated:
            prefer a number of speakers, where one can be guessed.
        length_norm: of the scores.
    Raises:
        DataError: fewer vectors than speakers, more than memory has room for, or nothing that can be told apart:
            one cluster, or as many as vectors.
    """
    N = len(x_ND)
    if N > MOST_VECTORS:
        raise DataError(f"clusters of {N} vectors take too much memory; make a subset of {MOST_VECTORS} or fewer")
    if N < 3 or (num_speakers is not None and num_speakers >= N):
        raise DataError(f"{N} vectors cannot be put into clusters of {num_speakers or 2} speakers")
    u_ND = plda.project(x_ND, length_norm=length_norm)
    e_NK, t_NK = llr_factors(u_ND, u_ND, plda.psi_D)
    scores_NN = e_NK @ t_NK.T
    top = scores_NN.max()
    distance_NN = top - (scores_NN + scores_NN.T) / 2  # linkage looks for small and positive numbers
    np.fill_diagonal(distance_NN, 0)
    tree = linkage(squareform(distance_NN, checks=False), "average")
    if num_speakers is not None:
        # The tree cut by number of joins, as fcluster's maxclust may give fewer clusters where distances tie.
        by_joins = np.column_stack([tree[:, :2], np.arange(N - 1), tree[:, 3]])
        cluster_N = fcluster(by_joins, N - 1 - num_speakers, "distance")
    else:
        cluster_N = fcluster(tree, top - threshold, "distance")
    _, first_C, cluster_N = np.unique(cluster_N, return_index=True, return_inverse=True)
    if len(first_C) in (1, N):
        what = "one cluster" if len(first_C) == 1 else "clusters of one vector each"
        raise DataError(f"the threshold {threshold:g} leaves {what} of {N} vectors; set adapt.num_speakers, or another")
    return np.argsort(np.argsort(first_C))[cluster_N]
