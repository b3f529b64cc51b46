"""What scores models against test embeddings: a matrix of all with all by blocks, or pair by pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from sv.data.vectors import Vectors


class Scorer(Protocol):
    """Scores of E models against T test utterances, made when they are asked for."""

    @property
    def shape(self) -> tuple[int, int]:
        """E and T."""
        ...

    def block(self, start: int, stop: int) -> np.ndarray:
        """Scores of the models start <= e < stop against all test utterances, (stop - start, T)."""
        ...

    def pairs(self, model_P: np.ndarray, test_P: np.ndarray) -> np.ndarray:
        """Scores of P pairs, (P,); those of one model should stand together."""
        ...


class Products(NamedTuple):
    """Scores that are inner products: `e_EK @ t_TK.T`."""

    e_EK: np.ndarray
    t_TK: np.ndarray
    pair_cost = 50

    @classmethod
    def of(cls, embed: Callable[[Vectors], np.ndarray], enrol: Vectors, test: Vectors) -> Products:
        """Those of what `embed` makes of both sides; once where they are the same."""
        e_EK = embed(enrol)
        return cls(e_EK, e_EK if test is enrol else embed(test))

    @property
    def shape(self) -> tuple[int, int]:
        """E and T."""
        return len(self.e_EK), len(self.t_TK)

    def block(self, start: int, stop: int) -> np.ndarray:
        """Scores of some models against all test utterances, as one product of matrices."""
        return self.e_EK[start:stop] @ self.t_TK.T

    def pairs(self, model_P: np.ndarray, test_P: np.ndarray) -> np.ndarray:
        """Scores of pairs; a model's vector stays in the cache from one to the next."""
        return np.einsum("pk,pk->p", self.e_EK[model_P], self.t_TK[test_P])
