"""Table and DET curves of runs; prints the table.

Writes OUT/{results.md,results.json,conditions.json,det_TRIALS.png,report.html}.
"""

import argparse
import base64
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from sv.cli import Parser, run
from sv.data.atomic import atomic_write
from sv.data.datadir import LABEL
from sv.data.partitions import PARTITIONS
from sv.data.tables import read_lines, write_lines
from sv.data.trials import Trials, list_name
from sv.errors import DataError
from sv.records import Step, dry_run, record_of
from sv.report.behind import commit, dropped_behind, records_of, steps_behind
from sv.report.condition_tables import NOTE
from sv.report.others import others
from sv.report.runs import calibrated_record, how_trained, is_calibrated, titles_of
from sv.report.seeds import apart, that_share_runs
from sv.report.sides import side_files
from sv.report.tables import (
    INTERVALS,
    Row,
    intervals_table,
    markdown_table,
    not_averaged,
    notes,
    synthetic_note,
    table,
    text_table,
    too_small,
)
from sv.run import Run
from sv.scoring.score_files import score_file


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--title", default="Results", help="heading of the table")
    parser.add_argument("--note", help="what else a reader must know of the data; that it is synthetic is said anyway")
    parser.add_argument("--trials", type=Path, action="append", required=True, help="DATA/trials_NAME; may be repeated")
    parser.add_argument("--enrol", type=Path, metavar="DATA", help="set of the trials' models, where that is another")
    parser.add_argument("--others", type=Path, help="show the other runs below EXP too that have scores of these lists")
    parser.add_argument("--tsne", type=Path, metavar="FILE.png", help="picture of embeddings to show, if it is there")
    parser.add_argument("runs", type=Path, nargs="+", help="the runs' folders: EXP/SYSTEM/seedN")
    args = parser.parse_args()

    runs = [Run.open(path) for path in args.runs]
    names = [list_name(path) for path in args.trials]
    runs += others(args.others, runs, names) if args.others else []
    step = step_of(args, runs, names)
    if step.skip():
        if not dry_run():
            say(args)
        return
    from sv.report.page import Drawn, Report, RunShown, page
    from sv.report.trial_list import ListReport  # matplotlib, which takes a second

    lists = labelled(args.trials)
    step.begin()
    args.out.mkdir(parents=True, exist_ok=True)
    titles, why_apart = titles_of(runs), apart(runs)
    reports = [ListReport.of(path, trials, args.enrol) for path, trials in lists.items()]
    images: list[str] = []
    by_conditions: list[str] = []
    for report in reports:
        for this, title in zip(runs, titles, strict=True):
            for backend in this.system.scored_by:
                scores = this.scores(report.shown.name, backend)
                if this.path in args.runs or score_file(scores).exists():
                    report.add(this, backend, title, why_apart.get((this.path, backend)))
        images.append(f"det_{report.shown.name}.png")
        by_conditions += report.draw(args.out / images[-1], len(images), args.note)

    rows = [row for report in reports for row in report.rows]
    write_json(args.out / "results.json", [dataclasses.asdict(row) for row in rows])
    write_json(args.out / "conditions.json", [each for report in reports for each in report.conditions])
    above = [note for note in (synthetic_note(rows), args.note) if note]
    share = [f"{name}: its seeds share runs, and so differ less than others would." for name in that_share_runs(runs)]
    below, limits = [*notes(rows), *share], too_small(rows)
    intervals = intervals_table(rows)
    blocks = [
        f"# {args.title}",
        *(f"**{note}**" for note in above),
        "\n".join(markdown_table(table(rows))),
        *([INTERVALS, "\n".join(markdown_table(intervals))] if intervals else []),
        *limits,
        *below,
        *made_by(),
        *by_conditions,
        *([NOTE] if by_conditions else []),
        *(f"![DET curves]({image})" for image in images),
        *(f"![t-SNE of embeddings]({os.path.relpath(path, args.out)})" for path in tsne(args)),
    ]
    write_lines(args.out / "results.md", ["\n\n".join(blocks)])
    steps = list(steps_behind(records_of(runs, names)).values())
    dropped = dropped_behind(steps)
    # Paths are shown from the folder that has all: whoever is sent the page does not have ours.
    base = os.path.commonpath([path.absolute() for path in (args.out, *(each.folder for each in steps), *args.runs)])
    whole = Report(
        title=args.title,
        above=above,
        rows=rows,
        notes=below,
        limits=limits,
        lists=[report.shown for report in reports],
        runs=[
            RunShown(title, seen_from(base, this.path), config_of(this))
            for title, this in zip(titles, runs, strict=True)
        ],
        trainings=[Drawn(whose, *each) for whose, each in trainings(runs, titles).items()],
        pictures=[base64.b64encode(path.read_bytes()).decode() for path in tsne(args)],
        steps=[dataclasses.replace(each, folder=seen_from(base, each.folder)) for each in steps],
        dropped={seen_from(base, path): sum(1 for _ in read_lines(path)) for path in dropped},
        command=os.environ.get("SV_COMMAND"),
        commit=commit(),
    )
    with atomic_write(args.out / "report.html") as out:
        out.write(page(whole))
    step.done(
        [args.out / name for name in ("results.md", "results.json", "conditions.json", "report.html", *images)],
        rows=len(rows),
    )
    say(args)


