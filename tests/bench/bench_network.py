"""How fast networks that read recordings are trained: the training loop against a plain one, in one run.

    .venv/bin/python -m tests.bench.bench_network [--steps 5] [--batch 32] [--threads 2] [--ngpu 0] [SYSTEM ...]

`plain` is a loop as one writes it first: float32, weights and images as torch lays them out, the loss read after every
step, chunks read before each. `loop` is `sv.training.loop` with the same network, chunks and precision, `bf16` the same
in bfloat16. All take the same steps on made-up recordings; the three take turns, and the best of five counts. Chunks a
second, and in brackets how many times as many as the plain loop.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch

from sv.data.datadir import DataDir
from sv.data.tables import write_table
from sv.features.front_ends import build_front_end, feature_config, read_feature_config
from sv.models.build import build_head, build_model
from sv.models.device import pick_device
from sv.run import Run
from sv.source import Source
from sv.systems.reading import find_systems, load_system
from sv.training.loader import batches
from sv.training.loop import Network
from sv.training.optimiser import build_optimiser
from sv.training.precision import Precision
from sv.training.ranks import ALONE, Shard
from sv.training.task import build_sampler, read_set

CONF = Path(__file__).parents[2] / "conf"
SPEAKERS, UTTERANCES, SAMPLES = 100, 4, 64_000
TURNS = 5


def write_recordings(folder: Path) -> Path:
    """Noise, 4 s at 16 kHz, of 100 speakers with 4 utterances each."""
    rng, utt2spk, wav = np.random.default_rng(0), {}, {}
    folder.mkdir()
    for speaker in range(SPEAKERS):
        for number in range(UTTERANCES):
            utt = f"s{speaker:03d}-{number}"
            utt2spk[utt], wav[utt] = utt[:4], str(folder / f"{utt}.wav")
            soundfile.write(wav[utt], (rng.standard_normal(SAMPLES) * 3000).astype(np.int16), 16000)
    DataDir(utt2spk, wav).write(folder)
    write_table(folder / "utt2num_samples", dict.fromkeys(utt2spk, SAMPLES))
    return folder


def run_of(name: str, batch: int, folder: Path) -> Run:
    """A run of a system, with another batch and chunks of 2 s."""
    sets = [f"training.batch_size={batch}", "training.chunk_s=[2,2]", "augment_online=null"]
    system = load_system(find_systems(CONF)[name], sets=sets)
    features = read_feature_config(CONF / "features" / f"{system.features}.conf")
    waveform = {"features": dataclasses.asdict(features), "augment_online": None}
    return Run.plan(folder, name, 1, system, waveform)


def plain(this: Run, data: Path, steps: int, device: torch.device) -> Callable[[], None]:
    """So many steps of a loop without any care."""
    stream, speakers = stream_of(this, data)
    torch.manual_seed(1)
    settings = this.system.training
    model = build_model(this.system, feature_config(this.waveform["features"]).dim).to(device)
    model = model.to(memory_format=torch.contiguous_format)
    head = build_head(this.system.loss, model.output_dim, speakers, settings.groups.utterances).to(device)
    optimiser = build_optimiser(settings.optimiser, [*model.parameters(), *head.parameters()])
    front_end = build_front_end(feature_config(this.waveform["features"])).to(device)

    def go() -> None:
        for _, (x_BN, speaker_B) in zip(range(steps), stream, strict=False):
            outcome = head(model(front_end(x_BN.to(device))), speaker_B.to(device))
            optimiser.zero_grad()
            outcome.loss.backward()
            optimiser.step()
            outcome.loss.item()

    return go


def ours(this: Run, data: Path, steps: int, device: torch.device, precision: str) -> Callable[[], None]:
    """So many steps as `sv.training.loop` takes them."""
    stream, speakers = stream_of(this, data, workers=2 if device.type == "cuda" else 0)
    torch.manual_seed(1)
    settings, source, number = this.system.training, Source(this, data), Precision.of(precision, device)
    model = build_model(this.system, source.waveform.dim).to(device)
    head = build_head(this.system.loss, model.output_dim, speakers, settings.groups.utterances).to(device)
    optimiser = build_optimiser(settings.optimiser, [*model.parameters(), *head.parameters()])
    network, scaler, prepare = Network(model, head, None, ALONE), number.scaler(), source.prepare(device)

    def go() -> None:
        for _, (x_BN, speaker_B) in zip(range(steps), stream, strict=False):
            x_BN, speaker_B = x_BN.to(device, non_blocking=True), speaker_B.to(device, non_blocking=True)
            with number.autocast():
                loss, _, _ = network(prepare(x_BN), speaker_B, 0.0, [len(speaker_B)])
            optimiser.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.step(optimiser)
            scaler.update()
        loss.item()

    return go


def stream_of(this: Run, data: Path, workers: int = 0):
    """Batches without an end, and how many speakers."""
    reader, utt2spk = read_set(Source(this, data))
    sampler = build_sampler(this.system.training, reader, utt2spk, this.seed)
    return iter(batches(Shard(sampler, ALONE), reader, 0, 10**6, workers)), len(sampler.speakers)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--ngpu", type=int)
    parser.add_argument("systems", nargs="*", default=["Q4", "H4"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device(args.ngpu)
    with tempfile.TemporaryDirectory() as temporary:
        data = write_recordings(Path(temporary) / "data")
        print(f"{device}, {args.threads} threads, batches of {args.batch}; chunks of 2 s a second")
        for name in args.systems:
            this = run_of(name, args.batch, Path(temporary))
            ways = {
                "plain": plain(this, data, args.steps, device),
                "loop": ours(this, data, args.steps, device, "fp32"),
                "bf16": ours(this, data, args.steps, device, "bf16"),
            }
            best = dict.fromkeys(ways, float("inf"))
            for turn in range(TURNS + 1):  # the first to get warm
                for way, go in ways.items():
                    started = time.perf_counter()
                    go()
                    if turn:
                        best[way] = min(best[way], time.perf_counter() - started)
            rate = {way: args.steps * args.batch / taken for way, taken in best.items()}
            print(
                f"{name:<6}" + "".join(f"{way:>8}{rate[way]:>9.1f} ({rate[way] / rate['plain']:.2f})" for way in rate)
            )


if __name__ == "__main__":
    main()
