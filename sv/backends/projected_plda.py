"""PLDA of projected embeddings, perhaps adapted to another domain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.backends.adaptation import adapt_plda, coral, coral_plus, interpolated, smoothed
from sv.backends.clustering import clusters
from sv.backends.files import read_plda, write_plda
from sv.backends.lda import normalise_length
from sv.backends.plda import Plda, llr_factors, train_plda
from sv.backends.projection import Projection, by_rows
from sv.backends.scorer import Products
from sv.data.vectors import Vectors
from sv.errors import DataError
from sv.systems.backends import Clusters, Coral, CoralPlus, KaldiAdaptation, PldaBackend


@dataclass(frozen=True)
class ProjectedPlda:
    """Kaldi's chain: projection, length sqrt(D), PLDA with its own length normalisation."""

    projection: Projection
    plda: Plda
    settings: PldaBackend
    pair_cost = Products.pair_cost

    @classmethod
    def train(
        cls, x_ND: np.ndarray, speaker_N: np.ndarray, settings: PldaBackend, adapt_MD: np.ndarray | None = None
    ) -> ProjectedPlda:
        """Estimate all on training embeddings and, where the settings ask for it, on unlabelled ones.

        Raises DataError if there are too few for the sizes asked, or none to adapt to.
        """
        projection, of_training = Projection.train(x_ND, speaker_N, settings, adapt_MD)
        y_NK = of_training(x_ND)
        if settings.adapt is not None and adapt_MD is None:
            raise DataError(f"adapt: {settings.adapt.name} needs unlabelled embeddings to adapt to")
        new_MK = projection(adapt_MD) if settings.adapt else None
        if isinstance(settings.adapt, Coral):
            y_NK = coral(y_NK, new_MK)
        length = normalise_length if settings.length_norm else np.asarray
        y_NK = length(y_NK)
        plda = smoothed(train_plda(y_NK, speaker_N, settings.iterations), settings.smoothing)
        if new_MK is not None:
            plda = _adapted(plda, settings, y_NK, length(new_MK))
        return cls(projection, plda, settings)

    @classmethod
    def load(cls, folder: Path, settings: PldaBackend) -> ProjectedPlda:
        """Read what `save` wrote."""
        return cls(Projection.load(folder, settings), read_plda(folder / "plda"), settings)

    def save(self, folder: Path) -> None:
        """Write plda, mean.vec and, with LDA or whitening, transform.mat."""
        self.projection.save(folder)
        write_plda(folder / "plda", self.plda)

    def scorer(self, enrol: Vectors, test: Vectors) -> Products:
        """Scores that are log-likelihood ratios, in nats."""
        u_EK = by_rows(self._projected, enrol.x_ND, enrol.num_utts_N)
        v_TK = by_rows(self._projected, test.x_ND, np.ones(len(test.x_ND)))
        return Products(*llr_factors(u_EK, v_TK, self.plda.psi_D, enrol.num_utts_N))

    def _projected(self, x_ND: np.ndarray, num_utts_N: np.ndarray) -> np.ndarray:
        y_NK = self.projection(x_ND)
        if self.settings.length_norm:
            y_NK = normalise_length(y_NK)
        return self.plda.project(y_NK, num_utts_N, self.settings.plda_length_norm)


def _adapted(plda: Plda, settings: PldaBackend, y_NK: np.ndarray, new_MK: np.ndarray) -> Plda:
    """The model, trained on `y_NK`, moved to the domain of the unlabelled `new_MK`."""
    match settings.adapt:
        case KaldiAdaptation(within_scale=within, between_scale=between, mean_diff_scale=mean_diff):
            return adapt_plda(plda, new_MK, within, between, mean_diff)
        case CoralPlus(within_scale=within, between_scale=between):
            return coral_plus(plda, y_NK, new_MK, within, between)
        case Clusters(num_speakers=num_speakers, threshold=threshold, weight=weight):
            cluster_M = clusters(plda, new_MK, num_speakers, threshold, settings.plda_length_norm)
            return interpolated(train_plda(new_MK, cluster_M, settings.iterations), plda, weight)
    return plda  # CORAL has moved the vectors
