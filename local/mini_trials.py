"""Trials for `local/generate_mini.py`: who is compared with whom, as numbers of speakers and recordings.

Half are target trials, always across two sessions; a quarter are non-target trials within a gender and a
quarter across. No pair comes twice in either order, and the speakers take turns.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from mini_speech import generator

Recording = tuple[int, int, int]  # speaker, session, number in the session; each from 0
STREAM = 2  # first part of our addresses, after the seed; 0 and 1 are the recordings of dev and test


@dataclass(frozen=True)
class Design:
    """The test recordings; the speakers' genders alternate.

    >>> design = Design(speakers=50, sessions=5, utts=2)
    >>> design.most_trials()
    4000
    >>> sum(is_target for is_target, _, _ in design.draw(3000, seed=0))
    1500
    """

    speakers: int
    sessions: int
    utts: int

    def most_trials(self) -> int:
        """The largest number of trials of which each kind's share exists."""
        men, women = len(self._men), len(self._women)
        target = self.speakers * math.comb(self.sessions, 2) * self.utts**2
        pairs = (self.sessions * self.utts) ** 2
        exist = (target, (math.comb(men, 2) + math.comb(women, 2)) * pairs, men * women * pairs)
        most = min(2 * exist[0], 4 * exist[1] + 3, 4 * exist[2] + 3)
        while any(n > there for n, there in zip(_shares(most), exist, strict=True)):
            most -= 1
        return most

    def draw(self, trials: int, seed: int) -> list[tuple[bool, Recording, Recording]]:
        """Trials (is it a target trial, one side, the other) in random order; at most `most_trials`."""
        if trials > self.most_trials():
            raise ValueError(f"{trials} trials of at most {self.most_trials()}")
        rng = generator(seed, STREAM)
        kinds = (
            [(i, i) for i in range(self.speakers)],
            _merge(_circle(self._men), _circle(self._women)),
            _lattice(self._men, self._women),
        )
        drawn: list[tuple[bool, Recording, Recording]] = []
        for count, couples in zip(_shares(trials), kinds, strict=True):
            supply = [self._pairs(one, two, seed) for one, two in couples]
            turns = (pair for _ in itertools.count() for source in supply if (pair := next(source, None)))
            for one, two in itertools.islice(turns, count):
                drawn.append((one[0] == two[0], two, one) if rng.random() < 0.5 else (one[0] == two[0], one, two))
        return [drawn[i] for i in rng.permutation(len(drawn))]

    @property
    def _men(self) -> list[int]:
        return list(range(0, self.speakers, 2))

    @property
    def _women(self) -> list[int]:
        return list(range(1, self.speakers, 2))

    def _pairs(self, one: int, two: int, seed: int) -> Iterator[tuple[Recording, Recording]]:
        """All pairs of a recording of each, once, scattered: k -> a k + b modulo their number, a prime to it."""
        if one == two:
            sessions = list(itertools.combinations(range(self.sessions), 2))
        else:
            sessions = list(itertools.product(range(self.sessions), repeat=2))
        rng = generator(seed, STREAM, one, two)
        number = len(sessions) * self.utts**2
        step, start = int(rng.integers(1, number + 1)), int(rng.integers(number))
        while math.gcd(step, number) > 1:
            step += 1
        for k in range(number):
            which, within = divmod((step * k + start) % number, self.utts**2)
            first, second = divmod(within, self.utts)
            yield (one, sessions[which][0], first), (two, sessions[which][1], second)


def _shares(trials: int) -> tuple[int, int, int]:
    """How many target, same-gender and cross-gender trials."""
    target = (trials + 1) // 2
    same = (trials - target + 1) // 2
    return target, same, trials - target - same


def _circle(people: list[int]) -> list[tuple[int, int]]:
    """All pairs once, so ordered that at any point a person has had nearly as many as any other."""
    n = len(people)
    return [(people[k], people[(k + d) % n]) for d in range(1, n // 2 + 1) for k in range(n // 2 if 2 * d == n else n)]


def _lattice(a: list[int], b: list[int]) -> list[tuple[int, int]]:
    """All pairs of one from either side, in such an order."""
    most = max(len(a), len(b))
    steps = [(a[k % len(a)], b[(k + d) % len(b)]) for d in range(most) for k in range(most)]
    return list(dict.fromkeys(steps))


def _merge(a: list, b: list) -> list:
    """Two lists as one, from either in proportion to its length."""
    place = [((i + 0.5) / len(x), item) for x in (a, b) for i, item in enumerate(x)]
    return [item for _, item in sorted(place)]
