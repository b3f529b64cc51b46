"""Draw embeddings of a set by t-SNE: FILE.png, a panel a run, the same utterances of the same speakers in all.

Speakers are drawn among those with enough utterances, else those with most are taken. Distances are cosines where a
back end of the run scores by cosine, else Euclidean; each panel says which. Maps are of the embeddings as extracted.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sv.cli import Parser, run
from sv.data.datadir import read_label
from sv.data.tables import read_table
from sv.data.vectors import Vectors
from sv.errors import ConfigError, DataError
from sv.records import Step, dry_run, record_of
from sv.run import Run

if TYPE_CHECKING:
    from sv.report.tsne import Panel


class NothingToDraw(DataError):
    """There are no embeddings, or of too few speakers."""


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--set", required=True, dest="set_name", metavar="SET", help="set whose embeddings are drawn")
    parser.add_argument("--speakers", type=int, default=10, help="number of speakers; all if there are fewer")
    parser.add_argument("--utterances", type=int, default=50, help="of each; all of those who have fewer")
    parser.add_argument("--perplexity", type=float, help="of t-SNE; without it a tenth of the embeddings, 5 to 30")
    parser.add_argument("--seed", type=int, default=0, help="of the draw of speakers and utterances, and of t-SNE")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="the picture")
    parser.add_argument(
        "--allow-none",
        action="store_true",
        help="where no run has embeddings of the set, or these are of fewer than two speakers, say so and draw nothing",
    )
    parser.add_argument("runs", type=Path, nargs="+", help="the runs' folders: EXP/SYSTEM/seedN")
    args = parser.parse_args()
    check(args)

    runs = with_embeddings([Run.open(path) for path in args.runs], args.set_name)
    step = step_of(args, runs)
    if step.skip():
        return
    try:
        title, panels, speaker_N = maps(args, runs)
    except NothingToDraw as error:
        if not args.allow_none:
            raise
        step.begin()
        args.out.unlink(missing_ok=True)
        step.done([])
        print(f"{args.out}: nothing is drawn: {error}")
        return
    from sv.report.tsne import plot_tsne

    step.begin()
    plot_tsne(panels, speaker_N, title, args.out)
    step.done([args.out], speakers=len(set(speaker_N)), utterances=len(speaker_N))
    fewer = f" ({args.speakers} were asked for)" if len(set(speaker_N)) < args.speakers else ""
    shown = title.replace("\n", "; ")
    print(f"{args.out}: {shown}{fewer}")


def check(args: argparse.Namespace) -> None:
    """Raise ConfigError for options out of range."""
    if args.out.suffix != ".png":
        raise ConfigError(f"--out {args.out}: the picture is a PNG; give it a name that ends in .png")
    for name, low, high in (("speakers", 2, 70), ("utterances", 1, 10_000), ("seed", 0, 2**32 - 1)):
        if not low <= getattr(args, name) <= high:
            raise ConfigError(f"--{name} is a number from {low} to {high}, not {getattr(args, name)}")


def with_embeddings(runs: list[Run], set_name: str) -> list[Run]:
    """The runs with embeddings of the set, and a line for each other; in a dry run those that can have any."""
    if dry_run():
        return [this for this in runs if not (this.system.ensemble or this.system.compares)]
    kept = [this for this in runs if (this.embeddings(set_name) / "xvector.scp").exists()]
    for this in runs:
        if kept and this not in kept:
            why = f"it has no embeddings of {set_name} (stage 5)"
            if this.system.ensemble:
                why = "an ensemble has no embeddings"
            elif this.system.compares:
                why = "its network compares pairs itself and has no embeddings"
            print(f"plot_embeddings: {this.path} is left out: {why}")
    return kept


def step_of(args: argparse.Namespace, runs: list[Run]) -> Step:
    """The step that draws this picture."""
    extracted = [record_of("extract", this.embeddings(args.set_name)) for this in runs]
    options = ("set_name", "speakers", "utterances", "perplexity", "seed", "allow_none")
    settings = {name: getattr(args, name) for name in options}
    panels = [[this.name, this.seed, metric_of(this)] for this in runs]
    return Step(args.out.name, args.out.parent, inputs=extracted, settings=settings | {"panels": panels})


def maps(args: argparse.Namespace, runs: list[Run]) -> tuple[str, list[Panel], list[str]]:
    """The picture's title, its panels and the speaker of each of their points; NothingToDraw if there is nothing."""
    if not runs:
        raise NothingToDraw(
            f"none of the runs has embeddings of {args.set_name}; stage 5 makes those of a network or an extractor"
        )
    folders = [this.embeddings(args.set_name) for this in runs]
    utt2spk = read_table(folders[0] / "utt2spk")
    for folder in folders:
        extracted = read_table(folder / "xvector.scp")
        utt2spk = {utt: speaker for utt, speaker in utt2spk.items() if utt in extracted}
    if len(set(utt2spk.values())) < 2:
        raise NothingToDraw(f"{args.set_name} has no two speakers with embeddings by every run")
    from sv.report.tsne import Panel, choose, perplexity_for, tsne_map  # scikit-learn, which takes a second

    utts = choose(utt2spk, args.speakers, args.utterances, args.seed)
    speaker_N = [utt2spk[utt] for utt in utts]
    try:
        perplexity = perplexity_for(len(utts), args.perplexity)
    except DataError as error:
        raise NothingToDraw(f"{args.set_name}: {error}") from None
    several_seeds = len({this.seed for this in runs}) > 1
    panels = []
    for this, folder in zip(runs, folders, strict=True):
        x_ND = Vectors.read(folder / "xvector.scp", only=utts).x_ND
        try:
            y_N2 = tsne_map(x_ND, metric_of(this), perplexity, args.seed)
        except DataError as error:
            raise NothingToDraw(f"{folder}: {error}") from None
        seed = f" seed {this.seed}" if several_seeds else ""
        panels.append(Panel(f"{this.name}{seed} ({metric_of(this)})", y_N2))
    counts = [speaker_N.count(speaker) for speaker in set(speaker_N)]
    each = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else f"{counts[0]}"
    synthetic = ", synthetic speech" if read_label(folders[0]) is not None else ""
    shown = f"{args.set_name}, {len(counts)} speakers, {each} utterances each"
    return f"{shown}\nt-SNE, perplexity {perplexity:.3g}{synthetic}", panels, speaker_N


def metric_of(this: Run) -> str:
    """By which distance a run's embeddings are mapped, as scikit-learn calls it."""
    return "cosine" if any(backend.name == "cosine" for backend in this.system.backends.values()) else "euclidean"


if __name__ == "__main__":
    run(main, __file__)
