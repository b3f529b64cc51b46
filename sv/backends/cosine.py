"""Cosine of projected embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.backend_settings import CosineBackend
from sv.backends.plda import Factors
from sv.backends.projection import Projection, by_rows


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
        return by_rows(self._direction, enrol_ED), by_rows(self._direction, test_TD)

    def _direction(self, x_ND: np.ndarray) -> np.ndarray:
        return direction(self.projection(x_ND))


def direction(y_NK: np.ndarray) -> np.ndarray:
    """Vectors scaled, in place, to length 1; a vector of zeros, which has no direction, stays."""
    y_NK /= np.maximum(np.linalg.norm(y_NK, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return y_NK
