"""Train a run at several learning rates, one after the other: RUN/lr_grid/LR/ each, and what came out in table.tsv.

The rates are those between which steps/lr_range_test.sh saw the loss fall, half of them on each side of the steepest
fall, or those between --from and --to; evenly in the log. Runs are judged by held-out speech alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from sv.cli import Parser, run
from sv.cli.lr_range_test import FOLDER, tested
from sv.cli.train import bank_records, require_one_node, train_run, unlabelled_for
from sv.data.tables import write_lines
from sv.errors import ConfigError, DataError, Diverged
from sv.records import Step, differences, record_of, require_whole, settings_of
from sv.run import GRID, Run
from sv.training.curves import HEADER, held_out_errors
from sv.training.lr_curve import Suggestion, rates_around, rates_between
from sv.training.step import training_step

COLUMNS = "lr\theld_out_error\tepoch\ttrain_loss\tepochs\toutcome"


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--points", type=int, default=7, help="number of rates")
    parser.add_argument("--from", type=float, dest="low", metavar="LR", help="lowest rate (None: as the test found)")
    parser.add_argument("--to", type=float, dest="high", metavar="LR", help="highest rate (None: as the test found)")
    parser.add_argument("--epochs", type=int, help="of each training (None: training.epochs of the run)")
    parser.add_held_out_option()
    parser.add_training_options()
    args = parser.parse_args()
    this = Run.open(args.run)
    this.require_kind("model")
    require_one_node("lr_grid")
    if args.epochs is not None and args.epochs < 1:
        raise ConfigError(f"--epochs is a number from 1, not {args.epochs}")
    try_rates(this, rates(this, args.low, args.high, args.points), args)


def rates(this: Run, low: float | None, high: float | None, points: int) -> list[float]:
    """The rates of a grid: between two that are given, or around what the run's range test suggests.

    Raises a UserError if the test has not ended, or was of other settings.
    """
    if (low is None) != (high is None):
        raise ConfigError("--from and --to go together")
    if low is not None and high is not None:
        return rates_between(low, high, points)
    folder = this.path / FOLDER
    require_whole(record_of("lr_range_test", folder))
    was = settings_of("lr_range_test", folder)
    if was is None:
        raise DataError(f"{this.path}: no range test was made; run steps/lr_range_test.sh, or give --from and --to")
    for key, before, now in differences(was["system"], tested(this)):
        raise DataError(
            f"{folder} was made with {key} = {before}, which is now {now}; run steps/lr_range_test.sh again"
        )
    suggestion = json.loads((folder / "suggestion.json").read_text(encoding="utf-8"))
    return rates_around(Suggestion(**suggestion), points)


def try_rates(this: Run, lrs: list[float], args: argparse.Namespace) -> None:
    """Train at each rate, from where it was left; write and print the table."""
    runs = [at_rate(this, lr, args.epochs) for lr in lrs]
    dirs = (args.train, args.valid, *unlabelled_for(this, args.adapt))
    banks = tuple(bank_records(this, args.banks))
    keys = "".join(training_step(each, *dirs, after=banks).key for each in runs)
    folder = this.path / GRID
    step = Step(
        "lr_grid",
        folder,
        settings={"rates": [f"{lr:.2e}" for lr in lrs]},
        digests={"trainings": hashlib.sha256(keys.encode()).hexdigest()},
    )
    if step.skip():
        return
    step.begin()
    rows = []
    for number, (lr, each) in enumerate(zip(lrs, runs, strict=True), 1):
        print(f"lr_grid {this.path}: learning rate {lr:.2e}, {number} of {len(lrs)}", flush=True)
        each.write()
        outcome = "trained"
        try:
            ended = train_run(
                each, args.train, args.valid, args.ngpu, args.workers, args.processes, args.adapt, args.banks
            )
            if not ended:
                return  # by a signal; the training said so
        except Diverged as error:
            outcome = "diverged"
            print(f"lr_grid {each.path}: {error}")
        rows.append(Row.of(lr, each, outcome))
    table = folder / "table.tsv"
    write_lines(table, [COLUMNS, *map(str, rows)])
    step.done([table], diverged=sum(row.outcome == "diverged" for row in rows))
    say(this, rows, table)


def at_rate(this: Run, lr: float, epochs: int | None) -> Run:
    """The run that differs from this one in the rate, and perhaps the number of epochs; nothing of it is written."""
    training = this.system.training
    changed = {"optimiser": training.optimiser.model_copy(update={"lr": lr}), "epochs": epochs or training.epochs}
    system = this.system.model_copy(update={"training": training.model_copy(update=changed)})
    return replace(this, path=this.path / GRID / f"{lr:.2e}", system=system)


@dataclass(frozen=True)
class Row:
    """A training of the grid: the lowest held-out error (see `held_out_errors`), its epoch, the last training loss."""

    lr: float
    error: float | None
    epoch: int | None
    loss: float
    epochs: int
    outcome: str

    @classmethod
    def of(cls, lr: float, this: Run, outcome: str) -> Row:
        """By the curves of a run; one that diverged has no error, and a loss that is no number."""
        path = this.path / "curves.tsv"
        curves = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
        if outcome == "diverged":
            return cls(lr, None, None, float("nan"), len(curves), outcome)
        errors = held_out_errors(curves)
        best = min(range(len(errors)), key=errors.__getitem__)
        loss = float(curves[-1].split("\t")[HEADER.split("\t").index("train_loss")])
        return cls(lr, errors[best], best + 1, loss, len(curves), outcome)

    def __str__(self) -> str:
        error = "" if self.error is None else f"{self.error:.6f}"
        return f"{self.lr:.2e}\t{error}\t{self.epoch or ''}\t{self.loss:.6f}\t{self.epochs}\t{self.outcome}"


def say(this: Run, rows: list[Row], table: Path) -> None:
    """Print the table with the best marked, and the setting that takes its rate."""
    trained = [row for row in rows if row.error is not None]
    best = min(trained, key=lambda row: row.error, default=None)
    print(f"{'learning rate':>13}  {'held-out error %':>16}  {'of epoch':>8}  {'train loss':>10}")
    for row in rows:
        figures = (
            f"{'diverged':>16}  after {row.epochs} epochs"
            if row.error is None
            else f"{100 * row.error:16.2f}  {row.epoch:>8}  {row.loss:10.3f}"
        )
        print(f"{row.lr:>13.2e}  {figures}" + ("  best" if row is best else ""))
    if best is None:
        raise DataError(f"{this.path}: all trainings diverged; try lower rates, by --from and --to ({table})")
    edge = len(rows) > 1 and best in (rows[0], rows[-1])
    beyond = "; it is the grid's edge, and others beyond may be better" if edge else ""
    print(f"{table}: --set training.optimiser.lr={best.lr:.2e}{beyond}")


if __name__ == "__main__":
    run(main, __file__)
