"""Score a trial list with every back end of a run: RUN/scores/TRIALS.BACKEND, lines 'enrol test score'."""

import argparse
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from sv.backends.backend import Backend
from sv.cli import Parser, run
from sv.data.datadir import write_dropped
from sv.data.tables import first_few, read_table
from sv.data.trials import Trials, list_name
from sv.data.vectors import Vectors
from sv.errors import DataError
from sv.records import Step, dry_run, record_of
from sv.run import Run
from sv.scoring.cohort import KeptStatistics, whole_backend
from sv.scoring.dropped import drop_records, recorded_drops
from sv.scoring.quality import Side, seconds_heard, write_quality
from sv.scoring.score_files import bring_into_form
from sv.scoring.trials import score_trials, write_scores


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--enrol", required=True, metavar="SET", help="set whose embeddings the models are made of")
    parser.add_argument("--test", required=True, metavar="SET", help="set whose embeddings are tested")
    parser.add_argument(
        "--models",
        type=Path,
        help="'model utterance…' a line: a model is the mean of its utterances, with all their crops (None: each is)",
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="leave out trials whose embeddings are missing (listed beside the scores in NAME.dropped.txt)",
    )
    parser.add_argument(
        "--allow-dropped",
        action="store_true",
        help="leave out trials whose missing embeddings stand in a dropped.txt of their set, and no others",
    )
    parser.add_argument(
        "--ngpu", type=int, help="of a network that compares pairs itself: 0 is the CPU (None: any GPU)"
    )
    parser.add_argument(
        "--compress", action="store_true", help="write TRIALS.BACKEND.gz; scores that are there change form alone"
    )
    parser.add_argument("--yes", action="store_true", help="of such a network: score a list that takes days, too")
    parser.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")
    parser.add_argument("trials", type=Path, help="trial list: DATA/trials_NAME")
    args = parser.parse_args()

    this = Run.open(args.run)
    this.require_kind("backends")
    if this.system.compares:
        from sv.cli.score_pairs import score_by_network  # torch, which takes seconds

        score_by_network(this, args)
        return
    name = list_name(args.trials)
    steps = {backend: step_of(args, this, name, backend) for backend in this.system.backends}
    if not dry_run():
        for backend in steps:
            this.require_backend(backend)
    waiting = {backend: step for backend, step in steps.items() if not step.skip()}
    for backend, step in steps.items():
        if backend not in waiting:
            bring_into_form(
                step, this.scores(name, backend), args.compress, [this.dropped(name), this.quality(name, backend)]
            )
    if not waiting:
        return
    trials = Trials.read(args.trials)
    models = {model: utts.split() for model, utts in read_table(args.models).items()} if args.models else None
    enrol, test = read_sides(args, this, trials, models, any(this.system.backends[b].compares_crops for b in waiting))
    reasons = recorded_drops(this, args.trials, (args.enrol, args.test)) if args.allow_dropped else {}

    def may_lack(ids: set[str]) -> set[str]:
        return ids if args.allow_missing else ids & reasons.keys()

    if models is not None:
        models, without = whole_models(models, set(enrol.keys), may_lack)
        reasons |= without

    def sides(row: int | None = None) -> tuple[Vectors, Vectors]:
        one, other = (side.of_row(row) if row else side for side in (enrol, test))
        return one.means(models) if models else one, other

    of_all_rows = sides()
    try:
        trials, dropped = without_some(trials, *of_all_rows, may_lack)
    except DataError as error:
        raise DataError(
            f"{args.trials}: {error}; why stands in dropped.txt beside the embeddings; rerun stage 5, or leave such"
            " trials out with --allow-missing"
        ) from None
    dropped |= {absent: reasons[absent] for absent in dropped if absent in reasons}
    write_dropped(this.dropped(name), dropped)
    for backend_name, step in waiting.items():
        step.begin()
        settings = this.system.backends[backend_name]
        backend = backend_of(args, this, backend_name)
        row = getattr(settings, "row", None)
        one, other = sides(row) if row else of_all_rows
        scores_N = score_trials(backend, one, other, trials)
        quality = [write_quality_of(args, this, backend_name, backend, one, other, models)] if settings.quality else []
        out = write_scores(this.scores(name, backend_name), trials, scores_N, args.compress)
        beside = [*([this.dropped(name)] if dropped else []), *quality]
        step.done([out, *beside], trials=len(trials), dropped=len(dropped))
        print(
            f"{out}: {len(trials)} trials"
            + (f", {len(dropped)} ids without an embedding: {name}.dropped.txt" if dropped else "")
        )


