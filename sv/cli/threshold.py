"""Where to accept, for given costs: the log-likelihood ratio, the score of each back end, and what that does on lists.

The expected cost of a decision is least where pairs are accepted whose log-likelihood ratio reaches
log(C_fa (1 - P) / (C_miss P)). Ratios are those of calibrated scores (stage 8).
"""

from __future__ import annotations

from pathlib import Path

from sv.calibrated import HOW_TO, calibration_of
from sv.cli import Parser, run
from sv.cli.calibrate import scores_and_quality
from sv.data.trials import Trials, list_name
from sv.errors import DataError
from sv.metrics import act_dcf_point, bayes_threshold, min_dcf
from sv.records import record_of, require_whole
from sv.roc import Roc
from sv.run import Run
from sv.scoring.calibration import Calibration
from sv.scoring.trials import scored_trials


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_costs()
    parser.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")
    parser.add_argument("trials", type=Path, nargs="*", help="labelled lists that the run has scored: DATA/trials_NAME")
    args = parser.parse_args()
    this, costs = Run.open(args.run), (args.prior, args.c_miss, args.c_fa)
    threshold = bayes_threshold(*costs)
    lists = {path: labelled(path) for path in args.trials}
    calibrations = {backend: calibration(this, backend) for backend in this.system.scored_by}
    print(f"accept where the log-likelihood ratio is {threshold:.4f} or more")
    for backend, learnt in calibrations.items():
        print(f"{backend}: {of_scores(learnt, threshold)}")
        for path, trials in lists.items():
            print(f"  {list_name(path)}: {on_list(this, backend, learnt, path, trials, costs)}")


def calibration(this: Run, backend: str) -> Calibration:
    """That of a back end; DataError if there is none, or one of other scores than it now has."""
    if (found := calibration_of(this, backend)) is None:
        raise DataError(f"{this.path}: the scores of {backend} are not calibrated, so there is no threshold; {HOW_TO}")
    return found


def labelled(path: Path) -> Trials:
    """A list with labels; DataError if it has none."""
    trials = Trials.read(path)
    if trials.is_target is None:
        raise DataError(f"{path}: its trials have no labels, target or nontarget: nothing can be counted")
    return trials


def of_scores(calibration: Calibration, threshold: float) -> str:
    """What the threshold is of scores."""
    score = calibration.score_at(threshold)
    if score is not None:
        return f"scores from {score:.6g}"
    if calibration.quality:
        return f"no one score, as the measures {', '.join(calibration.quality)} weigh in"
    return "no score, as lower scores are more like targets; look at its calibration list"


def on_list(
    this: Run, backend: str, calibration: Calibration, path: Path, trials: Trials, costs: tuple[float, float, float]
) -> str:
    """The errors of a list's decisions, and their cost beside the least; DataError if its scores do not hold."""
    name = list_name(path)
    scores = this.scores(name, backend)
    require_whole(record_of(scores.name, scores.parent))
    scored = scored_trials(trials, this.dropped(name))
    scores_N, _, quality_NQ = scores_and_quality(this, backend, path, scored)
    roc = Roc.from_scores(calibration(scores_N, quality_NQ), scored.is_target)
    point = act_dcf_point(roc, *costs)
    return (
        f"misses {100 * point.miss:.2f} % of {roc.n_target:,}, accepts {100 * point.false_alarm:.2f} % of"
        f" {roc.n_nontarget:,} impostors; cost {point.cost:.3f}, of the best threshold {min_dcf(roc, *costs):.3f}"
    )


if __name__ == "__main__":
    run(main, __file__)
