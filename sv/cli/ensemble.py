"""Average the scores of an ensemble's runs: RUN/scores/TRIALS.mean, lines 'enrol test score', joined by both ids.

The mean is weighted if the ensemble has weights, or had them searched (fuse). A trial that one of the runs could not
score is left out, and stands in RUN/scores/TRIALS.dropped.txt. The means are compressed where all scores are.
"""

import argparse
import os
import re
from pathlib import Path

from sv.cli import Parser, run
from sv.data.datadir import write_dropped
from sv.data.trials import list_name
from sv.errors import ConfigError
from sv.members import all_scores, found_weights, impostors_for, scores_of
from sv.records import Step, record_of
from sv.run import Run
from sv.scoring.fusion import mean_score
from sv.scoring.score_files import is_compressed
from sv.scoring.trials import write_scores
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
    lists = dict.fromkeys([*([args.calibration] if args.calibration else []), *args.trials])
    steps = {path: step_of(args, this, members, path) for path in lists}
    if waiting := {path: step for path, step in steps.items() if not step.skip()}:
        average(args, this, members, waiting)
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
        inputs=[*scores_of(this, members, path, args.calibration), *searched],
        settings={"ensemble": ensemble.model_dump(mode="json")},
    )


def average(args: argparse.Namespace, this: Run, members: list[Run], waiting: dict[Path, Step]) -> None:
    """Write the mean scores of some lists."""
    weights, backend = found_weights(this, members), this.system.ensemble.backend
    if weights:  # a run of weight 0 has no say, in which trials are left either
        members = [member for member, weight in zip(members, weights, strict=True) if weight]
        weights = tuple(filter(None, weights))
    impostors = impostors_for(this, members, args.calibration, waiting)
    for path, step in waiting.items():
        trials, scores_MN, dropped = all_scores(path, members, backend)
        out, left_out = this.scores(list_name(path), "mean"), this.dropped(list_name(path))
        step.begin()
        write_dropped(left_out, dropped)
        compress = all(is_compressed(member.scores(list_name(path), backend)) for member in members)
        out = write_scores(out, trials, mean_score(scores_MN, impostors, weights), compress)
        step.done([out, *([left_out] if dropped else [])], trials=len(trials), dropped=len(dropped))
        without = f", without those of {len(dropped)} ids that a run left out: {left_out.name}" if dropped else ""
        by = f" by weights {' '.join(map(str, weights))}" if weights else ""
        print(f"{out}: {len(trials)} trials, each the mean of {len(members)} scores{by}{without}")


if __name__ == "__main__":
    run(main, __file__)
