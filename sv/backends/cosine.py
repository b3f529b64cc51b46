"""Cosine of projected embeddings."""

from __future__ import annotations

import numpy as np

from sv.backends.projection import Projecting, by_rows
from sv.backends.scorer import Products
from sv.data.vectors import Vectors

BLOCK_UTTERANCES = 256  # whose crops are projected at once


class Cosine(Projecting):
    """Cosine of the angle between projected embeddings; of crops the mean over all pairs of one's and the other's.

    The mean of the cosines is the product of the means of the vectors of length 1, so crops cost no more than vectors.
    A model of several utterances has the crops of all; of utterances without crops it is the mean vector.
    """

    pair_cost = Products.pair_cost

    def scorer(self, enrol: Vectors, test: Vectors) -> Products:
        """Scores in -1 … 1."""
        return Products.of(self._mean_directions, enrol, test)

    def _mean_directions(self, vectors: Vectors) -> np.ndarray:
        """The mean of each one's projected crops of length 1, (N, K), itself of length 1 or less."""
        crops = vectors.own_crops()

        def of_some(number_M: np.ndarray) -> np.ndarray:
            some = crops.take(number_M)
            return some.mean_of(direction(self.projection(some.x_CD[some.rows()])))

        return by_rows(of_some, np.arange(len(crops)), block=BLOCK_UTTERANCES)


def direction(y_NK: np.ndarray) -> np.ndarray:
    """Vectors scaled, in place, to length 1; a vector of zeros, which has no direction, stays."""
    y_NK /= np.maximum(np.linalg.norm(y_NK, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return y_NK
