"""Train a system's network on a data directory; leaves checkpoints, curves and a log in its run folder."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from sv.augment.online import inputs
from sv.augment.online_config import OnlineAugmentation
from sv.cli import Parser, run
from sv.data.datadir import DataDir
from sv.data.tables import read_table
from sv.errors import ConfigError, UserError
from sv.run import Run
from sv.source import Source
from sv.training.step import training_step


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_held_out_option()
    parser.add_training_options()
    args = parser.parse_args()
    this = Run.open(args.run)
    this.require_kind("model")
    train_run(this, args.train, args.valid, args.ngpu, args.workers, args.processes, args.adapt, args.banks)


def train_run(
    this: Run,
    train_dir: Path,
    valid_dir: Path,
    ngpu: int | None,
    workers: int | None,
    processes: int | None = None,
    adapt_dir: Path | None = None,
    banks: Path | None = None,
) -> bool:
    """Train from the last checkpoint, if there is one of this very training, to the last epoch; whether it got there.

    On the CPU the same machine and number of threads give the same bytes. SIGTERM ends it after the step, saved.
    `adapt_dir` and `banks` count only for systems that learn from them; ConfigError if such a one has none.
    """
    dirs = [train_dir, valid_dir, *unlabelled_for(this, adapt_dir)]
    step = training_step(this, *dirs, after=tuple(bank_records(this, banks)))
    if "RANK" in os.environ:  # of several processes; the one that started them keeps the record
        return _train(this, step.key, dirs, ngpu, workers, banks)
    if step.skip():
        return True
    first_node = os.environ.get("SLURM_NODEID", "0") == "0"
    if first_node:
        fetch_pretrained(this)
        for damaged in step.not_as_written():  # the training makes it again, and must not take it for its own
            damaged.unlink()
        step.begin()
    if (processes or ngpu or 1) > 1 or num_nodes() > 1:
        from sv.training.processes import came_to_its_end, run_processes

        named = {"train": train_dir, "valid": valid_dir, "adapt": adapt_dir, "banks": banks}
        arguments = arguments_of(this, **named, ngpu=ngpu, workers=workers)
        run_processes(this, "train", arguments, processes or ngpu or 1, ngpu, num_nodes())
        ended = came_to_its_end(this)
        if not first_node:
            return ended
    else:
        ended = _train(this, step.key, dirs, ngpu, workers, banks)
    if not ended:
        print(f"train {this.path}: ended by a signal, its state is saved; it will resume when the stage runs again")
        return False
    left = [this.path / "checkpoints" / name for name in ("last.pt", "best.pt")] + [this.path / "curves.tsv"]
    epochs = sorted((this.path / "checkpoints").glob("epoch-*.pt"))
    dropped = this.path / "dropped.txt"
    unused = read_table(dropped).keys() if dropped.exists() else ()
    utt2spk = DataDir.read(Source(this, train_dir).folder).utt2spk
    used = {utt: speaker for utt, speaker in utt2spk.items() if utt not in unused}
    counts = {"utterances": len(used), "speakers": len(set(used.values()))}
    if this.learns_from_adapt():
        counts["unlabelled"] = len(DataDir.read(Source(this, adapt_dir).folder).utt2spk)
    trained = len((this.path / "curves.tsv").read_text(encoding="utf-8").splitlines()) - 1
    step.done([*left, *epochs], epochs=trained, **counts)
    return True


def unlabelled_for(this: Run, adapt_dir: Path | None) -> list[Path]:
    """The unlabelled speech that a run's network learns from: one data directory, or none if it learns from none.

    Raises ConfigError if it does and none is named.
    """
    if not this.learns_from_adapt():
        return []
    if adapt_dir is None:
        raise ConfigError(
            f"{this.path}: its network learns from unlabelled speech too (training.adversarial); name it with --adapt"
            " DATA"
        )
    return [adapt_dir]


def fetch_pretrained(this: Run) -> None:
    """Download the weights that a run's network begins with, if it lacks them; once, before processes start."""
    if this.system.pretrained:
        from sv.models.wav2vec2_weights import find_pretrained  # torch, which takes seconds

        find_pretrained(this.system.pretrained)


def bank_records(this: Run, banks: Path | None) -> list[Path]:
    """The records of the material that a run's training draws noises and responses from.

    Raises ConfigError if it draws some and there is none.
    """
    if not this.system.augment_online:
        return []
    if banks is None:
        raise ConfigError(f"{this.path}: it is trained with online augmentation; name its material with --banks DIR")
    conf = OnlineAugmentation.model_validate(this.waveform["augment_online"])
    return inputs(conf, banks, int(this.waveform["features"]["sample_frequency"]))


def _train(this: Run, key: str, dirs: list[Path], ngpu: int | None, workers: int | None, banks: Path | None) -> bool:
    """The training in this process; whether it came to its end."""
    from sv.models.device import within_memory  # torch, which takes seconds
    from sv.training.task import train_network

    adapt_dir = dirs[2] if len(dirs) > 2 else None
    with within_memory(f"{this.path}: lower training.batch_size (steps/suggest_batch_size.sh says to what)"):
        return train_network(this, key, *dirs[:2], ngpu, workers, StopSignal(), adapt_dir, banks)


def arguments_of(this: Run, **options: object) -> list[str]:
    """A command's arguments for each of several processes; an option of None is left out."""
    given = {name.replace("_", "-"): value for name, value in options.items() if value is not None}
    return [*(f"--{name}={value}" for name, value in given.items()), str(this.path)]


def require_one_node(command: str) -> None:
    """Raise UserError in a Slurm job step of several nodes."""
    if num_nodes() > 1:
        raise UserError(f"{command} runs on one node, not on {num_nodes()}; start it with srun --nodes 1")


def num_nodes() -> int:
    """On how many nodes of a Slurm job this command runs (`srun steps/train.sh …`, one task a node)."""
    return int(os.environ.get("SLURM_STEP_NUM_NODES", 1))


class StopSignal:
    """Whether SIGTERM has come: Slurm's warning that the time is up."""

    def __init__(self) -> None:
        self._came = False
        signal.signal(signal.SIGTERM, self._note)

    def __call__(self) -> bool:
        return self._came

    def _note(self, *_: object) -> None:
        self._came = True


if __name__ == "__main__":
    run(main, __file__)
