"""Fusion of several systems' scores of the same trials: their mean, perhaps with weights.

Weights are given, or searched on a labelled list (`sv.scoring.weight_search`). Letters in shapes: M systems, N trials.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sv.errors import DataError


@dataclass(frozen=True)
class Impostors:
    """Mean and deviation of each system's scores of non-target trials, float64 (M,)."""

    mean_M: NDArray
    deviation_M: NDArray

    @classmethod
    def of(cls, scores_MN: ArrayLike, is_target_N: ArrayLike) -> Impostors:
        """Of a labelled list.

        Args:
            scores_MN: (M, N), finite.
            is_target_N: bool (N,).
        Raises:
            DataError: no non-target trial, or a system scores all of them alike.
        """
        nontarget_MK = np.asarray(scores_MN, np.float64)[:, ~np.asarray(is_target_N, bool)]
        if not nontarget_MK.shape[1]:
            raise DataError("no non-target trial among its trials, whose scores could be the measure of others")
        if (np.ptp(nontarget_MK, axis=1) == 0).any():
            raise DataError("a system scores all its non-target trials alike; they cannot be the measure of others")
        return cls(nontarget_MK.mean(axis=1), nontarget_MK.std(axis=1))

    def deviations(self, scores_MN: NDArray) -> NDArray:
        """Scores in deviations above each system's mean, (M, N)."""
        return (scores_MN - self.mean_M[:, None]) / self.deviation_M[:, None]


def mean_score(scores_MN: ArrayLike, impostors: Impostors | None = None, weights_M: ArrayLike | None = None) -> NDArray:
    """The mean of the systems' scores, trial by trial [Modular or monolithic, section 5.4], float64 (N,).

    Weighted, it is the fusion of "Clova baseline system for the VoxCeleb Speaker Recognition Challenge 2020", section
    3.7.

    Args:
        scores_MN: (M, N).
        impostors: in place of a score s of system m, (s - mean_m) / deviation_m is averaged: scores in deviations
            above an impostor's mean, so that a system does not count the more the wider its scores are. One mean and
            deviation a system: not the Z-norm of one for each model.
        weights_M: (M,), >= 0 and not all 0; without them all are the same.
    """
    scores_MN = np.asarray(scores_MN, np.float64)
    if impostors:
        scores_MN = impostors.deviations(scores_MN)
    return np.average(scores_MN, axis=0, weights=weights_M)
