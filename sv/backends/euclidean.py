"""Mean Euclidean distance between the crops of a model and those of a test utterance."""

from __future__ import annotations

import numpy as np

from sv.backends.projection import Projecting, by_rows
from sv.data.crops import Crops
from sv.data.vectors import Vectors

TILE_MODELS, TILE_TESTS = 32, 256  # of a block: what is between the two is held at once
TILE_PAIRS = 64  # whose crops are held at once


class Euclidean(Projecting):
    """Minus the mean Euclidean distance between the length-normalised crops of two utterances, over all pairs of crops.

    What the released code of "Clova baseline system for the VoxCeleb Speaker Recognition Challenge 2020" scores by,
    where the paper says similarity. Of two crops it is -sqrt(2 - 2 cos), so crops that are alike count more than in
    the mean of cosines. A model of several utterances has the crops of all. A vector is a crop.
    """

    pair_cost = 4

    def scorer(self, enrol: Vectors, test: Vectors) -> Distances:
        """Scores from -2 to 0."""
        e, t = enrol.own_crops(), test.own_crops()
        y_CK = self.projection.of_all(e.x_CD)
        of_enrol = _Padded(Crops(y_CK, e.start_N, e.size_N))
        if test is enrol:
            return Distances(of_enrol, of_enrol)
        z_CK = y_CK if t.x_CD is e.x_CD else self.projection.of_all(t.x_CD)
        return Distances(of_enrol, _Padded(Crops(z_CK, t.start_N, t.size_N)))


class Distances:
    """Scores by mean distances of length-normalised crops, those of E models and T test utterances."""

    def __init__(self, enrol: _Padded, test: _Padded) -> None:
        self._enrol, self._test = enrol, test

    @property
    def shape(self) -> tuple[int, int]:
        """E and T."""
        return len(self._enrol), len(self._test)

    def block(self, start: int, stop: int) -> np.ndarray:
        """Scores of some models against all test utterances, in tiles that are products of matrices."""
        scores_MT = np.empty((stop - start, len(self._test)))
        for first in range(0, len(self._test), TILE_TESTS):
            t_TJD, weight_TJ = self._test.take(slice(first, first + TILE_TESTS))
            t_RD = t_TJD.reshape(-1, t_TJD.shape[-1])
            for e in range(start, stop, TILE_MODELS):
                tile = slice(e, min(e + TILE_MODELS, stop))
                e_MID, weight_MI = self._enrol.take(tile)
                dot_RR = e_MID.reshape(-1, e_MID.shape[-1]) @ t_RD.T
                distance_MITJ = _distance(dot_RR).reshape(*weight_MI.shape, *weight_TJ.shape)
                mean_MT = np.einsum("mitj,mi,tj->mt", distance_MITJ, weight_MI, weight_TJ)
                scores_MT[e - start : tile.stop - start, first : first + TILE_TESTS] = -mean_MT
        return scores_MT

    def pairs(self, model_P: np.ndarray, test_P: np.ndarray) -> np.ndarray:
        """Scores of pairs, a small product of matrices each."""
        scores_P = np.empty(len(model_P))
        for start in range(0, len(model_P), TILE_PAIRS):
            some = slice(start, start + TILE_PAIRS)
            e_PID, weight_PI = self._enrol.take(model_P[some])
            t_PJD, weight_PJ = self._test.take(test_P[some])
            distance_PIJ = _distance(e_PID @ t_PJD.transpose(0, 2, 1))
            scores_P[some] = -np.einsum("pij,pi,pj->p", distance_PIJ, weight_PI, weight_PJ)
        return scores_P


class _Padded:
    """Length-normalised crops, as many to each of N: where there are fewer, the first again, with weight 0."""

    def __init__(self, crops: Crops) -> None:
        place_C = np.arange(crops.size_N.max())
        there_NC = place_C < crops.size_N[:, None]
        self._x_CD, self._scale_C1 = crops.x_CD, by_rows(_over_length, crops.x_CD)
        self._row_NC = crops.start_N[:, None] + np.where(there_NC, place_C, 0)
        self._weight_NC = there_NC / crops.size_N[:, None]

    def __len__(self) -> int:
        return len(self._row_NC)

    def take(self, which: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Crops of some, float64 (M, C, D), and the weight of each, which over those of one sum up to 1, (M, C)."""
        # In double precision: of two crops that are all but the same, 2 - 2 cos has half the digits of the cosine.
        row_MC = self._row_NC[which]
        return self._x_CD[row_MC] * self._scale_C1[row_MC], self._weight_NC[which]


def _over_length(x_BD: np.ndarray) -> np.ndarray:
    """One over the length of each, float64 (B, 1); a vector of zeros stays one, at right angles to all."""
    return 1 / np.maximum(np.linalg.norm(x_BD.astype(np.float64), axis=1, keepdims=True), np.finfo(np.float64).tiny)


def _distance(dot: np.ndarray) -> np.ndarray:
    """Euclidean distances of vectors of length 1, from their products, in place."""
    dot *= -2
    dot += 2
    np.maximum(dot, 0, out=dot)
    return np.sqrt(dot, out=dot)
