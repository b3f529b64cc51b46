"""Score normalisation: a trial's score in standard deviations of what a cohort of other speakers scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sv.backends.backend import Backend
from sv.backends.scorer import Scorer
from sv.data.vectors import Vectors
from sv.errors import DataError
from sv.systems.normalisation import Normalisation

BLOCK_SCORES = 1 << 21  # scores against the cohort that are held at once, 16 MiB


class Statistics(NamedTuple):
    """Mean and standard deviation of the scores of N embeddings against a cohort, (N,) each."""

    mean_N: np.ndarray
    std_N: np.ndarray

    def standardised(self, scores: np.ndarray, rows: np.ndarray | slice, axis: int = 0) -> np.ndarray:
        """Scores whose place along `axis` says of which of the N they are, `rows` of them, in deviations."""
        shape = [1] * scores.ndim
        shape[axis] = -1
        return (scores - self.mean_N[rows].reshape(shape)) / self.std_N[rows].reshape(shape)


def cohort_statistics(backend: Backend, vectors: Vectors, cohort: Vectors, top: int | None = None) -> Statistics:
    """Of N embeddings, each as a model against all of a cohort of C or, with `top`, those of it that score highest.

    The deviation is that of the scores themselves, divided by their number. Raises DataError naming one whose scores do
    not differ.
    """
    scorer = backend.scorer(vectors, cohort)
    number, size = scorer.shape
    kept = min(top or size, size)
    found = Statistics(np.empty(number), np.empty(number))
    step = max(1, BLOCK_SCORES // size)
    for start in range(0, number, step):
        scores_BC = scorer.block(start, min(start + step, number))
        if kept < size:
            # Rounded to single precision, in which the highest are found in half the time; sums are not.
            scores_BC = np.partition(scores_BC.astype(np.float32), size - kept, axis=1)[:, size - kept :]
        found.mean_N[start : start + step] = scores_BC.mean(1, dtype=np.float64)
        found.std_N[start : start + step] = scores_BC.std(1, dtype=np.float64)
    if not (found.std_N > 0).all():
        alike = vectors.keys[int(np.argmin(found.std_N > 0))]
        raise DataError(f"{alike} scores the same against all {kept} of the cohort, so there is nothing to divide by")
    return found


class NormalisedBackend:
    """A back end whose scores are normalised by those of a cohort.

    With s a trial's score, and mu and sigma those of its model (e) and of its test utterance (t) against the cohort:
    z-norm is (s - mu_e) / sigma_e, t-norm (s - mu_t) / sigma_t, and s-norm the mean of both (Kenny, "Bayesian speaker
    verification with heavy-tailed priors", 2010). With `top`, mu and sigma are those of each one's own highest scores
    (adaptive; "Analysis of score normalization in multilingual speaker recognition", 2017, eq. 6).

    Args:
        backend: whose scores they are.
        settings: which way.
        of_models, of_tests: the statistics of embeddings as one side of a trial; each is asked for once a scorer, the
            second not at all if both sides are the same and both are normalised.
    """

    def __init__(
        self,
        backend: Backend,
        settings: Normalisation,
        of_models: Callable[[Vectors], Statistics],
        of_tests: Callable[[Vectors], Statistics],
    ) -> None:
        self._backend, self._method = backend, settings.method
        self.of_models, self.of_tests = of_models, of_tests
        self.pair_cost = backend.pair_cost

    def scorer(self, enrol: Vectors, test: Vectors) -> NormalisedScorer:
        """What scores models against tests, in standard deviations."""
        of_models = self.of_models(enrol) if self._method != "t" else None
        of_tests = None
        if self._method != "z":
            of_tests = of_models if of_models and test is enrol else self.of_tests(test)
        return NormalisedScorer(self._backend.scorer(enrol, test), of_models, of_tests)


class NormalisedScorer(NamedTuple):
    """Scores of another scorer in deviations of one side's, or of both sides' in the mean."""

    scorer: Scorer
    of_models: Statistics | None
    of_tests: Statistics | None

    @property
    def shape(self) -> tuple[int, int]:
        """E and T."""
        return self.scorer.shape

    def block(self, start: int, stop: int) -> np.ndarray:
        """Scores of the models start <= e < stop against all test utterances, (stop - start, T)."""
        return self._normalised(self.scorer.block(start, stop), slice(start, stop), slice(None), axis=1)

    def pairs(self, model_P: np.ndarray, test_P: np.ndarray) -> np.ndarray:
        """Scores of P pairs, (P,)."""
        return self._normalised(self.scorer.pairs(model_P, test_P), model_P, test_P, axis=0)

    def _normalised(
        self, scores: np.ndarray, models: np.ndarray | slice, tests: np.ndarray | slice, axis: int
    ) -> np.ndarray:
        sides = [of.standardised(scores, models, 0) for of in [self.of_models] if of]
        sides += [of.standardised(scores, tests, axis) for of in [self.of_tests] if of]
        return sum(sides) / len(sides)
