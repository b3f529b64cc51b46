"""The figures of a scored trial list: what a row of the results table holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sv.bootstrap import bootstrap_ci
from sv.data.trials import Trials
from sv.metrics import eer_nearest, eer_rocch, min_cllr, min_dcf
from sv.roc import Roc

EER_DEFINITION = (
    "EER on the convex hull of the ROC; in brackets its 95 % interval over speakers (bias-corrected bootstrap, 1000"
    " replicates). minDCF at target priors .05 and .01, costs 1, over the cost of the better trivial decision."
    " min Cllr in bits, after the best monotone mapping."
)


@dataclass(frozen=True)
class Row:
    """One system, back end and trial list. Rates are fractions; `eer_interval` is None where speakers are unknown."""

    system: str
    backend: str
    trials: str
    seed: int
    eer: float
    eer_interval: tuple[float, float] | None
    eer_nearest: float
    min_dcf_05: float
    min_dcf_01: float
    min_cllr: float
    num_trials: int
    num_targets: int
    num_speakers: int
    published_eer: float | None
    published_source: str | None


def figures(trials: Trials, scores_N: np.ndarray, speaker: Mapping[str, str]) -> tuple[dict[str, object], Roc]:
    """The figures of a row, and the ROC they come from.

    Args:
        trials: labelled trials.
        scores_N: their scores, (N,).
        speaker: of every model and test id; without all of them there is no interval.
    """
    roc = Roc.from_scores(scores_N, trials.is_target)
    interval, num_speakers = None, 0
    if all(i in speaker for ids in (trials.enrol, trials.test) for i in ids):
        enrol, test = ([speaker[i] for i in ids] for ids in (trials.enrol, trials.test))
        boot = bootstrap_ci(scores_N, trials.is_target, enrol, test, {"eer": eer_rocch})
        interval, num_speakers = boot.intervals["eer"], boot.n_speakers
    return {
        "eer": eer_rocch(roc),
        "eer_interval": interval,
        "eer_nearest": eer_nearest(roc),
        "min_dcf_05": min_dcf(roc, 0.05),
        "min_dcf_01": min_dcf(roc, 0.01),
        "min_cllr": min_cllr(roc),
        "num_trials": len(trials),
        "num_targets": trials.num_targets,
        "num_speakers": num_speakers,
    }, roc


HEADER = (
    "system",
    "back end",
    "trial list",
    "EER %",
    "95 % interval",
    "minDCF.05",
    "minDCF.01",
    "min Cllr",
    "trials",
    "paper's EER %",
)


def cells(row: Row) -> tuple[str, ...]:
    """A row's text, as in `HEADER`."""
    low_high = "–" if row.eer_interval is None else f"{100 * row.eer_interval[0]:.2f}–{100 * row.eer_interval[1]:.2f}"
    return (
        row.system,
        row.backend,
        row.trials,
        f"{100 * row.eer:.2f}",
        low_high,
        f"{row.min_dcf_05:.3f}",
        f"{row.min_dcf_01:.3f}",
        f"{row.min_cllr:.3f}",
        f"{row.num_trials:,}",
        "–" if row.published_eer is None else f"{row.published_eer:.2f}",
    )


def text_table(rows: Sequence[Row]) -> list[str]:
    """The table for a terminal: columns lined up, figures to the right."""
    lines = [HEADER, *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    return [
        "  ".join(
            cell.ljust(w) if c < 3 else cell.rjust(w) for c, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def markdown_table(rows: Sequence[Row]) -> list[str]:
    """The table as Markdown."""
    rule = ["---"] * 3 + ["---:"] * (len(HEADER) - 3)
    return ["| " + " | ".join(line) + " |" for line in (HEADER, rule, *map(cells, rows))]