def step_of(args: argparse.Namespace, this: Run, name: str, backend: str) -> Step:
    """The step that scores the list `name` with a back end."""
    embeddings = [record_of("extract", this.embeddings(set_name)) for set_name in (args.enrol, args.test)]
    quality = this.system.backends[backend].quality
    drops = [path for path in drop_records(this, args.trials, (args.enrol, args.test)) if path.exists()]
    return Step(
        f"{name}.{backend}",
        this.path / "scores",
        inputs=[
            *(args.trials, *([args.models] if args.models else [])),
            *(*embeddings, record_of("train_backend", this.backend(backend))),
            *(drops if args.allow_dropped else []),
        ],
        settings={"allow_missing": args.allow_missing, "allow_dropped": args.allow_dropped}
        | ({"quality": list(quality)} if quality else {}),
    )


def backend_of(args: argparse.Namespace, this: Run, name: str) -> Backend:
    """A trained back end; statistics of the sets against its cohort, where it has one, are kept beside it."""
    folder = this.backend(name)

    def kept(set_name: str, models: Path | None) -> KeptStatistics:
        made_of = [record_of("extract", this.embeddings(set_name)), record_of("train_backend", folder)]
        return KeptStatistics(f"{set_name}.models" if models else set_name, [*made_of, *([models] if models else [])])

    return whole_backend(this.system.backends[name], folder, kept(args.enrol, args.models), kept(args.test, None))


def write_quality_of(
    args: argparse.Namespace,
    this: Run,
    name: str,
    backend: Backend,
    enrol: Vectors,
    test: Vectors,
    models: dict[str, list[str]] | None,
) -> Path:
    """Write the quality measures of both sides, as they are scored; the file."""
    measures, out = this.system.backends[name].quality, this.quality(list_name(args.trials), name)

    def side(set_name: str, vectors: Vectors, members: dict[str, list[str]] | None, of_side: str) -> Side:
        seconds: dict[str, float] = {}
        if "duration" in measures:
            utts = {utt for key in vectors.keys for utt in members[key]} if members else vectors.keys
            seconds = seconds_heard(this.embeddings(set_name), utts)
            if members:
                seconds = {key: sum(seconds[utt] for utt in members[key]) for key in vectors.keys}
        return Side.of(measures, vectors, seconds, getattr(backend, of_side, None))

    sides = side(args.enrol, enrol, models, "of_models"), side(args.test, test, None, "of_tests")
    write_quality(out, measures, *sides)
    return out


def read_sides(
    args: argparse.Namespace, this: Run, trials: Trials, models: dict[str, list[str]] | None, crops: bool
) -> tuple[Vectors, Vectors]:
    """The embeddings that models are made of, and those that are tested; of the list's ids alone."""
    wanted = set(trials.enrol) if models is None else set(chain.from_iterable(models.values()))
    tested = set(trials.test)
    scp = this.embeddings(args.test) / "xvector.scp"
    if args.enrol == args.test:
        both = Vectors.read(scp, wanted | tested, crops)
        return both, both
    return Vectors.read(this.embeddings(args.enrol) / "xvector.scp", wanted, crops), Vectors.read(scp, tested, crops)


def without_some(
    trials: Trials, enrol: Vectors, test: Vectors, may_lack: Callable[[set[str]], set[str]]
) -> tuple[Trials, dict[str, str]]:
    """The trials but for those whose embeddings are missing and may be, and the ids that are.

    Raises DataError if another embedding is missing, or no trial is left.
    """
    known = set(enrol.keys), set(test.keys)
    named = set(trials.enrol), set(trials.test)
    rest, dropped = trials.with_ids(*(ids - may_lack(ids - there) for ids, there in zip(named, known, strict=True)))
    rest.require(*known, "an embedding")
    return rest, dropped


def whole_models(
    models: dict[str, list[str]], utterances: set[str], may_lack: Callable[[set[str]], set[str]]
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The models but for those whose missing utterances all may be, and these with the reason."""
    dropped = {
        model: f"model without an embedding of {first_few(absent)}"
        for model, utts in models.items()
        if (absent := set(utts) - utterances) and absent == may_lack(absent)
    }
    return {model: utts for model, utts in models.items() if model not in dropped}, dropped


if __name__ == "__main__":
    run(main, __file__)
