"""Embeddings of a set, joined by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sv.data.ark import MatrixReader
from sv.data.crops import ArchivedRows, Crops
from sv.data.tables import first_few, read_table
from sv.errors import DataError

CROPS_IN_MEMORY = 1 << 28  # bytes; of VoxCeleb1-O they are 100 MB, of VoxCeleb1-E 3 GB


@dataclass(frozen=True)
class Vectors:
    """Vectors by key: `keys` in C order, `x_ND` float64 (N, D), and how many utterances each is the mean of.

    >>> xvectors = Vectors.read("exp/mini/xvector-small/seed1/embeddings/vox1_test/xvector.scp")
    >>> models = xvectors.means({"model1": ["utt1", "utt2"]})
    >>> models.num_utts_N
    array([2])

    Where a set has a matrix an utterance, of a row a crop, a vector is the mean over its crops: what everything gets
    that knows nothing of crops (PLDA, LDA, the classifier, t-SNE). `crops` are there if they were asked for.
    """

    keys: list[str]
    x_ND: np.ndarray
    num_utts_N: np.ndarray
    crops: Crops | None = None

    @classmethod
    def read(cls, scp: str | Path, only: Iterable[str] | None = None, crops: bool = False) -> Vectors:
        """Read a scp of vectors, or of matrices of crops; or only those of some keys, where it has them.

        Args:
            crops: give the crops of matrices as well, which stay in the archive if they are many; of vectors there are
                none.
        Raises:
            DataError: it is missing or empty; and, naming the key, a vector or matrix that cannot be read, holds a NaN,
                has no rows, or has another size than the first, or one is a matrix and the first is not.
        """
        if not Path(scp).exists():
            raise DataError(f"{scp} is missing; extract embeddings first (stage 5)")
        table = read_table(scp)
        if not table:
            raise DataError(f"{scp} holds no vectors")
        reader = MatrixReader(check_finite=True)
        keys = sorted(table if only is None else table.keys() & set(only))
        sizes: list[int] = []
        dtypes: set[np.dtype] = set()
        first: tuple[int, ...] = ()
        x_ND = np.empty((0, 0))
        for row, key in enumerate(keys):
            try:
                array = reader.read(table[key])
            except DataError as error:
                raise DataError(f"{key}: {error}") from None
            if not first:
                first, x_ND = array.shape, np.empty((len(keys), array.shape[-1]))
            if array.ndim != len(first):
                kinds = {1: "a vector", 2: "a matrix of crops"}
                raise DataError(f"{scp}: {key} is {kinds[array.ndim]}, {keys[0]} is {kinds[len(first)]}; extract anew")
            if array.shape[-1] != first[-1]:
                raise DataError(f"{scp}: {key} has {array.shape[-1]} dimensions, {keys[0]} has {first[-1]}")
            if not len(array):
                raise DataError(f"{scp}: {key} has no crops; extract anew")
            x_ND[row] = array if array.ndim == 1 else array.mean(0, dtype=np.float64)
            if crops and array.ndim == 2:
                sizes.append(len(array))
                dtypes.add(array.dtype)
        if not sizes:
            return cls(keys, x_ND, np.ones(len(keys), int))
        size_N = np.array(sizes)
        archived = ArchivedRows([table[key] for key in keys], size_N, first[-1], np.result_type(*dtypes))
        x_CD = archived[:] if archived.nbytes <= CROPS_IN_MEMORY else archived
        return cls(keys, x_ND, np.ones(len(keys), int), Crops(x_CD, np.cumsum(size_N) - size_N, size_N))

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Vectors:
        """Of arrays in memory: a vector (D,) of each key or, of each, a matrix (crops, D), whose crops are there."""
        keys = sorted(arrays)
        x_ND = np.stack([np.atleast_2d(arrays[key]).mean(0, dtype=np.float64) for key in keys])
        crops = Crops.of([arrays[key] for key in keys]) if arrays[keys[0]].ndim == 2 else None
        return cls(keys, x_ND, np.ones(len(keys), int), crops)

    def own_crops(self) -> Crops:
        """The crops or, of a set of vectors, each vector as its one crop."""
        return self.crops or Crops.single(self.x_ND)

    def of_row(self, row: int) -> Vectors:
        """The row-th vector of each one's matrix, from 1, in place of the mean; DataError if one has none."""
        crops = self.own_crops()
        if (crops.size_N < row).any():
            raise DataError(f"{self.keys[int(np.argmin(crops.size_N))]} has no row {row}, but {crops.size_N.min()}")
        x_ND = crops.x_CD[crops.start_N + row - 1].astype(np.float64)
        return Vectors(self.keys, x_ND, self.num_utts_N)

    def index(self) -> dict[str, int]:
        """Key to row."""
        return {key: row for row, key in enumerate(self.keys)}

    def take(self, rows: Sequence[int] | np.ndarray) -> Vectors:
        """Those of some rows, in the order given; nothing is copied where that is all as they are."""
        if np.array_equal(rows, np.arange(len(self.keys))):
            return replace(self)
        crops = self.crops.take(rows) if self.crops else None
        return Vectors([self.keys[row] for row in rows], self.x_ND[rows], self.num_utts_N[rows], crops)

    def means(self, models: Mapping[str, Sequence[str]]) -> Vectors:
        """Enrolment: one vector a model, the mean of its utterances', as Kaldi's ivector-mean; and all their crops.

        Raises DataError naming a model's utterance that has no vector.
        """
        row = self.index()
        if missing := {utt for utts in models.values() for utt in utts if utt not in row}:
            raise DataError(
                f"{len(missing)} enrolment utterances have no embedding: {first_few(missing)}; rerun stage 5"
            )
        keys = sorted(models)
        members = [[row[utt] for utt in models[key]] for key in keys]
        means_MD = np.stack([self.x_ND[rows].mean(0) for rows in members])
        crops = self.crops.joined(members) if self.crops else None
        return Vectors(keys, means_MD, np.array([len(models[key]) for key in keys]), crops)
