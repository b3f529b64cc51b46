"""One data directory of several that have no utterance in common. Trials stay behind."""

from pathlib import Path

from sv.cli import Parser, run
from sv.data.datadir import DataDir, combine, set_files
from sv.data.subsets import refuse_same
from sv.records import Step


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("out", type=Path, help="data directory to write")
    parser.add_argument("parts", type=Path, nargs="+", help="data directories to put together")
    args = parser.parse_args()
    refuse_same(args.out, *args.parts)
    inputs = [file for part in args.parts for file in set_files(part) or [part / "utt2spk"]]
    step = Step("combine_data", args.out, inputs=inputs)
    if step.skip():
        return
    parts = [DataDir.read(path) for path in args.parts]
    whole = combine(parts)
    step.begin()
    whole.write(args.out)
    step.done(set_files(args.out), utterances=len(whole))
    lost = sorted({name for part in parts for name in part.tables} - whole.tables.keys())
    print(
        f"{args.out}: {len(whole)} utterances of {whole.num_speakers} speakers, from {len(parts)} directories"
        + (f"; left out, as not all of them have it: {', '.join(lost)}" if lost else "")
    )


if __name__ == "__main__":
    run(main, __file__)
