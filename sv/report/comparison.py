"""Systems compared on one list: differences of figures with their intervals, and what the list is too small for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sv.bootstrap import Difference, bootstrap_difference, of_hull
from sv.data.trials import Trials
from sv.metrics import eer_rocch, min_dcf
from sv.report.figures import LEAST, errors_of
from sv.report.too_few import too_few
from sv.resampled import Speakers
from sv.roc import Roc

FIGURES = {
    "EER %": lambda roc: 100 * eer_rocch(roc),
    "minDCF.05": lambda roc: min_dcf(roc, 0.05),
    "minDCF.01": lambda roc: min_dcf(roc, 0.01),
}


def compared(
    trials: Trials, first_N: np.ndarray, others: Mapping[str, np.ndarray], speaker: Mapping[str, str], seed: int = 0
) -> dict[str, dict[str, Difference]]:
    """Of each other system, by its name, the differences of the first from it, by figure.

    Args:
        trials: labelled trials that all have scored.
        first_N, others: scores, (N,) each.
        speaker: of every model and test id.
    """
    enrol, test = ([speaker[i] for i in ids] for ids in (trials.enrol, trials.test))
    speakers = Speakers.of(enrol, test, trials.is_target)
    first = of_hull(first_N, trials.is_target, speakers, FIGURES)
    return {
        name: bootstrap_difference(
            first, of_hull(scores_N, trials.is_target, speakers, FIGURES), speakers.count, seed=seed
        )
        for name, scores_N in others.items()
    }


def lines_of(first: str, found: Mapping[str, Mapping[str, Difference]]) -> list[str]:
    """A table a figure: what each has, what the first has less that, and whether that tells them apart."""
    lines = []
    for figure in FIGURES:
        differences = {name: by[figure] for name, by in found.items()}
        rows = [
            [figure, "", "first − it", "95 % interval", "p", ""],
            [first, _figure(next(iter(differences.values())).one), "", "", "", ""],
            *([name, *_cells(of)] for name, of in differences.items()),
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            name, *figures, verdict = row
            cells = [name.ljust(widths[0]), *map(str.rjust, figures, widths[1:-1]), verdict]
            lines.append("  ".join(cells).rstrip())
        lines.append("")
    return lines


def too_small_for(trials: Trials, scores: Mapping[str, np.ndarray], num_speakers: int) -> list[str]:
    """What the list is too small for, a line each; see `sv.report.too_few`."""
    errors = []
    for name, scores_N in scores.items():
        roc = Roc.from_scores(scores_N, trials.is_target)
        errors.append((name, errors_of(LEAST.plain, LEAST.point, roc, roc)))
    return too_few(trials.num_targets, len(trials) - trials.num_targets, num_speakers, errors)


def _cells(of: Difference) -> list[str]:
    low, high = map(_signed, of.interval)
    return [_figure(of.other), _signed(of.difference), f"{low} … {high}", _p(of.p), _verdict(of)]


def _figure(value: float) -> str:
    return f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _p(value: float) -> str:
    return f"{value:.3f}".lstrip("0") if value < 1 else "1"


def _verdict(of: Difference) -> str:
    """Whether the interval leaves out 0; less is better of every figure."""
    if of.interval[0] <= 0 <= of.interval[1]:
        return "not told apart"
    return "the first is better" if of.difference < 0 else "the first is worse"
