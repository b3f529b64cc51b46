"""What a system's YAML says of a loss over the training speakers: `loss:`, of a network or of a back end."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sv.settings import PositiveFloat, Strict


class Softmax(Strict):
    """Linear layer and cross entropy over the training speakers."""

    name: Literal["softmax"]


class Margin(Strict):
    """Additive margin of the cosine (am) or of the angle (aam); see `sv.losses.margin.MarginHead`."""

    name: Literal["am", "aam"]
    margin: Annotated[float, Field(ge=0, lt=1.5)]
    scale: PositiveFloat = 30.0
    normalise: bool = True  # embeddings to length 1; without it they keep theirs, in place of the scale


class Prototypical(Strict):
    """Angular prototypical loss of several utterances of a speaker; see `sv.losses.prototypical.PrototypicalHead`."""

    name: Literal["ap"]


class PrototypicalSoftmax(Strict):
    """The sum of the angular prototypical loss and of softmax over the training speakers."""

    name: Literal["ap+softmax"]


class BinaryPairs(Strict):
    """Binary cross entropy of pairs that the network compares itself; see `sv.losses.pairs.PairHead`."""

    name: Literal["bce"]


ClassLoss = Annotated[Softmax | Margin, Field(discriminator="name")]  # of single embeddings
PairLoss = Prototypical | PrototypicalSoftmax  # of embeddings that are compared with one another
Loss = Annotated[Softmax | Margin | PairLoss | BinaryPairs, Field(discriminator="name")]
