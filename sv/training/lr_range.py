"""A learning rate range test (Smith 2017): a run's training from its beginning, at a rate that rises step by step."""

from __future__ import annotations

import logging
import math
import sys
import time
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from sv import status
from sv.data.tables import write_lines
from sv.models.device import pick_device
from sv.run import Run
from sv.training.loader import batches
from sv.training.loop import Network, learn
from sv.training.lr_curve import Smoothed, Sweep
from sv.training.optimiser import set_pace
from sv.training.progress import LOG_EVERY_S, log_to
from sv.training.ranks import Ranks
from sv.training.schedule import margin_part, reversal
from sv.training.task import begin, same_bytes_each_time, workers_for

log = logging.getLogger("train")

HEADER = "step\tlr\tloss\tsmoothed"


def measure(
    this: Run,
    train_dir: Path,
    sweep: Sweep,
    losses: Path,
    ngpu: int | None,
    workers: int | None,
    adapt_dir: Path | None = None,
    banks: Path | None = None,
) -> None:
    """Train at a rising rate and write losses.tsv: step, from 1, rate, loss of the batch before its step, smoothed.

    Network, batches, loss and optimiser are those of the run's training from its first step, with the momentum that
    the optimiser's settings say, whatever the schedule. The test ends early where the smoothed loss is above
    `sweep.stop_at` times its lowest, or the loss is no number any more. One of several processes if torchrun started
    this one. The other arguments are as for `sv.training.task.train_network`.
    """
    same_bytes_each_time()
    settings, device = this.system.training, pick_device(ngpu)
    ranks = Ranks.join(device)
    log_to(this.path / "log" / "lr_range_test.log" if ranks.leads else None)
    begun = begin(this, train_dir, device, ranks, adapt_dir, banks)
    state, shard = begun.state, begun.shard
    network = ranks.together(Network(state.model, state.head, state.domain, ranks)).train()
    epochs = math.ceil(sweep.steps / len(shard))
    stream = batches(shard, begun.reader, 0, epochs, workers_for(device, workers), 0, begun.adapt_reader, begun.augment)
    smoothed, lowest, lines, told = Smoothed(sweep.smoothing), math.inf, [HEADER], time.monotonic()
    bar = tqdm(total=sweep.steps, desc=f"{this.name} lr range", leave=False, disable=not sys.stderr.isatty())

    for step, batch in enumerate(islice(stream, sweep.steps)):
        epoch, index = divmod(step, len(shard))
        done, lr = step / len(shard), sweep.rate(step)
        set_pace(state.optimiser, lr, None)
        if settings.margin_epochs:
            state.head.margin_part = margin_part(settings, done)
        lambda_p = reversal(settings.adversarial, done, settings.epochs)
        own, _, _ = learn(
            state, network, settings, shard, epoch, index, batch, begun.precision, begun.prepare, lambda_p
        )
        loss = ranks.mean(own if state.head.compares else own * shard.share(index))
        if not math.isfinite(loss):
            log.info(f"lr range {this.name}  ends at step {step + 1}, lr {lr:.3g}: the loss is no number any more")
            break
        mean = smoothed.add(loss)
        lines.append(f"{step + 1}\t{lr:.6g}\t{loss:.6f}\t{mean:.6f}")
        lowest = min(lowest, mean)
        bar.update()
        if time.monotonic() - told >= LOG_EVERY_S:
            told = time.monotonic()
            line = f"lr range {this.name}  step {step + 1}/{sweep.steps}  lr {lr:.3g}  loss {mean:.3f}"
            log.info(line)
            status.report(line)
        if mean > sweep.stop_at * lowest:
            log.info(
                f"lr range {this.name}  ends at step {step + 1}, lr {lr:.3g}: the loss is {sweep.stop_at:g} times its"
                " lowest"
            )
            break
    bar.close()
    if ranks.leads:
        write_lines(losses, lines)
    ranks.wait()
    ranks.leave()
