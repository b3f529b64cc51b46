"""Enrol a speaker for a trained run: NAME.ark, NAME.scp and NAME.json, beside the speakers that are there already."""

from __future__ import annotations

from pathlib import Path

from sv.cli import Parser, device_of, run
from sv.errors import DataError
from sv.verifier import Verifier


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_verifier_options()
    parser.add_argument("--models", type=Path, required=True, metavar="NAME", help="NAME.ark, NAME.scp and NAME.json")
    parser.add_argument("speaker", help="a word; a speaker of this name who is there is enrolled anew")
    parser.add_argument("files", nargs="+", help="recordings of the speaker")
    args = parser.parse_args()
    if Path(args.speaker).is_file():
        raise DataError(f"{args.speaker} is a recording; the speaker's name comes before the recordings")
    verifier = Verifier.from_exp(args.run, device=device_of(args), resample=args.resample)
    if args.models.with_name(f"{args.models.name}.json").exists():
        verifier.load_models(args.models)
    verifier.enroll(args.speaker, args.files, channel=args.channel)
    verifier.save_models(args.models)
    count = len(args.files)
    print(f"{args.models}: {args.speaker} of {count} recording{'s'[: count > 1]}, {len(verifier.models)} enrolled")


if __name__ == "__main__":
    run(main, __file__)
