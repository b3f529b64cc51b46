"""Back ends: what is learnt of training embeddings, and how a model and a test embedding are scored with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from sv.backend_settings import Clusters, Coral, CoralPlus, CosineBackend, KaldiAdaptation, PldaBackend
from sv.backends.adaptation import adapt_plda, coral, coral_plus, interpolated, smoothed
from sv.backends.clustering import clusters
from sv.backends.files import read_plda, write_plda
from sv.backends.lda import normalise_length
from sv.backends.plda import Factors, Plda, llr_factors, train_plda
from sv.backends.projection import Projection
from sv.errors import DataError


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
    """Cosine of the angle between projected embeddings."""

    projection: Projection

    @classmethod
    def train(
        cls, x_ND: np.ndarray, speaker_N: np.ndarray, settings: CosineBackend, adapt_MD: np.ndarray | None = None
    ) -> Cosine:
        """Estimate the projection; DataError if there are too few embeddings for the sizes asked."""
        return cls(Projection.train(x_ND, speaker_N, settings, adapt_MD)[0])

    @classmethod
    def load(cls, folder: Path, settings: CosineBackend) -> Cosine:
        """Read what `save` wrote."""
        return cls(Projection.load(folder, settings))

    def save(self, folder: Path) -> None:
        """Write mean.vec and, with LDA or whitening, transform.mat."""
        self.projection.save(folder)

    def factors(self, enrol_ED: np.ndarray, num_utts_E: np.ndarray, test_TD: np.ndarray) -> Factors:
        """Vectors of length 1, whose products are cosines, in -1 … 1."""
        return _by_rows(self._direction, enrol_ED), _by_rows(self._direction, test_TD)

    def _direction(self, x_ND: np.ndarray) -> np.ndarray:
        y_NK = self.projection(x_ND)
        y_NK /= np.maximum(np.linalg.norm(y_NK, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        return y_NK


@dataclass(frozen=True)
class ProjectedPlda:
    """Kaldi's chain: projection, length sqrt(D), PLDA with its own length normalisation."""

    projection: Projection
    plda: Plda
    settings: PldaBackend

    @classmethod
    def train(
        cls, x_ND: np.ndarray, speaker_N: np.ndarray, settings: PldaBackend, adapt_MD: np.ndarray | None = None
    ) -> ProjectedPlda:
        """Estimate all on training embeddings and, where the settings ask for it, on unlabelled ones.

        Raises DataError if there are too few for the sizes asked, or none to adapt to.
        """
        projection, y_NK = Projection.train(x_ND, speaker_N, settings, adapt_MD)
        length = normalise_length if settings.length_norm else np.asarray
        if settings.adapt is None:
            plda = train_plda(length(y_NK), speaker_N, settings.iterations)
            return cls(projection, smoothed(plda, settings.smoothing), settings)
        if adapt_MD is None:
            raise DataError(f"adapt: {settings.adapt.name} needs unlabelled embeddings to adapt to")
        new_MK = projection(adapt_MD)
        if isinstance(settings.adapt, Coral):
            y_NK = coral(y_NK, new_MK)
        y_NK, new_MK = length(y_NK), length(new_MK)
        plda = smoothed(train_plda(y_NK, speaker_N, settings.iterations), settings.smoothing)
        match settings.adapt:
            case KaldiAdaptation(within_scale=within, between_scale=between, mean_diff_scale=mean_diff):
                plda = adapt_plda(plda, new_MK, within, between, mean_diff)
            case CoralPlus(within_scale=within, between_scale=between):
                plda = coral_plus(plda, y_NK, new_MK, within, between)
            case Clusters(num_speakers=num_speakers, threshold=threshold, weight=weight):
                cluster_M = clusters(plda, new_MK, num_speakers, threshold, settings.plda_length_norm)
                in_domain = train_plda(new_MK, cluster_M, settings.iterations)
                plda = interpolated(in_domain, plda, weight)
        return cls(projection, plda, settings)

    @classmethod
    def load(cls, folder: Path, settings: PldaBackend) -> ProjectedPlda:
        """Read what `save` wrote."""
        return cls(Projection.load(folder, settings), read_plda(folder / "plda"), settings)

    def save(self, folder: Path) -> None:
        """Write plda, mean.vec and, with LDA or whitening, transform.mat."""
        self.projection.save(folder)
        write_plda(folder / "plda", self.plda)

    def factors(self, enrol_ED: np.ndarray, num_utts_E: np.ndarray, test_TD: np.ndarray) -> Factors:
        """Factors of log-likelihood ratios, in nats."""
        u_EK = _by_rows(self._projected, enrol_ED, num_utts_E)
        v_TK = _by_rows(self._projected, test_TD, np.ones(len(test_TD)))
        return llr_factors(u_EK, v_TK, self.plda.psi_D, num_utts_E)

    def _projected(self, x_ND: np.ndarray, num_utts_N: np.ndarray) -> np.ndarray:
        y_NK = self.projection(x_ND)
        if self.settings.length_norm:
            y_NK = normalise_length(y_NK)
        return self.plda.project(y_NK, num_utts_N, self.settings.plda_length_norm)


def train_backend(
    settings: CosineBackend | PldaBackend,
    x_ND: np.ndarray,
    speaker_N: np.ndarray,
    adapt_MD: np.ndarray | None = None,
) -> Backend:
    """The back end that a system's YAML describes, estimated on training embeddings.

    Args:
        x_ND: training embeddings.
        speaker_N: the speaker's index of each.
        adapt_MD: unlabelled embeddings of the domain to be scored, where `settings.needs_adapt`.
    Raises:
        DataError: too few embeddings for the sizes asked, or none to adapt to.
    """
    if isinstance(settings, CosineBackend):
        return Cosine.train(x_ND, speaker_N, settings, adapt_MD)
    return ProjectedPlda.train(x_ND, speaker_N, settings, adapt_MD)


def load_backend(settings: CosineBackend | PldaBackend, folder: Path) -> Backend:
    """The back end that `train_backend` made and `save` wrote."""
    return (Cosine if isinstance(settings, CosineBackend) else ProjectedPlda).load(folder, settings)


def _by_rows(function: Callable[..., np.ndarray], *rows: np.ndarray, block: int = 2048) -> np.ndarray:
    """`function(*rows)`, some rows at a time, whose intermediate results stay small."""
    parts = [function(*(array[start : start + block] for array in rows)) for start in range(0, len(rows[0]), block)]
    return np.concatenate(parts)
