"""Search the weights of an ensemble's runs that do best on a labelled list: RUN/fusion/weights.json.

steps/ensemble.sh then averages any list with them. Of an ensemble without `search` nothing is searched.
"""

import argparse
import os
from pathlib import Path

from sv.cli import Parser, run
from sv.cli.ensemble import add_options_of_runs, opened
from sv.data.trials import list_name
from sv.errors import ConfigError, DataError
from sv.members import all_scores, impostors_for, scores_of
from sv.records import Step, fingerprint
from sv.run import Run
from sv.scoring.weight_search import Tuned, search
from sv.systems.ensembles import WeightSearch


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument(
        "--tune-on",
        type=Path,
        required=True,
        metavar="TRIALS",
        help="labelled list that the runs have scored, DATA/trials_NAME; figures on it are of weights that it chose",
    )
    parser.add_argument(
        "--calibration", type=Path, metavar="CAL_TRIALS", help="list whose non-targets normalise scores, if any do"
    )
    add_options_of_runs(parser)
    parser.add_argument("--metric", choices=("eer", "min_dcf"), help="with --of: what is to be least")
    parser.add_argument("run", type=Path, help="the ensemble's folder, EXP/NAME/seedN; made with --of")
    args = parser.parse_args()
    if bool(args.of) != bool(args.metric):
        raise ConfigError("--metric belongs to an ensemble that is made of runs, with --of RUN; give both")
    this, members = opened(args, search=WeightSearch(metric=args.metric) if args.of else None)
    if not this.system.ensemble.search:
        print(f"{args.run}: its weights are not searched")
        return
    step = step_of(args, this, members)
    if not step.skip():
        fuse(args, this, members, step)
    if args.of:
        this.write()


def step_of(args: argparse.Namespace, this: Run, members: list[Run]) -> Step:
    """The step that searches."""
    ensemble = this.system.ensemble
    return Step(
        "fuse",
        this.weights().parent,
        inputs=scores_of(this, members, args.tune_on, args.calibration),
        settings={"ensemble": ensemble.model_dump(mode="json")},
    )


def fuse(args: argparse.Namespace, this: Run, members: list[Run], step: Step) -> None:
    """Search and write the weights, and say how it went."""
    path, out, settings = args.tune_on, this.weights(), this.system.ensemble.search
    impostors = impostors_for(this, members, args.calibration, [path])
    trials, scores_MN, _ = all_scores(path, members, this.system.ensemble.backend)
    if trials.is_target is None:
        raise DataError(f"{path}: its trials have no labels, target or nontarget: no weights are better than others")
    try:
        scores_MN = impostors.deviations(scores_MN) if impostors else scores_MN
        found = search(scores_MN, trials.is_target, settings.metric, settings.max_weight)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    folders = [os.path.relpath(member.path, this.path) for member in members]
    step.begin()
    Tuned(
        weights=dict(zip(folders, found.weights, strict=True)),
        metric=settings.metric,
        figure=found.figure,
        tried=found.tried,
        way=found.way,
        trials=list_name(path),
        sha256=fingerprint(path)[2],
        num_targets=trials.num_targets,
        num_nontargets=len(trials) - trials.num_targets,
    ).write(out)
    step.done([out], trials=len(trials), tried=found.tried)
    shown = f"EER {100 * found.figure:.2f} %" if settings.metric == "eer" else f"minDCF.05 {found.figure:.3f}"
    weights = ", ".join(f"{m.name} seed {m.seed}: {w}" for m, w in zip(members, found.weights, strict=True) if w)
    print(f"{out}: {weights}; {shown} on {list_name(path)}, *tuned here*, of {found.tried:,} weights ({found.way})")


if __name__ == "__main__":
    run(main, __file__)
