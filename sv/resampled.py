"""A trial list that is resampled over and over by its speakers: what each replicate needs, and no more, made once.

Letters in names: N trials, S speakers, K distinct scores, B blocks of scores, G groups of trials, M sums of groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sv.equalised import UNCOUNTED
from sv.errors import DataError
from sv.roc import Roc


class Blocks(NamedTuple):
    """Scores put together that need not be told apart: the least score of each block, and each trial's block, int."""

    lowest_B: NDArray
    block_N: NDArray


def runs_of_a_kind(scores_N: NDArray, is_target_N: NDArray) -> Blocks:
    """Blocks of neighbouring scores that only targets have, or only non-targets; a score that both have stays alone.

    Between two scores of a block the ROC goes straight up or straight across, however often each trial counts. So the
    corners of its convex hull, on which EER, least costs and min Cllr rest, are all between blocks.
    """
    score_K, k_N = np.unique(scores_N, return_inverse=True)
    kind_K = np.zeros(len(score_K), dtype=np.int8)
    kind_K[k_N[is_target_N]] += 1
    kind_K[k_N[~is_target_N]] += 2
    is_first_K = np.append(True, (kind_K[1:] != kind_K[:-1]) | (kind_K[1:] == 3))
    return Blocks(score_K[is_first_K], (np.cumsum(is_first_K) - 1)[k_N])


def between(thresholds: Sequence[float], scores_N: NDArray) -> Blocks:
    """Blocks between decision thresholds, where nothing but the decisions counts."""
    threshold_T = np.sort(thresholds)
    return Blocks(np.append(-np.inf, threshold_T), np.searchsorted(threshold_T, scores_N, side="right"))


class Speakers(NamedTuple):
    """Each trial's two speakers as numbers by sorted name, int (N,), and the number of speakers."""

    enrol_N: NDArray
    test_N: NDArray
    count: int

    @classmethod
    def of(cls, enrol_speaker: Sequence[str], test_speaker: Sequence[str], is_target_N: NDArray) -> Speakers:
        """From names, (N,), which are equal for target trials and different for the others.

        Raises:
            DataError: numbers of names and trials differ; a target trial between two speakers or a non-target trial
                within one; fewer than two speakers.
        """
        n = len(is_target_N)
        if len(enrol_speaker) != n or len(test_speaker) != n:
            raise DataError(
                f"{n} scores but {len(enrol_speaker)} enrolment and {len(test_speaker)} test speakers;"
                " give one each a trial"
            )
        names = sorted({*enrol_speaker, *test_speaker})
        if len(names) < 2:
            raise DataError(f"an interval over speakers needs two or more, this list has {len(names)}")
        number = {name: i for i, name in enumerate(names)}
        enrol_N = np.fromiter((number[name] for name in enrol_speaker), np.intp, n)
        test_N = np.fromiter((number[name] for name in test_speaker), np.intp, n)
        wrong_N = (enrol_N == test_N) != is_target_N
        if wrong := int(wrong_N.sum()):
            i = int(wrong_N.argmax())
            kind = "target" if is_target_N[i] else "non-target"
            raise DataError(
                f"{wrong} of {n} trials disagree with their speakers (first: trial {i}, {kind},"
                f" {enrol_speaker[i]} against {test_speaker[i]}); check the speaker lists"
            )
        return cls(enrol_N, test_N, len(names))


