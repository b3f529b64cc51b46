"""Check a data directory: one line with the first problem and how many there are; all of them in DATA/problems.txt."""

from pathlib import Path

from sv.cli import Parser, run
from sv.data.datadir import DataDir, write_dropped
from sv.data.tables import read_table, write_lines
from sv.data.validate import validate
from sv.errors import DataError


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--audio", action="store_true", help="open every recording's header")
    parser.add_argument("--rate", type=int, help="Hz that every recording must have (with --audio)")
    parser.add_argument(
        "--disjoint-from",
        type=Path,
        action="append",
        default=[],
        metavar="DATA",
        help="training set: no speaker may be in both",
    )
    parser.add_argument(
        "--drop-bad-audio",
        action="store_true",
        help="take unreadable recordings out of the set (with --audio; listed in dropped.txt)",
    )
    parser.add_argument("data", type=Path, help="data directory")
    args = parser.parse_args()

    report = args.data / "problems.txt"
    report.unlink(missing_ok=True)
    problems = list(validate(args.data, args.audio, args.rate, args.disjoint_from))
    if args.drop_bad_audio and (bad := {p.key: p.what for p in problems if p.is_bad_audio}):
        drop(args.data, bad)
        problems = list(validate(args.data, args.audio, args.rate, args.disjoint_from))
    if problems:
        write_lines(report, map(str, problems))
        more = f" (and {len(problems) - 1} more: {report})" if len(problems) > 1 else ""
        raise DataError(f"{args.data}: {problems[0]}{more}")
    data = DataDir.read(args.data)
    print(f"{args.data}: {len(data)} utterances of {data.num_speakers} speakers, valid")


def drop(path: Path, bad: dict[str, str]) -> None:
    """Rewrite a directory without its bad recordings; dropped.txt keeps what it had and gains these."""
    data = DataDir.read(path)
    record = path / "dropped.txt"
    earlier = read_table(record) if record.exists() else {}
    rest, dropped = data.fix(lambda utt: bad.get(data.segments[utt].recording if data.segments else utt))
    rest.write(path)
    write_dropped(record, {**earlier, **dropped})
    print(f"{path}: {len(dropped)} of {len(data)} utterances dropped: see dropped.txt")


if __name__ == "__main__":
    run(main, __file__)
