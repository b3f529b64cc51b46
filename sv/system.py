"""A system: one YAML of `conf/systems/`, validated strictly, with overrides from the command line.

This module imports no torch, so that a mistake is told at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from sv.backend_settings import Backend
from sv.errors import ConfigError
from sv.loss_settings import Loss
from sv.settings import NonNegativeFloat, PositiveInt, Strict
from sv.training_settings import Training
from sv.yaml_errors import first_problem
from sv.yaml_tree import Tree, laid_over, read_yaml, with_setting

Channels = Annotated[int, Field(gt=0, multiple_of=4)]


class Published(Strict):
    """What a paper reports for this system; shown beside our figures, never as ours."""

    source: str
    backends: tuple[str, ...]  # those of this system that the figures are for
    eer: dict[str, float]  # trial list -> EER in %
    num_trials: dict[str, int] = Field({})  # of each list as published; on a list of another size nothing is shown


class SlidingCmn(Strict):
    """Sliding-window cepstral mean normalisation; `window` in frames."""

    window: PositiveInt = 300
    norm_vars: bool = False


class Deltas(Strict):
    """Time derivatives appended to the features: how many, each over `window` frames to both sides."""

    order: PositiveInt = 2
    window: PositiveInt = 3


class XVector(Strict):
    """The x-vector TDNN's widths: five frame-level layers, then two segment-level ones."""

    trunk: Literal["xvector"]
    frame_channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (
        512,
        512,
        512,
        512,
        1500,
    )
    embedding_dim: PositiveInt = 512
    segment_channels: PositiveInt = 512

    @property
    def dim(self) -> int:
        """Numbers an embedding."""
        return self.embedding_dim


class ResNet1d(Strict):
    """A 1-D residual network: bottleneck blocks and output channels of each stage, then fully connected layers."""

    trunk: Literal["resnet1d"]
    blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]
    channels: tuple[Channels, Channels, Channels, Channels] = (256, 512, 1024, 2048)
    hidden_dim: PositiveInt = 512
    embedding_dim: PositiveInt = 512
    top_dim: PositiveInt | None = None  # of a layer on top, whose output then is the embedding

    @property
    def dim(self) -> int:
        """Numbers an embedding."""
        return self.top_dim or self.embedding_dim


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


class Extraction(Strict):
    """The network that embeddings are extracted with: of the last epoch or the best, or the mean of the last ones.

    The last two are of i-vectors: with less weight on the frames, or a limit to how many count, the prior counts for
    more, as neighbouring frames are not independent (Kaldi's --acoustic-weight and --max-count).
    """

    checkpoint: Literal["last", "best"] = "last"  # best by EER on held-out utterances
    average: PositiveInt = 1  # networks of the last epochs whose weights are averaged
    acoustic_weight: Annotated[float, Field(gt=0, le=1)] = 1.0  # factor on an utterance's statistics
    max_count: NonNegativeFloat = 0.0  # frames that count, at most, after that factor; 0 for no limit


