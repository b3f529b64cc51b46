"""Scores of a trial list, in blocks of matrix products."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from sv.backends.backend import Backend
from sv.data.atomic import atomic_write
from sv.data.trials import Trials
from sv.data.vectors import Vectors
from sv.errors import DataError

BLOCK_MODELS = 512  # models scored together, against the test vectors that their trials name


def score_trials(backend: Backend, enrol: Vectors, test: Vectors, trials: Trials) -> np.ndarray:
    """The score of each trial, float64 (N,), in the list's order; ids are joined by name.

    Raises DataError naming ids without an embedding.
    """
    trials.require(set(enrol.keys), set(test.keys), "an embedding")
    enrol_row, test_row = enrol.index(), test.index()
    enrol_N = np.array([enrol_row[key] for key in trials.enrol])
    test_N = np.array([test_row[key] for key in trials.test])
    order = np.argsort(enrol_N, kind="stable")
    models, first = np.unique(enrol_N[order], return_index=True)
    scores_N = np.empty(len(trials))
    for start in range(0, len(models), BLOCK_MODELS):
        rows = models[start : start + BLOCK_MODELS]
        stop = first[start + BLOCK_MODELS] if start + BLOCK_MODELS < len(models) else len(order)
        block = order[first[start] : stop]
        tests, test_of = np.unique(test_N[block], return_inverse=True)
        scores_ET = backend.scores(enrol.x_ND[rows], enrol.num_utts_N[rows], test.x_ND[tests])
        scores_N[block] = scores_ET[np.searchsorted(rows, enrol_N[block]), test_of]
    if not np.isfinite(scores_N).all():
        worst = int(np.flatnonzero(~np.isfinite(scores_N))[0])
        raise DataError(f"the score of trial {trials.enrol[worst]} {trials.test[worst]} is not a number")
    return scores_N


def write_scores(path: str | os.PathLike[str], trials: Trials, scores_N: np.ndarray) -> None:
    """Write `enrol test score` lines in the list's order."""
    with atomic_write(path) as out:
        out.writelines(
            f"{e} {t} {s:.6f}\n" for e, t, s in zip(trials.enrol, trials.test, scores_N.tolist(), strict=True)
        )


def read_scores(path: str | os.PathLike[str], trials: Trials) -> np.ndarray:
    """The scores (N,) of a trial list, joined by both ids whatever the file's order.

    Raises DataError for a missing file, a malformed line, a trial with two scores, a score that is not a number, and
    trials without a score.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); score first (stage 7)") from None
    scores: dict[tuple[str, str], float] = {}
    for number, line in enumerate(lines, 1):
        try:
            enrol, test, score = line.split()
            value = float(score)
        except ValueError:
            raise DataError(f"{path}:{number}: {line!r} is not 'enrol test score'") from None
        if value != value:
            raise DataError(f"{path}:{number}: the score of {enrol} {test} is not a number")
        if scores.setdefault((enrol, test), value) != value:  # a list may hold a trial twice, with one score
            raise DataError(f"{path}:{number}: {enrol} {test} has another score in an earlier line")
    pairs = list(zip(trials.enrol, trials.test, strict=True))
    if missing := [pair for pair in pairs if pair not in scores]:
        raise DataError(f"{path}: {len(missing)} of {len(pairs)} trials have no score (first: {' '.join(missing[0])})")
    return np.array([scores[pair] for pair in pairs])
