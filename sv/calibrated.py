"""The calibration of a run's scores, if it is of the scores that the run now has."""

from __future__ import annotations

from pathlib import Path

from sv.errors import DataError
from sv.records import record_of, require_whole, superseded
from sv.run import Run
from sv.scoring.calibration import Calibration

HOW_TO = (
    "begin at stage 0 with --calibration-speakers N, which holds N speakers out and trains without them, or give"
    " steps/calibrate.sh a labelled list of other speakers"
)


def calibration_of(run: Run, backend: str) -> Calibration | None:
    """What turns a back end's scores into log-likelihood ratios; None where nobody has calibrated them.

    Raises DataError if it is damaged, or was learnt from scores that were made anew since.
    """
    path = run.calibration(backend)
    if not path.exists():
        return None
    record = record_of(f"calibrate.{backend}", path.parent)
    require_whole(record)
    if other := made_anew(record, run):
        raise DataError(
            f"{path} was learnt before {other} was made anew; score and calibrate again (stages 7 and 8, with the"
            f" --calibration-speakers of the training), or remove {path.parent}: then there are scores and no decisions"
        )
    return Calibration.read(path)


def made_anew(record: Path, run: Run) -> Path | None:
    """The folder of a step of a run that another step's outputs go back to, and that has run again since."""
    other = superseded(record, {run.path, run.embedder().path} if not run.system.ensemble else {run.path})
    return other.parent.parent if other else None
