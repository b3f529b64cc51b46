"""What a training leaves to read beside its checkpoints: curves.tsv, TensorBoard's events, a line an epoch."""

from __future__ import annotations

import logging
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from sv.data.tables import write_lines
from sv.training.curves import HEADER, OF_DOMAIN
from sv.training.held_out import HeldOut
from sv.training.progress import Means

log = logging.getLogger("train")


class Notes:
    """The notes of a training in RUN, taken up at step `step` of all.

    `curves` are the lines of curves.tsv so far; those of later epochs are appended to it. With a domain classifier
    (`adversarial`) they have what it learns as well.
    """

    def __init__(self, run: Path, name: str, curves: list[str], step: int, adversarial: bool = False) -> None:
        self._name, self._path, self._curves = name, run / "curves.tsv", curves
        self._header = HEADER + OF_DOMAIN if adversarial else HEADER
        self._write_curves()  # the checkpoint knows better than a file that something may have happened to
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=step)

    def window(self, step: int, window: Means, lr: float, reversal: float) -> None:
        """The means of the last steps, the learning rate and the weight of gradient reversal."""
        figures = {"loss": window.loss, "top1": window.top1, "lr": lr}
        if window.domain:
            of_domain = {"domain_loss": window.domain.loss, "domain_accuracy": window.domain.top1, "reversal": reversal}
            figures.update(of_domain)
        for what, figure in figures.items():
            self._board.add_scalar(f"train/{what}", figure, step)

    def epoch(
        self, epoch: int, epochs: int, steps: int, trained: Means, held: HeldOut, lr: float, reversal: float
    ) -> None:
        """The means of epoch `epoch`, of `steps` steps, and what the held-out chunks say."""
        for what, figure in (("loss", held.loss), ("top1", held.top1), ("eer", held.eer)):
            if figure is not None:
                self._board.add_scalar(f"held_out/{what}", figure, epoch * steps)
        log.info(
            f"train {self._name}  epoch {epoch}/{epochs}"
            f"  loss {trained.loss:.3f}  top-1 {100 * trained.top1:.1f} %{trained.said_of_domain}"
            "  held-out"
            + (f" loss {held.loss:.3f}  top-1 {100 * held.top1:.1f} % " if held.loss is not None else "")
            + (f" EER {100 * held.eer:.2f} % " if held.eer is not None else "")
            + f" {trained.rate:.0f} chunks/s"
        )
        of_epoch = (trained.loss, trained.top1, held.loss, held.top1, held.eer)
        figures = ["" if figure is None else f"{figure:.6f}" for figure in of_epoch]
        domain = trained.domain
        of_domain = [f"{domain.loss:.6f}", f"{domain.top1:.6f}", f"{reversal:.6g}"] if domain else []
        self._curves.append("\t".join([str(epoch), *figures, f"{lr:.6g}", *of_domain]))
        self._write_curves()

    def _write_curves(self) -> None:
        write_lines(self._path, [self._header, *self._curves])

    def stopped(self, epoch: int, step: int) -> None:
        """The training was ended by a signal after some steps of an epoch, from 0."""
        where = f"step {step} of epoch {epoch + 1}" if step else f"epoch {epoch + 1}"
        log.info(f"train {self._name}  stopped after {where}; it will resume there")
        self.close()

    def close(self) -> None:
        """All is noted."""
        self._board.close()


class NoNotes:
    """In place of `Notes` in a process that another one speaks for."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: None
