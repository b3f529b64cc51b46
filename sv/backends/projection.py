"""What every back end begins with: minus a mean, then an affine transform, if any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from sv.backends.files import read_array, write_array
from sv.backends.lda import lda, transform, whitening
from sv.errors import DataError
from sv.systems.backends import ProjectedBackend


@dataclass(frozen=True)
class Projection:
    """`x - mean_D`, then `matrix_KD1` (LDA or whitening; its last column the offset), where there are these.

    >>> projection, of_training = Projection.train(x_ND, speaker_N, settings)
    >>> projection(test_TD).shape[1] == of_training(x_ND).shape[1]
    True
    """

    mean_D: np.ndarray | None = None
    matrix_KD1: np.ndarray | None = None

    @classmethod
    def train(
        cls, x_ND: np.ndarray, speaker_N: np.ndarray, settings: ProjectedBackend, adapt_MD: np.ndarray | None = None
    ) -> tuple[Projection, Projection]:
        """The projection of what is scored, and that of the training vectors.

        The training vectors are seen from their own mean, whatever mean is subtracted from what is scored: two
        domains then meet at zero, as in Kaldi's sre16 recipe.

        Raises:
            DataError: too few speakers or vectors for the sizes asked, or no vectors to centre on.
        """
        own = cls(x_ND.mean(0, dtype=np.float64) if settings.centre and settings.learns else None)
        matrix_KD1 = None
        if settings.lda_dim:
            matrix_KD1 = lda(own(x_ND), speaker_N, settings.lda_dim, settings.total_covariance_factor)
        elif settings.whiten:
            matrix_KD1 = whitening(own(x_ND))
        trained = cls(own.mean_D, matrix_KD1)
        if settings.centre != "adapt":
            return trained, trained
        if adapt_MD is None:
            raise DataError("centre: adapt needs unlabelled embeddings to centre on")
        return cls(adapt_MD.mean(0, dtype=np.float64), matrix_KD1), trained

    @classmethod
    def load(cls, folder: Path, settings: ProjectedBackend) -> Projection:
        """Read what `save` wrote."""
        has_matrix = settings.lda_dim or settings.whiten
        return cls(
            read_array(folder / "mean.vec") if settings.centre else None,
            read_array(folder / "transform.mat") if has_matrix else None,
        )

    def save(self, folder: Path) -> None:
        """Write mean.vec and transform.mat, those that there are, as Kaldi's programs read them."""
        if self.mean_D is not None:
            write_array(folder / "mean.vec", self.mean_D)
        if self.matrix_KD1 is not None:
            write_array(folder / "transform.mat", self.matrix_KD1)

    @property
    def input_dim(self) -> int | None:
        """Numbers that a vector must have; None for any."""
        if self.mean_D is not None:
            return len(self.mean_D)
        return None if self.matrix_KD1 is None else self.matrix_KD1.shape[1] - 1

    def __call__(self, x_ND: np.ndarray) -> np.ndarray:
        """Vectors (N, D) in the projected space, (N, K), float64; they themselves if nothing changes.

        Raises DataError if D is another.
        """
        if self.input_dim not in (None, x_ND.shape[1]):
            raise DataError(
                f"embeddings have {x_ND.shape[1]} dimensions, the back end was trained on {self.input_dim};"
                " rerun stage 6"
            )
        centred_ND = x_ND.astype(np.float64, copy=False) if self.mean_D is None else x_ND - self.mean_D
        return centred_ND if self.matrix_KD1 is None else transform(self.matrix_KD1, centred_ND)

    def of_all(self, x_CD: np.ndarray) -> np.ndarray:
        """Many vectors in the projected space, (C, K), in their own precision; they themselves if nothing changes."""
        if self.mean_D is None and self.matrix_KD1 is None:
            return x_CD
        return by_rows(lambda x_BD: self(x_BD).astype(x_CD.dtype), x_CD)


@dataclass(frozen=True)
class Projecting:
    """A back end that learns a projection alone; those of this kind differ in how they score."""

    projection: Projection

    @classmethod
    def train(
        cls, x_ND: np.ndarray, speaker_N: np.ndarray, settings: ProjectedBackend, adapt_MD: np.ndarray | None = None
    ) -> Self:
        """Estimate the projection; DataError if there are too few embeddings for the sizes asked."""
        return cls(Projection.train(x_ND, speaker_N, settings, adapt_MD)[0])

    @classmethod
    def load(cls, folder: Path, settings: ProjectedBackend) -> Self:
        """Read what `save` wrote."""
        return cls(Projection.load(folder, settings))

    def save(self, folder: Path) -> None:
        """Write mean.vec and, with LDA or whitening, transform.mat; neither where nothing is learnt."""
        self.projection.save(folder)


def by_rows(function: Callable[..., np.ndarray], *rows: np.ndarray, block: int = 2048) -> np.ndarray:
    """`function(*rows)`, some rows at a time: neither its intermediate results nor the parts of it stay."""
    whole = np.empty(0)
    for start in range(0, len(rows[0]), block):
        part = function(*(array[start : start + block] for array in rows))
        if not start:
            whole = np.empty((len(rows[0]), *part.shape[1:]), part.dtype)
        whole[start : start + len(part)] = part
    return whole
