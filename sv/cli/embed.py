"""Embeddings of recordings by a trained run, as Kaldi's text, or with --out as NAME.ark and NAME.scp.

Each has its file's name without the suffix.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sv.cli import Parser, device_of, run
from sv.data.ark import ArkWriter
from sv.errors import DataError
from sv.verifier import Verifier


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_verifier_options()
    parser.add_argument("--out", type=Path, metavar="NAME", help="write NAME.ark and NAME.scp (None: print them)")
    parser.add_argument("files", nargs="+", help="recordings of any kind")
    args = parser.parse_args()
    files: dict[str, str] = {}
    for file in args.files:
        key = Path(file).stem
        if len(key.split()) != 1:
            raise DataError(f"{file}: {key!r} is not one word, as names in Kaldi's tables are; rename it")
        if files.setdefault(key, file) != file:
            raise DataError(f"{file}: {files[key]} has the same name, {key}; embed them one by one")
    verifier = Verifier.from_exp(args.run, device=device_of(args), resample=args.resample)
    if args.out:
        with ArkWriter(args.out.resolve()) as archive:
            for key, file in files.items():
                archive.write(key, verifier.embed(file, channel=args.channel))
        print(f"{args.out}.scp: {len(files)} embeddings")
        return
    for key, file in files.items():
        x = verifier.embed(file, channel=args.channel)
        rows = "\n".join(" ".join(f"{value:.7g}" for value in row) for row in x.reshape(-1, x.shape[-1]))
        sys.stdout.write(f"{key}  [ {rows} ]\n" if x.ndim == 1 else f"{key}  [\n{rows} ]\n")


if __name__ == "__main__":
    run(main, __file__)
