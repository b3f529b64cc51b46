"""Checkpoints: one file that owns all state of a training, read with weights_only=True, and the folder of them."""

from __future__ import annotations

import io
import logging
import os
import pickle
import shutil
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sv.data.atomic import atomic_write
from sv.data.tables import first_few
from sv.errors import DataError
from sv.losses.head import Head
from sv.models.build import build_model
from sv.models.embedder import Embedder
from sv.run import Run
from sv.systems.training import Training
from sv.training.curves import held_out_errors
from sv.training.progress import Sums
from sv.training.schedule import ended

log = logging.getLogger("train")


@dataclass
class TrainingState:
    """What a training is made of; `save` and `load` cover all of it.

    `key` is a digest of all that decides the training (`sv.records.Step.key`). `epoch` counts finished epochs and
    `step` the finished steps of the next one, with their sums. `best` is the lowest held-out error so far (see
    `sv.training.held_out.HeldOut`) and its epoch; `curves` the lines of curves.tsv. `domain` is a domain classifier
    (`sv.losses.domain.DomainHead`), which only adversarial training has.
    """

    model: torch.nn.Module
    head: Head
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    speakers: list[str]
    feature_dim: int
    key: str = ""
    epoch: int = 0
    step: int = 0
    sums: Sums = field(default_factory=Sums)
    best: tuple[float, int] = (float("inf"), 0)
    curves: list[str] = field(default_factory=list)
    domain: torch.nn.Module | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write beside the target and rename when whole."""
        modules = MODULES if self.domain is None else (*MODULES, *OPTIONAL)
        parts = {name: getattr(self, name).state_dict() for name in modules}
        plain = {name: getattr(self, name) for name in PLAIN}
        content = io.BytesIO()  # torch hides a full disk behind an error of its own
        torch.save(_interned({**parts, **plain, "sums": self.sums.state(), "best": list(self.best)}), content)
        with atomic_write(path, "wb") as out:
            out.write(content.getbuffer())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take over a checkpoint of the same training; DataError if it is of another."""
        stored = read_checkpoint(path)
        for name, size in (("speakers", len), ("feature_dim", int)):
            was, now = stored[name], getattr(self, name)
            if was != now:
                raise DataError(
                    f"{path}: its {name} ({size(was)}) differ from the training data's ({size(now)}); remove the run to"
                    " train anew"
                )
        _load_weights(self.model, stored["model"], f"{path}: model")
        _load_weights(self.head, stored["head"], f"{path}: head")
        if self.domain is not None:
            _load_weights(self.domain, stored.get("domain", {}), f"{path}: domain")
        try:
            self.optimiser.load_state_dict(stored["optimiser"])
            self.scaler.load_state_dict(stored["scaler"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise DataError(f"{path}: optimiser: does not fit: {' '.join(str(error).split())}") from None
        self.epoch, self.step, self.best = stored["epoch"], stored["step"], (stored["best"][0], stored["best"][1])
        self.sums, self.curves = Sums.of_state(stored["sums"]), stored["curves"]


MODULES = ("model", "head", "optimiser", "scaler")
OPTIONAL = ("domain",)  # of adversarial training alone
PLAIN = ("speakers", "feature_dim", "key", "epoch", "step", "curves")


class _Point(NamedTuple):
    """Where in which training a checkpoint was written, its best epoch by then, and whether that was its end."""

    key: str
    epoch: int
    step: int
    best: int
    ended: bool


class Checkpoints:
    """A run's folder of checkpoints, of a training with these settings.

    `last.pt` is the latest state, `epoch-NNN.pt` the last `keep_last` ends of epochs, `best.pt` that of the lowest
    held-out error. The latter are other names of the same files, so an epoch is written once.
    """

    def __init__(self, folder: Path, settings: Training) -> None:
        self.folder, self.settings, self.keep = folder, settings, settings.keep_last
        self.last, self.best = folder / "last.pt", folder / "best.pt"

    def save(self, state: TrainingState) -> None:
        """Write last.pt; at an epoch's end under its other names too, and remove what is no longer kept."""
        state.save(self.last)
        if not state.step:
            self._end_epoch(state.epoch, state.best[1])

    def restore(self, state: TrainingState, anew: bool = False) -> Path | None:
        """Load the latest state of this very training from which all that it leaves can be had; none if `anew`.

        Returns the checkpoint that was loaded.

        Damaged checkpoints are named in the log and removed. One that is gone is named again after another that is
        the same, or else the training goes back to the epoch before it. Checkpoints of a training of other data or
        settings are moved to a folder beside, as they may have cost days.
        """
        whole = {} if anew else self._whole()
        newest = next(iter(whole), None)
        if newest is None or whole[newest].key != state.key:
            if self.folder.exists() and any(self.folder.iterdir()):
                self._set_aside()
            return None
        epoch, best = whole[newest].epoch, whole[newest].best
        if newest != self.last:
            self._name_also(newest, self.last)
        if whole[newest].step == 0:  # perhaps cut short before it had its other names
            self._end_epoch(epoch, best)
        if best and self.best not in whole and self._of_epoch(best).exists():
            self._name_also(self._of_epoch(best), self.best)
        end = epoch if whole[newest].ended else self.settings.epochs
        at_the_end = range(max(end - self.keep, 0) + 1, epoch + 1)  # of those that stay in the end
        lost = [e for e in at_the_end if not self._of_epoch(e).exists()]
        lost += [best] * (best > 0 and not self.best.exists())
        if lost:
            log.warning(f"train: the checkpoint of epoch {min(lost)} is gone; training goes back to before it")
            before = [e for e in range(min(lost)) if self._of_epoch(e).exists()]
            path = self._of_epoch(before[-1]) if before else None
        else:
            path = self.last
        if path:
            state.load(path)
        return path

    def _end_epoch(self, epoch: int, best: int) -> None:
        """Give last.pt, of an epoch's end, its other names; remove the epochs that are no longer kept."""
        self._name_also(self.last, self._of_epoch(epoch))
        if best == epoch:
            self._name_also(self.last, self.best)
        for old in self._epochs()[self.keep :]:
            old.unlink()

    def _whole(self) -> dict[Path, _Point]:
        """The checkpoints that can be read, the latest state first; the others are named in the log and removed.

        A file is read once under all its names, and its weights are not kept.
        """
        found: dict[Path, _Point] = {}
        for path in [self.last, *self._epochs(), self.best]:
            if not path.exists():
                continue
            if (same := next((other for other in found if other.samefile(path)), None)) is not None:
                found[path] = found[same]
                continue
            try:
                stored = read_checkpoint(path)
            except DataError as error:
                log.warning(f"train: {error}")
                path.unlink()
            else:
                at_end = stored["step"] == 0 and ended(self.settings, held_out_errors(stored["curves"]))
                found[path] = _Point(stored["key"], stored["epoch"], stored["step"], stored["best"][1], at_end)
        return found

    def _epochs(self) -> list[Path]:
        """epoch-NNN.pt, latest first."""
        return sorted(self.folder.glob("epoch-*.pt"), reverse=True)

    def _of_epoch(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:04d}.pt"

    def _name_also(self, path: Path, name: Path) -> None:
        """Give a file another name, in place of what has it."""
        if name.exists() and name.samefile(path):
            return
        partial = name.with_name(f".{name.name}.partial")
        partial.unlink(missing_ok=True)
        try:
            os.link(path, partial)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, partial)
        os.replace(partial, name)

    def _set_aside(self) -> None:
        number = 1
        while (aside := self.folder.with_name(f"checkpoints-before-{number}")).exists():
            number += 1
        self.folder.rename(aside)
        log.info(f"train: the checkpoints of the earlier training are in {aside}; remove them when no longer needed")


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; DataError if it is missing or not one."""
    if not Path(path).exists():
        raise DataError(f"{path} is missing; train the system first (stage 4)")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # the checksums, which torch does not look at
    except Exception as error:  # a damaged zip fails in many ways, none of which is a bug of ours
        raise DataError(f"{path}: not a whole checkpoint ({error}); remove it, or put a copy back") from None
    if damaged is not None:
        raise DataError(f"{path}: damaged ({damaged} is not what was written); remove it, or put a copy back")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise DataError(f"{path}: cannot be loaded as numbers and text alone ({why[:100]} …)") from None
    if not isinstance(stored, dict) or stored.keys() - {*OPTIONAL} != {*MODULES, *PLAIN, "sums", "best"}:
        found = first_few(map(str, stored), 9) if isinstance(stored, dict) else f"a {type(stored).__name__}"
        raise DataError(f"{path}: not a checkpoint of a training here (it holds {found or 'nothing'})")
    return stored


def networks(run: Run) -> list[Path]:
    """The checkpoints that a run's embeddings are extracted with: one, or several whose weights are averaged.

    Raises DataError if they are not there.
    """
    folder, extraction = run.path / "checkpoints", run.system.extraction
    if extraction.average == 1:
        return [folder / f"{extraction.checkpoint}.pt"]
    found = sorted(folder.glob("epoch-*.pt"))[-extraction.average :]
    if len(found) < extraction.average:
        raise DataError(f"{folder}: {len(found)} epochs are kept, extraction.average is {extraction.average}")
    return found


def load_model(run: Run) -> Embedder:
    """A run's trained network; DataError if its checkpoint is missing, damaged or of another system."""
    paths = networks(run)
    stored = [read_checkpoint(path) for path in paths]
    model = build_model(run.system, stored[0]["feature_dim"])
    mean: dict[str, torch.Tensor] = {}
    for path, checkpoint in zip(paths, stored, strict=True):
        _load_weights(model, checkpoint["model"], f"{path}: model")
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():  # counts of batches are the last network's
                mean[name] = mean.get(name, 0) + tensor.double() / len(paths)
    model.load_state_dict({**model.state_dict(), **mean})
    return model


def _interned(tree: Any) -> Any:
    """The same content in which equal strings are one object, so that equal states make equal bytes."""
    if isinstance(tree, dict):
        return {_interned(key): _interned(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(map(_interned, tree))
    return sys.intern(tree) if type(tree) is str else tree


def _load_weights(module: torch.nn.Module, stored: dict[str, torch.Tensor], what: str) -> None:
    """Load a state dict that fits exactly; DataError names the first keys that do not, and loads nothing."""
    own = module.state_dict()
    for problem, keys in (
        ("missing", own.keys() - stored.keys()),
        ("unknown", stored.keys() - own.keys()),
        ("of another size", {key for key in own.keys() & stored.keys() if own[key].shape != stored[key].shape}),
    ):
        if keys:
            raise DataError(
                f"{what}: does not fit this system: {len(keys)} of its tensors are {problem}: {first_few(keys)}"
            )
    module.load_state_dict(stored)
