"""A run: one system trained in one recipe with one seed, and the folder that holds all of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sv.data.atomic import atomic_write
from sv.errors import ConfigError, DataError
from sv.records import differences, dry_run, record_of, settings_of
from sv.systems.reading import validate_system
from sv.systems.system import System
from sv.yaml_tree import read_yaml

# What of a system decides the trained network; the rest (back ends, published figures) may change after training.
TRAINED_BY = (
    *("features", "vad", "deltas", "cmn", "normalise", "input", "augment", "augment_online"),
    *("ivector", "model", "loss", "training"),
)

GRID = "lr_grid"  # of a run, the folder of runs that differ from it in the learning rate: EXP/NAME/seedN/lr_grid/LR


@dataclass(frozen=True)
class Run:
    """`EXP/NAME/seedN`: config.yaml, checkpoints/, embeddings/, backend/, scores/, fusion/, calibration/.

    >>> run = Run.open("exp/mini/xvector-small/seed1")
    >>> run.name, run.seed, run.system.features
    ('xvector-small', 1, 'mfcc30_16k')

    `name` is the system's, with `+BUDGET` where a budget was laid over it.
    """

    path: Path
    name: str
    seed: int
    system: System
    waveform: dict[str, Any] | None = None  # of a network that reads recordings, its features and augment_online, whole

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """Open a folder that `write` filled. Raises ConfigError if it is not one."""
        this = _read(Path(path))
        if this is None:
            raise ConfigError(f"{path}: not a run (config.yaml is missing); run.sh makes runs, at any stage")
        return this

    @classmethod
    def plan(
        cls, exp: str | os.PathLike[str], name: str, seed: int, system: System, waveform: dict[str, Any] | None = None
    ) -> Run:
        """A run of which nothing is written until `write`."""
        return cls(Path(exp, name, f"seed{seed}"), name, seed, system, waveform)

    def write(self) -> None:
        """Make the folder, or take the one that is there, and put this configuration into its config.yaml."""
        content = {"name": self.name, "seed": self.seed, "system": self.system.model_dump(mode="json")}
        if self.waveform:
            content["waveform"] = self.waveform
        with atomic_write(_config(self.path)) as out:
            yaml.safe_dump(content, out, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)

    @property
    def system_name(self) -> str:
        """The system's name, without the budget."""
        return self.name.partition("+")[0]

    def checkpoint(self) -> Path:
        """The latest state of the training."""
        return self.path / "checkpoints" / "last.pt"

    def training(self) -> Path:
        """The record of the finished training."""
        return record_of("train", self.path)

    def trainings(self) -> list[Path]:
        """Those of this run or, if it has no network of its own, of all the runs that it is made of."""
        if self.system.ensemble:
            return [record for member in self.members() for record in member.trainings()]
        return [self.embedder().training()]

    def trained_by(self) -> dict[str, Any]:
        """The settings that decide the trained network."""
        return self.system.model_dump(mode="json", include=set(TRAINED_BY))

    def beside(self, system: str, seed: int | None = None) -> Run:
        """The run of another system, with this one's budget and seed, or another seed. ConfigError if there is none."""
        budget = self.name.partition("+")[1:]
        seed = self.seed if seed is None else seed
        folder = self.path.parents[1] if self.path.parent.name == GRID else self.path  # EXP/NAME/seedN
        return Run.open(folder.parents[1] / "".join([system, *budget]) / f"seed{seed}")

    def embedder(self) -> Run:
        """The run whose network or extractor makes the embeddings: this one, or one of the system `embeddings_of`."""
        return self.beside(self.system.embeddings_of) if self.system.embeddings_of else self

    def members(self) -> list[Run]:
        """The runs of an ensemble, in its order; of another system none. ConfigError if one is not there."""
        ensemble = self.system.ensemble
        if not ensemble:
            return []
        seeds = [(name, self.seed + i) for name, count in ensemble.members.items() for i in range(count)]
        folders = [os.path.normpath(self.path / folder) for folder in ensemble.runs]
        return [self.beside(*each) for each in seeds] + [Run.open(folder) for folder in folders]

    def require_kind(self, key: str) -> None:
        """Raise ConfigError unless systems of this kind have a key, as `model` or `backends`."""
        if key not in self.system.kind.keys:
            raise ConfigError(f"{self.path} is {self.system.kind.called}: it has no {key} of its own")

    def require_trained(self) -> None:
        """Raise a UserError unless the network is there, trained to the end and by the settings of this run."""
        was = settings_of("train", self.path)
        if was is None:
            what, stage = ("extractor", 3) if self.system.ivector else ("network", 4)
            raise DataError(f"{self.path}: its {what} is not trained to the end; stage {stage} trains it")
        for key, before, now in differences(was["system"], self.trained_by()):
            raise ConfigError(
                f"{self.path} was trained with {key} = {before}, which is now {now}; repeat the --set and --budget that"
                f" it was trained with, or begin at stage {3 if self.system.ivector else 4}, which trains it anew"
            )

    def require_front_end(self, front_end: dict[str, Any], folder: Path) -> None:
        """Raise a UserError unless a set, read from `folder`, was made as the one that the network was trained on."""
        trained_on = (settings_of("train", self.path) or {})["front_end"]
        for key, was, now in differences(trained_on, front_end):
            raise DataError(
                f"{folder} was made with {key} = {now}, what {self.name} was trained on with {was}; run stage 1"
            )

    def needs_adapt(self) -> str | None:
        """A back end that learns from unlabelled embeddings of another domain, if any does."""
        return next((name for name, settings in self.system.backends.items() if settings.needs_adapt), None)

    def learns_from_adapt(self) -> bool:
        """Whether the network itself learns from unlabelled speech of another domain."""
        return bool(self.system.training and self.system.training.adversarial)

    def lda_beyond(self, num_speakers: int) -> list[str]:
        """What back ends, trained on so many speakers, will refuse: LDA to as many dimensions or more; a line each.

        To be told before the network is trained, which may take days.
        """
        return [
            f"{self.path}: the back end {name} will refuse LDA to {settings.lda_dim} dimensions of {num_speakers}"
            f" speakers; lower it for stage 6, as by --set backends.{name}.lda_dim={num_speakers - 1}"
            for name, settings in self.system.backends.items()
            if settings.lda_dim and settings.lda_dim >= num_speakers
        ]

    def require_backend(self, name: str) -> None:
        """Raise a ConfigError if a back end was trained with other settings than this run's."""
        settings = self.system.backends[name].learnt_by
        for key, before, now in differences(settings_of("train_backend", self.backend(name)) or settings, settings):
            raise ConfigError(
                f"{self.backend(name)} was trained with {key} = {before}, which is now {now}; begin at stage 6"
            )

    def embeddings(self, set_name: str) -> Path:
        """Where the embeddings of a set are: in the folder of `embedder`."""
        return self.embedder().path / "embeddings" / set_name

    def backend(self, name: str) -> Path:
        """Where a back end's parameters are."""
        return self.path / "backend" / name

    def scores(self, trials: str, backend: str) -> Path:
        """The scores of a trial list by a back end; compressed, with a `.gz` behind (`sv.scoring.score_files`)."""
        return self.path / "scores" / f"{trials}.{backend}"

    def quality(self, trials: str, backend: str) -> Path:
        """The quality measures of a trial list's sides, where a back end has any."""
        return self.path / "scores" / f"{trials}.{backend}.quality"

    def dropped(self, trials: str) -> Path:
        """What of a trial list was not scored, and why; there only if something was not."""
        return self.path / "scores" / f"{trials}.dropped.txt"

    def weights(self) -> Path:
        """The weights of an ensemble whose weights are searched."""
        return self.path / "fusion" / "weights.json"

    def calibration(self, backend: str) -> Path:
        """The calibration of a back end's scores."""
        return self.path / "calibration" / f"{backend}.json"

    def calibrated(self, trials: str, backend: str) -> Path:
        """The scores of a trial list by a back end as log-likelihood ratios."""
        return self.path / "scores" / f"{trials}.{backend}.calibrated"


def _config(path: Path) -> Path:
    """A run's configuration; a dry run, which may plan another, keeps it to itself."""
    if folder := dry_run():
        return folder / "runs" / path.absolute().relative_to("/") / "config.yaml"
    return path / "config.yaml"


def _read(path: Path) -> Run | None:
    config = _config(path)
    if not config.exists():  # in a dry run that of a run which is not planned is still the one that stands there
        config = path / "config.yaml"
    if not config.exists():
        return None
    stored = read_yaml(config)
    wanted = {"name": str, "seed": int, "system": dict} | ({"waveform": dict} if "waveform" in stored else {})
    if {key: type(value) for key, value in stored.items()} != wanted:
        raise ConfigError(f"{config}: not what a run's configuration holds (name, seed, system); remove it")
    system = validate_system(stored["system"], config)
    return Run(path, stored["name"], stored["seed"], system, stored.get("waveform"))
