"""Find the rates at which a run's training works: a range test, in which the rate rises step by step.

Leaves RUN/lr_range/losses.tsv, curve.png, and suggestion.json with three rates: where the smoothed loss falls most
steeply over the log of the rate, and where it starts and stops falling. steps/lr_grid.sh tries rates between these.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sv.cli import Parser, run
from sv.cli.train import arguments_of, bank_records, fetch_pretrained, require_one_node, unlabelled_for
from sv.data.atomic import atomic_write
from sv.data.datadir import read_label
from sv.errors import DataError, UserError
from sv.records import Step
from sv.run import Run
from sv.source import Source
from sv.training.lr_curve import Sweep, suggest
from sv.training.step import made_from

FOLDER = "lr_range"  # of a run


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--from", type=float, default=1e-8, dest="low", metavar="LR", help="first rate")
    parser.add_argument("--to", type=float, default=1.0, dest="high", metavar="LR", help="last rate")
    parser.add_argument("--steps", type=int, default=5000, help="from the first to the last")
    parser.add_argument(
        "--smoothing", type=float, default=0.98, help="weight of the losses before, in their moving average"
    )
    parser.add_argument(
        "--stop-at", type=float, default=4.0, help="end early when the smoothed loss is so many times its lowest"
    )
    parser.add_training_options()
    args = parser.parse_args()
    this = Run.open(args.run)
    this.require_kind("model")
    require_one_node("lr_range_test")
    sweep = Sweep(args.low, args.high, args.steps, args.smoothing, args.stop_at)
    find_rates(this, args.train, sweep, args.ngpu, args.workers, args.processes, args.adapt, args.banks)


def find_rates(
    this: Run,
    train_dir: Path,
    sweep: Sweep,
    ngpu: int | None,
    workers: int | None,
    processes: int | None = None,
    adapt_dir: Path | None = None,
    banks: Path | None = None,
) -> None:
    """Measure, in this process or in several, and say which rates the losses suggest.

    `adapt_dir` and `banks` are as for `sv.cli.train.train_run`.
    """
    unlabelled = unlabelled_for(this, adapt_dir)
    inputs, settings = made_from(this, train_dir, *unlabelled, after=tuple(bank_records(this, banks)))
    settings |= {"system": tested(this), "sweep": asdict(sweep)}
    folder = this.path / FOLDER
    losses, picture, suggestion = (folder / name for name in ("losses.tsv", "curve.png", "suggestion.json"))
    of = (this, train_dir, sweep, losses, ngpu, workers, *(unlabelled or [None]), banks)
    if "RANK" in os.environ:  # of several processes; the one that started them keeps the record
        _measure(*of)
        return
    step = Step("lr_range_test", folder, inputs=inputs, settings=settings)
    if step.skip():
        return
    fetch_pretrained(this)
    for old in (losses, picture, suggestion):
        old.unlink(missing_ok=True)
    step.begin()
    if (processes or ngpu or 1) > 1:
        from sv.training.processes import run_processes

        named = {"train": train_dir, "adapt": adapt_dir, "banks": banks, "ngpu": ngpu, "workers": workers}
        of_sweep = {"from": sweep.low, "to": sweep.high, "steps": sweep.steps, "smoothing": sweep.smoothing}
        arguments = arguments_of(this, **named, **of_sweep, stop_at=sweep.stop_at)
        run_processes(this, "lr_range_test", arguments, processes or ngpu or 1, ngpu)
        if not losses.exists():
            raise UserError(f"{this.path}: the test was ended by a signal; it begins anew when it is run again")
    else:
        _measure(*of)
    steps = judge(this, sweep, losses, picture, suggestion, read_label(Source(this, train_dir).folder) is not None)
    step.done([losses, picture, suggestion], steps=steps)


def _measure(this: Run, *of: Any) -> None:
    """The test in this process."""
    from sv.models.device import within_memory  # torch, which takes seconds
    from sv.training.lr_range import measure

    with within_memory(f"{this.path}: lower training.batch_size (steps/suggest_batch_size.sh says to what)"):
        measure(this, *of)


def judge(this: Run, sweep: Sweep, losses: Path, picture: Path, suggestion: Path, synthetic: bool) -> int:
    """Draw losses.tsv and write the suggestion; the steps that were measured. DataError if there is none."""
    import numpy as np

    from sv.report.lr_range import plot_lr_range  # matplotlib, which takes a second

    _, lr_N, loss_N, smoothed_N = np.loadtxt(losses, skiprows=1, ndmin=2).reshape(-1, 4).T
    title = f"{this.name}, seed {this.seed}: range test, {len(lr_N):,} of {sweep.steps:,} steps"
    title += ", synthetic speech" if synthetic else ""
    try:
        found = suggest(sweep, lr_N, loss_N, smoothed_N)
    except DataError as error:
        if len(lr_N) > 1:
            plot_lr_range(lr_N, loss_N, smoothed_N, None, title, picture)
        raise DataError(f"{this.path}: {error} ({losses})") from None
    plot_lr_range(lr_N, loss_N, smoothed_N, found, title, picture)
    with atomic_write(suggestion) as out:
        json.dump(found.as_dict(), out, indent=1)
        out.write("\n")
    print(
        f"{this.path}: the loss falls most steeply at {found.steepest:.2e}, starts to at {found.start:.2e}, stops at"
        f" {found.stop:.2e} (see {picture})"
    )
    return len(lr_N)


def tested(this: Run) -> dict[str, Any]:
    """The settings of a system that decide its range test: not its own rate, nor what follows from the held-out set."""
    system = this.trained_by()
    training = {key: value for key, value in system["training"].items() if key not in NOT_TESTED}
    if this.system.training.adversarial is None:  # whose reversal grows with the part of all epochs that is done
        del training["epochs"]
    optimiser = {key: value for key, value in training["optimiser"].items() if key != "lr"}
    return system | {"training": training | {"optimiser": optimiser}}


NOT_TESTED = ("schedule", "stop_after", "keep_last", "held_out_pairs")


if __name__ == "__main__":
    run(main, __file__)
