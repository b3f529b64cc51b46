"""A trial list drawn from a data directory: whom to compare with whom where nobody has published a list.

Letters in names: C couples (a speaker with themselves, or with another), N trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from sv.data.datadir import DataDir
from sv.data.trials import Trials
from sv.errors import DataError

Couple = tuple[str, str]
_TARGET, _SAME_GENDER, _OTHER = range(3)  # kinds of trials: the second part of a draw's address, after the seed


def draw_trials(data: DataDir, targets: int, nontargets: int, seed: int) -> Trials:
    """Draw target and non-target trials: every utterance is a model of its own, and no pair comes twice.

    Target trials are pairs of a speaker's utterances of different sessions (`utt2sess`; an utterance without one is a
    session of its own). Non-target trials are half within a gender where `spk2gender` knows both, half not, as pairs
    from a set with as many women as men would be. Within a kind every couple of speakers has as many trials as any
    other, within one, unless it has no more. Of a kind of which too few exist, all are taken; the other half of the
    non-target trials then makes up for it.

    Args:
        data: the set; which utterances are drawn depends on the names in it, not on their order.
        targets: number wanted, at least 1; so too `nontargets`.
        seed: at least 0.
    Returns:
        Labelled trials sorted by ids, which side of a pair is the model being drawn too.
    Raises:
        DataError: there is no target trial, or no non-target one, at all; a number or the seed is out of range.
    """
    if min(targets, nontargets) < 1 or seed < 0:
        raise DataError("numbers of trials are counted from 1, seeds from 0")
    utts_of, gender = data.spk2utt, data.tables.get("spk2gender", {})
    sessions = data.tables.get("utt2sess", {})
    own = {(speaker, speaker): _across_sessions(utts, sessions) for speaker, utts in utts_of.items()}
    room: tuple[dict[Couple, int], ...] = {couple: len(pairs) for couple, pairs in own.items()}, {}, {}
    for one, two in combinations(utts_of, 2):
        kind = _SAME_GENDER if one in gender and gender[one] == gender.get(two) else _OTHER
        room[kind][one, two] = len(utts_of[one]) * len(utts_of[two])
    exist = [sum(of_kind.values()) for of_kind in room]
    for what, number in (("target", exist[_TARGET]), ("non-target", exist[_SAME_GENDER] + exist[_OTHER])):
        if not number:
            raise DataError(
                f"{data.path or 'data directory'}: no {what} trial can be made of its {len(utts_of)} speakers"
            )
    same = min(exist[_SAME_GENDER], max((nontargets + 1) // 2, nontargets - exist[_OTHER]))
    wanted = (min(targets, exist[_TARGET]), same, min(nontargets - same, exist[_OTHER]))

    drawn: list[tuple[str, str, bool]] = []
    for kind, number in enumerate(wanted):
        couples = sorted(room[kind])
        shares_C = equal_shares(np.array([room[kind][couple] for couple in couples], int), number, [seed, kind])
        for c in np.flatnonzero(shares_C):
            one, two = couples[c]
            rng = np.random.default_rng([seed, kind, int(c)])
            for pair in rng.choice(room[kind][one, two], shares_C[c], replace=False).tolist():
                if kind == _TARGET:
                    sides = own[one, two][pair]
                else:
                    i, j = divmod(pair, len(utts_of[two]))
                    sides = utts_of[one][i], utts_of[two][j]
                enrol, test = sides if rng.random() < 0.5 else sides[::-1]
                drawn.append((enrol, test, kind == _TARGET))
    enrols, tests, labels = zip(*sorted(drawn), strict=True)
    return Trials(list(enrols), list(tests), np.array(labels))


def equal_shares(room_C: np.ndarray, total: int, address: list[int]) -> np.ndarray:
    """How much of a total each may have, int (C,), none more than its room and all else alike to within one.

    Args:
        room_C: the most for each, int (C,), with `total` or more in all.
        address: of the draw of those who have the one more.
    """
    share_C = np.zeros_like(room_C)
    while total:
        open_K = np.flatnonzero(share_C < room_C)
        each, rest = divmod(total, len(open_K))
        if each == 0:
            share_C[np.random.default_rng(address).permutation(open_K)[:rest]] += 1
            break
        step_K = np.minimum(room_C[open_K] - share_C[open_K], each)
        share_C[open_K] += step_K
        total -= int(step_K.sum())
    return share_C


def _across_sessions(utts: list[str], sessions: Mapping[str, str]) -> list[tuple[str, str]]:
    """All pairs of a speaker's utterances of two sessions."""
    return [(a, b) for a, b in combinations(utts, 2) if sessions.get(a, a) != sessions.get(b, b)]
