"""How long a classifier back end takes to train and to embed.

    .venv/bin/python -m tests.bench.bench_classifier [vectors] [dimensions] [speakers]

By default 20 000 vectors of 512 dimensions of 1000 speakers, with the settings of conf/backends. Processor seconds, of
one thread, which is all that training uses: on a machine that is not busy, as many by the clock.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch

from sv.backends.backend import train_backend
from sv.systems.reading import find_systems, load_system


def main() -> None:
    """Print the table."""
    given = [int(argument) for argument in sys.argv[1:]]
    N, D, S = given + [20_000, 512, 1000][len(given) :]
    rng = np.random.default_rng(0)
    speaker_N = rng.integers(S, size=N)
    x_ND = rng.normal(size=(S, D))[speaker_N] + 2 * rng.normal(size=(N, D))
    torch.set_num_threads(1)
    print(f"{N:,} vectors of {D} dimensions, {S:,} speakers")
    for path in sorted(Path("conf/backends").glob("modular*.yaml")):
        system = load_system(find_systems("conf")["R28-softmax"], backends=[path])
        began = time.process_time()
        backend = train_backend(system.backends[path.stem], x_ND, speaker_N)
        trained = time.process_time()
        backend.embed(x_ND)
        done = time.process_time()
        print(f"{path.stem:16} train {trained - began:6.1f} s  embed {done - trained:5.2f} s", flush=True)


if __name__ == "__main__":
    main()
