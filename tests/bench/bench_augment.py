"""Speed of augmented copies on one core: reading them, and their features beside those of the clean recordings.

    .venv/bin/python tests/bench/bench_augment.py [--files 300] [--repeats 5] [--conf conf/features/NAME.conf]

Makes 16-bit WAV files at 16 kHz of about 8 s, as VoxCeleb's are long, 300 noises of 5 to 60 s and 200 impulse
responses of a second (noise, all of it), and times one process on one core with one thread: reading each kind of copies
alone, and `make_part` of the job that make_feats starts. Prints the best of the repeats as times real time, by
processor time; the first reading, which fills the memory of noises, is told by itself.
"""

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
RATE = 16000


def write_wav(path: Path, samples_N: np.ndarray) -> str:
    """A WAV file of 16 bits."""
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(np.clip(samples_N, -32768, 32767).astype("<i2").tobytes())
    return str(path)


def make_corpora(folder: Path, files: int) -> tuple[dict[str, str], dict[str, object], float]:
    """Speech by utterance, what the copies are made with, and the speech's seconds."""
    from sv.augment.copies import Noises

    rng = np.random.default_rng(0)

    def noise(name: str, seconds: float) -> str:
        return write_wav(folder / f"{name}.wav", 1000 * rng.standard_normal(int(RATE * seconds)))

    lengths = rng.uniform(4, 12, files)
    speech = {f"spk{n % 40:02d}-{n:06d}": noise(f"speech-{n}", s) for n, s in enumerate(lengths)}
    seconds = rng.uniform(5, 60, 300).tolist()
    noises = Noises([noise(f"noise-{n}", s) for n, s in enumerate(seconds)], seconds)
    decay_M = np.exp(-np.arange(RATE) / 2000)
    rooms = [write_wav(folder / f"room-{n}.wav", 30000 * decay_M * rng.standard_normal(RATE)) for n in range(200)]
    return speech, {"reverb": [rooms, rooms], "noise": noises, "music": noises, "babble": noises}, float(lengths.sum())


def read_all(data: object) -> float:
    """Processor seconds to read every utterance of a set."""
    from sv.data.utterance_audio import UtteranceReader

    start = time.process_time()
    with UtteranceReader(data) as reader:
        for utt in data.utterances:
            reader.read(utt)
    return time.process_time() - start


def features(data: Path, conf: Path) -> float:
    """Processor seconds of one job of make_feats after the start of Python and torch."""
    from sv.cli.make_feats import make_part
    from sv.data.datadir import DataDir

    args = argparse.Namespace(conf=conf, seed=0, compress=False, allow_pipes=False, drop_bad_audio=False)
    args.job, args.nj, args.data = 1, 1, data
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        make_part(args, DataDir.read(data), data / "feats" / conf.stem)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--conf", type=Path, default=ROOT / "conf/features/mfcc23_8k.conf")
    args = parser.parse_args()
    from sv.augment.config import read_augmentation
    from sv.augment.copies import copies_of
    from sv.data.datadir import DataDir

    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        speech, materials, seconds = make_corpora(folder, args.files)
        clean = DataDir({utt: utt.split("-")[0] for utt in speech}, speech)
        clean.write(folder / "clean")
        conf = read_augmentation(ROOT / "conf/augment/kaldi.yaml")
        print(f"{args.files} files, {seconds:.0f} s of audio; load of {os.cpu_count()} cores {os.getloadavg()[0]:.1f}")
        features(folder / "clean", args.conf)  # what torch does once
        for kind in ("clean", *materials):
            data, first = clean, ""
            if kind != "clean":
                data = copies_of(clean, conf, {kind: materials[kind]}, 0, lambda _: 8.0)
                data.write(folder / kind)
                first = f" (first {seconds / read_all(data):.0f})"
            reading = min(read_all(data) for _ in range(args.repeats))
            computing = min(features(folder / kind, args.conf) for _ in range(args.repeats))
            print(
                f"{kind:<8} read {seconds / reading:6.0f} x real time{first:<14}"
                f" {args.conf.stem} {seconds / computing:5.0f} x, {1000 * computing / args.files:.1f} ms a recording"
            )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
