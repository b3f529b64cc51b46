"""The training loop, top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic as seconds

import torch

from sv.data.tables import first_few
from sv.errors import Diverged
from sv.losses.head import Head
from sv.losses.pairs import PairHead
from sv.models.embedder import Embedder
from sv.source import Prepare, Reader, as_they_are
from sv.systems.training import Training
from sv.torch_seed import torch_seed
from sv.training.checkpoint import Checkpoints, TrainingState
from sv.training.curves import held_out_errors
from sv.training.held_out import HeldOutChunks, evaluate
from sv.training.loader import Augment, batches
from sv.training.notes import NoNotes, Notes
from sv.training.optimiser import set_pace
from sv.training.precision import Precision
from sv.training.progress import DomainFigures, Progress, Sums
from sv.training.ranks import ALONE, Ranks, Shard, exchange
from sv.training.sampler import Batch
from sv.training.schedule import ended, margin_part, momentum, rate, reversal


def train(
    state: TrainingState,
    settings: Training,
    sampler: Shard,
    reader: Reader,
    held_out: HeldOutChunks,
    run: Path,
    precision: Precision,
    workers: int,
    name: str,
    stop: Callable[[], bool] = lambda: False,
    ranks: Ranks = ALONE,
    unlabelled: Reader | None = None,
    prepare: Prepare = as_they_are,
    augment: Augment | None = None,
) -> bool:
    """Train from where `state` is to `settings.epochs`, or what ends it earlier; whether it came to the end.

    Leaves in `run`: checkpoints/ (see `Checkpoints`), written after every epoch, every ten minutes and when `stop()`
    says so, which ends the training after the step; tensorboard/, and curves.tsv. Raises Diverged if the loss stops
    being a number, naming the step, the batch's utterances and the last good checkpoint.

    With `settings.adversarial` every batch has as many chunks of another domain beside it, which `unlabelled` reads.
    `augment` changes the chunks of the speakers as they are read; `prepare` makes features of a batch, on the device.
    """
    network = ranks.together(Network(state.model, state.head, state.domain, ranks))
    checkpoints = Checkpoints(run / "checkpoints", settings)
    stream = batches(sampler, reader, state.epoch, settings.epochs, workers, state.step, unlabelled, augment)
    first = state.epoch * len(sampler) + state.step
    notes = Notes(run, name, state.curves, first, state.domain is not None) if ranks.leads else NoNotes()
    saved = seconds()

    for epoch in range(state.epoch, settings.epochs):
        errors = ranks.told(held_out_errors(state.curves))
        if ended(settings, errors):
            break
        network.train()
        progress = Progress(name, epoch, settings.epochs, len(sampler), state.step, state.sums, ranks.count)
        for index, (x_BTF, speaker_B) in zip(range(state.step, len(sampler)), stream, strict=False):
            step = epoch * len(sampler) + index
            done = epoch + index / len(sampler)
            lr = settings.optimiser.lr * rate(settings.schedule, done, settings.epochs, errors)
            set_pace(state.optimiser, lr, momentum(settings.schedule, done, settings.epochs))
            if settings.margin_epochs:
                state.head.margin_part = margin_part(settings, done)
            lambda_p = reversal(settings.adversarial, done, settings.epochs)
            batch = (x_BTF, speaker_B)
            loss, accuracy, domain = learn(
                state, network, settings, sampler, epoch, index, batch, precision, prepare, lambda_p
            )
            state.step = index + 1
            progress.add(loss, accuracy, len(speaker_B), domain)
            stopping, saving = ranks.agree(state.step, stop(), ranks.leads and seconds() - saved > SAVE_EVERY_S)
            if progress.due() or stopping or saving:
                if (bad := progress.first_not_finite()) is not None:
                    raise Diverged(_not_finite(sampler.batch(epoch, bad), epoch, bad, run))
                notes.window(step, progress.show(), lr, lambda_p)
            if (stopping or saving) and state.step < len(sampler):  # the epoch's end has its own
                ranks.collect(state.sums)
                if ranks.leads:
                    checkpoints.save(state)
                saved = seconds()
                if stopping:
                    notes.stopped(epoch, state.step)
                    return False

        ranks.collect(state.sums)
        trained = progress.close()
        state.epoch, state.step, state.sums = epoch + 1, 0, Sums()
        if ranks.leads:
            held = evaluate(state.model, state.head, held_out, precision, prepare)
            if not held.finite:  # the epoch's last step spoilt the weights: keep the checkpoint before it
                raise Diverged(f"the held-out loss {Diverged.SAYS} after epoch {epoch + 1}; {_what_to_do(run)}")
            notes.epoch(state.epoch, settings.epochs, len(sampler), trained, held, lr, lambda_p)
            if held.error < state.best[0]:
                state.best = (held.error, state.epoch)
            checkpoints.save(state)
        ranks.wait()
        saved = seconds()
        if ranks.agree(0, stop())[0] and not ended(settings, ranks.told(held_out_errors(state.curves))):
            notes.stopped(epoch, 0)
            return False
    notes.close()
    return True


def learn(
    state: TrainingState,
    network: torch.nn.Module,
    settings: Training,
    sampler: Shard,
    epoch: int,
    index: int,
    batch: tuple[torch.Tensor, torch.Tensor],
    precision: Precision,
    prepare: Prepare,
    lambda_p: float,
) -> tuple[torch.Tensor, torch.Tensor, DomainFigures | None]:
    """One step of the optimiser, at the rate that it was set to, on batch `index` of an epoch; as `Network.forward`.

    `network` is the `Network` of the state, together with those of other processes. The loss has no gradient any more.
    """
    torch.manual_seed(torch_seed(sampler.seed, 2, epoch, index))
    x_BTF, speaker_B = (each.to(precision.device, non_blocking=True) for each in batch)
    share, loss, accuracy = sampler.share(index), 0.0, 0.0
    state.optimiser.zero_grad(set_to_none=True)
    for x, speaker, weight, last in parts_of(x_BTF, speaker_B, settings):
        with exchange(network, last):
            with precision.autocast():
                loss_p, accuracy_p, domain = network(prepare(x), speaker, lambda_p, sampler.sizes(index))
            # The loss of a head that compares is every process's, and of the whole batch.
            total = loss_p if state.head.compares else loss_p * (share * weight)
            if domain:
                total = total + domain[0] * share
            state.scaler.scale(total).backward()
        loss, accuracy = loss + loss_p.detach() * weight, accuracy + accuracy_p * weight
    if settings.clip_norm:
        state.scaler.unscale_(state.optimiser)
        for group in state.optimiser.param_groups:  # a domain classifier's apart: it must not shorten others'
            torch.nn.utils.clip_grad_norm_(group["params"], settings.clip_norm)
    state.scaler.step(state.optimiser)
    state.scaler.update()
    return loss, accuracy, domain


class Network(torch.nn.Module):
    """Model, head and perhaps a domain classifier as one, whose gradients are exchanged together.

    A head that compares embeddings gets those of all processes, so that the loss is that of the whole batch in each.

    Chunks of two domains are one batch to the model: batch norm then sees them as it will when it is used, by one mean
    and variance. Were each domain normalised by its own, the classifier would not see the very shift that it is for.
    """

    def __init__(self, model: Embedder, head: Head, domain: torch.nn.Module | None, ranks: Ranks) -> None:
        super().__init__()
        self.model, self.head, self.domain, self._ranks = model, head, domain, ranks
        self.drops_layers = model.drops_layers

    def forward(
        self, x_BTF: torch.Tensor, speaker_B: torch.Tensor, lambda_p: float, sizes_R: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor, DomainFigures | None]:
        """Mean loss, the part of the head's decisions that is right, and the same of the domains.

        Chunks after those of the speakers are of the other domain; `lambda_p` weighs the reversal. `sizes_R` says how
        many chunks of speakers each of several processes has.
        """
        e_BE = self.model.embed(x_BTF)
        domain = None if self.domain is None else self.domain(e_BE, len(speaker_B), lambda_p)
        if isinstance(self.head, PairHead):
            outcome = self.head.of_pairs(self.model.compare, e_BE)
            return outcome.loss, outcome.accuracy, None
        x_BE = self.model.for_head(e_BE)[: len(speaker_B)]
        if self.head.compares:
            x_BE, speaker_B = (self._ranks.gathered(each, sizes_R) for each in (x_BE, speaker_B))
        outcome = self.head(x_BE, speaker_B)
        return outcome.loss, outcome.accuracy, domain


def parts_of(
    x_BTF: torch.Tensor, speaker_B: torch.Tensor, settings: Training
) -> Iterator[tuple[torch.Tensor, torch.Tensor, float, bool]]:
    """A batch in `settings.accumulate` parts, of whole groups: chunks, speakers, weight, whether it is the last."""
    if settings.accumulate == 1:
        yield x_BTF, speaker_B, 1.0, True
        return
    together = settings.groups.utterances if settings.groups else 1
    count, groups = settings.accumulate, len(speaker_B) // together
    for part in range(count):
        rows = slice(groups * part // count * together, groups * (part + 1) // count * together)
        if rows.start < rows.stop:  # of several processes each has fewer
            weight = (rows.stop - rows.start) / len(speaker_B)
            yield x_BTF[rows], speaker_B[rows], weight, rows.stop == len(speaker_B)


SAVE_EVERY_S = 600.0


def _not_finite(batch: Batch, epoch: int, index: int, run: Path) -> str:
    utterances = first_few(chunk.utterance for chunk in batch.chunks)
    return f"the loss {Diverged.SAYS} (epoch {epoch + 1}, step {index + 1}, batch of {utterances}); {_what_to_do(run)}"


def _what_to_do(run: Path) -> str:
    last = run / "checkpoints" / "last.pt"
    keep = f"the last good checkpoint is {last}" if last.exists() else "no checkpoint was written yet"
    return f"{keep}; lower the learning rate or set clip_norm"
