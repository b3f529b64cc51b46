"""How many chunks a second training takes: reading them, and a step on them, by system and threads.

    .venv/bin/python -m tests.bench.bench_training [--steps 10] [SYSTEM ...]

Features are random, 23 numbers a frame, as many speakers as VoxCeleb1 has (1211, of 3 utterances); chunks, batches
and network are the system's. `reading` is the loader alone, in one process; `step` is forward, backward and update
on chunks that are already read. Prints a line a system and number of threads.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from sv.data.ark import ArkWriter
from sv.data.datadir import DataDir
from sv.data.tables import write_table
from sv.features.files import FeatureReader
from sv.models.build import build_head, build_model
from sv.systems.reading import find_systems, load_system
from sv.systems.system import System
from sv.training.loader import batches
from sv.training.optimiser import build_optimiser
from sv.training.sampler import BalancedChunks

CONF = Path(__file__).parents[2] / "conf"
DIM, SPEAKERS, UTTERANCES = 23, 1211, 3


def write_features(folder: Path) -> None:
    """Random features of 5 to 12 s, an energy VAD that keeps nine frames in ten."""
    rng = np.random.default_rng(0)
    frames = {f"s{s:04d}-{u}": int(rng.integers(500, 1200)) for s in range(SPEAKERS) for u in range(UTTERANCES)}
    voiced = {}
    with ArkWriter(folder / "arks" / "feats") as feats, ArkWriter(folder / "arks" / "vad") as vad:
        for utt, count in frames.items():
            feats.write(utt, rng.standard_normal((count, DIM), np.float32))
            is_voiced = rng.random(count) < 0.9
            vad.write(utt, is_voiced.astype(np.float32))
            voiced[utt] = int(is_voiced.sum())
    DataDir({utt: utt.split("-")[0] for utt in frames}).write(folder)
    (folder / "arks" / "feats.scp").rename(folder / "feats.scp")
    (folder / "arks" / "vad.scp").rename(folder / "vad.scp")
    (folder / "feats.conf").write_text((CONF / "features" / "mfcc23_8k.conf").read_text())
    write_table(folder / "utt2num_frames", frames)
    write_table(folder / "utt2num_voiced", voiced)


def chunks_a_second(system: System, folder: Path, steps: int) -> tuple[float, float]:
    """Of the loader alone, and of a training step alone."""
    settings, reader = system.training, FeatureReader.of_system(folder, system)
    lengths = tuple(round(seconds * reader.frames_per_s) for seconds in settings.chunk_s)
    sampler = BalancedChunks(
        reader.num_frames,
        DataDir.read(folder).utt2spk,
        lengths,
        settings.batch_size,
        1,
        chunks_per_speaker=settings.chunks_per_speaker,
    )
    stream = batches(sampler, reader, 0, settings.epochs)
    next(stream)
    started = time.perf_counter()
    read = [next(stream) for _ in range(steps)]
    reading = time.perf_counter() - started

    torch.manual_seed(1)
    model = build_model(system, reader.dim)
    head = build_head(system.loss, model.output_dim, len(sampler.speakers))
    optimiser = build_optimiser(settings.optimiser, [*model.parameters(), *head.parameters()])

    def step(x_BTF: torch.Tensor, speaker_B: torch.Tensor) -> None:
        outcome = head(model(x_BTF), speaker_B)
        optimiser.zero_grad(set_to_none=True)
        outcome.loss.backward()
        optimiser.step()

    step(*read[0])
    started = time.perf_counter()
    for batch in read:
        step(*batch)
    stepping = time.perf_counter() - started
    chunks = sum(len(speaker_B) for _, speaker_B in read)
    return chunks / reading, chunks / stepping


def main() -> None:
    """Print the table."""
    systems = find_systems(CONF)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("systems", nargs="*", default=["xvector-small", "vox1-xvector"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "mfcc23_8k"
        write_features(folder)
        print(f"{'system':<20}{'threads':>8}{'batch':>8}{'reading':>12}{'step':>12}  chunks/s")
        for name in args.systems:
            system = load_system(systems[name])
            for threads in (1, 2):
                torch.set_num_threads(threads)
                reading, stepping = chunks_a_second(system, folder, args.steps)
                print(f"{name:<20}{threads:>8}{system.training.batch_size:>8}{reading:>12.0f}{stepping:>12.1f}")


if __name__ == "__main__":
    main()
