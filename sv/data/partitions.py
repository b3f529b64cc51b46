"""Partitions of trials, over which equalised figures are averaged: `enrol test cell` a line, C-sorted.

One file, DATA/partitions, serves all lists of a set; a list is joined to it by both ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sv.data.tables import read_lines, write_lines
from sv.data.trials import Trials
from sv.errors import DataError

PARTITIONS = "partitions"


def write_partitions(path: Path, cells: Iterable[tuple[str, str, str]]) -> None:
    """Write enrolment id, test id and partition of trials."""
    write_lines(path, sorted({" ".join(trial) for trial in cells}))


def read_partitions(path: Path, trials: Trials) -> list[str]:
    """The partition of each trial of a list, (N,).

    Raises DataError for a missing file, a malformed line, a trial with two partitions, and trials without one.
    """
    cell_of: dict[str, str] = {}
    seen: dict[str, str] = {}  # one string a partition, not one a trial
    for number, line in enumerate(read_lines(path), 1):
        pair, _, cell = line.strip().rpartition(" ")
        if pair.count(" ") != 1:
            raise DataError(f"{path}:{number}: {line.strip()!r} is not 'enrol test partition'")
        if cell_of.setdefault(pair, seen.setdefault(cell, cell)) != cell:
            raise DataError(f"{path}:{number}: {pair} is in another partition in an earlier line")
    pairs = list(map(" ".join, zip(trials.enrol, trials.test, strict=True)))
    if missing := [pair for pair in pairs if pair not in cell_of]:
        raise DataError(f"{path}: {len(missing)} of {len(pairs)} trials have no partition (first: {missing[0]})")
    return [cell_of[pair] for pair in pairs]


def cells_of(some: Trials, trials: Trials, cells: list[str]) -> list[str]:
    """The partitions of those of a list's trials that scoring kept, in their order, of those of all, (N,).

    Args:
        some: the list without certain ids, as `sv.scoring.trials.scored_trials` gives it.
        trials: the whole list.
        cells: the partition of each of its trials.
    """
    if some is trials:
        return cells
    kept = set(some.enrol), set(some.test)
    return [
        cell
        for enrol, test, cell in zip(trials.enrol, trials.test, cells, strict=True)
        if enrol in kept[0] and test in kept[1]
    ]
