"""What a system's YAML says of a network's training: `training:`, with its optimiser and schedule."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sv.settings import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Strict

Ratio = Annotated[float, Field(gt=0, le=1)]


class Adam(Strict):
    """Adam (Kingma & Ba 2015)."""

    name: Literal["adam"]
    lr: PositiveFloat
    weight_decay: NonNegativeFloat = 0.0


class Sgd(Strict):
    """SGD with momentum."""

    name: Literal["sgd"]
    lr: PositiveFloat
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: NonNegativeFloat = 0.0


class RmsProp(Strict):
    """RMSprop (Tieleman & Hinton 2012); `alpha` is the memory of the squared gradients."""

    name: Literal["rmsprop"]
    lr: PositiveFloat
    alpha: Annotated[float, Field(ge=0, lt=1)] = 0.99
    weight_decay: NonNegativeFloat = 0.0


Optimiser = Annotated[Adam | Sgd | RmsProp, Field(discriminator="name")]


class Exponential(Strict):
    """The rate falls by the same factor every step, to `final_ratio` of the first."""

    name: Literal["exponential"]
    final_ratio: Ratio = 0.1


class Steps(Strict):
    """The rate falls by `factor` every `every` epochs."""

    name: Literal["steps"]
    every: PositiveInt
    factor: Ratio


class Plateau(Strict):
    """The rate stays for `hold` epochs, then falls by `factor` whenever `patience` epochs have brought nothing better.

    Better is a lower held-out error. When the rate would fall below `final_ratio` of the first, training has ended.
    """

    name: Literal["plateau"]
    hold: Annotated[int, Field(ge=0)] = 0
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    patience: PositiveInt = 2
    final_ratio: Ratio = 0.01


class Constant(Strict):
    """The rate stays."""

    name: Literal["constant"]


class OneCycle(Strict):
    """One cycle (Smith & Topin 2017): the optimiser's `lr` is the rate's maximum, reached after `pct_start` of it all.

    From `lr` / `div_factor` the rate rises to there, then falls to its first value / `final_div_factor`, both along
    half a cosine. The momentum, of SGD, or Adam's beta1, goes the other way, from `max_momentum` to `base_momentum` and
    back, whatever the optimiser says of it; `cycle_momentum: false` leaves it alone. As torch's OneCycleLR.
    """

    name: Literal["one_cycle"]
    pct_start: Annotated[float, Field(gt=0, lt=1)] = 0.3
    div_factor: Annotated[float, Field(ge=1)] = 25.0
    final_div_factor: Annotated[float, Field(ge=1)] = 1e4
    cycle_momentum: bool = True
    base_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.85
    max_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.95

    @model_validator(mode="after")
    def _momenta_in_order(self) -> OneCycle:
        if self.base_momentum > self.max_momentum:
            raise ValueError(
                f"training.schedule.base_momentum: {self.base_momentum:g} is above max_momentum, {self.max_momentum:g}"
            )
        return self


class TriStage(Strict):
    """The rate rises evenly over `warmup`, a part of the training, stays for `hold`, and falls by the same factor.

    The first rate is `initial_ratio` of the optimiser's `lr`, the last one `final_ratio` (Baevski et al. 2020).
    """

    name: Literal["tri_stage"]
    warmup: Fraction = 0.1
    hold: Fraction = 0.4
    initial_ratio: Ratio = 0.01
    final_ratio: Ratio = 0.01

    @model_validator(mode="after")
    def _parts_of_one(self) -> TriStage:
        if self.warmup + self.hold > 1:
            raise ValueError(
                f"training.schedule: warmup ({self.warmup:g}) and hold ({self.hold:g}) are parts of one training, and"
                " make more than 1"
            )
        return self


Schedule = Annotated[
    Exponential | Steps | Plateau | Constant | OneCycle | TriStage,
    Field(discriminator="name"),
]


class Adversarial(Strict):
    """A domain classifier behind gradient reversal, which unlabelled speech of another domain is trained with.

    `weight` is the reversal's at its full strength; with 0 the classifier learns and the network does not hear of it.
    `ganin` rises from 0 to the full strength as training goes on, `constant` is there from the first step. The training
    is as long as its `epochs`: one that ends early has not come to the full strength (a third of the way it is 93 %).
    """

    weight: NonNegativeFloat
    schedule: Literal["ganin", "constant"] = "ganin"
    hidden_dim: PositiveInt = 100  # of the domain classifier


class Groups(Strict):
    """An epoch of groups of different utterances of one speaker, a chunk of each, side by side in the batch.

    With one utterance a group, it is an epoch of single utterances. See `sv.training.groups.SpeakerGroups`.
    """

    utterances: PositiveInt  # of a group
    max_per_speaker: PositiveInt | None = None  # utterances an epoch, others in each; None: all that make whole groups
    distinct_speakers: bool = True  # no speaker is in a batch twice

    @model_validator(mode="after")
    def _a_group_fits(self) -> Groups:
        if self.max_per_speaker is not None and self.max_per_speaker < self.utterances:
            raise ValueError(
                f"training.groups.max_per_speaker: {self.max_per_speaker} utterances are no group of {self.utterances}"
            )
        return self


class Training(Strict):
    """How a network is trained.

    An epoch draws chunks from every speaker alike or, with `chunks_per_recording`, from every recording, or, with
    `groups`, from groups of utterances; with `steps_per_epoch` it is so many batches of different recordings.
    """

    chunk_s: tuple[PositiveFloat, PositiveFloat]  # shortest and longest, one length a batch
    # All chunks of a batch, at most: of 400 groups of two utterances it is 800. Batches are equal to within one, and
    # batch norm needs two chunks.
    batch_size: Annotated[int, Field(ge=3)]
    epochs: PositiveInt  # at most
    chunks_per_speaker: PositiveInt | None = None
    chunks_per_recording: PositiveInt | None = None
    groups: Groups | None = None
    steps_per_epoch: PositiveInt | None = None
    optimiser: Optimiser
    schedule: Schedule = Exponential(name="exponential")
    margin_epochs: PositiveFloat | None = None  # over which a loss's margin rises from 0; None: it is whole at once
    stop_after: PositiveInt | None = None  # epochs without a lower held-out error; None: it does not end early
    start_from: str | None = None  # a system whose network, but for a layer on top, is what this one begins with
    adversarial: Adversarial | None = None
    clip_norm: PositiveFloat | None = None
    accumulate: PositiveInt = 1  # parts of a batch, one after the other, whose gradients are added up
    recompute: bool = False  # transformer layers in the backward pass: less memory, a third more to do
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    keep_last: PositiveInt = 2  # epochs whose checkpoints stay
    held_out_pairs: PositiveInt | None = None  # of each kind, drawn for the held-out EER; None: all of a choice
    min_utt_s: NonNegativeFloat = 0.0  # utterances with no more (voiced) speech are not trained on,
    min_speaker_utts: PositiveInt = 1  # nor speakers with fewer utterances left, copies counted

    @model_validator(mode="after")
    def _chunks_in_order(self) -> Training:
        if self.chunk_s[0] > self.chunk_s[1]:
            raise ValueError(
                f"training.chunk_s: the shortest ({self.chunk_s[0]:g}) is longer than the longest ({self.chunk_s[1]:g})"
            )
        return self

    @model_validator(mode="after")
    def _there_is_a_momentum(self) -> Training:
        cycles = isinstance(self.schedule, OneCycle) and self.schedule.cycle_momentum
        if cycles and isinstance(self.optimiser, RmsProp):
            raise ValueError(
                "training.schedule.cycle_momentum: rmsprop has no momentum to cycle; set it to false, or take adam or"
                " sgd"
            )
        return self

    @model_validator(mode="after")
    def _one_epoch(self) -> Training:
        ways = (self.chunks_per_speaker, self.chunks_per_recording, self.groups, self.steps_per_epoch)
        if sum(way is not None for way in ways) != 1:
            raise ValueError(
                "training: one of chunks_per_speaker, chunks_per_recording, groups and steps_per_epoch says what an"
                " epoch is"
            )
        if self.groups and self.batch_size % self.groups.utterances:
            raise ValueError(
                f"training.batch_size: {self.batch_size} chunks are not whole groups of {self.groups.utterances}"
                " (training.groups.utterances)"
            )
        return self

    @model_validator(mode="after")
    def _in_parts(self) -> Training:
        if self.accumulate > 1 and self.adversarial:
            raise ValueError("training.accumulate: chunks of two domains are one batch to the network; leave it out")
        together = self.groups.utterances if self.groups else 1
        if self.batch_size // together < self.accumulate:
            raise ValueError(
                f"training.accumulate: a batch of {self.batch_size // together}"
                f" {'chunks' if together == 1 else 'groups'} cannot be cut into {self.accumulate} parts"
            )
        return self
