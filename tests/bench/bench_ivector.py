"""How long a UBM and an i-vector extractor take to train, how much memory, and what error rate they give.

    .venv/bin/python -m tests.bench.bench_ivector TRAIN TEST... [--gauss 256] [--dim 150] [--seed 0] [--keep]

TRAIN and each TEST are feature folders (DATA/feats/NAME, with vad.scp) of 23 MFCC; trial lists are those of the
data directories of the tests. The configuration is that of the Kaldi run that recipes/voxceleb/RESULTS.md quotes:
deltas of order 2 and window 3, sliding mean of 300 frames, energy VAD, 256 full Gaussians, 150 dimensions, 5
iterations, LDA to 60, PLDA. Times are in seconds, of one process: by the clock, and of its processors, which other
work on the machine changes less; memory is the process's largest so far.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from sv.backends.backend import train_backend
from sv.backends.ivector import Extractor, StatsStream, extract, ubm_posteriors
from sv.backends.ivector_training import train_extractor
from sv.backends.ubm_training import train_diag_ubm, train_full_ubm
from sv.data.tables import read_table
from sv.data.trials import Trials, trial_files
from sv.data.vectors import Vectors
from sv.features.files import FeatureReader
from sv.metrics import eer_kaldi
from sv.roc import Roc
from sv.scoring.trials import score_trials
from sv.systems.backends import CosineBackend, PldaBackend


class Folder:
    """Utterances of a feature folder, read again in every pass."""

    def __init__(self, path: Path) -> None:
        self._reader = FeatureReader(path, vad="energy", cmn_window=300, deltas=(2, 3))

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        for utt in self._reader.num_frames:
            yield utt, self._reader.whole(utt)


class Clock:
    """Prints what each step took."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._last_cpu = time.process_time()
        print(f"{'':<34}{'step':>10}{'processor':>12}{'so far':>10}{'memory':>11}")

    def __call__(self, what: str) -> None:
        """Print what passed since the last call."""
        now, cpu = time.perf_counter(), time.process_time()
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        step, so_far, busy = now - self._last, now - self._start, cpu - self._last_cpu
        print(f"{what:<34}{step:>8.1f} s{busy:>10.1f} s{so_far:>8.1f} s{peak_mb:>8.0f} MB", flush=True)
        self._last, self._last_cpu = now, cpu


def main() -> None:
    """Train, extract, score, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("tests", type=Path, nargs="*")
    parser.add_argument("--gauss", type=int, default=256)
    parser.add_argument("--dim", type=int, default=150)
    parser.add_argument("--lda-dim", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--keep", action="store_true", help="statistics in memory; default: posteriors on disk")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    log: Callable[[str], None] = print if args.verbose else lambda line: None

    train, device, clock = Folder(args.train), torch.device(args.device), Clock()
    diag = train_diag_ubm(train, args.gauss, args.seed, device=device, log=log)
    clock(f"diagonal UBM, {diag.num_gauss} Gaussians")
    full = train_full_ubm(train, diag, device=device, log=log)
    clock(f"full UBM, {full.num_gauss} Gaussians")
    scratch = tempfile.TemporaryDirectory()
    file = None if args.keep else Path(scratch.name) / "posteriors"
    stats = StatsStream(train, ubm_posteriors(full), full.num_gauss, device, posteriors_file=file, second_order=True)
    if args.keep:
        stats = stats.kept()
        clock("statistics, kept")
    extractor = train_extractor(Extractor.initial(full, args.dim, args.seed), stats, iterations=5, log=log)
    clock("extractor, 5 iterations")
    vectors = dict(extract(extractor, stats))
    clock(f"i-vectors, {len(vectors)} utterances")
    utt2spk = read_table(args.train / "utt2spk")
    x_ND = np.stack(list(vectors.values()))
    _, speaker_N = np.unique([utt2spk[utt] for utt in vectors], return_inverse=True)
    backends = {
        "PLDA": train_backend(PldaBackend(name="plda", lda_dim=args.lda_dim), x_ND, speaker_N),
        "cosine": train_backend(CosineBackend(name="cosine"), x_ND, speaker_N),
    }
    clock("LDA and PLDA")
    for folder in args.tests:
        stream = StatsStream(Folder(folder), ubm_posteriors(full), full.num_gauss, device)
        table = dict(sorted(extract(extractor, stream)))
        test = Vectors(list(table), np.stack(list(table.values())), np.ones(len(table), int))
        rates = []
        for path in trial_files(folder.parents[1]).values():
            trials = Trials.read(path)
            for name, backend in backends.items():
                roc = Roc.from_scores(score_trials(backend, test, test, trials), trials.is_target)
                rates.append(f"{path.name} {name} EER (Kaldi's) {100 * eer_kaldi(roc):.1f} %")
        clock(f"{len(table)} test utterances, scores")
        print(f"    {folder}: {', '.join(rates)}")


if __name__ == "__main__":
    main()
