"""A smaller data directory out of one: the first or a draw of its utterances, or a list. Trials stay behind."""

from pathlib import Path

from sv.cli import Parser, run
from sv.data.datadir import DataDir, set_files
from sv.data.subsets import draw, draw_per_speaker, first, refuse_same
from sv.data.tables import read_lines
from sv.errors import ConfigError, DataError
from sv.records import Step


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--utterances", type=Path, metavar="FILE", help="keep these: an id is what a line starts with")
    parser.add_argument("--speakers", type=Path, metavar="FILE", help="keep these speakers' utterances")
    parser.add_argument(
        "--without", type=Path, action="append", default=[], metavar="FILE", help="leave these utterances out"
    )
    number = parser.add_mutually_exclusive_group()
    number.add_argument("--first", type=int, metavar="N", help="of what is kept so far, the first N in C order")
    number.add_argument("--random", type=int, metavar="N", help="of what is kept so far, N drawn by --seed")
    number.add_argument("--per-speaker", type=int, metavar="N", help="of every speaker kept so far, N drawn by --seed")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("data", type=Path, help="data directory")
    parser.add_argument("out", type=Path, help="data directory to write")
    args = parser.parse_args()
    count = next((n for n in (args.first, args.random, args.per_speaker) if n is not None), None)
    if not (args.utterances or args.speakers or args.without or count is not None):
        raise ConfigError("say what to keep: --utterances, --speakers, --without, --first, --random or --per-speaker")
    if count is not None and count < 1:
        raise ConfigError(f"a number of utterances from 1 is wanted, not {count}")
    refuse_same(args.out, args.data)
    lists = [path for path in (args.utterances, args.speakers, *args.without) if path]
    files = set_files(args.data) or [args.data / "utt2spk"]
    step = Step(
        "subset_data",
        args.out,
        inputs=[*(file for file in files if not file.name.startswith("trials_")), *lists],
        settings={
            **{name: str(getattr(args, name)) for name in ("utterances", "speakers") if getattr(args, name)},
            **{name: getattr(args, name) for name in ("first", "random", "per_speaker", "seed")},
            "without": list(map(str, args.without)),
        },
    )
    if step.skip():
        return

    data = DataDir.read(args.data)
    kept = data.subset(
        read_ids(args.utterances) if args.utterances else None, read_ids(args.speakers) if args.speakers else None
    )
    if args.without:
        left_out = set().union(*map(read_ids, args.without))
        data.subset(left_out)  # ids that are not here are an error
        kept = kept.subset(set(kept.utterances) - left_out)
    if args.first is not None:
        kept = first(kept, args.first)
    elif args.random is not None:
        kept = draw(kept, args.random, args.seed)
    elif args.per_speaker is not None:
        kept = draw_per_speaker(kept, args.per_speaker, args.seed)
    step.begin()
    kept.write(args.out)
    step.done(set_files(args.out), utterances=len(kept), speakers=kept.num_speakers)
    print(
        f"{args.out}: {len(kept)} of {len(data)} utterances, {kept.num_speakers} of {data.num_speakers} speakers"
        + few_of(kept, args.per_speaker)
    )


def read_ids(path: Path) -> set[str]:
    """What the lines of a file begin with: a list of ids, or any table that is keyed by them."""
    ids = {parts[0] for line in read_lines(path) if (parts := line.split(None, 1))}
    if not ids:
        raise DataError(f"{path} names nothing")
    return ids


def few_of(kept: DataDir, per_speaker: int | None) -> str:
    """How many speakers have fewer utterances than were asked for, where any."""
    few = sum(len(utts) < per_speaker for utts in kept.spk2utt.values()) if per_speaker else 0
    return f" ({few} of these have fewer than {per_speaker})" if few else ""


if __name__ == "__main__":
    run(main, __file__)
