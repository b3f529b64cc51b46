"""Quality measures of a trial's sides, which calibration may weigh beside the score.

How much a score means depends on how much speech it is of. Measures are of one side; of a trial the least and the most
of its two sides count, so that which side is which does not matter (Thienpondt, Desplanques & Demuynck, "The IDLab
VoxSRC-20 submission: large margin fine-tuning and quality-aware score calibration in DNN based speaker verification",
ICASSP 2021, section 4). Letters in shapes: V vectors, N trials, M measures, Q = 2 M.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sv.data.atomic import atomic_write
from sv.data.tables import read_table
from sv.data.trials import Trials
from sv.data.vectors import Vectors
from sv.errors import DataError
from sv.scoring.normalisation import Statistics
from sv.systems.backends import Measure

SIDES = ("enrol", "test")


class Side(NamedTuple):
    """The measures of one side's ids: `x_VM`, of the ids of `keys`."""

    keys: list[str]
    x_VM: np.ndarray

    @classmethod
    def of(
        cls,
        measures: Sequence[Measure],
        vectors: Vectors,
        seconds: Mapping[str, float],
        against_cohort: Callable[[Vectors], Statistics] | None = None,
    ) -> Side:
        """Measure what is scored.

        `duration` is the logarithm of the seconds that the network heard (of a model, of all its utterances together),
        `norm` the Euclidean norm of the embedding before anything is subtracted, `cohort_mean` the mean of its scores
        against the cohort that normalises them.

        Args:
            vectors: as they are scored.
            seconds: of each key; only where `duration` is measured.
            against_cohort: what vectors score there; only where `cohort_mean` is measured.
        """
        found = {
            "duration": lambda: np.log([seconds[key] for key in vectors.keys]),
            "norm": lambda: np.linalg.norm(vectors.x_ND, axis=1),
            "cohort_mean": lambda: against_cohort(vectors).mean_N,
        }
        return cls(vectors.keys, np.stack([found[measure]() for measure in measures], axis=1))


def trial_quality(enrol: Side, test: Side, trials: Trials) -> np.ndarray:
    """The least and the most of each measure of both sides, (N, Q): least, most of the first, and so on."""
    rows = [{key: row for row, key in enumerate(side.keys)} for side in (enrol, test)]
    trials.require(rows[0].keys(), rows[1].keys(), "a quality measure")
    one_NM = enrol.x_VM[[rows[0][key] for key in trials.enrol]]
    other_NM = test.x_VM[[rows[1][key] for key in trials.test]]
    both_NM2 = np.stack([np.minimum(one_NM, other_NM), np.maximum(one_NM, other_NM)], axis=2)
    return both_NM2.reshape(len(trials), -1)


def names_of(measures: Iterable[Measure]) -> list[str]:
    """What the Q columns of `trial_quality` are called."""
    return [f"{end}_{measure}" for measure in measures for end in ("least", "most")]


def write_quality(path: Path, measures: Sequence[Measure], enrol: Side, test: Side) -> None:
    """Write both sides' measures: a line of names, then 'enrol|test ID value…' lines."""
    with atomic_write(path) as out:
        out.write(f"side id {' '.join(measures)}\n")
        for name, side in zip(SIDES, (enrol, test), strict=True):
            for key, x_M in zip(side.keys, side.x_VM.tolist(), strict=True):
                out.write(f"{name} {key} {' '.join(f'{x:.6f}' for x in x_M)}\n")


def read_quality(path: Path, measures: Sequence[Measure], trials: Trials) -> np.ndarray:
    """The measures of trials, (N, Q), as `write_quality` wrote them; DataError if there are none, or others."""
    try:
        header, *lines = [line.split() for line in path.read_text().splitlines()]
    except (OSError, ValueError):
        raise DataError(f"{path}: no quality measures are there; score again (stage 7)") from None
    if header != ["side", "id", *measures]:
        raise DataError(f"{path}: it has other measures than {', '.join(measures)}; score again (stage 7)")
    try:
        x_LM = np.array([line[2:] for line in lines], np.float64).reshape(len(lines), len(measures))
    except ValueError:
        raise DataError(f"{path}: a line is not 'side id' and {len(measures)} numbers; score again (stage 7)") from None
    if not np.isfinite(x_LM).all():
        raise DataError(f"{path}: a measure is not a number; score again (stage 7)")
    rows = {name: [row for row, line in enumerate(lines) if line[0] == name] for name in SIDES}
    enrol, test = (Side([lines[row][1] for row in rows[name]], x_LM[rows[name]]) for name in SIDES)
    return trial_quality(enrol, test, trials)


def seconds_heard(embeddings: Path, keys: Iterable[str]) -> dict[str, float]:
    """What a network heard of utterances, in seconds, of a folder of embeddings; DataError if that is not known."""
    path = embeddings / "utt2dur"
    if not path.exists():
        raise DataError(f"{path} is missing, which quality: duration needs; extract anew (--stage 5 --force)")
    held = read_table(path)
    return {key: float(held[key]) for key in keys}
