"""Split a training set: hold out sessions of its speakers (each keeps one or more), or some speakers whole."""

from pathlib import Path

from sv.cli import Parser, run
from sv.data.datadir import DataDir, set_files
from sv.data.subsets import refuse_same
from sv.data.tables import first_few
from sv.errors import ConfigError
from sv.records import Step


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--fraction", type=float, help="part of the utterances to hold out, about, by whole sessions")
    what.add_argument(
        "--speakers", metavar="N", help="hold out N speakers with all that they said, or N%% of them, two or more"
    )
    parser.add_argument(
        "--every-speaker", action="store_true", help="a session at least of each who has two, whatever the fraction"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("data", type=Path, help="data directory to split")
    parser.add_argument("rest", type=Path, help="data directory to train on")
    parser.add_argument("held_out", type=Path, help="data directory of what is held out")
    args = parser.parse_args()
    speakers = int(args.speakers) if (args.speakers or "").isdecimal() else args.speakers
    refuse_same(args.rest, args.data)
    refuse_same(args.held_out, args.data, args.rest)
    if args.every_speaker and args.fraction is None:
        raise ConfigError("--every-speaker is of sessions, with --fraction")
    wanted = {"fraction": args.fraction, "speakers": speakers, "every_speaker": args.every_speaker or None}
    step = Step(
        "hold_out",
        args.rest,
        inputs=set_files(args.data) or [args.data / "utt2spk"],
        settings={name: value for name, value in wanted.items() if value is not None} | {"seed": args.seed},
        also=[args.held_out],
    )
    if step.skip():
        return
    data = DataDir.read(args.data)
    if nobodys := (data.wav if data.segments is None else data.segments).keys() - data.utt2spk.keys():
        print(f"{args.data}: {len(nobodys)} without a speaker in utt2spk, on neither side: {first_few(nobodys)}")
    if args.speakers is None:
        (rest, held_out), apart = data.hold_out(args.fraction, args.seed, args.every_speaker), "session"
    else:
        count = number_of_speakers(args.speakers, data.num_speakers)
        (rest, held_out), apart = data.hold_out_speakers(count, args.seed), "speaker"
    step.begin()
    rest.write(args.rest)
    held_out.write(args.held_out)
    # Trial lists there are others' work: make_trials draws its own from what is held out.
    written = [p for folder in (args.rest, args.held_out) for p in set_files(folder) if not p.match("trials_*")]
    step.done(written, rest=len(rest), held_out=len(held_out))
    print(f"{args.rest}: {len(rest)} utterances; {args.held_out}: {len(held_out)}, no {apart} in both")


def number_of_speakers(wanted: str, of: int) -> int:
    """`12`, or `5%` of so many, but two or more. Raises ConfigError for anything else."""
    number = wanted.removesuffix("%")
    if not number.isdecimal():
        raise ConfigError(f"--speakers takes a number of speakers, or a percentage as 5%, not {wanted!r}")
    return max(2, round(of * int(number) / 100)) if wanted.endswith("%") else int(number)


if __name__ == "__main__":
    run(main, __file__)
