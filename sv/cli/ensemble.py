"""Average the scores of an ensemble's runs: RUN/scores/TRIALS.mean, lines 'enrol test score', joined by both ids.

The mean is weighted if the ensemble has weights, or had them searched (fuse). A trial that one of the runs could not
score is left out, and stands in RUN/scores/TRIALS.dropped.txt.
"""

import argparse
import os
import re
from pathlib import Path

import numpy as np

from sv.cli import Parser, run
from sv.cli.calibrate import list_name, require_other_speakers, speaker_files
from sv.data.datadir import write_dropped
from sv.data.tables import read_table
from sv.data.trials import Trials
from sv.errors import ConfigError, DataError
from sv.records import Step, record_of
from sv.run import Run
from sv.scoring.fusion import Impostors, mean_score
from sv.scoring.trials import read_scores, scored_trials, write_scores
from sv.scoring.weight_search import Tuned
from sv.systems.ensembles import Ensemble
from sv.systems.system import System


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument(
        "--calibration", type=Path, metavar="CAL_TRIALS", help="labelled list of other speakers; it is averaged as well"
    )
    add_options_of_runs(parser)
    parser.add_argument(
        "--weights", metavar="W,W,…", help="with --of: whole numbers, one for each run (None: the same)"
    )
    parser.add_argument("run", type=Path, help="the ensemble's folder, EXP/NAME/seedN; made with --of")
    parser.add_argument("trials", type=Path, nargs="+", help="lists that the runs have scored: DATA/trials_NAME")
    args = parser.parse_args()
    if args.weights and not args.of:
        raise ConfigError("--weights are of an ensemble that is made of runs, with --of RUN")
    this, members = opened(args, weights=weights_of(args) if args.weights else {})
    for path in dict.fromkeys([*([args.calibration] if args.calibration else []), *args.trials]):
        step = step_of(args, this, members, path)
        if not step.skip():
            average(args, this, members, path, step)
    if args.of:
        this.write()


def add_options_of_runs(parser: Parser) -> None:
    """What makes an ensemble of any runs by hand."""
    parser.add_argument(
        "--of", type=Path, action="append", metavar="RUN", help="make an ensemble of this run and others; repeated"
    )
    parser.add_argument("--backend", help="with --of: whose scores, the name of a back end that all runs have")
    parser.add_argument(
        "--normalise",
        choices=("none", "nontargets"),
        help="with --of: nontargets first gives the non-targets of --calibration mean 0 and deviation 1 (None: none)",
    )


def opened(args: argparse.Namespace, **of_runs: object) -> tuple[Run, list[Run]]:
    """The ensemble and its runs: the one that is there or, with --of, made by hand, which `of_runs` are settings of."""
    if not args.of and (args.backend or args.normalise):
        raise ConfigError("--backend and --normalise are of an ensemble that is made of runs, with --of RUN")
    this = made_of_runs(args, of_runs) if args.of else Run.open(args.run)
    if not this.system.ensemble:
        raise ConfigError(f"{args.run} is {this.system.kind.called}; name the runs of an ensemble with --of RUN")
    if this.system.ensemble.normalise != "none" and not args.calibration:
        raise ConfigError(f"{args.run}: its scores are normalised by the non-targets of --calibration CAL_TRIALS")
    members = this.members()
    for member in members:
        if (wanted := this.system.ensemble.backend) not in member.system.scored_by:
            raise ConfigError(f"{member.path} has no back end {wanted}; it has {', '.join(member.system.scored_by)}")
    return this, members


def made_of_runs(args: argparse.Namespace, more: dict[str, object]) -> Run:
    """The run of an ensemble of any runs, made by hand."""
    if not args.backend:
        raise ConfigError("--of: name the back end of the runs whose scores are averaged, with --backend")
    if not (named := re.fullmatch(r"seed(0|[1-9]\d*)", args.run.name)):
        raise ConfigError(f"{args.run}: the ensemble's folder is called EXP/NAME/seedN, as any run's")
    folders = folders_of(args)
    if len(folders) < 2:
        raise ConfigError("--of: a mean is of two runs or more")
    ensemble = Ensemble(runs=folders, backend=args.backend, normalise=args.normalise or "none", **more)
    if (args.run / "config.yaml").exists() and Run.open(args.run).system.ensemble != ensemble:
        raise ConfigError(f"{args.run} is a run of something else; choose another folder, or remove it")
    return Run(args.run, args.run.absolute().parent.name, int(named[1]), System(ensemble=ensemble))


def folders_of(args: argparse.Namespace) -> tuple[str, ...]:
    """Those of the runs given, each once, as the ensemble's configuration has them."""
    return tuple(os.path.relpath(path, args.run) for path in dict.fromkeys(args.of))


