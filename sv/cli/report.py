"""Table and DET curves of runs; prints the table.

Writes OUT/{results.md,results.json,conditions.json,det_TRIALS.png,report.html}.
"""

import argparse
import base64
import dataclasses
import json
import os
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sv.cli import Parser, run
from sv.data.atomic import atomic_write
from sv.data.datadir import LABEL, read_label
from sv.data.partitions import PARTITIONS, PHONE_NUMBERS, cells_of, read_partitions, read_phone_numbers
from sv.data.tables import read_lines, write_lines
from sv.data.trials import Trials, list_name, speakers_of
from sv.errors import ConfigError, DataError
from sv.members import found_weights
from sv.records import Step, counts_of, dry_run, holds, record_of, require_whole, settings_of
from sv.report.behind import dropped_behind, steps_behind
from sv.report.condition_figures import ByConditions, Found
from sv.report.condition_tables import NOTE, columns_of, markdown, tables
from sv.report.conditions import divisions_of
from sv.report.seeds import apart, that_share_runs
from sv.report.sides import Sides, side_files
from sv.report.tables import (
    Row,
    intervals_table,
    markdown_table,
    not_averaged,
    notes,
    seeds_of,
    synthetic_note,
    table,
    text_table,
    too_small,
)
from sv.roc import Roc
from sv.run import Run
from sv.scoring.score_files import score_file
from sv.scoring.trials import read_scores, scored_trials
from sv.scoring.weight_search import Tuned

