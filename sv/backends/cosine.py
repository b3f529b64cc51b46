"""Cosine of projected embeddings."""

from __future__ import annotations

import numpy as np

from sv.backends.projection import Projecting
from sv.backends.scorer import Products
from sv.data.vectors import Vectors

BLOCK_UTTERANCES = 256  # whose crops are projected at once


class Cosine(Projecting):
    """Cosine of the angle between projected embeddings; of crops the mean over all pairs of one's and the other's.

    The mean of the cosines is the product of the means of the vectors of length 1, so crops cost no more than vectors.
    A model of several utterances has the crops of all; of utterances without crops it is the mean vector.
    """

    def scorer(self, enrol: Vectors, test: Vectors) -> Products:
        """Scores in -1 … 1."""
        return Products(self._mean_directions(enrol), self._mean_directions(test))

    def _mean_directions(self, vectors: Vectors) -> np.ndarray:
        """The mean of each one's projected crops of length 1, (N, K), itself of length 1 or less."""
        crops = vectors.own_crops()
        blocks = (crops.take(slice(n, n + BLOCK_UTTERANCES)) for n in range(0, len(crops), BLOCK_UTTERANCES))
        return np.concatenate([b.mean_of(direction(self.projection(b.x_CD[b.rows()]))) for b in blocks])


def direction(y_NK: np.ndarray) -> np.ndarray:
    """Vectors scaled, in place, to length 1; a vector of zeros, which has no direction, stays."""
    y_NK /= np.maximum(np.linalg.norm(y_NK, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return y_NK
