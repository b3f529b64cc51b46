"""Pairs of held-out chunks whose scores make an error rate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Pairs(NamedTuple):
    """The places of both chunks of each pair, int (P,), and whether they are of one speaker, bool (P,)."""

    one_P: np.ndarray
    two_P: np.ndarray
    same_P: np.ndarray


def all_pairs(speaker_N: np.ndarray) -> Pairs:
    """Every pair of N chunks."""
    one_P, two_P = np.triu_indices(len(speaker_N), 1)
    return Pairs(one_P, two_P, speaker_N[one_P] == speaker_N[two_P])


def draw_pairs(speaker_N: np.ndarray, count: int, seed: int) -> Pairs:
    """So many pairs of one speaker and as many of two, or all of a kind that there are fewer of; none comes twice.

    Every pair of a kind is as likely as any other.
    """
    rng = np.random.default_rng([seed, 7])
    order_N = np.argsort(speaker_N, kind="stable")
    counts_S = np.unique(speaker_N, return_counts=True)[1]
    pairs_S = counts_S * (counts_S - 1) // 2
    ends_S = np.cumsum(pairs_S)
    start_S = np.cumsum(counts_S) - counts_S
    drawn_P = rng.choice(ends_S[-1], min(count, int(ends_S[-1])), replace=False)
    speaker_P = np.searchsorted(ends_S, drawn_P, side="right")
    within = _unranked(drawn_P - (ends_S - pairs_S)[speaker_P])
    target_one_P, target_two_P = (order_N[place_P + start_S[speaker_P]] for place_P in within)

    num = len(speaker_N)
    wanted = min(count, num * (num - 1) // 2 - int(ends_S[-1]))
    other_P = np.zeros(0, int)
    while len(other_P) < wanted:
        more_P = rng.integers(num * (num - 1) // 2, size=2 * (wanted - len(other_P)) + 16)
        more_P = more_P[np.not_equal(*(speaker_N[place_P] for place_P in _unranked(more_P)))]
        together_P = np.concatenate([other_P, more_P])
        other_P = together_P[np.sort(np.unique(together_P, return_index=True)[1])][:wanted]
    one_P, two_P = _unranked(other_P)
    return Pairs(
        np.concatenate([target_one_P, one_P]),
        np.concatenate([target_two_P, two_P]),
        np.arange(len(drawn_P) + wanted) < len(drawn_P),
    )


def _unranked(pair_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two places, the smaller first, of pairs by their number: 0 is (0, 1), then (0, 2), (1, 2), (0, 3), …."""
    high_P = ((1 + np.sqrt(1 + 8 * pair_P.astype(float))) / 2).astype(int)
    high_P += (high_P * (high_P + 1) // 2 <= pair_P).astype(int) - (high_P * (high_P - 1) // 2 > pair_P).astype(int)
    return pair_P - high_P * (high_P - 1) // 2, high_P
