"""A system: one YAML of `conf/systems/`, validated strictly, with overrides from the command line.

This module imports no torch, so that a mistake is told at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from sv.backend_settings import Backend
from sv.errors import ConfigError
from sv.loss_settings import Loss, PairLoss
from sv.model_settings import Model
from sv.settings import NonNegativeFloat, PositiveFloat, PositiveInt, Strict
from sv.training_settings import Training
from sv.yaml_errors import first_problem, nearest
from sv.yaml_tree import Tree, laid_over, read_yaml, with_setting


class Published(Strict):
    """What a paper reports for this system; shown beside our figures, never as ours."""

    source: str
    backends: tuple[str, ...]  # those of this system that the figures are for
    eer: dict[str, float]  # trial list -> EER in %
    min_dcf_05: dict[str, float] = Field({})  # trial list -> minDCF at a target prior of .05
    num_trials: dict[str, int] = Field({})  # of each list as published; on a list of another size nothing is shown


class SlidingCmn(Strict):
    """Sliding-window cepstral mean normalisation; `window` in frames."""

    window: PositiveInt = 300
    norm_vars: bool = False


class Deltas(Strict):
    """Time derivatives appended to the features: how many, each over `window` frames to both sides."""

    order: PositiveInt = 2
    window: PositiveInt = 3


class IVector(Strict):
    """An i-vector extractor: a full-covariance universal background model and a total-variability space.

    Defaults are those of Kaldi's sre16 and voxceleb recipes.
    """

    num_gaussians: PositiveInt = 2048
    dim: PositiveInt = 400
    diag_iterations: PositiveInt = 4  # of the diagonal model
    full_iterations: PositiveInt = 4  # of the full one
    iterations: PositiveInt = 5  # of the extractor
    ubm_frames: PositiveInt = 500_000  # a random subset of the voiced frames
    num_gselect: PositiveInt = 20  # Gaussians looked at for each frame
    min_post: Annotated[float, Field(ge=0, lt=1)] = 0.025  # posteriors below it are dropped


class Normalise(Strict):
    """Mean, and variance, of each number of a frame over the chunk or the utterance that a network is given."""

    mean: Literal[True] = True
    variance: bool = False


class Crops(Strict):
    """So many crops at regular intervals from an utterance, whose embeddings are the rows of a matrix."""

    count: PositiveInt = 10
    length_s: PositiveFloat = 4.0


class Extraction(Strict):
    """The network that embeddings are extracted with: of the last epoch or the best, or the mean of the last ones.

    The last two are of i-vectors: with less weight on the frames, or a limit to how many count, the prior counts for
    more, as neighbouring frames are not independent (Kaldi's --acoustic-weight and --max-count).
    """

    checkpoint: Literal["last", "best"] = "last"  # best by EER on held-out utterances
    average: PositiveInt = 1  # networks of the last epochs whose weights are averaged
    crops: Crops | None = None  # None: the whole utterance at once
    acoustic_weight: Annotated[float, Field(gt=0, le=1)] = 1.0  # factor on an utterance's statistics
    max_count: NonNegativeFloat = 0.0  # frames that count, at most, after that factor; 0 for no limit


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
    def embedding_dim(self) -> int | None:
        """Numbers an embedding; None where it has no embeddings of its own."""
        block = self.ivector or self.model
        return block.dim if block else None

    @property
    def _dim_setting(self) -> str:
        """The setting that `embedding_dim` comes from."""
        if self.ivector:
            return "ivector.dim"
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
        average, keep = self.extraction.average, self.training.keep_last
        if average > 1 and self.extraction.checkpoint == "best":
            raise ValueError("extraction.average: it is the last epochs that are averaged; set checkpoint to last")
        if average > min(keep, self.training.epochs):
            raise ValueError(f"extraction.average: {average} epochs are wanted, training.keep_last keeps {keep}")
        return self

    @model_validator(mode="after")
    def _groups_for_a_loss_of_pairs(self) -> System:
        if not self.training or not isinstance(self.loss, PairLoss):
            return self
        name, groups, size = self.loss.name, self.training.groups, self.training.batch_size
        if not groups or groups.utterances < 2:
            raise ValueError(
                f"training.groups.utterances: the loss {name} compares utterances of a speaker, 2 or more of each"
            )
        if not groups.distinct_speakers:
            raise ValueError(f"training.groups.distinct_speakers: the loss {name} is of distinct speakers")
        if size < 3 * groups.utterances:  # batches are equal to within one group, and one speaker is no choice
            raise ValueError(
                f"training.batch_size: the loss {name} compares speakers, {3 * groups.utterances} chunks or more are 3"
                f" of them (is {size})"
            )
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


def find_systems(conf: str | os.PathLike[str]) -> dict[str, Path]:
    """Every system by name: `conf/systems/<paper>/<name>.yaml`. A name used twice is a ConfigError."""
    found: dict[str, Path] = {}
    for path in sorted(Path(conf, "systems").glob("*/*.yaml")):
        if path.stem in found:
            raise ConfigError(f"system {path.stem} is defined twice: {found[path.stem]} and {path}")
        found[path.stem] = path
    return found


def load_system(
    path: str | os.PathLike[str],
    overlays: Iterable[str | os.PathLike[str]] = (),
    sets: Iterable[str] = (),
    backends: Iterable[Path] = (),
) -> System:
    """Read a system's YAML, lay overlays (YAML of the same form) over it, then `path.to.key=value` settings.

    First it gets more back ends, each the YAML of one, called by its file's name, which must not be one of its own.

    Of overlays and settings only those are laid whose block the system has: one budget, and one `training.epochs=3`,
    serve all kinds of systems side by side (`lacked_block` tells). An overlay may have `models` by trunk in place of
    `model`, `fine_tuning` to be laid over the `training` of systems that start from another one, says for each way to
    draw an epoch how long it is, and leaves back ends alone that the system has not.

    Raises ConfigError for anything unknown, missing or ill-typed: names the key, the nearest right one, and the file
    or setting that brought it in.
    """
    sources, trees = [str(path)], [read_yaml(path)]
    for backend in backends:
        sources.append(str(backend))
        trees.append(_with_backend(trees[-1], backend, Path(path).stem))
    for overlay in overlays:
        sources.append(str(overlay))
        trees.append(laid_over(trees[-1], _that_fits(read_yaml(overlay), trees[-1])))
    for setting in sets:
        if lacked_block(trees[-1], setting):
            continue
        sources.append(f"--set {setting}")
        trees.append(with_setting(trees[-1], setting))
    found = _check(trees[-1])
    if isinstance(found, System):
        return found
    first = next(source for source, tree in zip(sources, trees, strict=True) if _check(tree) == found)
    raise ConfigError(f"{first}: {found}")


def _with_backend(tree: Tree, path: Path, system: str) -> Tree:
    """`tree` with one more back end, if its kind has any; ConfigError if it has one of that name."""
    if _is_of_another_kind("backends", tree):
        return tree
    name, own = path.stem, tree.get("backends") or {}
    if name in own:
        raise ConfigError(
            f"--backend {name}: the system {system} has a back end {name} of its own; change that by"
            f" --set backends.{name}.KEY=VALUE, or give {path} another name"
        )
    return {**tree, "backends": {**own, name: read_yaml(path)}}


def _that_fits(overlay: Tree, tree: Tree) -> Tree:
    """What of an overlay is of blocks that a system has: its network's or its extractor's, and its back ends'."""
    models = overlay.get("models") or {}
    fitting = {key: value for key, value in overlay.items() if key != "models" and not _is_of_another_kind(key, tree)}
    if (trunk := (tree.get("model") or {}).get("trunk")) in models:
        fitting["model"] = models[trunk]
    fine_tuning = fitting.pop("fine_tuning", None) or {}
    if (tree.get("training") or {}).get("start_from"):
        fitting["training"] = laid_over(fitting.get("training") or {}, fine_tuning)
    if isinstance(training := fitting.get("training"), dict):
        fitting["training"] = _of_its_epochs(training, tree)
    if "backends" in fitting:
        known = tree.get("backends") or {}
        fitting["backends"] = {
            name: block for name, block in fitting["backends"].items() if name in known or "name" in block
        }
    return fitting


def _of_its_epochs(training: Tree, tree: Tree) -> Tree:
    """An overlay's training without what it says of epochs that are not drawn as this system's are.

    Whole groups, or their end (null), are a way to draw that the overlay brings.
    """
    groups = training.get("groups", {})
    if not isinstance(groups, dict) or "utterances" in groups:
        return training
    has_groups = (tree.get("training") or {}).get("groups") is not None
    others = ("chunks_per_speaker", "chunks_per_recording") if has_groups else ("groups",)
    return {key: value for key, value in training.items() if key not in others}


def lacked_block(system: System | Tree, setting: str) -> str | None:
    """The block, or key, of a `path.to.key=value` that this system does not have, so that it does nothing to it.

    A key that no kind of system has is not told here: it is an error when the setting is laid over the system.
    """
    keys = setting.partition("=")[0].split(".")
    if _is_of_another_kind(keys[0], system):
        return keys[0]
    if keys[0] == "backends" and len(keys) > 2 and keys[2] != "name":  # one that is named may be a new one
        return None if keys[1] in (dict(system).get("backends") or {}) else ".".join(keys[:2])
    return None


def _is_of_another_kind(key: str, system: System | Tree) -> bool:
    """Whether a top-level key is one that other kinds of systems have."""
    return key in System.model_fields and key not in kind_of(system).keys


def validate_system(tree: Tree, source: str | os.PathLike[str]) -> System:
    """The system that a YAML tree describes; ConfigError names `source` and the key."""
    found = _check(tree)
    if isinstance(found, System):
        return found
    raise ConfigError(f"{source}: {found}")


def _check(tree: Tree) -> System | str:
    """The system, or what is wrong."""
    try:
        return System.model_validate(_tuples(tree))
    except ValidationError as error:
        return first_problem(error, System, tree)


def _tuples(value: Any) -> Any:
    # YAML knows lists only; the fields that are tuples take no other type.
    if isinstance(value, dict):
        return {key: _tuples(v) for key, v in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
