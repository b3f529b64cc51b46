"""What stands behind a report: every step that its scores were made by, with its time, and what was left out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sv.records import FOLDER, content_of, record_of
from sv.run import Run


@dataclass(frozen=True)
class Made:
    """A finished step: its name, the folder that it filled, how long it took and what it counted."""

    name: str
    folder: Path
    seconds: float
    counts: dict[str, Any]


def steps_behind(records: Iterable[Path]) -> dict[Path, Made]:
    """The steps of records, and those that made their inputs, and so on; each after those before it.

    A record that is not there or is damaged is left out, with what only it knows of.
    """
    found: dict[Path, Made] = {}
    seen: set[Path] = set()

    def visit(record: Path) -> None:
        if record in seen:
            return
        seen.add(record)
        if (content := content_of(record)) is None:
            return
        folder = record.parent.parent
        for name in content["inputs"]:
            above = Path(os.path.normpath(folder / name))
            if above.parent.name == FOLDER:
                visit(above)
        found[record] = Made(record.stem, folder, content["seconds"], content["counts"])

    for record in records:
        visit(Path(os.path.normpath(record)))
    return found


def dropped_behind(made: Iterable[Made]) -> list[Path]:
    """The lists of what the steps, and those that checked their sets, left out; those that are there, by name."""
    folders = {each.folder for each in made}
    folders |= {folder.parents[1] for folder in folders if folder.parent.name == "feats"}
    lists = {path for folder in folders for path in folder.glob("*dropped.txt")}
    return sorted(lists)


def records_of(runs: list[Run], names: list[str]) -> list[Path]:
    """The records of the runs' trainings, and of their scores of lists, calibrated too; not all need be there."""
    scores = [
        path(name, backend)
        for this in runs
        for name in names
        for backend in this.system.scored_by
        for path in (this.scores, this.calibrated)
    ]
    trained = [record for this in runs for record in this.trainings()]
    return [*trained, *(record_of(path.name, path.parent) for path in scores)]


def commit() -> str:
    """The state of the code; "" where it is not known."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, or not a clone
        return ""