def weights_of(args: argparse.Namespace) -> dict[str, int]:
    """Those of --weights, by run."""
    folders, weights = folders_of(args), args.weights.split(",")
    if len(weights) != len(folders) or not all(re.fullmatch(r"[1-9]\d{0,8}", weight) for weight in weights):
        raise ConfigError(f"--weights {args.weights}: give each of the {len(folders)} runs a whole number from 1")
    return dict(zip(folders, map(int, weights), strict=True))


def step_of(args: argparse.Namespace, this: Run, members: list[Run], path: Path) -> Step:
    """The step that averages the scores of a list."""
    out, ensemble = this.scores(list_name(path), "mean"), this.system.ensemble
    searched = [record_of("fuse", this.weights().parent)] if ensemble.search else []
    return Step(
        out.name,
        out.parent,
        inputs=[*scores_of(args, this, members, path), *searched],
        settings={"ensemble": ensemble.model_dump(mode="json")},
    )


def scores_of(args: argparse.Namespace, this: Run, members: list[Run], path: Path) -> list[Path]:
    """All that decides the runs' scores of a list, and what they are normalised by."""
    ensemble = this.system.ensemble
    lists = [path] if ensemble.normalise == "none" else list(dict.fromkeys([path, args.calibration]))
    names = [(member, list_name(each)) for each in lists for member in members]
    scores = [member.scores(name, ensemble.backend) for member, name in names]
    return [
        *lists,
        *(file for each in lists[1:] for file in (*speaker_files(each), *speaker_files(path))),
        *(file for each in scores for file in (each, record_of(each.name, each.parent))),
        *(member.dropped(name) for member, name in names),
    ]


def found_weights(this: Run, members: list[Run]) -> tuple[int, ...] | None:
    """The weight of each run, given or searched; None where there are none."""
    if not this.system.ensemble.search:
        return this.system.ensemble.given_weights
    weights = Tuned.read(this.weights()).weights
    try:
        return tuple(weights[os.path.relpath(member.path, this.path)] for member in members)
    except KeyError as error:
        raise DataError(
            f"{this.weights()}: no weight of {error.args[0]}; search them again with steps/fuse.sh"
        ) from None


def average(args: argparse.Namespace, this: Run, members: list[Run], path: Path, step: Step) -> None:
    """Write the mean scores of a list."""
    weights = found_weights(this, members)
    impostors = impostors_for(args, this, members, path)
    trials, scores_MN, dropped = all_scores(path, members, this.system.ensemble.backend)
    out, left_out = this.scores(list_name(path), "mean"), this.dropped(list_name(path))
    step.begin()
    write_dropped(left_out, dropped)
    write_scores(out, trials, mean_score(scores_MN, impostors, weights))
    step.done([out, *([left_out] if dropped else [])], trials=len(trials), dropped=len(dropped))
    without = f", without those of {len(dropped)} ids that a run left out: {left_out.name}" if dropped else ""
    by = f" by weights {' '.join(map(str, weights))}" if weights else ""
    print(f"{out}: {len(trials)} trials, each the mean of {len(members)} scores{by}{without}")


def impostors_for(args: argparse.Namespace, this: Run, members: list[Run], path: Path) -> Impostors | None:
    """By which the scores of a list are normalised, if they are; DataError if it shares the calibration speakers."""
    if this.system.ensemble.normalise == "none":
        return None
    if path != args.calibration:
        require_other_speakers(args.calibration, [path])
    return impostors_of(args.calibration, members, this.system.ensemble.backend)


def impostors_of(path: Path, members: list[Run], backend: str) -> Impostors:
    """How the runs score the non-target trials of a calibration list."""
    trials, scores_MN, _ = all_scores(path, members, backend)
    if trials.is_target is None:
        raise DataError(f"{path}: its trials have no labels, target or nontarget")
    try:
        return Impostors.of(scores_MN, trials.is_target)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def all_scores(path: Path, members: list[Run], backend: str) -> tuple[Trials, np.ndarray, dict[str, str]]:
    """The trials of a list that all runs scored, the scores (M, N), and the ids that some run left out, with why."""
    trials, dropped = Trials.read(path), dict[str, str]()
    try:
        for record in (member.dropped(list_name(path)) for member in members):
            dropped |= read_table(record) if record.exists() else {}
            trials = scored_trials(trials, record)
    except DataError as error:
        raise DataError(f"{path}: {error} in each of the runs") from None
    scores = [member.scores(list_name(path), backend) for member in members]
    return trials, np.stack([read_scores(each, trials) for each in scores]), dropped


if __name__ == "__main__":
    run(main, __file__)
