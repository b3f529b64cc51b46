"""Crops of 2 s a second from the loader, augmented as they are read, beside a plain loader of the same kind.

    .venv/bin/python -m tests.bench.bench_online [--speech DIR] [--musan DIR] [--workers 2] [--batches 40] [--repeats 3]

`--speech` holds WAV or FLAC files at 16 kHz, at any depth, of which the first 1,000 of 2 s or more are taken, as 16-bit
WAV and as FLAC; `--musan` has MUSAN's layout. Noise stands for what is not given, or not there. Impulse responses are
synthetic always: 400 of half a second to a second, noise that decays. The files have just been written, so the disk
does not count.

`plain` is a reimplementation of how the VoxSRC 2020 authors' loader goes about it: an item is an utterance, whose
whole file is read by soundfile, as are a response or noises of 5 s for it, in float64 and with scipy.signal.convolve.
`authors` is ours by conf/augment_online/voxsrc_authors.yaml, which does the same to a crop, `aligned` ours by
voxsrc.yaml, and `clean` ours without augmentation. Each is timed in turn, several times over, from the start of its
workers on: the best in crops a second by the clock, with workers, and in processor time a crop, of one process alone
and of all together.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
import torch

from sv.augment.bank import NOISES, write_bank
from sv.augment.online import OnlineAugmenter
from sv.augment.online_config import read_online_augmentation
from sv.data.datadir import DataDir
from sv.data.tables import write_table
from sv.features.wave_reader import WaveReader
from sv.training.loader import batches
from sv.training.sampler import Batch, EveryRecording

CONF = Path(__file__).parents[2] / "conf" / "augment_online"
RATE, LENGTH, BATCH, PIECE = 16000, 32000, 200, 80000
ROOMS = ("smallroom", "mediumroom")


@dataclass
class Measured:
    """A loader's crops a second, processor seconds a crop with workers, and without, each as often as repeated."""

    rates: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--musan", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_sets(folder, args.speech)
        material = make_material(folder, args.musan)
        augment = {
            name: OnlineAugmenter.of(read_online_augmentation(CONF / f"{conf}.yaml"), folder / "bank", RATE)
            for name, conf in (("authors", "voxsrc_authors"), ("aligned", "voxsrc"))
        }
        loaders: dict[str, Callable[[int, int], Iterable]] = {
            "plain, WAV": lambda workers, count: plain(folder / "wav", material, workers, count),
            "authors, WAV": lambda workers, count: ours(folder / "wav", augment["authors"], workers, count),
            "aligned, WAV": lambda workers, count: ours(folder / "wav", augment["aligned"], workers, count),
            "clean, WAV": lambda workers, count: ours(folder / "wav", None, workers, count),
            "aligned, FLAC": lambda workers, count: ours(folder / "flac", augment["aligned"], workers, count),
            "clean, FLAC": lambda workers, count: ours(folder / "flac", None, workers, count),
        }
        print(f"speech: {args.speech or 'noise'}; noises: {args.musan or 'synthetic'}; impulse responses: synthetic")
        print(f"{args.workers} workers, {os.cpu_count()} cores, batches of {BATCH} crops of {LENGTH / RATE:g} s")
        print(f"load before: {os.getloadavg()[0]:.1f} (0 is a quiet machine)")
        measured = {name: Measured() for name in loaders}
        for _ in range(args.repeats):
            for name, loader in loaders.items():
                rate, cost = timed(loader(args.workers, args.batches))
                measured[name].rates.append(rate)
                measured[name].together.append(cost)
                measured[name].alone.append(timed(loader(0, max(args.batches // 10, 2)))[1])
        print(f"{'':<14}{'crops/s':>9}{'ms/crop in one process':>24}{'in all':>8}  (the last two: processor time)")
        for name, of in measured.items():
            print(f"{name:<14}{max(of.rates):9.0f}{1000 * min(of.alone):24.3f}{1000 * min(of.together):8.3f}")


def timed(stream: Iterable[tuple[torch.Tensor, object]]) -> tuple[float, float]:
    """Crops a second by the clock, and processor seconds a crop of all processes, from start to end."""
    used, since, crops = processor_s(), time.perf_counter(), 0
    for x_BN, _ in stream:
        crops += len(x_BN)
    return crops / (time.perf_counter() - since), (processor_s() - used) / crops


def processor_s() -> float:
    """Of this process and of those that it has waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


class First:
    """The first batches of a sampler's first epoch."""

    def __init__(self, sampler: EveryRecording, count: int) -> None:
        self._sampler, self._count, self.seed = sampler, count, sampler.seed

    def __len__(self) -> int:
        return self._count

    def batch(self, epoch: int, index: int) -> Batch:
        return self._sampler.batch(epoch, index)


def ours(data: Path, augment: OnlineAugmenter | None, workers: int, count: int) -> Iterable:
    """So many batches from our loader."""
    reader = WaveReader(data, RATE)
    times = -(-count * BATCH // len(reader.num_frames))
    of = (reader.num_frames, DataDir.read(data).utt2spk, (LENGTH, LENGTH), BATCH, 1)
    sampler = EveryRecording(*of, chunks_per_recording=times)
    return batches(First(sampler, count), reader, 0, 1, workers, augment=augment)


class PlainDataset(torch.utils.data.Dataset):
    """An utterance an item, augmented in one of five ways, each file that is needed read whole."""

    def __init__(self, files: list[str], material: dict[str, list[str]], items: int) -> None:
        self._files, self._material, self._items = files, material, items

    def __len__(self) -> int:
        return self._items

    def __getitem__(self, item: int) -> tuple[np.ndarray, int]:
        audio_N = read_crop(self._files[item % len(self._files)])
        way = random.randint(0, 4)
        if way == 1:
            response, _ = soundfile.read(random.choice(self._material[random.choice(ROOMS)]))
            response = response / np.sqrt(np.sum(response**2))
            audio_N = scipy.signal.convolve(audio_N, response, mode="full")[:LENGTH]
        elif way > 1:
            kind, least, most, low, high = (
                ("music", 1, 1, 5, 15),
                ("speech", 3, 7, 13, 20),
                ("noise", 1, 1, 0, 15),
            )[way - 2]
            level = 10 * np.log10(np.mean(audio_N**2) + 1e-4)
            sum_N = audio_N
            for file in random.sample(self._material[kind], random.randint(least, most)):
                noise_N = read_crop(file)
                noise_level = 10 * np.log10(np.mean(noise_N**2) + 1e-4)
                sum_N = sum_N + 10 ** ((level - noise_level - random.uniform(low, high)) / 20) * noise_N
            audio_N = sum_N
        return audio_N.astype(np.float32), 0


def read_crop(file: str) -> np.ndarray:
    """A crop of a file that is read whole, float64."""
    audio_M, _ = soundfile.read(file)
    start = random.randint(0, len(audio_M) - LENGTH)
    return audio_M[start : start + LENGTH]


def plain(data: Path, material: dict[str, list[str]], workers: int, count: int) -> Iterable:
    """So many batches from the plain loader."""
    dataset = PlainDataset(sorted(DataDir.read(data).wav.values()), material, count * BATCH)
    return torch.utils.data.DataLoader(dataset, BATCH, num_workers=workers)


def make_sets(folder: Path, speech: Path | None) -> None:
    """FOLDER/wav and FOLDER/flac: the same utterances in two codings."""
    files = sorted(path for path in speech.rglob("*") if path.suffix in (".wav", ".flac")) if speech else range(1000)
    waves = []
    for file in files:
        wave_N = noise(int(RATE * 4 * 1.001**file), file) if speech is None else read_int16(file)
        if len(wave_N) >= LENGTH and len(waves) < 1000:
            waves.append(wave_N)
    if not waves:
        raise SystemExit(f"{speech}: no WAV or FLAC files of 2 s or more")
    for coding in ("wav", "flac"):
        (folder / coding).mkdir()
        wav = {f"spk{n % 40:02d}-{n:04d}": folder / coding / f"{n}.{coding}" for n in range(len(waves))}
        for path, wave_N in zip(wav.values(), waves, strict=True):
            soundfile.write(path, wave_N, RATE)
        DataDir({utt: utt.split("-")[0] for utt in wav}, {utt: str(path) for utt, path in wav.items()}).write(
            folder / coding
        )
        counts = {utt: len(wave_N) for utt, wave_N in zip(wav, waves, strict=True)}
        write_table(folder / coding / "utt2num_samples", counts)


def make_material(folder: Path, musan: Path | None) -> dict[str, list[str]]:
    """Our banks, FOLDER/bank, and the files of the plain loader by kind: responses, and noises in pieces of 5 s."""
    pieces: dict[str, list[str]] = {}
    for kind in NOISES:
        if musan and (musan / kind).is_dir():
            files = [str(path) for path in sorted((musan / kind).rglob("*")) if path.suffix in (".wav", ".flac")]
        else:
            files = [write_wav(folder / f"{kind}-{n}.wav", noise(PIECE * 4, n)) for n in range(60)]
        write_bank(folder / "bank", kind, RATE, files)
        pieces[kind] = []
        for n, file in enumerate(files):
            wave_N = read_int16(file)
            for start in range(0, max(len(wave_N) - PIECE, 1), 3 * RATE):
                piece_N = np.resize(wave_N[start:], PIECE)
                pieces[kind].append(write_wav(folder / f"piece-{kind}-{n}-{start}.wav", piece_N))
    rng = np.random.default_rng(0)
    for room in ROOMS:
        pieces[room] = []
        for n in range(200):
            length = int(rng.integers(RATE // 2, RATE))
            decay_M = np.exp(-np.arange(length) / 2000) * rng.standard_normal(length)
            decay_M[rng.integers(20, 400)] = 3
            pieces[room].append(write_wav(folder / f"{room}-{n}.wav", (5000 * decay_M).astype(np.int16)))
        write_bank(folder / "bank", room, RATE, pieces[room])
    return pieces


def noise(samples: int, seed: int) -> np.ndarray:
    """White noise, int16 (N,)."""
    return (1000 * np.random.default_rng(seed).standard_normal(samples)).astype(np.int16)


def read_int16(file: str | Path) -> np.ndarray:
    """A file's samples, int16 (N,)."""
    return soundfile.read(file, dtype="int16")[0]


def write_wav(path: Path, samples_N: np.ndarray) -> str:
    """A WAV file of 16 bits."""
    soundfile.write(path, samples_N, RATE)
    return str(path)


if __name__ == "__main__":
    main()
