"""Partitions of trials, over which equalised figures are averaged: `enrol test cell` a line, C-sorted.

One file, DATA/partitions, serves all lists of a set; a list is joined to it by both ids. DATA/phone_numbers is of the
same form and tells of target trials whether the phone number is the `same` as one of the enrolment, or `other`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from sv.data.tables import read_lines, write_lines
from sv.data.trials import Trials
from sv.errors import DataError

PARTITIONS, PHONE_NUMBERS = "partitions", "phone_numbers"
_Cell = TypeVar("_Cell")


def write_partitions(path: Path, cells: Iterable[tuple[str, str, str]]) -> None:
    """Write enrolment id, test id and partition of trials."""
    write_lines(path, sorted({" ".join(trial) for trial in cells}))


def read_partitions(path: Path, trials: Trials) -> list[str]:
    """The partition of each trial of a list, (N,).

    Raises DataError for a missing file, a malformed line, a trial with two partitions, and trials without one.
    """
    cell_of = _read(path)
    pairs = list(map(" ".join, zip(trials.enrol, trials.test, strict=True)))
    if missing := [pair for pair in pairs if pair not in cell_of]:
        raise DataError(f"{path}: {len(missing)} of {len(pairs)} trials have no partition (first: {missing[0]})")
    return [cell_of[pair] for pair in pairs]


def read_phone_numbers(path: Path, trials: Trials) -> list[str]:
    """`same` or `other` of each trial of a list, (N,); "" of those of which the file, if there is one, tells nothing.

    Raises DataError for a malformed line or a trial of which it tells two things.
    """
    told = _read(path) if path.exists() else {}
    return [told.get(pair, "") for pair in map(" ".join, zip(trials.enrol, trials.test, strict=True))]


def _read(path: Path) -> dict[str, str]:
    """The third column by the first two, these with a blank between."""
    cell_of: dict[str, str] = {}
    seen: dict[str, str] = {}  # one string a partition, not one a trial
    for number, line in enumerate(read_lines(path), 1):
        pair, _, cell = line.strip().rpartition(" ")
        if pair.count(" ") != 1:
            raise DataError(f"{path}:{number}: {line.strip()!r} is not 'enrol test partition'")
        if cell_of.setdefault(pair, seen.setdefault(cell, cell)) != cell:
            raise DataError(f"{path}:{number}: {pair} is in another partition in an earlier line")
    return cell_of


def cells_of(some: Trials, trials: Trials, cells: Sequence[_Cell]) -> Sequence[_Cell]:
    """The partitions of those of a list's trials that scoring kept, in their order, of those of all, (N,).

    Args:
        some: the list without certain ids, as `sv.scoring.trials.scored_trials` gives it.
        trials: the whole list.
        cells: the partition of each of its trials, or what else there is of each.
    """
    if some is trials:
        return cells
    kept = set(some.enrol), set(some.test)
    return [
        cell
        for enrol, test, cell in zip(trials.enrol, trials.test, cells, strict=True)
        if enrol in kept[0] and test in kept[1]
    ]
