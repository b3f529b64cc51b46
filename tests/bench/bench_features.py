"""Speed and memory of stage 1 on one core: WAV files to a finished archive, by the job that make_feats starts.

    .venv/bin/python tests/bench/bench_features.py [--files 600] [--repeats 9] [--conf conf/features/NAME.conf …]

Makes 16-bit WAV files at 16 kHz of about 3.6 s in a temporary folder (noise whose loudness rises and falls as
syllables do) and times `make_part`, on one core with one thread: reading the data directory and the recordings,
computing, writing and fsync. The start of Python and torch is told by itself. Prints the best and the median of the
repeats as times real time, and the best by processor time alone; other work on the machine makes them smaller.
"""

import argparse
import contextlib
import io
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
RATE = 16000
CONFIGURATIONS = [ROOT / "conf/features/fbank64_16k.conf", ROOT / "conf/features/mfcc23_8k.conf"]


def make_corpus(folder: Path, files: int) -> float:
    """WAV files and their data directory below `folder`; returns their seconds."""
    rng = np.random.default_rng(0)
    (folder / "wav").mkdir(parents=True)
    seconds, lines = 0.0, []
    for index in range(files):
        t = np.arange(int(RATE * rng.uniform(2.6, 4.6))) / RATE
        loudness = 10 ** (1.5 * np.sin(2 * np.pi * 4 * t) - 1)
        samples = np.clip(1000 * loudness * rng.standard_normal(len(t)), -32768, 32767).astype("<i2")
        path = folder / "wav" / f"{index:06d}.wav"
        with wave.open(str(path), "wb") as out:
            out.setparams((1, 2, RATE, 0, "NONE", ""))
            out.writeframes(samples.tobytes())
        seconds += t[-1]
        lines.append((f"spk{index % 40:02d}-{index:06d}", path))
    write_lists(folder / "data", lines)
    return seconds


def write_lists(data: Path, lines: list[tuple[str, Path]]) -> None:
    """wav.scp and utt2spk of utterances and their files."""
    data.mkdir()
    lines = sorted(lines)
    (data / "wav.scp").write_text("".join(f"{utt} {path}\n" for utt, path in lines))
    (data / "utt2spk").write_text("".join(f"{utt} {utt.split('-')[0]}\n" for utt, _ in lines))


def run_job(data: Path, conf: Path) -> tuple[float, float]:
    """Seconds of one job after the start of Python and torch, on the clock and of the processor."""
    from sv.cli.make_feats import make_part
    from sv.data.datadir import DataDir

    args = argparse.Namespace(conf=conf, seed=0, compress=False, allow_pipes=False, drop_bad_audio=False)
    args.job, args.nj, args.data = 1, 1, data
    start, processor_start = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        make_part(args, DataDir.read(data).split(1, 1), data / "feats" / conf.stem)
    return time.perf_counter() - start, time.process_time() - processor_start


def in_fresh_process(*words: object) -> tuple[float, list[float], list[float]]:
    """`measure` in a process of its own: peak memory in MiB, and the seconds of each repeat by either clock."""
    command = [sys.executable, __file__, "--measure", *map(str, words)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    peak, *times = map(float, said.split())
    return peak, times[::2], times[1::2]


def measure(data: Path, conf: Path, repeats: int) -> None:
    """Print the peak memory after a first job, and the seconds of every further one."""
    import torch  # noqa: F401 - its start is not what is timed

    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    run_job(data, conf)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    for _ in range(repeats):
        print(*run_job(data, conf))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--conf", type=Path, nargs="+", default=CONFIGURATIONS)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        data, conf, repeats = args.measure
        return measure(Path(data), Path(conf), int(repeats))

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        seconds = make_corpus(folder, args.files)
        print(f"{args.files} files, {seconds:.0f} s of audio; load of {os.cpu_count()} cores {os.getloadavg()[0]:.1f}")
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch, sv.features.kaldi, sv.data.ark"], check=True)
        print(f"start of Python and torch: {time.perf_counter() - start:.1f} s a job")
        for conf in args.conf:
            peak, wall, processor = in_fresh_process(folder / "data", conf, args.repeats)
            best, median, alone = (seconds / s for s in (min(wall), statistics.median(wall), min(processor)))
            print(
                f"{conf.stem:<12} {best:5.0f} x real time (median {median:.0f}, by processor time {alone:.0f}),"
                f" peak {peak:.0f} MiB"
            )
        tenfold = folder / "tenfold"
        files = sorted((folder / "wav").iterdir())
        write_lists(tenfold, [(f"spk{k}-{path.stem}", path) for k in range(10) for path in files])
        peak, _, _ = in_fresh_process(tenfold, args.conf[0], 0)
        print(f"{args.conf[0].stem}, a list ten times as long: peak {peak:.0f} MiB")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ["PYTHONPATH"] = str(ROOT)
    main()
