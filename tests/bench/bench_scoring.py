"""How long a trial list takes to score.

    .venv/bin/python -m tests.bench.bench_scoring [dimensions]

Two lists of about a million trials: `dense`, 1000 models against 1000 test vectors, and `pairs`, as VoxCeleb1-H,
where each of 140 000 utterances is in a few trials. Times are of one process, in seconds.
"""

import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

from sv.backends.backend import Backend, train_backend
from sv.data.trials import Trials
from sv.data.vectors import Vectors
from sv.scoring.trials import read_scores, score_trials, write_scores
from sv.systems.backends import CosineBackend, PldaBackend


def lists(rng: np.random.Generator) -> dict[str, tuple[int, Trials]]:
    """Name -> (number of utterances, trials). Targets are pairs whose numbers are odd together."""
    first = rng.integers(0, 140_000 - 120, 1_000_000)
    near = first + rng.integers(0, 120, (2, len(first)))  # utterances of neighbouring numbers
    pairs = {"dense": (1000, np.indices((1000, 1000)).reshape(2, -1)), "pairs": (140_000, near)}
    return {
        name: (size, Trials([f"id{i:06d}" for i in e], [f"id{j:06d}" for j in t], (e + t) % 2 == 0))
        for name, (size, (e, t)) in pairs.items()
    }


def backends(rng: np.random.Generator, dim: int) -> dict[str, Backend]:
    """Cosine, and PLDA with an LDA that keeps every dimension, on 200 speakers of 20 vectors."""
    speaker_N = np.repeat(np.arange(dim + 50), 20)
    x_ND = rng.normal(size=(dim + 50, dim))[speaker_N] + rng.normal(size=(len(speaker_N), dim))
    return {
        "cosine": train_backend(CosineBackend(name="cosine"), x_ND, speaker_N),
        "plda": train_backend(PldaBackend(name="plda", lda_dim=dim), x_ND, speaker_N),
    }


def main() -> None:
    """Print the table."""
    dim = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    rng = np.random.default_rng(0)
    trained = backends(rng, dim)
    print(f"{'list':8}{'trials':>10}{'back end':>10}{'score':>8}{'write':>8}{'read trials':>13}{'read scores':>13}")
    with tempfile.TemporaryDirectory() as folder:
        for name, (size, trials) in lists(rng).items():
            vectors = Vectors(
                [f"id{i:06d}" for i in range(size)], rng.normal(size=(size, dim)), np.ones(size, np.int64)
            )
            trials.write(f"{folder}/trials")
            _, read_list = timed(lambda: Trials.read(f"{folder}/trials"))
            for backend_name, backend in trained.items():
                scores_N, score = timed(lambda: score_trials(backend, vectors, vectors, trials))  # noqa: B023
                _, write = timed(lambda: write_scores(f"{folder}/scores", trials, scores_N))  # noqa: B023
                _, read = timed(lambda: read_scores(f"{folder}/scores", trials))  # noqa: B023
                print(
                    f"{name:8}{len(trials):>10,}{backend_name:>10}{score:>8.2f}{write:>8.2f}{read_list:>13.2f}{read:>13.2f}"
                )


def timed(what: Callable[[], object]) -> tuple[object, float]:
    """What a call returns, and how many seconds it took."""
    started = time.perf_counter()
    return what(), time.perf_counter() - started


if __name__ == "__main__":
    main()
