"""Scores of a trial list; score files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from sv.backends.backend import Backend
from sv.backends.scorer import Scorer
from sv.data.tables import read_table
from sv.data.trials import Trials
from sv.data.vectors import Vectors
from sv.errors import DataError
from sv.scoring.score_files import read_score_text, write_score_lines

BLOCK_SCORES = 1 << 22  # scores of a matrix that are held at once, 32 MiB
BLOCK_PAIRS = 512  # trials whose vectors are gathered at once: what a core's cache holds


def score_trials(backend: Backend, enrol: Vectors, test: Vectors, trials: Trials) -> np.ndarray:
    """The score of each trial, float64 (N,), in the list's order; ids are joined by name.

    Raises DataError naming ids without an embedding, and for embeddings of two sizes.
    """
    sizes = enrol.x_ND.shape[1], test.x_ND.shape[1]
    if len(set(sizes)) > 1:
        raise DataError(f"the models' embeddings have {sizes[0]} dimensions, the tests' {sizes[1]}; rerun stage 5")
    enrol_row, test_row = enrol.index(), test.index()
    trials.require(enrol_row.keys(), test_row.keys(), "an embedding")
    models, model_N = np.unique([enrol_row[key] for key in trials.enrol], return_inverse=True)
    tests, test_N = np.unique([test_row[key] for key in trials.test], return_inverse=True)
    few_pairs = len(trials) * backend.pair_cost < len(models) * len(tests)
    if few_pairs and enrol is test:  # then most are on both sides, and what is made of them is kept once
        used = np.union1d(models, tests)
        model_N, test_N = np.searchsorted(used, models)[model_N], np.searchsorted(used, tests)[test_N]
        one = other = enrol.take(used)
    else:
        one, other = enrol.take(models), test.take(tests)
    scores_N = (_by_pairs if few_pairs else _by_blocks)(backend.scorer(one, other), model_N, test_N)
    if not np.isfinite(scores_N).all():
        worst = int(np.flatnonzero(~np.isfinite(scores_N))[0])
        raise DataError(f"the score of trial {trials.enrol[worst]} {trials.test[worst]} is not a number")
    return scores_N


def _by_blocks(scorer: Scorer, model_N: np.ndarray, test_N: np.ndarray) -> np.ndarray:
    """Score blocks of models against all tests, and pick the trials."""
    scores_N = np.empty(len(model_N))
    order_N = np.argsort(model_N, kind="stable")
    num_models, num_tests = scorer.shape
    step = max(1, BLOCK_SCORES // num_tests)
    starts = range(0, num_models, step)
    for start, trials in zip(
        starts, np.split(order_N, np.searchsorted(model_N, starts[1:], sorter=order_N)), strict=True
    ):
        scores_ET = scorer.block(start, min(start + step, num_models))
        scores_N[trials] = scores_ET[model_N[trials] - start, test_N[trials]]
    return scores_N


def _by_pairs(scorer: Scorer, model_N: np.ndarray, test_N: np.ndarray) -> np.ndarray:
    """Score trial by trial, a model's together."""
    scores_N = np.empty(len(model_N))
    order_N = np.argsort(model_N, kind="stable")
    for start in range(0, len(order_N), BLOCK_PAIRS):
        trials = order_N[start : start + BLOCK_PAIRS]
        scores_N[trials] = scorer.pairs(model_N[trials], test_N[trials])
    return scores_N


def scored_trials(trials: Trials, dropped: Path) -> Trials:
    """The trials of a list but for those that scoring left out for want of an embedding: `dropped` names the ids."""
    if not dropped.exists():
        return trials
    gone = read_table(dropped).keys()
    return trials.with_ids(set(trials.enrol) - gone, set(trials.test) - gone)[0]


def write_scores(path: str | os.PathLike[str], trials: Trials, scores_N: np.ndarray, compress: bool = False) -> Path:
    """Write `enrol test score` lines in the list's order, to PATH or, compressed, to PATH.gz; the file written."""
    lines = (f"{e} {t} {s:.6f}\n" for e, t, s in zip(trials.enrol, trials.test, scores_N.tolist(), strict=True))
    return write_score_lines(Path(path), lines, compress)


def read_scores(path: str | os.PathLike[str], trials: Trials) -> np.ndarray:
    """The scores (N,) of a trial list, of PATH or PATH.gz, joined by both ids whatever the file's order.

    Raises DataError for a missing file, a malformed line, a trial with two scores, a score that is not a number, and
    trials without a score.
    """
    path = Path(path)
    text = read_score_text(path)
    scores_N = _in_order(text, trials)
    if scores_N is not None and not trials.has_repeats:
        return scores_N
    scores: dict[tuple[str, str], float] = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            enrol, test, score = line.split()
            value = float(score)
        except ValueError:
            raise DataError(f"{path}:{number}: {line!r} is not 'enrol test score'") from None
        if value != value:
            raise DataError(f"{path}:{number}: the score of {enrol} {test} is not a number")
        if scores.setdefault((enrol, test), value) != value:  # a list may hold a trial twice, with one score
            raise DataError(f"{path}:{number}: {enrol} {test} has another score in an earlier line")
    pairs = trials.pairs()
    if missing := [pair for pair in pairs if pair not in scores]:
        raise DataError(f"{path}: {len(missing)} of {len(pairs)} trials have no score (first: {' '.join(missing[0])})")
    return np.array([scores[pair] for pair in pairs])


def _in_order(text: str, trials: Trials) -> np.ndarray | None:
    """The scores if the file has exactly the list's trials in its order, as we write it: several times as fast."""
    words = text.split()
    if len(words) != 3 * len(trials) or words[::3] != trials.enrol or words[1::3] != trials.test:
        return None
    try:
        scores_N = np.array(words[2::3], np.float64)
    except ValueError:
        return None
    return None if np.isnan(scores_N).any() else scores_N
