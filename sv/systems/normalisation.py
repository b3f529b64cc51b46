"""What a system's YAML says of score normalisation: `normalise:` of a back end."""

from __future__ import annotations

from typing import Literal

from sv.settings import PositiveInt, Strict


class Normalisation(Strict):
    """Scores in deviations of those of a cohort: of a trial's model (z), its test (t), or both in the mean (s).

    The cohort is of the recipe's set of that name: a mean of every speaker, or every utterance. With `top` only that
    many count, those of it that score highest with the model, and with the test: adaptive normalisation. A cohort that
    has no more is taken whole.
    """

    method: Literal["z", "t", "s"] = "s"
    cohort: Literal["speakers", "utterances"] = "speakers"
    top: PositiveInt | None = None
