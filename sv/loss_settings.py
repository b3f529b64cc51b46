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


Loss = Annotated[Softmax | Margin, Field(discriminator="name")]
