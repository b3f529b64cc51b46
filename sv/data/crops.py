"""Embeddings of the crops of utterances, several to an utterance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from sv.data.ark import MatrixReader


class ArchivedRows:
    """The rows of matrices in archives, one matrix below the other, read when they are asked for.

    >>> x_CD = ArchivedRows(["xvector.ark:5", "xvector.ark:7701"], np.array([10, 8]), dim=192)
    >>> x_CD[[9, 10, 11]].shape
    (3, 192)

    Indexed as an array is, by a slice or by row numbers of any shape; of a set's crops, which may be gigabytes, a few
    matrices are needed at a time. Raises DataError as `MatrixReader` does.

    Args:
        values: the matrices, as a scp names them.
        size_N: how many rows each has, int (N,).
        dim: numbers a row.
        dtype: of what is given; the archive's precision.
    """

    def __init__(self, values: Sequence[str], size_N: np.ndarray, dim: int, dtype: DTypeLike = np.float32) -> None:
        self._values, self._end_N = values, np.cumsum(size_N)
        self._start_N = self._end_N - size_N
        self.shape, self.dtype = (int(self._end_N[-1]), dim), np.dtype(dtype)
        self.nbytes = self.shape[0] * dim * self.dtype.itemsize
        self._reader = MatrixReader()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """The rows asked for, (…, D); a matrix of which several follow each other is read once for them."""
        row_R = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows, int)
        flat_R = row_R.reshape(-1)
        number_R = np.searchsorted(self._end_N, flat_R, side="right")
        x_RD = np.empty((len(flat_R), self.shape[1]), self.dtype)
        cuts = np.flatnonzero(np.diff(number_R)) + 1
        for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(flat_R)], strict=True):
            if first < last:
                number = number_R[first]
                x_RD[first:last] = self._reader.read(self._values[number])[flat_R[first:last] - self._start_N[number]]
        return x_RD.reshape(*row_R.shape, self.shape[1])


@dataclass(frozen=True)
class Crops:
    """The crops' embeddings of N utterances or models: number n has the rows `start_N[n]` and on, `size_N[n]` of them.

    >>> crops = Crops.of([np.ones((10, 192), np.float32), np.zeros((8, 192), np.float32)])
    >>> len(crops), crops.take([1]).rows()
    (2, array([10, 11, 12, 13, 14, 15, 16, 17]))

    `x_CD` is of all crops, (C, D), in the precision of the archive, or reads them there (`ArchivedRows`). Some of the
    utterances share it with all.
    """

    x_CD: np.ndarray | ArchivedRows
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
