"""Table and DET curves of runs: OUT/{results.md,results.json,det_TRIALS.png}; prints the table."""

import dataclasses
import json
from pathlib import Path

from sv.cli import Parser, run
from sv.data.atomic import atomic_write
from sv.data.datadir import DataDir
from sv.data.tables import read_table, write_lines
from sv.data.trials import Trials
from sv.errors import DataError
from sv.report.det import plot_det
from sv.report.results import Row, figures, markdown_table, notes, text_table
from sv.roc import Roc
from sv.run import Run
from sv.scoring.trials import read_scores


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--title", default="Results", help="heading of the table")
    parser.add_argument("--note", help="what a reader must know of the data, as that it is synthetic")
    parser.add_argument("--trials", type=Path, action="append", required=True, help="DATA/trials_NAME; may be repeated")
    parser.add_argument("runs", type=Path, nargs="+", help="the runs' folders: EXP/SYSTEM/seedN")
    args = parser.parse_args()

    runs = [Run.open(path) for path in args.runs]
    several_seeds = len({this.seed for this in runs}) > 1
    rows: list[Row] = []
    images: list[str] = []
    for path in args.trials:
        curves: dict[str, Roc] = {}
        trials = Trials.read(path)
        if trials.is_target is None:
            raise DataError(f"{path}: its trials have no labels, target or nontarget: nothing to report")
        name = path.name.removeprefix("trials_")
        speaker = speakers_of(path.parent)
        for this in runs:
            for backend in this.system.backends:
                row, roc = row_of(this, backend, name, trials, speaker)
                rows.append(row)
                seed = f" seed {this.seed}" if several_seeds else ""
                curves[f"{this.name}{seed} / {backend}"] = roc
        images.append(f"det_{name}.png")
        args.out.mkdir(parents=True, exist_ok=True)
        title = f"{name}, {len(trials):,} trials" + (f"\n{args.note}" if args.note else "")
        plot_det(curves, title, args.out / images[-1])

    with atomic_write(args.out / "results.json") as out:
        json.dump([dataclasses.asdict(row) for row in rows], out, indent=1, ensure_ascii=False)
        out.write("\n")
    blocks = [
        f"# {args.title}",
        *([f"**{args.note}**"] if args.note else []),
        "\n".join(markdown_table(rows)),
        *notes(rows),
        *(f"![DET curves]({image})" for image in images),
    ]
    write_lines(args.out / "results.md", ["\n\n".join(blocks)])
    print("\n".join([*([args.note, ""] if args.note else []), *text_table(rows), ""]))
    print(f"table: {args.out / 'results.md'}")
    for image in images:
        print(f"DET:   {args.out / image}")


def row_of(this: Run, backend: str, name: str, trials: Trials, speaker: dict[str, str]) -> tuple[Row, Roc]:
    """A run's figures on a trial list, those left out for want of an embedding aside, and their ROC."""
    scored = trials
    if (dropped := this.path / "scores" / f"{name}.dropped.txt").exists():
        gone = read_table(dropped).keys()
        scored, _ = trials.with_ids(set(trials.enrol) - gone, set(trials.test) - gone)
    found, roc = figures(scored, read_scores(this.scores(name, backend), scored), speaker)
    paper = this.system.published
    published = None
    if paper and backend in paper.backends and paper.num_trials.get(name, len(trials)) == len(trials):
        published = paper.eer.get(name)
    row = Row(
        this.name,
        backend,
        name,
        this.seed,
        **found,
        num_listed=len(trials),
        published_eer=published,
        published_source=paper.source if published is not None else None,
    )
    return row, roc


def speakers_of(data_dir: Path) -> dict[str, str]:
    """The speaker of every utterance and, where the set has `models`, of every model of its utterances."""
    utt2spk = DataDir.read(data_dir).utt2spk
    speaker = dict(utt2spk)
    if (data_dir / "models").exists():
        for model, utts in read_table(data_dir / "models").items():
            if (first := utts.split()[0]) in utt2spk:
                speaker[model] = utt2spk[first]
    return speaker


if __name__ == "__main__":
    run(main, __file__)