class System(Strict):
    """A system of `conf/systems/`, whole."""

    published: Published | None = None
    features: str  # NAME of conf/features/NAME.conf
    vad: str | None  # NAME of conf/vad/NAME.conf
    deltas: Deltas | None = None
    cmn: SlidingCmn | None
    augment: str | None = None  # NAME of conf/augment/NAME.yaml, whose copies are trained on beside the clean set
    ivector: IVector | None = None  # in place of the next three
    model: Annotated[XVector | ResNet1d, Field(discriminator="trunk")] | None = None
    loss: Loss | None = None
    training: Training | None = None
    extraction: Extraction = Extraction()
    backends: dict[str, Backend]

    @property
    def embedding_dim(self) -> int:
        """Numbers an embedding."""
        return self.ivector.dim if self.ivector else self.model.dim

    @property
    def _dim_setting(self) -> str:
        """The setting that `embedding_dim` comes from."""
        if self.ivector:
            return "ivector.dim"
        return "model.top_dim" if getattr(self.model, "top_dim", None) else "model.embedding_dim"

    @model_validator(mode="after")
    def _a_network_or_an_ivector_extractor(self) -> System:
        network = {"model": self.model, "loss": self.loss, "training": self.training}
        if self.ivector and (given := next((name for name, block in network.items() if block), None)):
            raise ValueError(f"{given}: an i-vector system (ivector) has none")
        if not self.ivector and (missing := next((name for name, block in network.items() if not block), None)):
            raise ValueError(f"{missing} is missing")
        return self

    @model_validator(mode="after")
    def _some_backend(self) -> System:
        if not self.backends:
            raise ValueError("backends: at least one is needed")
        return self

    @model_validator(mode="after")
    def _extraction_of_its_kind(self) -> System:
        other = ("checkpoint", "average") if self.ivector else ("acoustic_weight", "max_count")
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
    def _lda_within_the_embedding(self) -> System:
        for name, backend in self.backends.items():
            if backend.lda_dim and backend.lda_dim > self.embedding_dim:
                raise ValueError(
                    f"backends.{name}.lda_dim: {backend.lda_dim} dimensions cannot be taken from embeddings of"
                    f" {self.embedding_dim} ({self._dim_setting})"
                )
        return self


OPTIONAL_BLOCKS = {"ivector", "model", "loss", "training"}  # a network's or an i-vector extractor's


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
    serve networks and i-vectors side by side (`lacks_block` tells). An overlay may have `models` by trunk in place of
    `model`, `fine_tuning` to be laid over the `training` of systems that start from another one, and leaves back ends
    alone that the system has not.

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
        if _block_of(setting) in OPTIONAL_BLOCKS - trees[-1].keys():
            continue
        sources.append(f"--set {setting}")
        trees.append(with_setting(trees[-1], setting))
    found = _check(trees[-1])
    if isinstance(found, System):
        return found
    first = next(source for source, tree in zip(sources, trees, strict=True) if _check(tree) == found)
    raise ConfigError(f"{first}: {found}")


def _with_backend(tree: Tree, path: Path, system: str) -> Tree:
    """`tree` with one more back end; ConfigError if it has one of that name."""
    name, own = path.stem, tree.get("backends") or {}
    if name in own:
        raise ConfigError(
            f"--backend {name}: the system {system} has a back end {name} of its own; change that by"
            f" --set backends.{name}.KEY=VALUE, or give {path} another name"
        )
    return {**tree, "backends": {**own, name: read_yaml(path)}}


def _that_fits(overlay: Tree, tree: Tree) -> Tree:
    """What of an overlay is of blocks that a system has: its network's or its extractor's, and its back ends'."""
    fitting = {key: value for key, value in overlay.items() if key not in OPTIONAL_BLOCKS - tree.keys()}
    models = fitting.pop("models", None) or {}
    if (trunk := (tree.get("model") or {}).get("trunk")) in models:
        fitting["model"] = models[trunk]
    fine_tuning = fitting.pop("fine_tuning", None) or {}
    if (tree.get("training") or {}).get("start_from"):
        fitting["training"] = laid_over(fitting.get("training") or {}, fine_tuning)
    if "backends" in fitting:
        known = tree.get("backends") or {}
        fitting["backends"] = {
            name: block for name, block in fitting["backends"].items() if name in known or "name" in block
        }
    return fitting


def lacks_block(system: System, setting: str) -> bool:
    """Whether a `path.to.key=value` is of a block that this system does not have, and does nothing to it."""
    block = _block_of(setting)
    return block in OPTIONAL_BLOCKS and getattr(system, block) is None


def _block_of(setting: str) -> str | None:
    """The block that a setting below it belongs to; a block that is set as a whole may be a new one."""
    block, dot, _ = setting.partition("=")[0].partition(".")
    return block if dot else None


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
