"""Score a trial list with every back end of a run: RUN/scores/TRIALS.BACKEND, lines 'enrol test score'."""

from pathlib import Path

from sv.backends.backend import load_backend
from sv.cli import Parser, run
from sv.data.datadir import write_dropped
from sv.data.tables import first_few, read_table
from sv.data.trials import Trials
from sv.data.vectors import Vectors
from sv.errors import DataError
from sv.run import Run
from sv.scoring.trials import score_trials, write_scores


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--enrol", required=True, metavar="SET", help="set whose embeddings the models are made of")
    parser.add_argument("--test", required=True, metavar="SET", help="set whose embeddings are tested")
    parser.add_argument(
        "--models",
        type=Path,
        help="'model utterance…' a line: a model is the mean of its utterances; without it each utterance is a model",
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="leave out trials whose embeddings are missing (listed beside the scores in NAME.dropped.txt)",
    )
    parser.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")
    parser.add_argument("trials", type=Path, help="trial list: DATA/trials_NAME")
    args = parser.parse_args()

    this = Run.open(args.run)
    trials = Trials.read(args.trials)
    name = args.trials.name.removeprefix("trials_")
    test = Vectors.read(this.embeddings(args.test) / "xvector.scp")
    enrol = test if args.enrol == args.test else Vectors.read(this.embeddings(args.enrol) / "xvector.scp")
    dropped: dict[str, str] = {}
    if args.models:
        models = {model: utts.split() for model, utts in read_table(args.models).items()}
        if args.allow_missing:
            models, dropped = whole_models(models, set(enrol.keys))
        enrol = enrol.means(models)
    if args.allow_missing:
        trials, absent = trials.with_ids(set(enrol.keys), set(test.keys))
        dropped = absent | {model: reason for model, reason in dropped.items() if model in absent}
    try:
        trials.require(set(enrol.keys), set(test.keys), "an embedding")
    except DataError as error:
        raise DataError(
            f"{args.trials}: {error}; why stands in dropped.txt beside the embeddings; rerun stage 5, or leave such"
            " trials out with --allow-missing"
        ) from None
    write_dropped(this.path / "scores" / f"{name}.dropped.txt", dropped)
    for backend_name, settings in this.system.backends.items():
        backend = load_backend(settings, this.backend(backend_name))
        out = this.scores(name, backend_name)
        write_scores(out, trials, score_trials(backend, enrol, test, trials))
        print(
            f"{out}: {len(trials)} trials"
            + (f", {len(dropped)} ids without an embedding: {name}.dropped.txt" if dropped else "")
        )


def whole_models(models: dict[str, list[str]], utterances: set[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The models whose utterances are all there, and the others with the reason."""
    dropped = {
        model: f"model without an embedding of {first_few(absent)}"
        for model, utts in models.items()
        if (absent := set(utts) - utterances)
    }
    return {model: utts for model, utts in models.items() if model not in dropped}, dropped


if __name__ == "__main__":
    run(main, __file__)
