"""The second network of the modular approach: embeddings of recordings in, embeddings whose cosine is the score out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.backends.cosine import direction
from sv.backends.files import read_array, write_array
from sv.backends.lda import normalise_length, transform
from sv.backends.projection import Projection, by_rows
from sv.backends.scorer import Products
from sv.data.vectors import Vectors
from sv.errors import DataError
from sv.systems.backends import ClassifierBackend


@dataclass(frozen=True)
class Classifier:
    """A feed-forward network over projected embeddings ("Modular or monolithic", section 3, step 2).

    `layers` are affine, each (K, D + 1) with its offset in the last column: hidden ones, behind each of which negative
    numbers become zero (ReLU), and a last, linear one, whose output is the new embedding. In training a head that
    tells the speakers apart stood behind it (`sv.backends.classifier_training`); it is not kept.
    """

    projection: Projection
    layers: tuple[np.ndarray, ...]
    settings: ClassifierBackend
    pair_cost = Products.pair_cost

    @classmethod
    def train(
        cls,
        x_ND: np.ndarray,
        speaker_N: np.ndarray,
        settings: ClassifierBackend,
        adapt_MD: np.ndarray | None = None,
        seed: int = 1,
        log: Callable[[str], None] = lambda line: None,
    ) -> Classifier:
        """Estimate the projection, then the network on what it makes of the training embeddings.

        Raises DataError if there are too few embeddings or speakers, or the loss stops being a number.
        """
        from sv.backends.classifier_training import train_layers  # imports torch, which takes seconds

        projection, of_training = Projection.train(x_ND, speaker_N, settings, adapt_MD)
        y_NK = of_training(x_ND)
        if settings.length_norm:
            y_NK = normalise_length(y_NK)
        return cls(projection, train_layers(y_NK, speaker_N, settings, seed, log), settings)

    @classmethod
    def load(cls, folder: Path, settings: ClassifierBackend) -> Classifier:
        """Read what `save` wrote; DataError if its layers are not of the settings' sizes."""
        sizes = (*settings.hidden_dims, settings.embedding_dim)
        layers = tuple(read_array(folder / _file(index)) for index in range(len(sizes)))
        for index, (layer_KD1, size, before) in enumerate(zip(layers, sizes, (None, *sizes), strict=False)):
            if layer_KD1.ndim != 2 or layer_KD1.shape[0] != size or before not in (None, layer_KD1.shape[1] - 1):
                raise DataError(f"{folder / _file(index)}: a layer of another size; rerun stage 6")
        return cls(Projection.load(folder, settings), layers, settings)

    def save(self, folder: Path) -> None:
        """Write mean.vec, layer1.mat and so on and, with LDA or whitening, transform.mat."""
        self.projection.save(folder)
        for index, layer_KD1 in enumerate(self.layers):
            write_array(folder / _file(index), layer_KD1)

    def embed(self, x_ND: np.ndarray) -> np.ndarray:
        """The new embeddings, float64 (N, K)."""
        y_NK = self.projection(x_ND)
        if self.settings.length_norm:
            y_NK = normalise_length(y_NK)
        for layer_KD1 in self.layers[:-1]:
            y_NK = np.maximum(transform(layer_KD1, y_NK), 0)
        return transform(self.layers[-1], y_NK)

    def scorer(self, enrol: Vectors, test: Vectors) -> Products:
        """Cosines of new embeddings, in -1 … 1."""
        return Products.of(lambda side: by_rows(self._direction, side.x_ND), enrol, test)

    def _direction(self, x_ND: np.ndarray) -> np.ndarray:
        return direction(self.embed(x_ND))


def _file(index: int) -> str:
    return f"layer{index + 1}.mat"
