"""A system: one YAML of `conf/systems/`, validated strictly.

This module imports no torch, so that a mistake is told at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from sv.settings import Strict
from sv.systems.backends import Backend, Measure, NetworkBackend
from sv.systems.embeddings import Extraction, IVector
from sv.systems.ensembles import Ensemble
from sv.systems.features import Deltas, Normalise, SlidingCmn
from sv.systems.losses import BinaryPairs, Loss, PairLoss
from sv.systems.models import Model
from sv.systems.training import Training
from sv.systems.wav2vec2 import Wav2Vec2
from sv.yaml_tree import Tree


class Published(Strict):
    """What a paper reports for this system; shown beside our figures, never as ours."""

    source: str
    backends: tuple[str, ...]  # those of this system that the figures are for
    eer: dict[str, float]  # trial list -> EER in %
    min_dcf_05: dict[str, float] = Field({})  # trial list -> minDCF at a target prior of .05
    num_trials: dict[str, int] = Field({})  # of each list as published; on a list of another size nothing is shown


@dataclass(frozen=True)
class Kind:
    """One of the kinds of system: what it is called, the keys that it must have, and those that it may have."""

    called: str
    needs: tuple[str, ...]
    may_have: tuple[str, ...] = ("published",)

    @property
    def keys(self) -> tuple[str, ...]:
        """All that it may have."""
        return self.needs + self.may_have


_FRONT_END, _BESIDE = ("features", "vad", "cmn"), ("published", "deltas", "augment", "extraction")
_OF_NETWORKS = ("normalise", "input", "augment_online")
NETWORK = Kind("a network", (*_FRONT_END, "model", "loss", "training", "backends"), (*_BESIDE, *_OF_NETWORKS))
# By the key that makes a system one of the kind.
KINDS = {
    "ensemble": Kind("an ensemble (ensemble)", ("ensemble",)),
    "embeddings_of": Kind("a system on another's embeddings (embeddings_of)", ("embeddings_of", "backends")),
    "ivector": Kind("an i-vector system (ivector)", (*_FRONT_END, "ivector", "backends"), _BESIDE),
}
NULL_IS_A_CHOICE = ("vad", "cmn")


@dataclass(frozen=True)
class Link:
    """What a system is made of that is another's: the key that says so, whose, of how many seeds, and what of it."""

    key: str
    system: str
    num_seeds: int
    what: Literal["network", "embeddings", "scores"]


