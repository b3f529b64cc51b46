"""Train a system's network on a feature folder; leaves checkpoints, curves and a log in its run folder."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

from sv.cli import Parser, run
from sv.data.datadir import DataDir, write_dropped
from sv.data.tables import first_few
from sv.errors import ConfigError, DataError
from sv.features.files import front_end, inputs
from sv.records import Step, forced
from sv.run import Run


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--train", type=Path, required=True, help="data directory of the training set")
    parser.add_argument("--valid", type=Path, required=True, help="other utterances of the same speakers, held out")
    parser.add_argument("--ngpu", type=int, help="0 is the CPU, 1 a GPU (None: a GPU if there is one)")
    parser.add_argument(
        "--workers", type=int, help="processes that read batches ahead (None: 0 on the CPU, 4 on a GPU)"
    )
    parser.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")
    args = parser.parse_args()
    train_run(Run.open(args.run), args.train, args.valid, args.ngpu, args.workers)


def train_run(this: Run, train_dir: Path, valid_dir: Path, ngpu: int | None, workers: int | None) -> None:
    """Train from the last checkpoint, if there is one of this very training, to the last epoch.

    On the CPU the same machine and number of threads give the same bytes. SIGTERM ends it after the step, saved.
    """
    folders = [folder / "feats" / this.system.features for folder in (train_dir, valid_dir)]
    vad = this.system.vad
    step = Step(
        "train",
        this.path,
        inputs=[path for folder in folders for path in inputs(folder, vad)],
        settings={
            "system": this.trained_by(),
            "seed": this.seed,
            "front_end": front_end(folders[0], vad) if (folders[0] / "feats.conf").exists() else None,
        },
    )
    if step.skip():
        return
    step.begin()
    stopped = StopSignal()
    if not _train(this, step.key, train_dir, *folders, ngpu, workers, stopped):
        print(f"train {this.path}: ended by a signal, its state is saved; it will resume when the stage runs again")
        return
    left = [this.path / "checkpoints" / name for name in ("last.pt", "best.pt")] + [this.path / "curves.tsv"]
    epochs = sorted((this.path / "checkpoints").glob("epoch-*.pt"))
    utt2spk = DataDir.read(folders[0]).utt2spk
    counts = {"utterances": len(utt2spk), "speakers": len(set(utt2spk.values()))}
    step.done([*left, *epochs], epochs=this.system.training.epochs, **counts)


class StopSignal:
    """Whether SIGTERM has come: Slurm's warning that the time is up."""

    def __init__(self) -> None:
        self._came = False
        signal.signal(signal.SIGTERM, self._note)

    def __call__(self) -> bool:
        return self._came

    def _note(self, *_: object) -> None:
        self._came = True


def _train(
    this: Run,
    key: str,
    train_dir: Path,
    train_feats: Path,
    valid_feats: Path,
    ngpu: int | None,
    workers: int | None,
    stopped: StopSignal,
) -> bool:
    """The training itself; whether it came to its end."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs for the same
    import torch

    from sv.features.files import FeatureReader
    from sv.models.build import build_head, build_model
    from sv.models.device import pick_device
    from sv.training.checkpoint import Checkpoints, TrainingState
    from sv.training.loop import Precision, train
    from sv.training.optimiser import build_optimiser
    from sv.training.progress import log_to
    from sv.training.sampler import BalancedChunks, held_out_batches

    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads it
    settings = this.system.training
    device = pick_device(ngpu)
    log_to(this.path / "log" / "train.log")

    reader, valid_reader = (FeatureReader.of_system(folder, this.system) for folder in (train_feats, valid_feats))
    train_utt2spk, valid_utt2spk = (DataDir.read(folder).utt2spk for folder in (train_feats, valid_feats))
    if strangers := set(valid_utt2spk.values()) - set(train_utt2spk.values()):
        raise DataError(f"{valid_feats}: {len(strangers)} speakers are not in {train_dir}: {first_few(strangers)}")

    shortest, longest = (round(seconds * reader.frames_per_s) for seconds in settings.chunk_s)
    batches = (settings.batch_size, settings.chunks_per_speaker, this.seed)
    sampler = BalancedChunks(reader.num_frames, train_utt2spk, (shortest, longest), *batches)
    reasons = {utt: f"{n} voiced frames, the shortest chunk has {shortest}" for utt, n in sampler.too_short.items()}
    write_dropped(this.path / "dropped.txt", reasons)
    held_out = held_out_batches(valid_reader.num_frames, valid_utt2spk, sampler.speakers, shortest, settings.batch_size)
    num_held_out = sum(len(batch.chunks) for batch in held_out)

    torch.manual_seed(this.seed)
    model = build_model(this.system, reader.dim).to(device)
    head = build_head(this.system, model.output_dim, len(sampler.speakers)).to(device)
    if shortest < model.min_frames:
        raise ConfigError(
            f"{this.path}: training.chunk_s: {settings.chunk_s[0]:g} s are {shortest} frames, the network needs"
            f" {model.min_frames}"
        )
    precision = Precision.of(settings.precision, device)
    optimiser = build_optimiser(settings.optimiser, [*model.parameters(), *head.parameters()])
    state = TrainingState(model, head, optimiser, precision.scaler(), sampler.speakers, reader.dim, key)
    Checkpoints(this.path / "checkpoints", settings.keep_last).restore(state, anew=forced())
    logging.getLogger("train").info(
        f"train {this.name}  {len(sampler.speakers)} speakers, {len(train_utt2spk)} utterances"
        + (f" ({len(reasons)} too short, {len(sampler.left_out)} speakers with them: dropped.txt)" if reasons else "")
        + f", {num_held_out} held out"
        + (f" (of {len(valid_utt2spk)}, the rest too short)" if num_held_out < len(valid_utt2spk) else "")
        + f", {len(sampler)} steps an epoch,"
        f" {sum(p.numel() for p in model.parameters()):,} parameters, {device}, {precision.dtype}"
        + (f", resumed after epoch {state.epoch}, step {state.step}" if state.epoch or state.step else "")
    )
    if workers is None:  # a core reads some thousand chunks a second: more than a CPU trains on, less than a GPU
        workers = min(4, len(os.sched_getaffinity(0)) - 1) if device.type == "cuda" else 0
    held = (held_out, valid_reader)
    return train(state, settings, sampler, reader, *held, this.path, precision, workers, this.name, stopped)


if __name__ == "__main__":
    run(main, __file__)
