"""What a system's YAML says of an ensemble: `ensemble:`, whose scores are averaged, and with which weights."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sv.settings import PositiveInt, Strict
from sv.yaml_errors import nearest

Metric = Literal["eer", "min_dcf"]  # min_dcf at target prior .05, costs 1


class WeightSearch(Strict):
    """Weights 0 … `max_weight` of an ensemble's runs are searched, those with the least `metric` on a labelled list.

    The list is the recipe's validation list, or that of `steps/fuse.sh --tune-on`; see `sv.scoring.weight_search`.
    """

    metric: Metric
    max_weight: PositiveInt = 3


class Ensemble(Strict):
    """The mean of the scores of several runs by their back ends of one name: a score of the name `mean`.

    `members` has systems and how many runs of each: those of the ensemble's own seed and of the ones after it. An
    ensemble that is made by hand has `runs` in its place, any folders, from its own on. With `normalise: nontargets`
    each run's scores are first moved and scaled so that the non-target trials of the calibration list have mean 0
    and deviation 1: other speakers' scores, so that one of a tested trial does not depend on the others tested.

    The mean is weighted with `weights`, one for each member (for each of its runs) or run, or with those that a
    `search` finds.
    """

    members: dict[str, PositiveInt] = Field({})
    runs: tuple[str, ...] = ()
    backend: str
    normalise: Literal["none", "nontargets"] = "none"
    weights: dict[str, PositiveInt] = Field({})
    search: WeightSearch | None = None

    @property
    def size(self) -> int:
        """How many runs."""
        return sum(self.members.values()) or len(self.runs)

    @property
    def given_weights(self) -> tuple[int, ...] | None:
        """The weight of each run, in the order of `Run.members`; None where none are given."""
        names = [name for name, count in self.members.items() for _ in range(count)] or self.runs
        return tuple(self.weights[name] for name in names) if self.weights else None

    @model_validator(mode="after")
    def _several(self) -> Ensemble:
        if self.members and self.runs:
            raise ValueError("ensemble: it has members or, made by hand, runs; leave out one")
        if self.size < 2:
            raise ValueError(f"ensemble.members: a mean is of two runs or more, not of {self.size}")
        return self

    @model_validator(mode="after")
    def _weights_of_all(self) -> Ensemble:
        if self.weights and self.search:
            raise ValueError("ensemble: its weights are given or searched; leave out one of weights and search")
        names = tuple(self.members or self.runs)
        if unknown := next((name for name in self.weights if name not in names), None):
            raise ValueError(f"ensemble.weights: {unknown} is not one of its members{nearest(unknown, names)}")
        if self.weights and (lacking := next((name for name in names if name not in self.weights), None)):
            raise ValueError(f"ensemble.weights: {lacking} has no weight; give every member one, or none")
        return self