def write_json(path: Path, found: list[dict[str, Any]]) -> None:
    """Write figures, an object a row."""
    with atomic_write(path) as out:
        json.dump(found, out, indent=1, ensure_ascii=False)
        out.write("\n")


def labelled(paths: list[Path]) -> dict[Path, Trials]:
    """The lists that have labels; the others, of a challenge, are told. DataError if none has."""
    lists = {path: Trials.read(path) for path in paths}
    for path in [path for path, trials in lists.items() if trials.is_target is None]:
        del lists[path]
        if not lists:
            raise DataError(f"{path}: its trials have no labels, target or nontarget: nothing to report")
        print(f"report: {path} has no labels; its scores are in RUN/scores/{list_name(path)}.BACKEND")
    return lists


def trainings(runs: list[Run], titles: list[str]) -> dict[str, tuple[str, str]]:
    """The curves of the networks behind the runs, each once: what it is called, its drawings, how long and on what."""
    from sv.report.training_svg import training_svgs

    titles_by_path = {this.path.absolute(): title for this, title in zip(runs, titles, strict=True)}
    found: dict[str, tuple[str, str]] = {}
    for maker in [each.embedder() for this in runs for each in this.members() or [this]]:
        curves = maker.path / "curves.tsv"
        if curves.exists():
            lines = [line.rstrip("\n") for line in read_lines(curves)]
            title = titles_by_path.get(maker.path.absolute(), str(maker.path))
            found[title] = "".join(training_svgs(lines)), how_trained(maker) or ""
    return found


def seen_from(base: str, path: Path) -> Path:
    """A path from a folder above it."""
    return Path(os.path.relpath(path, base))


def config_of(this: Run) -> str:
    """The text of a run's configuration."""
    return "".join(read_lines(this.path / "config.yaml"))


def step_of(args: argparse.Namespace, runs: list[Run], names: list[str]) -> Step:
    """The step that makes this report."""
    folders = [*(path.parent for path in args.trials), *([args.enrol] if args.enrol else [])]
    tables = [folder / name for folder in folders for name in ("utt2spk", "models", LABEL)]
    tables += [path.parent / PARTITIONS for path in args.trials]
    tables += [file for folder in folders for file in side_files(folder)]
    scores = [this.scores(name, backend) for this in runs for name in names for backend in this.system.scored_by]
    scored = [record_of(path.name, path.parent) for path in scores if path.parents[1] in args.runs]
    trained = [record for this in runs for record in this.trainings()]
    dropped = [this.dropped(name) for this in runs for name in names]
    calibrated = [
        path
        for this in runs
        for name in names
        for backend in this.system.scored_by
        if is_calibrated(this, name, backend)
        for path in (calibrated_record(this, name, backend), this.calibration(backend))
    ]
    dumped = [{"system": this.system.model_dump(mode="json"), "waveform": this.waveform} for this in runs]
    systems = dict(zip(titles_of(runs), dumped, strict=True))
    why_apart = {f"{os.path.relpath(path, args.out)} {backend}": why for (path, backend), why in apart(runs).items()}
    settings = {"title": args.title, "note": args.note, "runs": systems, "apart": why_apart}
    pictures = [args.tsne] if args.tsne else []
    weights = [this.weights() for this in runs if this.system.ensemble and this.system.ensemble.search]
    made_of = [
        *args.trials,
        *weights,
        *tables,
        *map(score_file, scores),
        *scored,
        *calibrated,
        *dropped,
        *dropped_behind(steps_behind(records_of(runs, names)).values()),
        *trained,
        *pictures,
    ]
    return Step("report", args.out, inputs=made_of, settings=settings, version=5)


def say(args: argparse.Namespace) -> None:
    """Print the report's table and where it is."""
    rows = [Row(**row) for row in json.loads((args.out / "results.json").read_bytes())]
    above = [note for note in (synthetic_note(rows), args.note) if note]
    below = [*not_averaged(rows), *too_small(rows)]
    print("\n".join([*above, *([""] if above else []), *text_table(rows), "", *below, *([""] if below else [])]))
    print(f"page:  {args.out / 'report.html'}")
    print(f"table: {args.out / 'results.md'}")
    if json.loads((args.out / "conditions.json").read_bytes()):
        print(f"by conditions: in both, and {args.out / 'conditions.json'}")
    for name in dict.fromkeys(row.trials for row in rows):
        print(f"DET:   {args.out / f'det_{name}.png'}")
    for path in tsne(args):
        print(f"t-SNE: {path}")


def tsne(args: argparse.Namespace) -> list[Path]:
    """The picture of embeddings, if it is there."""
    return [args.tsne] if args.tsne and args.tsne.exists() else []


def made_by() -> list[str]:
    """The command and the state of the code, where they are known."""
    command, state = os.environ.get("SV_COMMAND"), commit()
    return [f"Made by `{command}`" + (f" at commit {state}." if state else ".")] if command else []


if __name__ == "__main__":
    run(main, __file__)
