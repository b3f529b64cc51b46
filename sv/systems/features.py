"""What a system's YAML does to features: `deltas:` and `cmn:` as they are read, `normalise:` within the network."""

from __future__ import annotations

from typing import Literal

from sv.settings import PositiveInt, Strict


class SlidingCmn(Strict):
    """Sliding-window cepstral mean normalisation; `window` in frames."""

    window: PositiveInt = 300
    norm_vars: bool = False


class Deltas(Strict):
    """Time derivatives appended to the features: how many, each over `window` frames to both sides."""

    order: PositiveInt = 2
    window: PositiveInt = 3


class Normalise(Strict):
    """Mean, and variance, of each number of a frame over the chunk or the utterance that a network is given."""

    mean: Literal[True] = True
    variance: bool = False
