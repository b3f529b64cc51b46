"""Table and DET curves of runs: OUT/{results.md,results.json,det_TRIALS.png}; prints the table."""

import dataclasses
import json
from datetime import date
from pathlib import Path

from sv.cli import Parser, run
from sv.data.atomic import atomic_write
from sv.data.datadir import DataDir
from sv.data.tables import read_table, write_lines
from sv.data.trials import Trials
from sv.report.det import plot_det
from sv.report.results import EER_DEFINITION, Row, figures, markdown_table, text_table
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

    rows: list[Row] = []
    images: list[str] = []
    for path in args.trials:
        name = path.name.removeprefix("trials_")
        trials = Trials.read(path)
        speaker = speakers_of(path.parent)
        curves: dict[str, Roc] = {}
        for this in map(Run.open, args.runs):
            published = this.system.published
            for backend in this.system.backends:
                scored = trials
                if (dropped := this.path / "scores" / f"{name}.dropped.txt").exists():
                    gone = read_table(dropped).keys()
                    scored, _ = trials.with_ids(set(trials.enrol) - gone, set(trials.test) - gone)
                found, roc = figures(scored, read_scores(this.scores(name, backend), scored), speaker)
                paper = (
                    (published.eer.get(name), published.source)
                    if published and backend in published.backends
                    else (None, None)
                )
                rows.append(
                    Row(
                        this.name,
                        backend,
                        name,
                        this.seed,
                        **found,
                        published_eer=paper[0],
                        published_source=paper[1],
                    )
                )
                curves[f"{this.name} / {backend}"] = roc
        image = args.out / f"det_{name}.png"
        plot_det(curves, f"{name}, {len(trials):,} trials" + (f"\n{args.note}" if args.note else ""), image)
        images.append(image.name)

    sources = sorted({row.published_source for row in rows if row.published_source and row.published_eer is not None})
    below = [EER_DEFINITION, *(f"Paper's EER: {source}." for source in sources)]
    with atomic_write(args.out / "results.json") as out:
        json.dump([dataclasses.asdict(row) for row in rows], out, indent=1)
    write_lines(
        args.out / "results.md",
        [f"# {args.title}", "", *([f"**{args.note}**", ""] if args.note else []), *markdown_table(rows), ""]
        + [*below, "", f"Seeds {', '.join(sorted({str(row.seed) for row in rows}))}; {date.today().isoformat()}.", ""]
        + [f"![DET curves]({image})" for image in images],
    )
    print("\n".join([*([args.note, ""] if args.note else []), *text_table(rows), ""]))
    print(f"table: {args.out / 'results.md'}")
    for image in images:
        print(f"DET:   {args.out / image}")


def speakers_of(data_dir: Path) -> dict[str, str]:
    """The speaker of every utterance and, where the set has `models`, of every model."""
    speaker = dict(DataDir.read(data_dir).utt2spk)
    if (data_dir / "models").exists():
        for model, utts in read_table(data_dir / "models").items():
            speaker[model] = speaker.get(utts.split()[0], model)
    return speaker


if __name__ == "__main__":
    run(main, __file__)
