"""What a system's YAML says of a network's training: `training:`, with its optimiser and schedule."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sv.settings import NonNegativeFloat, PositiveFloat, PositiveInt, Strict

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


Schedule = Annotated[Exponential | Steps | Plateau, Field(discriminator="name")]


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

    An epoch draws chunks from every speaker alike or, with `chunks_per_recording`, from every recording or, with
    `groups`, from groups of utterances.
    """

    chunk_s: tuple[PositiveFloat, PositiveFloat]  # shortest and longest, one length a batch
    # All chunks of a batch, at most: of 400 groups of two utterances it is 800. Batches are equal to within one, and
    # batch norm needs two chunks.
    batch_size: Annotated[int, Field(ge=3)]
    epochs: PositiveInt  # at most
    chunks_per_speaker: PositiveInt | None = None
    chunks_per_recording: PositiveInt | None = None
    groups: Groups | None = None
    optimiser: Optimiser
    schedule: Schedule = Exponential(name="exponential")
    margin_epochs: PositiveFloat | None = None  # over which a loss's margin rises from 0; None: it is whole at once
    stop_after: PositiveInt | None = None  # epochs without a lower held-out error; None: it does not end early
    start_from: str | None = None  # a system whose network, but for a layer on top, is what this one begins with
    adversarial: Adversarial | None = None
    clip_norm: PositiveFloat | None = None
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    keep_last: PositiveInt = 2  # epochs whose checkpoints stay
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
    def _one_epoch(self) -> Training:
        ways = (self.chunks_per_speaker, self.chunks_per_recording, self.groups)
        if sum(way is not None for way in ways) != 1:
            raise ValueError(
                "training: one of chunks_per_speaker, chunks_per_recording and groups says what an epoch is"
            )
        if self.groups and self.batch_size % self.groups.utterances:
            raise ValueError(
                f"training.batch_size: {self.batch_size} chunks are not whole groups of {self.groups.utterances}"
                " (training.groups.utterances)"
            )
        return self
