"""A trial list divided by conditions: how long the test is, who speaks, in what language, in which session.

Letters in names: N trials of the list.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sv.data.trials import Trials
from sv.report.sides import Side

EDGES_S = (2, 5, 10, 20, 40)  # between durations; none where a corpus has its least, as VoxCeleb at 4 s
UNKNOWN = "not known"
SAME = ("same", "other")
GENDERS = ("female", "male", "female and male")


@dataclass(frozen=True)
class Division:
    """One way to divide a list: the names of the conditions, and the number of each trial's, (N,), -1 if not known."""

    kind: str
    names: Sequence[str]
    condition_N: np.ndarray
    targets_only: bool = False  # the non-target trials have none, and are shared by all

    def rows(self, is_target_N: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """The conditions that there are, and the trials of each, bool (N,); last those of which it is not known."""
        shared_N = ~is_target_N if self.targets_only else np.zeros_like(is_target_N)
        for number, name in [*enumerate(self.names), (-1, UNKNOWN)]:
            inside_N = (self.condition_N == number) & ~shared_N
            if inside_N.any():
                yield name, inside_N | shared_N


def divisions_of(
    trials: Trials, models: Mapping[str, Side], tests: Mapping[str, Side], phones: Sequence[str]
) -> list[Division]:
    """The ways to divide a list; those that put all trials in one condition, or know of none, are left out.

    Args:
        trials: labelled.
        models, tests: what is known of ids.
        phones: `same` or `other` of each target trial, "" where it is not known, (N,).
    """
    enrol, test = _Ids(trials.enrol, models), _Ids(trials.test, tests)
    durations = _names_of_durations()
    counts = sorted({side.num_utts for side in enrol.sides if side})
    languages = sorted({name for side in test.sides if side for name in side.languages})
    everything_N = np.ones(len(trials), bool)
    number = {name: i for i, name in enumerate(SAME)}
    found = [
        Division("test duration", durations, test.each(_duration)),
        Division("enrolment duration", durations, enrol.each(_duration)),
        Division("enrolment", [*map(_utterances, counts)], enrol.each(lambda side: counts.index(side.num_utts))),
        Division("gender", GENDERS, _gender(enrol, test)),
        Division("test language", languages, test.each(lambda side: _place(languages, *side.languages))),
        Division("enrolment language", SAME, _shared(enrol, test, lambda side: side.languages, everything_N)),
        Division("session", SAME, _shared(enrol, test, lambda side: side.sessions, trials.is_target), True),
        Division("phone number", SAME, np.array([number.get(phone, -1) for phone in phones]), True),
    ]
    return [each for each in found if len(list(each.rows(trials.is_target))) > 1]


class _Ids:
    """The ids of one side of a list: what is known of each, None if nothing, and the number of each trial's, (N,)."""

    def __init__(self, ids: Sequence[str], known: Mapping[str, Side]) -> None:
        number = {name: i for i, name in enumerate(dict.fromkeys(ids))}
        self.sides = [known.get(name) for name in number]
        self.number_N = np.fromiter((number[name] for name in ids), np.intp, len(ids))

    def each(self, condition: Callable[[Side], int]) -> np.ndarray:
        """The number of each trial's condition by this side, int (N,)."""
        return np.array([-1 if side is None else condition(side) for side in self.sides])[self.number_N]


def _names_of_durations() -> list[str]:
    between = [f"{low}–{high} s" for low, high in pairwise(EDGES_S)]
    return [f"below {EDGES_S[0]} s", *between, f"from {EDGES_S[-1]} s"]


def _duration(side: Side) -> int:
    return -1 if side.seconds is None else bisect_right(EDGES_S, side.seconds)


def _utterances(count: int) -> str:
    return f"{count} utterance{'s' * (count > 1)}"


def _place(names: Sequence[str], *name: str) -> int:
    """The number of the one name; -1 of another, of none and of several."""
    return names.index(*name) if len(name) == 1 and name[0] in names else -1


def _gender(enrol: _Ids, test: _Ids) -> np.ndarray:
    one_N, other_N = (ids.each(lambda side: _place("fm", *side.gender)) for ids in (enrol, test))
    return np.where((one_N < 0) | (other_N < 0), -1, np.where(one_N == other_N, one_N, 2))


def _shared(enrol: _Ids, test: _Ids, values: Callable[[Side], tuple[str, ...]], of_N: np.ndarray) -> np.ndarray:
    """Of some trials, bool (N,), whether both sides have a value in common: 0 if so, 1 if not; -1 of all others."""
    ours, theirs = ([() if side is None else values(side) for side in ids.sides] for ids in (enrol, test))
    found_N = np.full(len(of_N), -1)
    trials = np.flatnonzero(of_N if any(ours) and any(theirs) else np.zeros_like(of_N))
    pairs = zip(enrol.number_N[trials].tolist(), test.number_N[trials].tolist(), strict=True)
    found_N[trials] = [
        (not any(value in theirs[t] for value in ours[e])) if ours[e] and theirs[t] else -1 for e, t in pairs
    ]
    return found_N