class System(Strict):
    """A system of `conf/systems/`, whole: one of `KINDS`, or else a network."""

    published: Published | None = None
    features: str | None = None  # NAME of conf/features/NAME.conf
    vad: str | None = None  # NAME of conf/vad/NAME.conf
    deltas: Deltas | None = None
    cmn: SlidingCmn | None = None
    normalise: Normalise | None = None  # by the network, of what it is given
    input: Literal["waveform"] | None = None  # features are computed in training and extraction; None: read from disk
    augment: str | None = None  # NAME of conf/augment/NAME.yaml, whose copies are trained on beside the clean set
    augment_online: str | None = None  # NAME of conf/augment_online/NAME.yaml, by which waveforms are changed
    ivector: IVector | None = None  # in place of the next three
    model: Model | None = None
    loss: Loss | None = None
    training: Training | None = None
    extraction: Extraction = Extraction()
    embeddings_of: str | None = None  # a system whose embeddings are taken in place of all from the features on
    backends: dict[str, Backend] = Field({})
    ensemble: Ensemble | None = None  # in place of all else

    @property
    def kind(self) -> Kind:
        """Of `KINDS`, or a network."""
        return kind_of(self)

    @property
    def links(self) -> tuple[Link, ...]:
        """The other systems that it is made of."""
        if self.ensemble:
            return tuple(Link("ensemble.members", *each, "scores") for each in self.ensemble.members.items())
        if self.embeddings_of:
            return (Link("embeddings_of", self.embeddings_of, 1, "embeddings"),)
        if self.training and self.training.start_from:
            return (Link("training.start_from", self.training.start_from, 1, "network"),)
        return ()

    @property
    def scored_by(self) -> tuple[str, ...]:
        """The names of its scores: those of its back ends or, of an ensemble, `mean`."""
        return ("mean",) if self.ensemble else tuple(self.backends)

    @property
    def learns(self) -> bool:
        """Whether a back end learns from training embeddings."""
        return any(settings.learns for settings in self.backends.values())

    @property
    def normalises(self) -> bool:
        """Whether the scores of a back end are normalised by those of a cohort."""
        return any(settings.normalise for settings in self.backends.values())

    def measures(self, backend: str) -> tuple[Measure, ...]:
        """The quality measures that the calibration of a back end weighs; of an ensemble there are none."""
        return () if self.ensemble else self.backends[backend].quality

    @property
    def compares(self) -> bool:
        """Whether its network compares pairs of utterances itself, without embeddings."""
        return isinstance(self.loss, BinaryPairs)

    @property
    def pretrained(self) -> str | None:
        """The weights that its network begins with, by name or path, if it begins with any."""
        if self.training and self.training.start_from:  # which has weights of its own
            return None
        return getattr(self.model, "pretrained", None)

    @property
    def embedding_dim(self) -> int | None:
        """Numbers an embedding; None where it has no embeddings of its own."""
        block = self.ivector or self.model
        return block.dim if block else None

    @property
    def _dim_setting(self) -> str:
        """The setting that `embedding_dim` comes from."""
        if self.ivector:
            return "ivector.dim"
        if isinstance(self.model, Wav2Vec2):
            return "model.size and model.pooling"
        return "model.top_dim" if getattr(self.model, "top_dim", None) else "model.embedding_dim"

    @model_validator(mode="after")
    def _of_one_kind(self) -> System:
        kind = self.kind
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name not in kind.keys and value != field.get_default():
                raise ValueError(f"{name}: {kind.called} has none")
            given = name in self.model_fields_set and (value is not None or name in NULL_IS_A_CHOICE)
            if name in kind.needs and not given:
                raise ValueError(f"{name} is missing; {kind.called} must have {', '.join(kind.needs)}")
        if "backends" in kind.needs and not self.backends:
            raise ValueError("backends: at least one is needed")
        return self

    @model_validator(mode="after")
    def _waveforms_as_they_are(self) -> System:
        if self.input is None and self.augment_online:
            raise ValueError("augment_online: it is of waveforms; set input to waveform")
        of_features = [name for name in ("vad", "cmn", "deltas", "augment") if getattr(self, name) is not None]
        if self.input and of_features:
            raise ValueError(f"{of_features[0]}: only of features on disk, not with input: waveform")
        return self

    @model_validator(mode="after")
    def _extraction_of_its_kind(self) -> System:
        other = ("checkpoint", "average", "crops") if self.ivector else ("acoustic_weight", "max_count")
        for name in other:
            if getattr(self.extraction, name) != Extraction.model_fields[name].default:
                raise ValueError(f"extraction.{name}: only {'networks have' if self.ivector else 'i-vectors have'} it")
        if not self.training:
            return self
        if self.extraction.draws > 1 and not (isinstance(self.model, Wav2Vec2) and self.model.pooling == "random"):
            raise ValueError("extraction.draws: only a network with the pooling random draws")
        average, keep = self.extraction.average, self.training.keep_last
        if average > 1 and self.extraction.checkpoint == "best":
            raise ValueError("extraction.average: it is the last epochs that are averaged; set checkpoint to last")
        if average > min(keep, self.training.epochs):
            raise ValueError(f"extraction.average: {average} epochs are wanted, training.keep_last keeps {keep}")
        return self

    @model_validator(mode="after")
    def _groups_for_a_loss_of_pairs(self) -> System:
        if not self.training or not isinstance(self.loss, PairLoss | BinaryPairs):
            return self
        name, groups, size = self.loss.name, self.training.groups, self.training.batch_size
        if not groups or groups.utterances < 2:
            raise ValueError(
                f"training.groups.utterances: the loss {name} compares utterances of a speaker, 2 or more of each"
            )
        if not groups.distinct_speakers:
            raise ValueError(f"training.groups.distinct_speakers: the loss {name} is of distinct speakers")
        if self.training.accumulate > 1 and isinstance(self.loss, PairLoss):
            raise ValueError(f"training.accumulate: the loss {name} compares all of a batch; leave it out")
        if size < 3 * groups.utterances:  # batches are equal to within one group, and one speaker is no choice
            raise ValueError(
                f"training.batch_size: the loss {name} compares speakers, {3 * groups.utterances} chunks or more are 3"
                f" of them (is {size})"
            )
        return self

    @model_validator(mode="after")
    def _compared_by_the_network(self) -> System:
        """All that a network needs to compare pairs itself, or nothing of it."""
        if not self.training:
            return self
        by_itself = [name for name, backend in self.backends.items() if isinstance(backend, NetworkBackend)]
        if not self.compares:
            if by_itself:
                raise ValueError(f"backends.{by_itself[0]}: only a network with the loss bce compares pairs itself")
            if isinstance(self.model, Wav2Vec2) and self.model.pooling is None:
                raise ValueError("model.pooling: without it there is no embedding, which every loss but bce takes")
            return self
        if not isinstance(self.model, Wav2Vec2) or self.model.pooling:
            raise ValueError("loss.name: bce is of pairs that the network compares: model.trunk wav2vec2, pooling null")
        if len(self.backends) > 1 or not by_itself:
            raise ValueError(
                "backends: a network with the loss bce has no embeddings to score; one of name: network is all"
            )
        if self.extraction.crops:
            raise ValueError("extraction.crops: a network with the loss bce compares whole utterances; leave it out")
        if not self.training.held_out_pairs:
            raise ValueError("training.held_out_pairs: the loss bce compares every pair anew; say how many to hold out")
        if self.training.batch_size // self.training.groups.utterances < 2 * self.training.accumulate:
            raise ValueError("training.accumulate: the loss bce needs two speakers in every part of a batch")
        return self

    @model_validator(mode="after")
    def _waveforms_for_wav2vec2(self) -> System:
        if isinstance(self.model, Wav2Vec2) and not self.input:
            raise ValueError("input: wav2vec2 reads recordings; set it to waveform")
        if self.training and self.training.recompute and not isinstance(self.model, Wav2Vec2):
            raise ValueError("training.recompute: only wav2vec2 has layers that are computed again")
        return self

    @model_validator(mode="after")
    def _lda_within_the_embedding(self) -> System:
        if self.embedding_dim:
            self.require_lda_within(self.embedding_dim, self._dim_setting)
        return self

    def require_lda_within(self, dim: int, whose: str) -> None:
        """Raise ValueError if a back end's LDA wants more dimensions than embeddings have; `whose` says which."""
        for name, backend in self.backends.items():
            if backend.lda_dim and backend.lda_dim > dim:
                raise ValueError(
                    f"backends.{name}.lda_dim: {backend.lda_dim} dimensions cannot be taken from embeddings of"
                    f" {dim} ({whose})"
                )


def kind_of(system: System | Tree) -> Kind:
    """The kind of a system or of a YAML tree that is to become one."""
    tree = dict(system)
    return next((kind for key, kind in KINDS.items() if tree.get(key) is not None), NETWORK)
