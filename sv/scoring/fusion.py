"""Fusion of several systems' scores of the same trials.

Letters in shapes: M systems, N trials.
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


def mean_score(scores_MN: ArrayLike, impostors: Impostors | None = None) -> NDArray:
    """The mean of the systems' scores, trial by trial [Modular or monolithic, section 5.4], float64 (N,).

    Args:
        scores_MN: (M, N).
        impostors: in place of a score s of system m, (s - mean_m) / deviation_m is averaged: scores in deviations
            above an impostor's mean, so that a system does not count the more the wider its scores are. One mean and
            deviation a system: not the Z-norm of one for each model.
    """
    scores_MN = np.asarray(scores_MN, np.float64)
    if impostors:
        scores_MN = (scores_MN - impostors.mean_M[:, None]) / impostors.deviation_M[:, None]
    return scores_MN.mean(axis=0)
