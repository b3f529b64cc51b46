"""How long the search for the weights of a fusion takes on a list as large as the VoxSRC 2020 validation list.

    .venv/bin/python -m tests.bench.bench_fusion [systems …]

263,486 trials, half of them targets; weights 0 to 3. Beside it what one weight costs by sorting all trials.
"""

import sys
import time

import numpy as np

from sv.metrics import eer_rocch
from sv.roc import Roc
from sv.scoring.weight_search import search

TRIALS = 263_486


def main() -> None:
    """Print the table."""
    print(f"{'systems':>7}{'metric':>9}{'way':>12}{'tried':>8}{'s':>8}{'CPU s':>8}{'ms each':>9}{'ms sorted':>11}")
    for systems in map(int, sys.argv[1:] or ("4", "6")):
        rng = np.random.default_rng(0)
        is_target_N = rng.random(TRIALS) < 0.5
        apart_M1 = np.linspace(2.5, 3.5, systems)[:, None]
        scores_MN = apart_M1 * is_target_N + 0.8 * rng.normal(size=TRIALS) + rng.normal(size=(systems, TRIALS))
        started = time.perf_counter()
        eer_rocch(Roc.from_scores(scores_MN.sum(0), is_target_N))
        whole = time.perf_counter() - started
        for metric in ("eer", "min_dcf"):
            started, cpu = time.perf_counter(), time.process_time()
            found = search(scores_MN, is_target_N, metric)
            took, cpu = time.perf_counter() - started, time.process_time() - cpu
            print(
                f"{systems:>7}{metric:>9}{found.way:>12}{found.tried:>8,}{took:>8.1f}{cpu:>8.1f}"
                f"{1000 * took / found.tried:>9.1f}{1000 * whole:>11.1f}"
            )


if __name__ == "__main__":
    main()