SHOWN = {"eer": "EER", "min_dcf": "minDCF.05"}  # figures that weights are searched for


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
    from sv.report.condition_html import conditions_html
    from sv.report.det import plot_det  # matplotlib, which takes a second
    from sv.report.det_svg import det_html
    from sv.report.figures import figures
    from sv.report.page import Drawn, ListShown, Report, RunShown, page
    from sv.report.score_svg import bayes_error, histogram

    lists = labelled(args.trials)
    step.begin()
    titles, why_apart = titles_of(runs), apart(runs)
    rows: list[Row] = []
    images: list[str] = []
    shown_lists: list[ListShown] = []
    conditions: list[dict[str, Any]] = []
    by_conditions: list[str] = []
    for path, trials in lists.items():
        begun, name = len(rows), list_name(path)
        drawn: list[tuple[str, Roc]] = []
        under: list[list[Found]] = []
        speaker = speakers_of(path.parent, *([args.enrol] if args.enrol else []))
        is_synthetic = read_label(path.parent) is not None
        shown_lists.append(ListShown(name, is_synthetic, counts_shown(trials, speaker)))
        partitions = path.parent / PARTITIONS
        divided = divided_by_conditions(path, args.enrol, trials, speaker)
        all_cells = read_partitions(partitions, trials) if partitions.exists() else None
        for this, run_title in zip(runs, titles, strict=True):
            scored = scored_trials(trials, this.dropped(name))
            kept = cells_of(scored, trials, range(len(trials)))
            cells = all_cells and cells_of(scored, trials, all_cells)
            for backend in this.system.scored_by:
                if this.path not in args.runs and not score_file(this.scores(name, backend)).exists():
                    continue
                scores_N = read_scores(this.scores(name, backend), scored)
                calibrated = is_calibrated(this, name, backend)
                llr_N = read_scores(this.calibrated(name, backend), scored) if calibrated else None
                measures = this.system.measures(backend) if calibrated else ()
                if measures:  # which change the order of trials
                    scores_N = llr_N
                found, roc = figures(scored, scores_N, speaker, llr_N, cells)
                found["measures"] = list(measures)
                whose = f"{run_title} / {shown(this, backend)}"
                llr_roc = None
                if calibrated:
                    found["calibrated"] = how_calibrated(this, backend)
                    llr_roc = Roc.from_scores(llr_N, scored.is_target)
                    shown_lists[-1].calibrations.append(Drawn(whose, *bayes_error(llr_roc)))
                found |= {"is_synthetic": is_synthetic, "tuned_for": tuned_for(this, path)}
                found["apart"] = why_apart.get((this.path, backend))
                rows.append(row_of(this, backend, name, found, len(trials)))
                drawn.append((run_title, roc))
                under.append(divided.figures(kept, scores_N, llr_N))
                conditions += [condition_of(rows[-1], each) for each in under[-1]]
                drawing = histogram(llr_roc or roc, is_calibrated=llr_roc is not None)
                shown_lists[-1].histograms.append(Drawn(whose, *drawing))
        images.append(f"det_{name}.png")
        args.out.mkdir(parents=True, exist_ok=True)
        title = f"{name}, {len(trials):,} trials" + (", synthetic speech" if is_synthetic else "")
        heading = "\n".join([title, *([args.note] if args.note else [])])
        curves = curves_of(rows[begun:], drawn)
        plot_det(curves, heading, args.out / images[-1])
        shown_lists[-1].det = det_html(curves, str(len(images)))
        made = tables(columns_of(list(curves), rows[begun:], under))
        shown_lists[-1].conditions = conditions_html(made)
        by_conditions += [f"## {name}, by conditions", *markdown(made)] if made else []

    write_json(args.out / "results.json", [dataclasses.asdict(row) for row in rows])
    write_json(args.out / "conditions.json", conditions)
    above = [note for note in (synthetic_note(rows), args.note) if note]
    share = [f"{name}: its seeds share runs, and so differ less than others would." for name in that_share_runs(runs)]
    below, limits = [*notes(rows), *share], too_small(rows)
    intervals = intervals_table(rows)
    blocks = [
        f"# {args.title}",
        *(f"**{note}**" for note in above),
        "\n".join(markdown_table(table(rows))),
        *(["95 % intervals over speakers:", "\n".join(markdown_table(intervals))] if intervals else []),
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
        lists=shown_lists,
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


def divided_by_conditions(path: Path, enrol: Path | None, trials: Trials, speaker: Mapping[str, str]) -> ByConditions:
    """A list divided by the conditions that the directories of its two sides know."""
    known = Sides(path.parent)
    models = (Sides(enrol) if enrol else known).models(set(trials.enrol))
    tests = known.utterances(set(trials.test))
    phones = read_phone_numbers(path.parent / PHONE_NUMBERS, trials)
    return ByConditions(trials, divisions_of(trials, models, tests, phones), speaker)


def condition_of(row: Row, found: Found) -> dict[str, Any]:
    """What `conditions.json` holds of a row's figures under a condition."""
    names = ("system", "backend", "trials", "seed", "is_synthetic", "tuned_for")
    return {name: getattr(row, name) for name in names} | dataclasses.asdict(found)


def write_json(path: Path, found: list[dict[str, Any]]) -> None:
    """Write figures, an object a row."""
    with atomic_write(path) as out:
        json.dump(found, out, indent=1, ensure_ascii=False)
        out.write("\n")


def counts_shown(trials: Trials, speaker: Mapping[str, str]) -> dict[str, str]:
    """What a list counts, as its page shows it; speakers where all are known."""
    ids = set(trials.enrol), set(trials.test)
    counts = {
        "target trials": trials.num_targets,
        "non-target trials": len(trials) - trials.num_targets,
        "models": len(ids[0]),
        "test utterances": len(ids[1]),
    }
    if all(i in speaker for i in ids[0] | ids[1]):
        counts["speakers"] = len({speaker[i] for i in ids[0] | ids[1]})
    return {name: f"{count:,}" for name, count in counts.items()}


def records_of(runs: list[Run], names: list[str]) -> list[Path]:
    """The records of the runs' trainings, and of their scores of lists, calibrated too; not all need be there."""
    scores = [
        path(name, backend)
        for this in runs
        for name in names
        for backend in this.system.scored_by
        for path in (this.scores, this.calibrated)
    ]
    trained = [record for this in runs for record in this.trainings()]
    return [*trained, *(record_of(path.name, path.parent) for path in scores)]


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


def curves_of(rows: list[Row], drawn: list[tuple[str, Roc]]) -> dict[str, list[Roc]]:
    """The curves of a list's rows by their names in the legend; seeds that are averaged have one name.

    Args:
        rows: of one list.
        drawn: of each row what its run is called, and its curve.
    """
    curves = {}
    for group in seeds_of(rows):
        row, (title, _) = rows[group[0]], drawn[group[0]]
        whose = title if len(group) == 1 else f"{row.system}, {len(group)} seeds"
        here = ", tuned here" if row.tuned_for else ""
        curves[f"{whose} / {row.backend}{here}"] = [drawn[i][1] for i in group]
    return curves


def labelled(paths: list[Path]) -> dict[Path, Trials]:
    """The lists that have labels; the others, of a challenge, are told. DataError if none has."""
    lists = {path: Trials.read(path) for path in paths}
    for path in [path for path, trials in lists.items() if trials.is_target is None]:
        del lists[path]
        if not lists:
            raise DataError(f"{path}: its trials have no labels, target or nontarget: nothing to report")
        print(f"report: {path} has no labels; its scores are in RUN/scores/{list_name(path)}.BACKEND")
    return lists


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


def titles_of(runs: list[Run]) -> list[str]:
    """What each run is called beside the others: with its seed or its path where these tell it from another."""
    several_seeds = len({this.seed for this in runs}) > 1
    count = Counter((this.name, this.seed) for this in runs)
    return [
        this.name
        + (f" seed {this.seed}" if several_seeds else "")
        + (f" ({this.path})" if count[this.name, this.seed] > 1 else "")
        for this in runs
    ]


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


def others(exp: Path, runs: list[Run], names: list[str]) -> list[Run]:
    """The other runs below a folder that have scores of one of the lists, all of it as its steps left it."""
    known = {this.path.absolute() for this in runs}
    return [
        this
        for this in filter(None, map(readable, sorted(exp.glob("*/seed*"))))
        if this.path.absolute() not in known and has_whole_scores(this, names)
    ]


def has_whole_scores(this: Run, names: list[str]) -> bool:
    """Whether a run has scores of one of the lists; False with a line if a step was cut short, or its files changed.

    What stops the report of a run that was asked for must not stop that of others.
    """
    listed = [(name, backend) for name in names for backend in this.system.scored_by]
    there = [(name, backend) for name, backend in listed if score_file(this.scores(name, backend)).exists()]
    searched = this.system.ensemble and this.system.ensemble.search
    made_of = [*this.trainings(), *([record_of("fuse", this.weights().parent)] if searched else [])]
    try:
        for record in made_of if there else ():
            require_whole(record)
        for name, backend in there:
            path = this.scores(name, backend)
            require_whole(record_of(path.name, path.parent))
            holds(calibrated_record(this, name, backend))
    except DataError as error:
        print(f"report: a run is left out, {error}")
        return False
    return bool(there)


def readable(path: Path) -> Run | None:
    """The run of a folder; None, with a line that says so, if its configuration is one of an earlier version's.

    So it is if that of a run that it is made of is no longer there.
    """
    if not (path / "config.yaml").exists():
        return None
    try:
        this = Run.open(path)
        this.trainings()
        return this
    except ConfigError as error:
        print(f"report: a run is left out, {error}")
        return None


def calibrated_record(this: Run, name: str, backend: str) -> Path:
    """The record of a list's calibrated scores."""
    path = this.calibrated(name, backend)
    return record_of(path.name, path.parent)


def is_calibrated(this: Run, name: str, backend: str) -> bool:
    """Whether there are calibrated scores of a list, and they are of the scores that it now has."""
    try:
        return holds(calibrated_record(this, name, backend))
    except DataError:
        if dry_run():  # of what an earlier step would mend
            return False
        raise


def how_calibrated(this: Run, backend: str) -> str:
    """On what, and near which decisions."""
    learnt = json.loads(this.calibration(backend).read_bytes())
    trials = f"{learnt['num_targets']:,} target and {learnt['num_nontargets']:,} non-target trials"
    speakers = f" of {learnt['num_speakers']:,} speakers" if learnt["num_speakers"] else ""
    return f"on the list {learnt['trials']} ({trials}{speakers}) at prior {learnt['prior']:g}"


def row_of(this: Run, backend: str, name: str, found: dict[str, Any], num_listed: int) -> Row:
    """A run's row: its figures on a trial list, and the paper's if they are of this system and list, of real speech."""
    paper = None if found["is_synthetic"] else this.system.published
    published = published_cost = None
    if paper and backend in paper.backends and paper.num_trials.get(name, num_listed) == num_listed:
        published, published_cost = paper.eer.get(name), paper.min_dcf_05.get(name)
    return Row(
        this.name,
        shown(this, backend),
        name,
        this.seed,
        **found,
        num_listed=num_listed,
        published_eer=published,
        published_source=paper.source if published is not None else None,
        published_min_dcf_05=published_cost,
        trained=how_trained(this),
    )


def shown(this: Run, backend: str) -> str:
    """The name of a back end in the table; an ensemble's says of how many scores it is."""
    if not (ensemble := this.system.ensemble):
        return backend
    weighted = "weighted " if ensemble.weights or ensemble.search else ""
    return f"{weighted}mean of {ensemble.size}" + (", normalised" if ensemble.normalise != "none" else "")


def tuned_for(this: Run, path: Path) -> str | None:
    """The figure by which an ensemble's weights were searched, if that was on this list."""
    if not (this.system.ensemble and this.system.ensemble.search):
        return None
    tuned = Tuned.read(this.weights())
    return SHOWN[tuned.metric] if tuned.is_on(path) else None


def how_trained(this: Run) -> str | None:
    """How long and on what, as the record of the training says; None of embeddings that came from elsewhere.

    Of an ensemble, whose scores it is the mean of.
    """
    if ensemble := this.system.ensemble:
        by = " by deviations from the calibration list's non-targets" if ensemble.normalise != "none" else ""
        members = this.members()
        weights = found_weights(this, members) or [None] * len(members)
        named = [
            f"{member.name} seed {member.seed}" + ("" if weight is None else f" (weight {weight})")
            for member, weight in zip(members, weights, strict=True)
            if weight != 0
        ]
        return f"mean of the {ensemble.backend} scores{by} of {', '.join(named)}{how_searched(this)}"
    maker = this.embedder()
    counts = counts_of("train", maker.path)
    if counts is None:
        return None
    whose = f"embeddings of {maker.name}, " if maker is not this else ""
    if file := (settings_of("train", maker.path) or {}).get("imported"):
        return f"{whose}a public network's weights ({file}), not trained here"
    unit = "iterations" if maker.system.ivector else "epochs"
    return f"{whose}{counts['epochs']} {unit} on {counts['utterances']:,} utterances of {counts['speakers']:,} speakers"


def how_searched(this: Run) -> str:
    """On what an ensemble's weights were searched, if they were, and how."""
    if not this.system.ensemble.search:
        return ""
    tuned = Tuned.read(this.weights())
    trials = f"{tuned.num_targets:,} target and {tuned.num_nontargets:,} non-target trials"
    tried = f"{tuned.way} search, {tuned.tried:,} weights of {this.system.ensemble.size} runs tried"
    return f"; weights with the least {SHOWN[tuned.metric]} on the list {tuned.trials} ({trials}; {tried})"


def made_by() -> list[str]:
    """The command and the state of the code, where they are known."""
    command, state = os.environ.get("SV_COMMAND"), commit()
    return [f"Made by `{command}`" + (f" at commit {state}." if state else ".")] if command else []


def commit() -> str:
    """The state of the code; "" where it is not known."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, or not a clone
        return ""


if __name__ == "__main__":
    run(main, __file__)
