"""The other runs that a report shows: those below a folder that have scores of its lists."""

from __future__ import annotations

from pathlib import Path

from sv.errors import ConfigError, DataError
from sv.records import holds, record_of, require_whole
from sv.report.runs import calibrated_record
from sv.run import Run
from sv.scoring.score_files import score_file


def others(exp: Path, runs: list[Run], names: list[str]) -> list[Run]:
    """The other runs below a folder that have scores of one of the lists, all of it as its steps left it."""
    known = {this.path.absolute() for this in runs}
    return [
        this
        for this in filter(None, map(readable, sorted(exp.glob("*/seed*"))))
        if this.path.absolute() not in known and has_whole_scores(this, names)
    ]


def has_whole_scores(this: Run, names: list[str]) -> bool:
    """Whether a run has scores of one of the lists; False with a line if a step was cut short, or its files changed.

    What stops the report of a run that was asked for must not stop that of others.
    """
    listed = [(name, backend) for name in names for backend in this.system.scored_by]
    there = [(name, backend) for name, backend in listed if score_file(this.scores(name, backend)).exists()]
    searched = this.system.ensemble and this.system.ensemble.search
    made_of = [*this.trainings(), *([record_of("fuse", this.weights().parent)] if searched else [])]
    try:
        for record in made_of if there else ():
            require_whole(record)
        for name, backend in there:
            path = this.scores(name, backend)
            require_whole(record_of(path.name, path.parent))
            holds(calibrated_record(this, name, backend))
    except DataError as error:
        print(f"report: a run is left out, {error}")
        return False
    return bool(there)


def readable(path: Path) -> Run | None:
    """The run of a folder; None, with a line that says so, if its configuration is one of an earlier version's.

    So it is if that of a run that it is made of is no longer there.
    """
    if not (path / "config.yaml").exists():
        return None
    try:
        this = Run.open(path)
        this.trainings()
        return this
    except ConfigError as error:
        print(f"report: a run is left out, {error}")
        return None
