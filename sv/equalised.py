"""SRE16's equalised figures: every partition of the trials has the same say, however many trials it has.

Partitions of target trials are language x gender x number of enrolment segments x same or other phone number; those
of non-target trials lack the last, as nobody calls from another's phone [NIST SRE 2016 plan, section 3]. The miss rate
at a threshold is the mean of the target partitions' miss rates, the false-alarm rate the mean of the others', so one
ROC of trials weighted by one over the number of their kind in their partition holds all:

>>> cells = ["yue f 1 same", "yue f 1 same", "tgl f 1 same", "yue f 1", "yue f 1", "tgl f 1"]
>>> roc = equalised_roc([2.0, 0.0, 1.5, -1.0, 1.0, -2.0], [True, True, True, False, False, False], cells)
>>> from sv.metrics import eer_rocch, min_cprimary
>>> eer_rocch(roc), min_cprimary(roc)
(0.125, 0.25)

`act_cprimary` of the same ROC of log-likelihood ratios is SRE16's primary metric. NIST's scoring software for SRE16 and
18 weighs alike, with the largest count in place of one; it leaves out non-target trials from the same phone, and so do
these figures (`UNCOUNTED`). Its costs are these but for tied scores, which it accepts one by one; its EER is where the
steps of the ROC meet the diagonal, a little above that of the convex hull.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sv.errors import DataError
from sv.roc import Roc

UNCOUNTED = "-"  # in place of the partition of a trial that has none


def equalised_roc(scores: ArrayLike, is_target: ArrayLike, cells: Sequence[str]) -> Roc:
    """The ROC over trials in which each partition weighs 1, so `n_target` is the number of target partitions.

    Args:
        scores: float (N,), greater means more like a target.
        is_target: bool (N,).
        cells: the partition of each trial, (N,), or `UNCOUNTED`; target and non-target trials of one count apart.
    Raises:
        DataError: what `Roc.from_scores` refuses; numbers of cells and scores differ.
    """
    return Roc.from_scores(scores, is_target, equalised_weights(np.asarray(is_target, dtype=bool), cells))


def equalised_weights(is_target_N: NDArray, cells: Sequence[str]) -> NDArray:
    """One over the number of trials of the same kind in the same partition, float (N,); 0 for `UNCOUNTED`."""
    if len(cells) != len(is_target_N):
        raise DataError(f"{len(is_target_N)} trials but {len(cells)} partitions; give one each a trial")
    number = {cell: i for i, cell in enumerate(dict.fromkeys(cells))}
    cell_N = np.fromiter((number[cell] for cell in cells), np.intp, len(cells))
    kind_N = 2 * cell_N + is_target_N
    weights_N = 1 / np.bincount(kind_N)[kind_N]
    weights_N[cell_N == number.get(UNCOUNTED, -1)] = 0
    return weights_N
