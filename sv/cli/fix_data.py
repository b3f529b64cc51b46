"""Mend a data directory in place: sorted, spk2utt written anew; what lacks speaker or audio goes to dropped.txt."""

from pathlib import Path

from sv.cli import Parser, run
from sv.data.datadir import DataDir
from sv.data.mend import mend
from sv.data.tables import first_few
from sv.data.validate import require_valid, validate


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument(
        "--audio", action="store_true", help="drop recordings that cannot be read too, and segments that are not there"
    )
    parser.add_argument(
        "--allow-pipes", action="store_true", help="run the commands ('… |') that wav.scp names (with --audio)"
    )
    parser.add_argument("data", type=Path, help="data directory")
    args = parser.parse_args()

    bad = validate(args.data, audio=True, allow_pipes=args.allow_pipes) if args.audio else ()
    dropped = mend(args.data, bad)
    data = DataDir.read(args.data)
    if dropped:
        print(f"{args.data}: {len(dropped)} dropped: {first_few(dropped)}; why stands in dropped.txt")
    print(f"{args.data}: {len(data)} utterances of {data.num_speakers} speakers, sorted, spk2utt written")
    found = list(validate(args.data, args.audio, allow_pipes=args.allow_pipes))
    require_valid(args.data, found, "mended, and still wrong: ")


if __name__ == "__main__":
    run(main, __file__)
