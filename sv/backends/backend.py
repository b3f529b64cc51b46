"""Back ends: what is learnt of training embeddings, and how a model and a test embedding are scored with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from sv.backends.files import read_array, read_plda, write_array, write_plda
from sv.backends.lda import lda, normalise_length, transform
from sv.backends.plda import Factors, Plda, llr_factors, train_plda
from sv.errors import DataError
from sv.system import CosineBackend, PldaBackend


class Backend(Protocol):
    """A trained back end. Shapes: E models, T test vectors, D dimensions, K factors."""

    def factors(self, enrol_ED: np.ndarray, num_utts_E: np.ndarray, test_TD: np.ndarray) -> Factors:
        """What the scores are products of: `e_EK @ t_TK.T` is every model's score against every test embedding.

        A model is a mean of `num_utts_E` embeddings.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write the parameters, as Kaldi's programs read them."""
        ...


@dataclass(frozen=True)
class Cosine:
    """Cosine of the angle between embeddings, seen from `mean_D`."""

    mean_D: np.ndarray

    @classmethod
    def train(cls, x_ND: np.ndarray, settings: CosineBackend) -> Cosine:
        """The mean of the training embeddings, or zero without `centre`."""
        return cls(x_ND.mean(0, dtype=np.float64) if settings.centre else np.zeros(x_ND.shape[1]))

    @classmethod
    def load(cls, folder: Path) -> Cosine:
        """Read what `save` wrote."""
        return cls(read_array(folder / "mean.vec"))

    def save(self, folder: Path) -> None:
        """Write mean.vec."""
        write_array(folder / "mean.vec", self.mean_D)

    def factors(self, enrol_ED: np.ndarray, num_utts_E: np.ndarray, test_TD: np.ndarray) -> Factors:
        """Vectors of length 1, whose products are cosines, in -1 … 1."""
        _check_dim(test_TD, len(self.mean_D))
        return _by_rows(self._seen, enrol_ED), _by_rows(self._seen, test_TD)

    def _seen(self, x_ND: np.ndarray) -> np.ndarray:
        y_ND = x_ND - self.mean_D
        y_ND /= np.maximum(np.linalg.norm(y_ND, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        return y_ND


@dataclass(frozen=True)
class LdaPlda:
    """Kaldi's chain: minus the mean, LDA, length sqrt(D), PLDA with its own length normalisation."""

    mean_D: np.ndarray
    lda_KD1: np.ndarray
    plda: Plda

    @classmethod
    def train(cls, x_ND: np.ndarray, speaker_N: np.ndarray, settings: PldaBackend) -> LdaPlda:
        """Estimate all three on the training embeddings; DataError if there are too few for the sizes asked."""
        mean_D = x_ND.mean(0, dtype=np.float64)
        lda_KD1 = lda(x_ND - mean_D, speaker_N, settings.lda_dim)
        projected_NK = normalise_length(transform(lda_KD1, x_ND - mean_D))
        return cls(mean_D, lda_KD1, train_plda(projected_NK, speaker_N, settings.iterations))

    @classmethod
    def load(cls, folder: Path) -> LdaPlda:
        """Read what `save` wrote."""
        return cls(read_array(folder / "mean.vec"), read_array(folder / "transform.mat"), read_plda(folder / "plda"))

    def save(self, folder: Path) -> None:
        """Write mean.vec, transform.mat and plda."""
        write_array(folder / "mean.vec", self.mean_D)
        write_array(folder / "transform.mat", self.lda_KD1)
        write_plda(folder / "plda", self.plda)

    def factors(self, enrol_ED: np.ndarray, num_utts_E: np.ndarray, test_TD: np.ndarray) -> Factors:
        """Factors of log-likelihood ratios, in nats."""
        _check_dim(test_TD, len(self.mean_D))
        u_EK = _by_rows(self._projected, enrol_ED, num_utts_E)
        v_TK = _by_rows(self._projected, test_TD, np.ones(len(test_TD)))
        return llr_factors(u_EK, v_TK, self.plda.psi_D, num_utts_E)

    def _projected(self, x_ND: np.ndarray, num_utts_N: np.ndarray) -> np.ndarray:
        return self.plda.project(normalise_length(transform(self.lda_KD1, x_ND - self.mean_D)), num_utts_N)


def train_backend(settings: CosineBackend | PldaBackend, x_ND: np.ndarray, speaker_N: np.ndarray) -> Backend:
    """The back end that a system's YAML describes, estimated on training embeddings."""
    if isinstance(settings, CosineBackend):
        return Cosine.train(x_ND, settings)
    return LdaPlda.train(x_ND, speaker_N, settings)


def load_backend(settings: CosineBackend | PldaBackend, folder: Path) -> Backend:
    """The back end that `train_backend` made and `save` wrote."""
    return Cosine.load(folder) if isinstance(settings, CosineBackend) else LdaPlda.load(folder)


def _check_dim(x_TD: np.ndarray, dim: int) -> None:
    if x_TD.shape[1] != dim:
        raise DataError(f"embeddings have {x_TD.shape[1]} dimensions, the back end was trained on {dim}; rerun stage 6")


def _by_rows(function: Callable[..., np.ndarray], *rows: np.ndarray, block: int = 2048) -> np.ndarray:
    """`function(*rows)`, some rows at a time, whose intermediate results stay small."""
    parts = [function(*(array[start : start + block] for array in rows)) for start in range(0, len(rows[0]), block)]
    return np.concatenate(parts)
