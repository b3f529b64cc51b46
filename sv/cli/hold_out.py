"""Split a training set: some sessions are held out to watch the training by; every speaker keeps one or more."""

from pathlib import Path

from sv.cli import Parser, run
from sv.data.datadir import DataDir, set_files
from sv.records import Step


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--fraction", type=float, required=True, help="part of the utterances to hold out, about")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("data", type=Path, help="data directory to split")
    parser.add_argument("rest", type=Path, help="data directory to train on")
    parser.add_argument("held_out", type=Path, help="data directory of what is held out")
    args = parser.parse_args()
    step = Step(
        "hold_out",
        args.rest,
        inputs=set_files(args.data) or [args.data / "utt2spk"],
        settings={"fraction": args.fraction, "seed": args.seed},
    )
    if step.skip():
        return
    rest, held_out = DataDir.read(args.data).hold_out(args.fraction, args.seed)
    step.begin()
    rest.write(args.rest)
    held_out.write(args.held_out)
    step.done([*set_files(args.rest), *set_files(args.held_out)], rest=len(rest), held_out=len(held_out))
    print(f"{args.rest}: {len(rest)} utterances; {args.held_out}: {len(held_out)}, no session in both")


if __name__ == "__main__":
    run(main, __file__)
