"""How crops are augmented while a network is trained: one YAML of `conf/augment_online/`, validated strictly."""

from __future__ import annotations

import os
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from sv.augment.config import Kind
from sv.settings import PositiveFloat, PositiveInt, Strict
from sv.yaml_errors import validated
from sv.yaml_tree import read_yaml

FromTo = Field(min_length=2, max_length=2)  # least and most, both drawn


class Clean(Strict):
    """Nothing is done."""

    name: Literal["clean"]
    weight: PositiveFloat


class Rooms(Strict):
    """A room's impulse response: a room size is drawn by these weights, and then one of its responses.

    With `response: aligned` speech stays in its place and as loud as it was, as in the copies of a set; with
    `unit_energy` it is what the VoxSRC 2020 authors' loader makes of it (see `sv.augment.waves`, both).
    """

    name: Literal["rooms"]
    weight: PositiveFloat
    rooms: Annotated[dict[str, PositiveFloat], Field(min_length=1)]
    response: Literal["aligned", "unit_energy"]

    @property
    def banks(self) -> tuple[str, ...]:
        """The material that it draws from."""
        return tuple(self.rooms)


class Additive(Strict):
    """Noises over the whole crop: how many is drawn of `files`, the ratio of speech to noise of `snr_db`, uniformly.

    With `snr_of: each` every one has a ratio of its own, so that together they are louder; with `total` they are
    brought to the same power and added, and the sum has one.
    """

    name: Literal["additive"]
    weight: PositiveFloat
    of: Kind
    files: Annotated[list[PositiveInt], FromTo]
    snr_db: Annotated[list[float], FromTo]
    snr_of: Literal["each", "total"]

    @property
    def banks(self) -> tuple[str, ...]:
        """The material that it draws from."""
        return (self.of,)


Way = Annotated[Clean | Rooms | Additive, Field(discriminator="name")]


class OnlineAugmentation(Strict):
    """An augmentation of `conf/augment_online/`, whole: its ways, of which one is drawn for every crop, by weight."""

    ways: Annotated[dict[str, Way], Field(min_length=1)]
    if_missing: Literal["stop", "skip"]  # where a way has no material

    @model_validator(mode="after")
    def _in_order(self) -> OnlineAugmentation:
        for name, way in self.ways.items():
            for key in ("files", "snr_db"):
                least, most = getattr(way, key, (0, 0))
                if least > most:
                    raise ValueError(f"ways.{name}.{key}: the least ({least:g}) is more than the most ({most:g})")
        return self

    @model_validator(mode="after")
    def _rooms_are_no_noises(self) -> OnlineAugmentation:
        for name, way in self.ways.items():
            for room in getattr(way, "rooms", ()):
                if room in get_args(Kind):
                    raise ValueError(
                        f"ways.{name}.rooms: {room} is the name of a kind of MUSAN's noises, not of a room"
                    )
        return self

    @property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """By way, the banks of material that it draws from."""
        return {name: way.banks for name, way in self.ways.items() if not isinstance(way, Clean)}


def read_online_augmentation(path: str | os.PathLike[str]) -> OnlineAugmentation:
    """Read a YAML of `conf/augment_online/`. Raises ConfigError naming the file and the key."""
    return validated(OnlineAugmentation, read_yaml(path), path)
