"""Calibrate a run's scores: RUN/calibration/BACKEND.json, learnt on one list, RUN/scores/TRIALS.BACKEND.calibrated.

Calibrated scores are log-likelihood ratios in nats: accept where one is above log((1 - P) / P) at prior P; `python -m
sv threshold` says where, for other costs too. They are compressed where the scores are. Where a back end has quality
measures (`quality:`), these are weighed beside the score.
"""

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from sv.cli import Parser, run
from sv.data.trials import Trials, list_name, require_other_speakers, speaker_files, speakers_in
from sv.errors import ConfigError, DataError
from sv.metrics import cllr
from sv.records import Step, record_of
from sv.roc import Roc
from sv.run import Run
from sv.scoring.calibration import DEFAULT_PRIOR, Calibration
from sv.scoring.quality import names_of, read_quality
from sv.scoring.score_files import is_compressed, score_file
from sv.scoring.trials import read_scores, scored_trials, write_scores

FEW_SPEAKERS = 20  # of whom thresholds differ widely from draw to draw


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument(
        "--calibration",
        type=Path,
        required=True,
        metavar="CAL_TRIALS",
        help="labelled list to learn from, DATA/trials_NAME, of speakers that are in none of the others",
    )
    parser.add_argument(
        "--prior", type=float, default=DEFAULT_PRIOR, help="of a target, near which decisions are to be exact"
    )
    parser.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")
    parser.add_argument("trials", type=Path, nargs="+", help="lists to calibrate: DATA/trials_NAME")
    args = parser.parse_args()
    if not 0 < args.prior < 1:
        raise ConfigError(f"--prior lies between 0 and 1, not {args.prior:g}")
    this = Run.open(args.run)
    speakers = cache(speakers_in)  # of a list, which every back end asks for
    for backend in this.system.scored_by:
        step = learning_step(args, this, backend)
        if not step.skip():
            require_other_speakers(args.calibration, args.trials, speakers)
            learn(args, this, backend, step, speakers)
        for path in args.trials:
            step = applying_step(args, this, backend, path)
            if not step.skip():
                require_other_speakers(args.calibration, [path], speakers)
                apply(this, backend, path, step)


def learning_step(args: argparse.Namespace, this: Run, backend: str) -> Step:
    """The step that learns a back end's calibration."""
    made_of = scored(this, backend, args.calibration)
    return Step(
        f"calibrate.{backend}", this.calibration(backend).parent, inputs=made_of, settings={"prior": args.prior}
    )


def applying_step(args: argparse.Namespace, this: Run, backend: str, path: Path) -> Step:
    """The step that calibrates a back end's scores of a list."""
    out = this.calibrated(list_name(path), backend)
    learnt = record_of(f"calibrate.{backend}", this.calibration(backend).parent)
    beside = [args.calibration, *speaker_files(args.calibration)]
    return Step(out.name, out.parent, inputs=[*scored(this, backend, path), *beside, learnt])


def learn(args: argparse.Namespace, this: Run, backend: str, step: Step, speakers: Callable[[Path], set[str]]) -> None:
    """Learn a back end's calibration and say how it went."""
    path, out = args.calibration, this.calibration(backend)
    trials = scored_trials(Trials.read(path), this.dropped(list_name(path)))
    if trials.is_target is None:
        raise DataError(f"{path}: its trials have no labels, target or nontarget: nothing to learn from")
    scores = this.scores(list_name(path), backend)
    scores_N, names, quality_NQ = scores_and_quality(this, backend, path, trials)
    try:
        calibration = Calibration.learn(scores_N, trials.is_target, args.prior, names, quality_NQ)
    except DataError as error:
        raise DataError(f"{scores}: {error}") from None
    llr_N = calibration(scores_N, quality_NQ)
    before, after = (cllr(Roc.from_scores(s_N, trials.is_target)) for s_N in (scores_N, llr_N))
    counts = {
        "num_targets": trials.num_targets,
        "num_nontargets": len(trials) - trials.num_targets,
        "num_speakers": len(speakers(path)),
    }
    step.begin()
    trained_on = {"cllr_before": before, "cllr_after": after}  # flattering: of the trials that it has learnt from
    calibration.write(out, trials=list_name(path), **counts, cllr_on_its_training_trials=trained_on)
    step.done([out], **counts)
    weighed = "".join(f"{weight:+.4g} {name} " for name, weight in calibration.quality.items())
    print(
        f"{out}: {calibration.slope:.4g} s {weighed}{calibration.offset:+.4g} at prior {args.prior:g}; Cllr"
        f" {before:.3f} before,"
        f" {after:.3f} after, on the {len(trials)} trials that it was learnt from"
    )
    if 0 < counts["num_speakers"] < FEW_SPEAKERS:
        print(
            f"{out}: warning: {counts['num_speakers']} speakers are few to learn a calibration from"
            + (f", with {len(names)} measures above all" if names else "")
            + f"; {FEW_SPEAKERS} or more are wanted"
        )
    if calibration.separable:
        print(
            f"{out}: warning: no trial of {path} is on the wrong side, so no slope is the best; a ridge keeps it finite"
        )
    if calibration.slope < 0:
        print(f"{out}: warning: the slope is negative: lower scores are more like targets; is {path} rightly labelled?")


def apply(this: Run, backend: str, path: Path, step: Step) -> None:
    """Write a list's calibrated scores."""
    name = list_name(path)
    trials = scored_trials(Trials.read(path), this.dropped(name))
    scores_N, _, quality_NQ = scores_and_quality(this, backend, path, trials)
    calibration = Calibration.read(this.calibration(backend))
    step.begin()
    compress = is_compressed(this.scores(name, backend))
    out = write_scores(this.calibrated(name, backend), trials, calibration(scores_N, quality_NQ), compress)
    step.done([out], trials=len(trials))
    print(f"{out}: {len(trials)} log-likelihood ratios")


def scores_and_quality(
    this: Run, backend: str, path: Path, trials: Trials
) -> tuple[np.ndarray, list[str], np.ndarray | None]:
    """The scores (N,) of a list's trials, what their quality measures are called, and these, (N, Q), if it has any."""
    name, measures = list_name(path), this.system.measures(backend)
    scores_N = read_scores(this.scores(name, backend), trials)
    quality_NQ = read_quality(this.quality(name, backend), measures, trials) if measures else None
    return scores_N, names_of(measures), quality_NQ


def scored(this: Run, backend: str, path: Path) -> list[Path]:
    """All that decides the scores of a list, and whose they are."""
    name = list_name(path)
    scores = this.scores(name, backend)
    quality = [this.quality(name, backend)] if this.system.measures(backend) else []
    made = [score_file(scores), record_of(scores.name, scores.parent), this.dropped(name), *quality]
    return [path, *speaker_files(path), *made]


if __name__ == "__main__":
    run(main, __file__)
