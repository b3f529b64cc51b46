"""Crops of 2 s a second from the loader, of files and of archives, cold and warm; and what converting costs.

    .venv/bin/python -m tests.bench.bench_storage [--speech DIR] [--files 10000] [--workers 2] [--crops 20000]

As many recordings as asked for, as long as VoxCeleb2's are (4 s and more, 7.8 s in the mean), pieces of the WAV or FLAC
files below `--speech` or else noise, which FLAC does not make smaller. They are written as 16-bit WAV and, a twentieth
of them, as AAC of 64 kbit/s in m4a; `steps/convert_audio.sh` makes the rest. `cold` is with nothing of the recordings
in the page cache, `warm` right after it. The crops are those of one sampler and the same of each storage, which is
checked. Headers are opened by `steps/measure_audio.sh`, which starts within that time: of what was converted to, and of
the m4a. Of a network disk, where opening a file costs more than here, this says nothing. `--work DIR` is on the disk
that is measured.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soundfile
import torch

from sv.data.datadir import DataDir
from sv.features.wave_reader import WaveReader
from sv.training.loader import batches
from sv.training.sampler import Batch, EveryRecording

RATE, LENGTH, BATCH, SEED = 16000, 32000, 100, 1
FORMS = ("wav", "flac", "wav.ark", "flac.ark")
OF_AAC = 20  # recordings of which one is AAC too


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--crops", type=int, default=20_000)
    parser.add_argument("--work", type=Path, help="folder on the disk that is measured")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=args.work) as temporary:
        folder = Path(temporary)
        seconds = make_sets(folder, args.speech, args.files)
        print(f"{args.files} recordings, {seconds / args.files:.1f} s in the mean: {args.speech or 'noise'}")
        print(f"load before: {os.getloadavg()[0]:.1f} (0 is a quiet machine); {os.cpu_count()} cores")
        print(f"\none job\n{'from':<6}{'to':<10}{'recordings/s':>13}{'x real time':>13}{'bytes/s':>9}{'headers/s':>11}")
        for source, form in (*(("wav", form) for form in FORMS[1:]), ("m4a", "flac"), ("m4a", "wav.ark")):
            convert(folder, source, form)
        print(f"\n{args.workers} workers, batches of {BATCH}, {args.crops} crops of {LENGTH / RATE:g} s")
        print(f"{'':<10}{'GB':>6}{'cold, crops/s':>15}{'warm':>8}{'MB/s read cold':>16}")
        digests = set()
        for form in FORMS:
            data = folder / ("original" if form == "wav" else f"wav-{form}")
            evict(data)
            (cold, digest, got), (warm, again, _) = (throughput(data, args.workers, args.crops) for _ in range(2))
            digests |= {digest, again}
            size = sum(os.path.getsize(file) for file in files_below(data))
            print(f"{form:<10}{size / 1e9:6.2f}{cold:15.0f}{warm:8.0f}{got / 1e6:16.0f}")
        print("the same crops of each" if len(digests) == 1 else f"NOT the same crops: {digests}")


def make_sets(folder: Path, speech: Path | None, count: int) -> float:
    """FOLDER/original, all as WAV, and FOLDER/aac, some as m4a; the seconds of the first."""
    sources = sorted(path for path in speech.rglob("*") if path.suffix in (".wav", ".flac")) if speech else []
    total, of_wav, of_aac = 0.0, {}, {}
    for number in range(count):
        rng = np.random.default_rng([SEED, number])
        samples = int(RATE * (4 + rng.exponential(3.8)))
        wave_N = piece(sources, samples, rng)
        total += samples / RATE
        speaker = number % max(count // 180, 2)
        name = f"id{speaker:05d}-{number:07d}"
        of_wav[name] = folder / f"audio/{speaker:05d}/{number}.wav"
        of_wav[name].parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(of_wav[name], wave_N, RATE)
        if number % OF_AAC == 0:
            of_aac[name] = folder / f"m4a/{number}.m4a"
            of_aac[name].parent.mkdir(exist_ok=True)
            write_aac(of_aac[name], wave_N)
    for name, paths in (("original", of_wav), ("aac", of_aac)):
        wav = {utt: str(path) for utt, path in paths.items()}
        DataDir({utt: utt.split("-")[0] for utt in wav}, wav).write(folder / name)
    return total


def piece(sources: list[Path], samples: int, rng: np.random.Generator) -> np.ndarray:
    """So many samples, int16 (N,), of files one after the other, from a random one on, or of noise."""
    if not sources:
        return (1000 * rng.standard_normal(samples)).astype(np.int16)
    at, parts, left = int(rng.integers(len(sources))), [], samples
    while left:
        wave_N = soundfile.read(sources[at % len(sources)], dtype="int16")[0][:left]
        parts.append(wave_N)
        left, at = left - len(wave_N), at + 1
    return np.concatenate(parts)


def write_aac(path: Path, wave_N: np.ndarray) -> None:
    """AAC in MP4."""
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=RATE)
        stream.bit_rate, stream.layout = 64_000, "mono"
        frame = av.AudioFrame.from_ndarray(wave_N[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        out.mux([*stream.encode(frame), *stream.encode(None)])


def convert(folder: Path, source: str, form: str) -> None:
    """One conversion by the command, with a line of the table."""
    data, out = folder / {"wav": "original", "m4a": "aac"}[source], folder / f"{source}-{form}"
    since = time.perf_counter()
    command("convert_audio", "--to", form, "--rate", RATE, data, out)
    took = time.perf_counter() - since
    headers = timed_headers(out)
    if source == "m4a":
        headers = timed_headers(data)
    seconds = sum(WaveReader(out, RATE).num_frames.values()) / RATE
    count, size = len(DataDir.read(out)), sum(map(os.path.getsize, files_below(out)))
    print(
        f"{source:<6}{form:<10}{count / took:13.0f}{seconds / took:13.0f}{size / seconds:9.0f}{count / headers:11.0f}"
    )


def timed_headers(data: Path) -> float:
    """Seconds that opening all headers takes."""
    for record in data.glob(".done/measure_audio*"):
        record.unlink()
    since = time.perf_counter()
    command("measure_audio", "--rate", RATE, data)
    return time.perf_counter() - since


def command(name: str, *options: object) -> None:
    """A command of ours, silent."""
    words = [sys.executable, "-m", f"sv.cli.{name}", *map(str, options)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def files_below(data: Path) -> list[str]:
    """The files and archives of a data directory."""
    return sorted(
        {value.partition(".ark:")[0] + ".ark" * (".ark:" in value) for value in DataDir.read(data).wav.values()}
    )


def evict(data: Path) -> None:
    """Nothing of a data directory's recordings is in memory any more."""
    os.sync()
    for file in files_below(data):
        handle = os.open(file, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


class First:
    """The first batches of a sampler's first epoch."""

    def __init__(self, sampler: EveryRecording, count: int) -> None:
        self._sampler, self._count, self.seed = sampler, count, sampler.seed

    def __len__(self) -> int:
        return self._count

    def batch(self, epoch: int, index: int) -> Batch:
        return self._sampler.batch(epoch, index)


def throughput(data: Path, workers: int, crops: int) -> tuple[float, int, float]:
    """Crops a second, a digest of them, and bytes a second that came from the disk."""
    if not (data / "utt2num_samples").exists():
        command("measure_audio", "--rate", RATE, data)
        evict(data)
    reader = WaveReader(data, RATE)
    count = crops // BATCH
    sampler = EveryRecording(
        reader.num_frames,
        DataDir.read(data).utt2spk,
        (LENGTH, LENGTH),
        BATCH,
        SEED,
        chunks_per_recording=-(-crops // len(reader.num_frames)),
    )
    digest, before, since = 0, disk_bytes(), time.perf_counter()
    stream: Iterator = batches(First(sampler, count), reader, 0, 1, workers)
    for x_BN, _ in stream:
        digest = zlib.crc32(x_BN[:, ::100].numpy().tobytes(), digest)
    took = time.perf_counter() - since
    return count * BATCH / took, digest, (disk_bytes() - before) / took


def disk_bytes() -> int:
    """Read from all disks so far."""
    fields = (line.split() for line in open("/proc/diskstats"))  # noqa: SIM115 - closed with the process
    return sum(512 * int(line[5]) for line in fields if line[2].rstrip("0123456789") == line[2])


if __name__ == "__main__":
    main()
