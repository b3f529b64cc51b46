"""How long trials of utterances of ten crops take to score.

    .venv/bin/python -m tests.bench.bench_crops [dimensions] [utterances of the sparse list]

Two lists: `dense`, a million trials of 1000 x 1000 of 5000 utterances, by mean cosine and by mean distance; `sparse`,
four trials to each of many utterances, as VoxCeleb1-E, by both. Beside them the rate of a loop that goes trial by trial
(two matrices from a table, their product, the mean), on some of the same trials. `read` is reading the embeddings.
"""

import itertools
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from sv.backends.backend import train_backend
from sv.data.ark import ArkWriter
from sv.data.trials import Trials
from sv.data.vectors import Vectors
from sv.scoring.trials import score_trials
from sv.systems.backends import CosineBackend, EuclideanBackend

CROPS, LOOP_TRIALS = 10, 10_000
BACKENDS = {
    "cosine": CosineBackend(name="cosine", centre=None),
    "euclidean": EuclideanBackend(name="euclidean"),
}


def write_set(folder: Path, size: int, dim: int, rng: np.random.Generator) -> Path:
    """A set of matrices."""
    with ArkWriter(folder / "xvector") as archive:
        for number in range(size):
            archive.write(f"id{number:06d}", rng.normal(size=dim) + rng.normal(size=(CROPS, dim)))
    return folder / "xvector.scp"


def dense(keys: list[str], rng: np.random.Generator) -> list[tuple[str, str]]:
    """All pairs of 1000 and 1000."""
    return list(itertools.product(rng.permutation(keys)[:1000].tolist(), rng.permutation(keys)[:1000].tolist()))


def sparse(keys: list[str], rng: np.random.Generator) -> list[tuple[str, str]]:
    """Each against four others."""
    return [(keys[i // 4], keys[j]) for i, j in enumerate(rng.integers(0, len(keys), 4 * len(keys)).tolist())]


def trial_by_trial(kind: str, table: dict[str, np.ndarray], pairs: list[tuple[str, str]]) -> list[float]:
    """The scores of a loop, of crops of length 1."""
    scores = []
    for enrol, test in pairs:
        cosines = table[enrol] @ table[test].T
        scores.append(cosines.mean() if kind == "cosine" else -np.sqrt(np.maximum(2 - 2 * cosines, 0)).mean())
    return scores


def main() -> None:
    """Print the table."""
    dim = int(sys.argv[1]) if len(sys.argv) > 1 else 512
    sizes = {"dense": 5000, "sparse": int(sys.argv[2]) if len(sys.argv) > 2 else 20_000}
    rng = np.random.default_rng(0)
    print(f"{dim} dimensions")
    print(f"{'list':8}{'utterances':>11}{'trials':>10}{'read s':>8}{'back end':>11}", end="")
    print(f"{'score s':>9}{'trials/s':>12}{'loop':>9}")
    for name, make in (("dense", dense), ("sparse", sparse)):
        with tempfile.TemporaryDirectory() as folder:
            scp = write_set(Path(folder), sizes[name], dim, rng)
            started = time.perf_counter()
            vectors = Vectors.read(scp, crops=True)
            read = time.perf_counter() - started
        pairs = make(vectors.keys, rng)
        trials = Trials([enrol for enrol, _ in pairs], [test for _, test in pairs], None)
        some = [pairs[i] for i in rng.permutation(len(pairs))[:LOOP_TRIALS]]
        unit = vectors.crops.x_CD / np.linalg.norm(vectors.crops.x_CD, axis=1, keepdims=True)
        table = dict(zip(vectors.keys, unit.reshape(len(vectors.keys), CROPS, -1), strict=True))
        for kind, settings in BACKENDS.items():
            backend = train_backend(settings, vectors.x_ND[:100], np.arange(100) // 2)
            started = time.perf_counter()
            score_trials(backend, vectors, vectors, trials)
            score = time.perf_counter() - started
            started = time.perf_counter()
            trial_by_trial(kind, table, some)
            loop = len(some) / (time.perf_counter() - started)
            print(
                f"{name:8}{sizes[name]:>11,}{len(trials):>10,}{read:>8.2f}{kind:>11}{score:>9.2f}"
                f"{len(trials) / score:>12,.0f}{loop:>9,.0f}"
            )


if __name__ == "__main__":
    main()
