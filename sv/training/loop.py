"""The training loop, top to bottom."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic as seconds

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from sv.data.tables import first_few, write_lines
from sv.errors import UserError
from sv.features.files import FeatureReader
from sv.metrics import eer_rocch
from sv.models.xvector import XVectorNet
from sv.roc import Roc
from sv.system import Training
from sv.training.checkpoint import Checkpoints, TrainingState
from sv.training.loader import batches, load_batch
from sv.training.progress import Progress, Sums
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
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Train from where `state` is to `settings.epochs`; whether it came to the end.

    Leaves in `run`: checkpoints/ (see `Checkpoints`), written after every epoch, every ten minutes and when `stop()`
    says so, which ends the training after the step; tensorboard/, and curves.tsv. Raises UserError if the loss stops
    being a number, naming the step, the batch's utterances and the last good checkpoint.
    """
    model, head, device = state.model, state.head, precision.device
    parameters = [*model.parameters(), *head.parameters()]
    checkpoints = Checkpoints(run / "checkpoints", settings.keep_last)
    steps = settings.epochs * len(sampler)
    stream = batches(sampler, reader, state.epoch, settings.epochs, workers, state.step)
    curves = _read_curves(run / "curves.tsv", state.epoch)
    board = SummaryWriter(str(run / "tensorboard"), purge_step=state.epoch * len(sampler) + state.step)
    saved = seconds()

    for epoch in range(state.epoch, settings.epochs):
        model.train()
        head.train()
        progress = Progress(name, epoch, settings.epochs, len(sampler), state.step, state.sums)
        for index, (x_BTF, speaker_B) in zip(range(state.step, len(sampler)), stream, strict=False):
            step = epoch * len(sampler) + index
            lr = settings.optimiser.lr * settings.final_lr_ratio ** (step / steps)
            for group in state.optimiser.param_groups:
                group["lr"] = lr
            torch.manual_seed(address(sampler.seed, epoch, index))
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

            state.step = index + 1
            progress.add(loss.detach(), (logits_BS.argmax(1) == speaker_B).sum(), len(speaker_B))
            stopping = stop()
            saving = stopping or seconds() - saved > SAVE_EVERY_S
            if progress.due() or saving:
                if (bad := progress.first_not_finite()) is not None:
                    raise UserError(_not_finite(sampler.batch(epoch, bad), epoch, bad, run))
                window = progress.show()
                board.add_scalar("train/loss", window.loss, step)
                board.add_scalar("train/top1", window.top1, step)
                board.add_scalar("train/lr", lr, step)
            if saving and state.step < len(sampler):  # the epoch's end has its own
                checkpoints.save(state)
                saved = seconds()
                if stopping:
                    log.info(f"train {name}  stopped after epoch {epoch + 1}, step {state.step}; it will resume there")
                    board.close()
                    return False

        trained = progress.close()
        held = evaluate(model, head, held_out, held_out_reader, precision)
        if not math.isfinite(held.loss):  # the epoch's last step spoilt the weights: keep the checkpoint before it
            raise UserError(f"the held-out loss is no longer a number after epoch {epoch + 1}; {_what_to_do(run)}")
        board.add_scalar("held_out/loss", held.loss, (epoch + 1) * len(sampler))
        board.add_scalar("held_out/top1", held.top1, (epoch + 1) * len(sampler))
        if held.eer is not None:
            board.add_scalar("held_out/eer", held.eer, (epoch + 1) * len(sampler))
        log.info(
            f"train {name}  epoch {epoch + 1}/{settings.epochs}"
            f"  loss {trained.loss:.3f}  top-1 {100 * trained.top1:.1f} %"
            f"  held-out loss {held.loss:.3f}  top-1 {100 * held.top1:.1f} %"
            + (f"  EER {100 * held.eer:.2f} %" if held.eer is not None else "")
            + f"  {trained.rate:.0f} chunks/s"
        )
        eer = "" if held.eer is None else f"{held.eer:.6f}"
        figures = (trained.loss, trained.top1, held.loss, held.top1)
        curves.append("\t".join([str(epoch + 1), *(f"{figure:.6f}" for figure in figures), eer, f"{lr:.6g}"]))
        write_lines(run / "curves.tsv", [CURVES_HEADER, *curves])
        state.epoch, state.step, state.sums = epoch + 1, 0, Sums()
        if held.error < state.best[0]:
            state.best = (held.error, state.epoch)
        checkpoints.save(state)
        saved = seconds()
        if stop() and state.epoch < settings.epochs:
            log.info(f"train {name}  stopped after epoch {state.epoch}; it will resume there")
            board.close()
            return False
    board.close()
    return True


SAVE_EVERY_S = 600.0
CURVES_HEADER = "epoch\ttrain_loss\ttrain_top1\theld_out_loss\theld_out_top1\theld_out_eer\tlr"


def address(seed: int, epoch: int, index: int) -> int:
    """A seed of a step's own, for what is random in a network (as dropout): the same after a resume."""
    return int(np.random.SeedSequence([seed, 2, epoch, index]).generate_state(1, np.uint64)[0] >> 1)


@dataclass
class HeldOut:
    """Of the held-out chunks: mean loss, accuracy, and the EER of all pairs of them (None without a target pair)."""

    loss: float
    top1: float
    eer: float | None

    @property
    def error(self) -> float:
        """What the best epoch has least of: the EER or, where there is none, the part misclassified."""
        return 1 - self.top1 if self.eer is None else self.eer


MOST_PAIRED = 2000  # held-out chunks whose pairs make the EER: two million trials, half a second


@torch.inference_mode()
def evaluate(
    model: XVectorNet,
    head: torch.nn.Module,
    held_out: list[Batch],
    reader: FeatureReader,
    precision: Precision,
) -> HeldOut:
    """Loss, accuracy and EER on held-out chunks; the EER of cosines between centred embeddings."""
    model.eval()
    head.eval()
    total = Sums()
    embeddings, speakers = [], []
    for batch in held_out:
        x_BTF, speaker_B = (tensor.to(precision.device) for tensor in load_batch(batch, reader))
        with precision.autocast():
            e_BE = model.embed(x_BTF)
            loss, logits_BS = head(model.for_head(e_BE), speaker_B)
        total.add(loss, (logits_BS.argmax(1) == speaker_B).sum(), len(speaker_B))
        embeddings.append(e_BE.float())
        speakers.append(speaker_B)
    means = total.means()
    e_NE, speaker_N = torch.cat(embeddings)[:MOST_PAIRED], torch.cat(speakers)[:MOST_PAIRED]
    return HeldOut(means.loss, means.top1, pairs_eer(e_NE, speaker_N) if math.isfinite(means.loss) else None)


def pairs_eer(e_NE: torch.Tensor, speaker_N: torch.Tensor) -> float | None:
    """EER of the cosines of all pairs of embeddings, seen from their mean; None if one kind of trial is not there."""
    x_NE = torch.nn.functional.normalize(e_NE.double() - e_NE.double().mean(0), dim=1)
    one, two = torch.triu_indices(len(x_NE), len(x_NE), 1, device=x_NE.device)
    is_target = (speaker_N[one] == speaker_N[two]).cpu().numpy()
    if is_target.all() or not is_target.any():
        return None
    scores = (x_NE @ x_NE.T)[one, two].cpu().numpy()
    return eer_rocch(Roc.from_scores(scores, is_target))


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
