"""Back ends: what is learnt of training embeddings, and how a model and a test embedding are scored with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from sv.backends.classifier import Classifier
from sv.backends.cosine import Cosine
from sv.backends.euclidean import Euclidean
from sv.backends.projected_plda import ProjectedPlda
from sv.backends.scorer import Scorer
from sv.data.vectors import Vectors
from sv.systems.backends import Backend as Settings
from sv.systems.backends import ClassifierBackend, CosineBackend, EuclideanBackend


class Backend(Protocol):
    """A trained back end."""

    pair_cost: int  # how many scores of a block take as long as one of a pair

    def scorer(self, enrol: Vectors, test: Vectors) -> Scorer:
        """What scores all models against all test utterances, or some pairs of them.

        A model is the mean of as many utterances as `enrol.num_utts_N` says, and has the crops of all of them.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write the parameters, as Kaldi's programs read them."""
        ...


def train_backend(
    settings: Settings,
    x_ND: np.ndarray,
    speaker_N: np.ndarray,
    adapt_MD: np.ndarray | None = None,
    seed: int = 1,
    log: Callable[[str], None] = lambda line: None,
) -> Backend:
    """The back end that a system's YAML describes, estimated on training embeddings.

    Args:
        x_ND: training embeddings.
        speaker_N: the speaker's index of each.
        adapt_MD: unlabelled embeddings of the domain to be scored, where `settings.needs_adapt`.
        seed: of a back end that begins with random weights.
        log: takes the line that says how that went.
    Raises:
        DataError: too few embeddings for the sizes asked, or none to adapt to; or a training that failed.
    """
    if isinstance(settings, CosineBackend):
        return Cosine.train(x_ND, speaker_N, settings, adapt_MD)
    if isinstance(settings, EuclideanBackend):
        return Euclidean.train(x_ND, speaker_N, settings, adapt_MD)
    if isinstance(settings, ClassifierBackend):
        return Classifier.train(x_ND, speaker_N, settings, adapt_MD, seed, log)
    return ProjectedPlda.train(x_ND, speaker_N, settings, adapt_MD)


def load_backend(settings: Settings, folder: Path) -> Backend:
    """The back end that `train_backend` made and `save` wrote."""
    kind = {"cosine": Cosine, "euclidean": Euclidean, "classifier": Classifier, "plda": ProjectedPlda}[settings.name]
    return kind.load(folder, settings)
