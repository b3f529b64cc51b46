"""Embeddings of the crops of utterances, several to an utterance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Crops:
    """The crops' embeddings of N utterances or models: number n has the rows `start_N[n]` and on, `size_N[n]` of them.

    >>> crops = Crops.of([np.ones((10, 192), np.float32), np.zeros((8, 192), np.float32)])
    >>> len(crops), crops.take([1]).rows()
    (2, array([10, 11, 12, 13, 14, 15, 16, 17]))

    `x_CD` is of all crops, (C, D), in the precision of the archive. Some of the utterances share it with all.
    """

    x_CD: np.ndarray
    start_N: np.ndarray
    size_N: np.ndarray

    @classmethod
    def of(cls, matrices: Sequence[np.ndarray]) -> Crops:
        """Of matrices (crops, D), one an utterance."""
        size_N = np.array([len(matrix) for matrix in matrices])
        return cls(np.concatenate(matrices), np.cumsum(size_N) - size_N, size_N)

    @classmethod
    def single(cls, x_ND: np.ndarray) -> Crops:
        """Of vectors, each the one crop of its utterance."""
        return cls(x_ND, np.arange(len(x_ND)), np.ones(len(x_ND), int))

    def __len__(self) -> int:
        return len(self.size_N)

    def take(self, number_M: Sequence[int] | np.ndarray) -> Crops:
        """Those of some utterances, in the order given."""
        return Crops(self.x_CD, self.start_N[number_M], self.size_N[number_M])

    def rows(self) -> np.ndarray:
        """The rows of `x_CD` that these utterances have, one utterance after the other."""
        end_N = np.cumsum(self.size_N)
        return np.repeat(self.start_N - end_N + self.size_N, self.size_N) + np.arange(end_N[-1])

    def joined(self, members: Sequence[Sequence[int]]) -> Crops:
        """One set of crops for each group of utterances: all that its members have."""
        return Crops.of([self.x_CD[self.take(group).rows()] for group in members])

    def mean_of(self, y_RK: np.ndarray) -> np.ndarray:
        """Means over each utterance's crops of something of each crop, given in the order of `rows`, (N, K)."""
        return np.add.reduceat(y_RK, np.cumsum(self.size_N) - self.size_N) / self.size_N[:, None]
