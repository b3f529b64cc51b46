"""The step that trains a run, network or i-vector extractor, as its record knows it; needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sv.records import Step
from sv.run import Run
from sv.source import Source
from sv.systems.wav2vec2 import BUNDLES, HUGGING_FACE_FILES


def training_step(this: Run, *data_dirs: Path, after: tuple[Path, ...] = ()) -> Step:
    """The step `train` of a run; see `made_from`."""
    inputs, settings = made_from(this, *data_dirs, after=after)
    return Step("train", this.path, inputs=inputs, settings=settings)


def made_from(this: Run, *data_dirs: Path, after: tuple[Path, ...] = ()) -> tuple[list[Path], dict[str, Any]]:
    """What decides a run's training on some data directories, the first of which is trained on: inputs and settings.

    Args:
        after: records of steps whose outputs it takes as well.
    """
    sources = [Source(this, folder) for folder in data_dirs]
    settings = {
        "system": this.trained_by(),
        "seed": this.seed,
        "front_end": sources[0].front_end() if sources[0].is_made() else None,
    }
    if this.waveform:
        settings["augment_online"] = this.waveform["augment_online"]
    if this.system.training and this.system.training.start_from:
        other = this.beside(this.system.training.start_from)
        after = (*after, other.training())
        # Which of its networks is taken, which its own record does not say.
        settings["start_from"] = other.system.extraction.model_dump(mode="json", include={"checkpoint", "average"})
    if this.system.pretrained:
        after = (*after, *_local_weights(this.system.pretrained))
    inputs = [*(path for source in sources for path in source.inputs()), *after]
    return inputs, settings


def _local_weights(name: str) -> list[Path]:
    """The file of pretrained weights that a path names, or of its folder; none of a bundle, whose name says all."""
    if name in BUNDLES:
        return []
    path = Path(name).expanduser()
    return [file for each in HUGGING_FACE_FILES if (file := path / each).exists()][:1] if path.is_dir() else [path]
