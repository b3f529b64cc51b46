"""What training wav2vec2 takes: time, memory and the part of the machine's arithmetic that it uses.

    .venv/bin/python -m tests.bench.bench_wav2vec2 [--size base] [--batch 8] [--seconds 3] [--threads 1] [--ngpu 0]

Every way of training is a process of its own, so that its memory is its own: three steps of random samples through the
network, w2v2-aam's loss of 5,994 speakers and Adam, of which the fastest counts. `frozen` is the paper's default, with
convolutions that are not trained; the others change one thing each. Operations are those of the network, counted
(forward once, backward twice, where it is trained; what `recompute` does again is not counted), and are divided by what
a product of two large matrices reaches in the same precision on the same device. Random weights: no file is needed.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from sv.losses.margin import MarginHead
from sv.models.device import pick_device
from sv.models.wav2vec2 import CONVOLUTIONS, Wav2Vec2, num_tokens
from sv.scoring.pairs import operations
from sv.systems.wav2vec2 import SIZES
from sv.systems.wav2vec2 import Wav2Vec2 as Settings

RATE, SPEAKERS, STEPS = 16_000, 5994, 3


@dataclass(frozen=True)
class Way:
    """One way of training: what is trained, in which precision, how memory is spared."""

    name: str
    freeze_cnn: bool = True
    bf16: bool = False
    recompute: bool = False
    parts: int = 1


WAYS = (
    Way("frozen"),
    Way("unfrozen", freeze_cnn=False),
    Way("bf16", bf16=True),
    Way("bf16, recompute", bf16=True, recompute=True),
    Way("bf16, 4 parts", bf16=True, parts=4),
    Way("bf16, both", bf16=True, recompute=True, parts=4),
)


@dataclass(frozen=True)
class Took:
    """Seconds of a step and the most bytes that were held."""

    seconds: float
    peak: int


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ngpu", type=int)
    args = parser.parse_args()
    samples = round(args.seconds * RATE)
    device = pick_device(args.ngpu)
    print(f"{args.size} on {device}, batches of {args.batch} × {args.seconds:g} s, {args.threads} threads")
    print(f"{'':<18}{'samples/s':>12}{'s a step':>10}{'peak GB':>9}{'TFLOP/s':>9}{'of a product':>14}")
    for way in WAYS:
        took = alone(step, way, args, samples)
        done = args.batch * work(args.size, samples, way.freeze_cnn) / took.seconds
        part = done / alone(product, way.bf16, args)
        print(
            f"{way.name:<18}{args.batch * samples / took.seconds:>12,.0f}{took.seconds:>10.2f}{took.peak / 1e9:>9.2f}"
            f"{done / 1e12:>9.3f}{100 * part:>12.0f} %"
        )


def alone(function: object, *arguments: object) -> object:
    """What a function gives in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def step(way: Way, args: argparse.Namespace, samples: int) -> Took:
    """Steps of training in one way."""
    torch.set_num_threads(args.threads)
    device = pick_device(args.ngpu)
    torch.manual_seed(0)
    model = Wav2Vec2(Settings(trunk="wav2vec2", size=args.size, freeze_cnn=way.freeze_cnn)).to(device).train()
    model.recompute = way.recompute
    head = MarginHead(model.output_dim, SPEAKERS, "aam", 0.2, 30).to(device)
    optimiser = torch.optim.Adam([*model.parameters(), *head.parameters()], lr=1e-5)
    x_BN1 = torch.randn(args.batch, samples, 1, device=device)
    speaker_B = torch.arange(args.batch, device=device)
    best = float("inf")
    for _ in range(STEPS):
        finish(device)
        since = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        for part in torch.arange(args.batch).chunk(way.parts):
            with torch.autocast(device.type, torch.bfloat16, enabled=way.bf16):
                loss = head(model.embed(x_BN1[part]), speaker_B[part]).loss
            (loss * len(part) / args.batch).backward()
        optimiser.step()
        finish(device)
        best = min(best, time.perf_counter() - since)
    peak = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else held()
    return Took(best, peak)


def held() -> int:
    """The most bytes that this process held."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def product(bf16: bool, args: argparse.Namespace) -> float:
    """Operations a second of a product of two large matrices."""
    torch.set_num_threads(args.threads)
    device, size = pick_device(args.ngpu), 8192 if pick_device(args.ngpu).type == "cuda" else 2048
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    best = float("inf")
    for _ in range(6):
        finish(device)
        since = time.perf_counter()
        a @ a
        finish(device)
        best = min(best, time.perf_counter() - since)
    return 2 * size**3 / best


def finish(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def work(size: str, samples: int, freeze_cnn: bool) -> float:
    """Operations of a step with one chunk: forward once, and backward twice of what is trained."""
    widths, length, channels, cnn = SIZES[size], samples, 1, 0.0
    for width, stride in CONVOLUTIONS:
        length = (length - width) // stride + 1
        cnn += 2 * length * width * channels * widths.channels
        channels = widths.channels
    transformer = operations(widths, np.array([num_tokens(samples)]))[0]
    return cnn * (1 if freeze_cnn else 3) + 3 * transformer


if __name__ == "__main__":
    main()