class Resampled:
    """A list whose trials are to be counted as often as their speakers are drawn.

    A target trial of speaker a counts c_a times, a non-target trial of a and b c_a c_b times, where c are the numbers
    of their copies (see `sv.bootstrap`).

    Args:
        blocks: of the scores; thresholds within a block are not told apart.
        is_target_N: bool (N,).
        speakers: of the trials.
        cells: the partition of each trial, (N,), for `equalised_roc`.
        cost_N: of each trial, float (N,), for `mean_costs`.
    """

    def __init__(
        self,
        blocks: Blocks,
        is_target_N: NDArray,
        speakers: Speakers,
        cells: Sequence[str] | None = None,
        cost_N: NDArray | None = None,
    ) -> None:
        number = {UNCOUNTED: 0} | {cell: i for i, cell in enumerate(sorted({*(cells or ())} - {UNCOUNTED}), 1)}
        n = len(is_target_N)
        cell_N = np.zeros(n, np.intp) if cells is None else np.fromiter((number[cell] for cell in cells), np.intp, n)
        self.lowest_B, self.num_cells = blocks.lowest_B, len(number)
        self.kinds = [
            _Kind(blocks.block_N[of_kind], cell_N[of_kind], speakers, of_kind, cost_N)
            for of_kind in (np.flatnonzero(is_target_N), np.flatnonzero(~is_target_N))
        ]

    def drawn(self, copies_S: NDArray) -> Replicate | None:
        """The list with so many copies of each speaker, float (S,); None if it has no trial of a kind left."""
        weight_G = [
            copies_S.take(kind.enrol_G) if is_target else copies_S.take(kind.enrol_G) * copies_S.take(kind.test_G)
            for kind, is_target in zip(self.kinds, (True, False), strict=True)
        ]
        if not all(each_G.any() for each_G in weight_G):
            return None
        return Replicate(self, weight_G)


class _Kind:
    """The target or the non-target trials: those of one block, partition and pair of speakers are one group."""

    def __init__(
        self, block_N: NDArray, cell_N: NDArray, speakers: Speakers, of_kind: NDArray, cost_N: NDArray | None
    ) -> None:
        enrol_N, test_N = speakers.enrol_N[of_kind], speakers.test_N[of_kind]
        num_cells = int(cell_N.max()) + 1
        sum_N = block_N.astype(np.int64) * num_cells + cell_N
        pairs = speakers.count**2
        key_G, group_N, self.count_G = np.unique(
            sum_N * pairs + enrol_N * speakers.count + test_N, return_inverse=True, return_counts=True
        )
        self.enrol_G, self.test_G = np.divmod(key_G % pairs, speakers.count)
        if cost_N is not None:
            self.cost_G = np.bincount(group_N, cost_N[of_kind])
            self.dear_G = np.flatnonzero(np.isinf(self.cost_G))
            self.cost_G[self.dear_G] = 0  # so that without copies they cost nothing
        sum_M, self.first_M = np.unique(key_G // pairs, return_index=True)
        self.block_M, self.cell_M = np.divmod(sum_M, num_cells)


class Replicate:
    """What a draw of speakers makes of a list."""

    def __init__(self, of: Resampled, weight_G: Sequence[NDArray]) -> None:
        self._of, self._weight_G = of, weight_G
        self._count_M = [
            np.add.reduceat(each_G * kind.count_G, kind.first_M)
            for each_G, kind in zip(weight_G, of.kinds, strict=True)
        ]

    @property
    def roc(self) -> Roc:
        """Of its trials, at the lowest scores of the blocks."""
        return self._roc(self._count_M)

    @property
    def equalised_roc(self) -> Roc | None:
        """In which every partition that has trials here weighs 1; None if none has of a kind."""
        shares = []
        for kind, count_M in zip(self._of.kinds, self._count_M, strict=True):
            total_C = np.bincount(kind.cell_M, count_M, self._of.num_cells)
            there_C = total_C > 0
            there_C[0] = False  # trials that do not count
            share_C = np.divide(1, total_C, out=np.zeros_like(total_C), where=there_C)
            shares.append(count_M * share_C[kind.cell_M])
        return self._roc(shares) if all(share_M.any() for share_M in shares) else None

    @property
    def mean_costs(self) -> tuple[float, float]:
        """Of its target and of its non-target trials; costs may be infinite."""
        means = []
        for kind, weight_G, count_M in zip(self._of.kinds, self._weight_G, self._count_M, strict=True):
            infinite = weight_G[kind.dear_G].any()
            means.append(np.inf if infinite else float(weight_G @ kind.cost_G / count_M.sum()))
        return means[0], means[1]

    def _roc(self, count_M: Sequence[NDArray]) -> Roc:
        size = len(self._of.lowest_B)
        target_B, nontarget_B = (
            np.bincount(kind.block_M, each_M, size) for kind, each_M in zip(self._of.kinds, count_M, strict=True)
        )
        return Roc.from_counts(self._of.lowest_B, target_B, nontarget_B)
