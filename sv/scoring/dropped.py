"""Why the embeddings or recordings of some trials are missing, as the stages before have written it down."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sv.data.tables import read_table
from sv.run import Run
from sv.source import Source


def recorded_drops(this: Run, trials: Path, sets: Iterable[str]) -> dict[str, str]:
    """What was dropped from the sets that stand beside the list's, from their features or embeddings, and why."""
    reasons: dict[str, str] = {}
    for record in drop_records(this, trials, sets):
        if record.exists():
            reasons = read_table(record) | reasons
    return reasons


def drop_records(this: Run, trials: Path, sets: Iterable[str]) -> list[Path]:
    """Where `recorded_drops` looks."""
    data = trials.absolute().parent
    folders = [data]
    for name in sets:
        folder = data.parent / name
        folders += [folder, Source(this.embedder(), folder).folder, this.embeddings(name)]
    return [folder / "dropped.txt" for folder in folders]
