"""The training loop, top to bottom."""

from __future__ import annotations

import contextlib
import logging
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from sv.data.tables import first_few, write_lines
from sv.errors import UserError
from sv.features.files import FeatureReader
from sv.system import Training
from sv.training.checkpoint import TrainingState
from sv.training.loader import batches, load_batch
from sv.training.progress import Means, Progress, Totals
from sv.training.sampler import BalancedChunks, Batch

log = logging.getLogger("train")


@dataclass
class Precision:
    """Number format of the forward pass: autocast on a GPU, float32 on the CPU."""

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, name: str, device: torch.device) -> Precision:
        """`auto` is bf16 where the GPU has it, fp16 on older ones, and fp32 on the CPU."""
        if name == "auto":
            name = "fp32" if device.type == "cpu" else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        return cls(device, {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name])

    def autocast(self) -> contextlib.AbstractContextManager:
        """The context of a forward pass."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def scaler(self) -> torch.amp.GradScaler:
        """Loss scaling, which only fp16 needs."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)


def train(
    state: TrainingState,
    settings: Training,
    sampler: BalancedChunks,
    reader: FeatureReader,
    held_out: list[Batch],
    held_out_reader: FeatureReader,
    run: Path,
    precision: Precision,
    workers: int,
    name: str,
) -> None:
    """Train from `state.epoch` to `settings.epochs`.

    Leaves in `run`: checkpoints/{last,best}.pt after every epoch (best by held-out accuracy), tensorboard/, and
    curves.tsv. Raises UserError if the loss stops being a number, naming the step, the batch's utterances and the
    last good checkpoint.
    """
    model, head, device = state.model, state.head, precision.device
    parameters = [*model.parameters(), *head.parameters()]
    steps = settings.epochs * len(sampler)
    stream = batches(sampler, reader, state.epoch, settings.epochs, workers)
    curves = _read_curves(run / "curves.tsv", state.epoch)
    board = SummaryWriter(str(run / "tensorboard"), purge_step=state.epoch * len(sampler))

    for epoch in range(state.epoch, settings.epochs):
        model.train()
        head.train()
        progress = Progress(name, epoch, settings.epochs, len(sampler))
        for index, (x_BTF, speaker_B) in zip(range(len(sampler)), stream, strict=False):
            step = epoch * len(sampler) + index
            lr = settings.optimiser.lr * settings.final_lr_ratio ** (step / steps)
            for group in state.optimiser.param_groups:
                group["lr"] = lr
            x_BTF, speaker_B = x_BTF.to(device, non_blocking=True), speaker_B.to(device, non_blocking=True)

            with precision.autocast():
                loss, logits_BS = head(model(x_BTF), speaker_B)
            state.optimiser.zero_grad(set_to_none=True)
            state.scaler.scale(loss).backward()
            if settings.clip_norm:
                state.scaler.unscale_(state.optimiser)
                torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
            state.scaler.step(state.optimiser)
            state.scaler.update()

            progress.add(loss.detach(), (logits_BS.argmax(1) == speaker_B).sum(), len(speaker_B))
            if progress.due():
                if (bad := progress.first_not_finite()) is not None:
                    raise UserError(_not_finite(sampler.batch(epoch, bad), epoch, bad, run))
                window = progress.show()
                board.add_scalar("train/loss", window.loss, step)
                board.add_scalar("train/top1", window.top1, step)
                board.add_scalar("train/lr", lr, step)

        trained = progress.close()
        held = evaluate(model, head, held_out, held_out_reader, precision)
        if not math.isfinite(held.loss):  # the epoch's last step spoilt the weights: keep the checkpoint before it
            raise UserError(f"the held-out loss is no longer a number after epoch {epoch + 1}; {_what_to_do(run)}")
        board.add_scalar("held_out/loss", held.loss, (epoch + 1) * len(sampler))
        board.add_scalar("held_out/top1", held.top1, (epoch + 1) * len(sampler))
        log.info(
            f"train {name}  epoch {epoch + 1}/{settings.epochs}"
            f"  loss {trained.loss:.3f}  top-1 {100 * trained.top1:.1f} %"
            f"  held-out loss {held.loss:.3f}  top-1 {100 * held.top1:.1f} %  {trained.rate:.0f} chunks/s"
        )
        curves.append(
            f"{epoch + 1}\t{trained.loss:.6f}\t{trained.top1:.6f}\t{held.loss:.6f}\t{held.top1:.6f}\t{lr:.6g}"
        )
        write_lines(run / "curves.tsv", [CURVES_HEADER, *curves])
        state.epoch = epoch + 1
        if held.top1 > state.best[0]:
            state.best = (held.top1, state.epoch)
            state.save(run / "checkpoints" / "best.pt")
        state.save(run / "checkpoints" / "last.pt")
    board.close()


CURVES_HEADER = "epoch\ttrain_loss\ttrain_top1\theld_out_loss\theld_out_top1\tlr"


@torch.inference_mode()
def evaluate(
    model: torch.nn.Module,
    head: torch.nn.Module,
    held_out: list[Batch],
    reader: FeatureReader,
    precision: Precision,
) -> Means:
    """Mean loss and accuracy on held-out chunks."""
    model.eval()
    head.eval()
    total = Totals()
    for batch in held_out:
        x_BTF, speaker_B = (tensor.to(precision.device) for tensor in load_batch(batch, reader))
        with precision.autocast():
            loss, logits_BS = head(model(x_BTF), speaker_B)
        total.add(loss, (logits_BS.argmax(1) == speaker_B).sum(), len(speaker_B))
    return total.means()


def _not_finite(batch: Batch, epoch: int, index: int, run: Path) -> str:
    utterances = first_few(chunk.utterance for chunk in batch.chunks)
    return (
        f"the loss is no longer a number (epoch {epoch + 1}, step {index + 1}, batch of {utterances});"
        f" {_what_to_do(run)}"
    )


def _what_to_do(run: Path) -> str:
    last = run / "checkpoints" / "last.pt"
    keep = f"the last good checkpoint is {last}" if last.exists() else "no checkpoint was written yet"
    return f"{keep}; lower the learning rate or set clip_norm"


def _read_curves(path: Path, epochs: int) -> list[str]:
    """The lines of epochs that are done; a resumed training goes on below them."""
    return path.read_text().splitlines()[1 : epochs + 1] if epochs and path.exists() else []
