"""Time and memory of the figures of a million trials, and of a bootstrap over the speakers of 40 k trials.

    .venv/bin/python -m tests.bench.bench_metrics [--trials 1000000] [--boot-trials 40000] [--n-boot 1000]

Prints one line a step; peak memory is the process's own at the end of the step, imports and scores included.
"""

import argparse
import resource
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from sv import metrics
from sv.bootstrap import bootstrap_ci, of_hull
from sv.report.det import plot_det
from sv.resampled import Speakers
from sv.roc import Roc


def peak_mib() -> float:
    """Highest resident memory of this process so far."""
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / 1024 if sys.platform != "darwin" else kib / 2**20


@contextmanager
def timed(what: str):
    start = time.perf_counter()
    yield
    print(f"{what:<58} {time.perf_counter() - start:7.3f} s   peak {peak_mib():6.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--boot-trials", type=int, default=40_000)
    parser.add_argument("--n-boot", type=int, default=1000)
    args = parser.parse_args()

    rng = np.random.default_rng(0)
    is_target = rng.random(args.trials) < 0.1
    scores = rng.normal(np.where(is_target, 4.0, 0.0), 2.0)
    print(f"{args.trials} trials, imports and scores alone: peak {peak_mib():.0f} MiB")
    with timed("all figures together"):
        with timed("  Roc.from_scores"):
            roc = Roc.from_scores(scores, is_target)
        for name in (
            "eer_rocch",
            "eer_nearest",
            "eer_kaldi",
            "min_cprimary",
            "act_cprimary",
            "cllr",
            "min_cllr",
        ):
            with timed(f"  {name}"):
                getattr(metrics, name)(roc)
        with timed("  min_dcf at 0.05 and 0.01"):
            metrics.min_dcf(roc, 0.05), metrics.min_dcf(roc, 0.01)
    with tempfile.TemporaryDirectory() as folder, timed("plot_det of three such curves"):
        plot_det({f"system {i}": [roc] for i in range(3)}, "bench", Path(folder) / "det.png")

    n, speakers = args.boot_trials, 40
    enrol = rng.integers(speakers, size=n)
    test = np.where(rng.random(n) < 0.5, enrol, (enrol + rng.integers(1, speakers, size=n)) % speakers)
    scores = rng.normal(np.where(enrol == test, 4.0, 0.0), 2.0)
    figures = {"eer": metrics.eer_rocch, "min_dcf_0.05": lambda roc: metrics.min_dcf(roc, 0.05)}
    for name, chosen in (("EER", ["eer"]), ("EER and minDCF", list(figures))):
        with timed(f"bootstrap of {name}, {args.n_boot} x {n} trials"):
            of = Speakers.of(enrol, test, enrol == test)
            hull = of_hull(scores, enrol == test, of, {k: figures[k] for k in chosen})
            result = bootstrap_ci(hull, of.count, n_boot=args.n_boot)
    print({name: f"{low:.4f} .. {high:.4f}" for name, (low, high) in result.intervals.items()})


if __name__ == "__main__":
    main()
