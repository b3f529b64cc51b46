"""The step that trains a run, network or i-vector extractor, as its record knows it; needs no torch."""

from __future__ import annotations

from pathlib import Path

from sv.features.files import front_end, inputs
from sv.records import Step
from sv.run import Run


def training_step(this: Run, *folders: Path, after: tuple[Path, ...] = ()) -> Step:
    """The step `train` of a run on some feature folders, the first of which is trained on.

    Args:
        after: records of steps whose outputs it takes as well.
    """
    vad = this.system.vad
    if this.system.training and this.system.training.start_from:
        after = (*after, this.beside(this.system.training.start_from).training())
    made = (folders[0] / "feats.conf").exists()
    return Step(
        "train",
        this.path,
        inputs=[*(path for folder in folders for path in inputs(folder, vad)), *after],
        settings={
            "system": this.trained_by(),
            "seed": this.seed,
            "front_end": front_end(folders[0], vad) if made else None,
        },
    )
