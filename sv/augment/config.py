"""Which copies of a training set are made: one YAML of `conf/augment/`, validated strictly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sv.settings import NonNegativeFloat, PositiveFloat, PositiveInt, Strict
from sv.yaml_errors import validated
from sv.yaml_tree import read_yaml

Snrs = Annotated[list[float], Field(min_length=1)]  # in dB; one is drawn for every noise
Kind = Literal["noise", "music", "speech"]  # of MUSAN


class Reverb(Strict):
    """A room's impulse response: a room size is drawn by these weights, and then one of its responses."""

    name: Literal["reverb"]
    rooms: Annotated[dict[str, PositiveFloat], Field(min_length=1)]


class Foreground(Strict):
    """Noises one after the other up to the recording's end, with a pause between two."""

    name: Literal["foreground"]
    of: Kind
    interval_s: NonNegativeFloat
    snrs_db: Snrs


class Background(Strict):
    """Noises over the whole recording, as many at a time as is drawn of `files`."""

    name: Literal["background"]
    of: Kind
    files: Annotated[list[PositiveInt], Field(min_length=1)]
    snrs_db: Snrs


Copy = Annotated[Reverb | Foreground | Background, Field(discriminator="name")]


class Augmentation(Strict):
    """An augmentation of `conf/augment/`, whole: its copies by the ending that their utterances get."""

    copies: Annotated[dict[str, Copy], Field(min_length=1)]
    subset: PositiveInt | None = None  # copies drawn of all; None, or more than there are: all
    if_missing: Literal["stop", "skip"] = "stop"

    @model_validator(mode="after")
    def _endings(self) -> Augmentation:
        for ending in self.copies:
            if not (ending.isascii() and ending.isalnum()):
                raise ValueError(f"copies.{ending}: it ends utterance ids, so letters and digits only")
        return self

    @property
    def needs(self) -> dict[str, str]:
        """By ending, the corpus that the copies are made with, as a data root is called."""
        return {ending: "rirs" if isinstance(copy, Reverb) else "musan" for ending, copy in self.copies.items()}


def partial_of(path: Path) -> str | None:
    """The name of the configuration beside another that is the same but for `if_missing: skip`, if there is one."""
    name = f"{path.stem}_partial"
    return name if path.with_name(f"{name}.yaml").exists() else None


def read_augmentation(path: str | os.PathLike[str]) -> Augmentation:
    """Read a YAML of `conf/augment/`. Raises ConfigError naming the file and the key."""
    return validated(Augmentation, read_yaml(path), path)
