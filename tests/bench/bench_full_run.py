"""What training a system on VoxCeleb2 and testing it on VoxCeleb1-E would take, from rates measured here.

    .venv/bin/python -m tests.bench.bench_full_run [--system HA4] [--batch 64] [--threads 2] [--ngpu 0] [--sustained 60]

Crops a second in training (the loop's steps on made-up recordings, without reading and augmentation) and in extraction,
on this device; the operations of each crop, counted; and hours from both: those of this device, and those of a GPU
that keeps up as many TFLOP a second as `--sustained` says, which is assumed, not measured. An epoch's crops are those
of the system's sampler on a set of VoxCeleb2's size, with utterances shared out over speakers as in VoxCeleb1.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from sv.models.device import pick_device
from sv.models.extraction import crop_embeddings
from sv.run import Run
from sv.source import Source
from sv.systems.reading import find_systems, load_system
from sv.training.precision import Precision
from sv.training.task import build_sampler, build_state, read_set
from tests.bench.bench_network import CONF, ours, run_of, write_recordings

VOX2_SPEAKERS, VOX2_UTTERANCES = 5_994, 1_092_009
VOX1_E_UTTERANCES = 145_160
RATE = 16_000


class Counts:
    """What a sampler asks of a reader, of a set of VoxCeleb2's size."""

    frames_per_s = RATE

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        share_S = rng.gamma(4.0, size=VOX2_SPEAKERS)
        of_S = np.maximum(2, (share_S / share_S.sum() * VOX2_UTTERANCES).astype(int))
        speaker_N = np.repeat(np.arange(VOX2_SPEAKERS), of_S)
        samples_N = (RATE * (4 + rng.exponential(3.8, len(speaker_N)))).astype(int)
        names = [f"id{speaker:05d}-{number:07d}" for number, speaker in enumerate(speaker_N.tolist())]
        self.num_frames = dict(zip(names, samples_N.tolist(), strict=True))
        self.utt2spk = {name: name[:7] for name in names}


def main() -> None:
    """Print rates, operations, and hours with their arithmetic."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--system", default="HA4")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--ngpu", type=int)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--sustained", type=float, default=60.0, help="TFLOP/s of the GPU that is assumed")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device(args.ngpu)
    whole = load_system(find_systems(CONF)[args.system])
    counts = Counts()
    sampler = build_sampler(whole.training, counts, counts.utt2spk, 1)
    epochs, crops = whole.training.epochs, whole.extraction.crops
    trained = len(sampler) * whole.training.batch_size * epochs
    print(f"{args.system} on {device}, {args.threads} threads, {args.precision}; load {os.getloadavg()[0]:.1f}")
    print(
        f"training: {len(sampler):,} steps an epoch of {whole.training.batch_size} crops, {epochs} epochs:"
        f" {trained / 1e6:,.0f} M crops of {whole.training.chunk_s[0]:g} s"
    )
    extracted = VOX1_E_UTTERANCES * crops.count
    print(f"Vox1-E: {VOX1_E_UTTERANCES:,} utterances: {extracted / 1e6:.2f} M crops of {crops.length_s:g} s")
    with tempfile.TemporaryDirectory() as temporary:
        data = write_recordings(Path(temporary) / "data")
        this = run_of(args.system, args.batch, Path(temporary))
        step = ours(this, data, 1, device, args.precision)
        with FlopCounterMode(display=False) as counter:
            step()
        per_trained = counter.get_total_flops() / args.batch
        train_rate = args.batch / best_of(step)
        rate_extracted, per_extracted = extraction(this, data, device, crops.count, int(crops.length_s * RATE))
    print(f"\n{'':<12}{'GFLOP/crop':>12}{'crops/s':>9}{'PFLOP':>9}{'hours here':>12}{'1 GPU, h':>10}{'8 GPUs, h':>11}")
    for what, flops, rate, number in (
        ("training", per_trained, train_rate, trained),
        ("extraction", per_extracted, rate_extracted, extracted),
    ):
        one = flops * number / (args.sustained * 1e12) / 3600
        print(
            f"{what:<12}{flops / 1e9:12.2f}{rate:9.1f}{flops * number / 1e15:9,.0f}{number / rate / 3600:12,.0f}"
            f"{one:10.1f}{one / 8:11.1f}"
        )
    print(
        f"the last two: PFLOP / ({args.sustained:g} TFLOP/s x GPUs), assumed; reading and augmentation go on beside it"
    )


def extraction(this: Run, data: Path, device: torch.device, count: int, length: int) -> tuple[float, float]:
    """Crops a second with what reading and the front end take, and operations a crop."""
    source, precision = Source(this, data), Precision.of("fp32", device)
    reader, utt2spk = read_set(source)
    sampler = build_sampler(this.system.training, reader, utt2spk, 1)
    model = build_state(this, source, reader, sampler, precision).model
    some = sorted(reader.num_frames)[:4]

    def go() -> None:
        for _ in crop_embeddings(model, reader, some, device, count, length, source.prepare(device)):
            pass

    with FlopCounterMode(display=False) as counter:
        go()
    return len(some) * count / best_of(go), counter.get_total_flops() / (len(some) * count)


def best_of(go, times: int = 3) -> float:
    """Seconds of the fastest call."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        go()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return min(taken)


if __name__ == "__main__":
    main()
