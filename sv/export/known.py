"""What a run's records know of it: what it was trained on, its figures, its back ends. No torch is needed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from sv.data.datadir import read_label
from sv.data.tables import read_table
from sv.errors import DataError
from sv.features.front_ends import feature_config
from sv.features.wave_reader import COUNTS
from sv.records import FOLDER, content_of, counts_of, holds, record_of, settings_of
from sv.report.tables import Row
from sv.run import Run
from sv.verifier import Verifier


class TrainedOn(NamedTuple):
    """The set that a network learnt from.

    `hours` are of whole recordings, `label` is the text of a synthetic corpus; None where the folder does not say.
    `is_there` tells whether the folder is still where the training found it: if not, neither is known.
    """

    name: str
    utterances: int
    speakers: int
    epochs: int
    hours: float | None
    label: str | None
    is_there: bool


class BackEnd(NamedTuple):
    """A trained back end: its name, its folder, the files there that it needs, and its calibration if it has one."""

    name: str
    folder: Path
    files: list[Path]
    calibration: Path | None


def trained_on(this: Run) -> TrainedOn | None:
    """What the network of a trained run learnt from; None of a public network's weights, which others trained."""
    record, settings = content_of(this.training()), settings_of("train", this.path)
    if settings.get("imported"):
        return None
    counts = counts_of("train", this.path)
    folder = _folder_of(os.path.normpath(this.path / next(iter(record["inputs"]))))
    data_dir = folder.parents[1] if folder.parent.name == "feats" else folder
    config, hours = feature_config(settings["front_end"]["features"]), None
    if (table := folder / COUNTS).exists():
        hours = sum(map(int, read_table(table).values())) / config.sample_frequency / 3600
    elif (table := folder / "utt2num_frames").exists():
        hours = sum(map(int, read_table(table).values())) * config.frame_shift / 3.6e6
    numbers = (counts[key] for key in ("utterances", "speakers", "epochs"))
    return TrainedOn(data_dir.name, *numbers, hours, read_label(data_dir), (folder / "utt2spk").exists())


def _folder_of(file: str) -> Path:
    """The folder that a file is in or, of a record, the one that its step filled."""
    path = Path(file)
    return path.parents[1] if path.parent.name == FOLDER else path.parent


def back_ends(this: Run) -> list[BackEnd]:
    """The back ends of a run that are trained, in its order.

    Raises a UserError if one, or its calibration, is of other settings or of embeddings that were made anew.
    """
    found = []
    for name in this.system.backends:
        folder = this.backend(name)
        if settings_of("train_backend", folder) is None:
            continue
        outputs = content_of(record_of("train_backend", folder))["outputs"]
        files = [folder / each for each in outputs if not each.endswith(".scp")]  # tables of paths on this machine
        calibrated = Verifier(this, name, "cpu")
        calibrated.backend  # noqa: B018 - refuses what is stale
        found.append(BackEnd(name, folder, files, this.calibration(name) if calibrated.calibration else None))
    return found


def reported(this: Run, report: Path) -> list[Row] | None:
    """The rows of a run in a report's results.json; None if there is no report, or scores have changed since it.

    So it is of a report of an earlier version, which stage 9 makes anew.
    """
    results = report / "results.json"
    try:
        if not results.exists() or not holds(record_of("report", report)):
            return None
    except DataError:  # what it was made of is gone, or is no longer what a step left
        return None
    try:
        rows = [Row(**row) for row in json.loads(results.read_bytes())]
    except TypeError:
        return None
    return [row for row in rows if (row.system, row.seed) == (this.name, this.seed)]
