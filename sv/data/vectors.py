"""Embeddings of a set, joined by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.data.ark import MatrixReader
from sv.data.tables import first_few, read_table
from sv.errors import DataError


@dataclass(frozen=True)
class Vectors:
    """Vectors by key: `keys` in C order, `x_ND` float64 (N, D), and how many vectors each is the mean of.

    >>> xvectors = Vectors.read("exp/mini/xvector-small/seed1/embeddings/vox1_test/xvector.scp")
    >>> models = xvectors.means({"model1": ["utt1", "utt2"]})
    >>> models.num_utts_N
    array([2])
    """

    keys: list[str]
    x_ND: np.ndarray
    num_utts_N: np.ndarray

    @classmethod
    def read(cls, scp: str | Path, only: Iterable[str] | None = None) -> Vectors:
        """Read a scp of vectors, or only those of some of its keys.

        Raises DataError if it is missing or empty, and, naming the key, for a vector that cannot be read, holds a NaN
        or has another size than the first.
        """
        if not Path(scp).exists():
            raise DataError(f"{scp} is missing; extract embeddings first (stage 5)")
        table = read_table(scp)
        if not table:
            raise DataError(f"{scp} holds no vectors")
        reader = MatrixReader(check_finite=True)
        keys = sorted(table if only is None else only)
        vectors: list[np.ndarray] = []
        for key in keys:
            try:
                vectors.append(reader.read_vector(table[key]))
            except DataError as error:
                raise DataError(f"{key}: {error}") from None
            if len(vectors[-1]) != len(vectors[0]):
                raise DataError(f"{scp}: {key} has {len(vectors[-1])} dimensions, {keys[0]} has {len(vectors[0])}")
        return cls(keys, np.stack(vectors).astype(np.float64), np.ones(len(keys), int))

    def index(self) -> dict[str, int]:
        """Key to row."""
        return {key: row for row, key in enumerate(self.keys)}

    def only(self, keys: Sequence[str]) -> Vectors:
        """Those of some keys, which must be here, in C order. DataError if there are none."""
        if not keys:
            raise DataError("no embedding is of the speakers asked for")
        row = self.index()
        rows = [row[key] for key in sorted(keys)]
        return Vectors(sorted(keys), self.x_ND[rows], self.num_utts_N[rows])

    def means(self, models: Mapping[str, Sequence[str]]) -> Vectors:
        """Enrolment: one vector a model, the mean of its utterances', as Kaldi's ivector-mean.

        Raises DataError naming a model's utterance that has no vector.
        """
        row = self.index()
        if missing := {utt for utts in models.values() for utt in utts if utt not in row}:
            raise DataError(
                f"{len(missing)} enrolment utterances have no embedding: {first_few(missing)}; rerun stage 5"
            )
        keys = sorted(models)
        means_MD = np.stack([self.x_ND[[row[utt] for utt in models[key]]].mean(0) for key in keys])
        return Vectors(keys, means_MD, np.array([len(models[key]) for key in keys]))
