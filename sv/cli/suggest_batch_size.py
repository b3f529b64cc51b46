"""Say how large a batch of a training may be: the memory of steps of two sizes is measured and extrapolated."""

from __future__ import annotations

from pathlib import Path

from sv.cli import Parser, run
from sv.errors import UserError
from sv.run import Run
from sv.systems.losses import BinaryPairs, PairLoss

SPARE = 0.1  # of what is free, for what differs from step to step
GB = 1e9


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--train", type=Path, required=True, help="data directory of the training set")
    parser.add_argument("--ngpu", type=int, help="0 is the CPU, 1 a GPU (None: a GPU if there is one)")
    parser.add_argument(
        "--limit-gb", type=float, help="memory that a training process may take (None: nine tenths of what is free now)"
    )
    parser.add_argument(
        "--measure", type=int, nargs=2, default=(16, 48), metavar=("FEW", "MORE"), help="chunks of the steps measured"
    )
    parser.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")
    args = parser.parse_args()
    this = Run.open(args.run)
    this.require_kind("model")
    few, more = args.measure
    if not 3 <= few < more:
        raise UserError(f"--measure takes two numbers of chunks, 3 or more and then a larger one, not {few} and {more}")
    if args.limit_gb is not None and not 0 < args.limit_gb < float("inf"):
        raise UserError(f"--limit-gb is an amount of memory, not {args.limit_gb}")
    suggest(this, args.train, args.ngpu, args.limit_gb, few, more)


def suggest(this: Run, data_dir: Path, ngpu: int | None, limit_gb: float | None, few: int, more: int) -> None:
    """Measure, and print the number and how it was found."""
    from sv.training.memory import Fit, measure  # torch, which takes seconds

    groups = this.system.training.groups
    together = groups.utterances if groups else 1
    small, large = (measure(this.path, data_dir, ngpu, -(-chunks // together) * together) for chunks in (few, more))
    fit = Fit.of(small, large)
    limit = (1 - SPARE) * small.free if limit_gb is None else limit_gb * GB
    fitting = fit.largest(limit, together)
    size = min(fitting, large.most_chunks or fitting)
    of_pairs = isinstance(this.system.loss, PairLoss | BinaryPairs)  # which compares three speakers or more
    if size < (3 * together if of_pairs else max(3, together)):
        what = f"groups of {together} chunks" if of_pairs else "chunks"
        raise UserError(f"{this.path}: no three {what} fit into {limit / GB:.2f} GB; shorten training.chunk_s")
    print(
        f"{this.path}: training.batch_size={size}\n"
        f"  measured on {small.device}, chunks of {small.length} frames: {small.peak / GB:.2f} GB with {small.chunks},"
        f" {large.peak / GB:.2f} GB with {large.chunks}\n"
        f"  that is {fit.fixed / GB:.2f} GB and {fit.per_chunk / 1e6:.2f} MB a chunk; {fitting} chunks reach"
        f" {limit / GB:.2f} GB, "
        + (f"nine tenths of the {small.free / GB:.2f} GB that are free" if limit_gb is None else "as --limit-gb says")
    )
    if size < fitting:
        print(f"  but {size} are all speakers, {together} of each, and none may be in a batch twice")


if __name__ == "__main__":
    run(main, __file__)
