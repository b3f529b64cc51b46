"""Check a data directory: one line with the first problem and how many there are; all of them in DATA/problems.txt."""

from pathlib import Path

from sv.cli import Parser, run
from sv.data.datadir import DataDir, set_files
from sv.data.mend import mend
from sv.data.recordings import recordings_digest
from sv.data.validate import Problem, require_valid, validate
from sv.errors import DataError
from sv.records import Step, dry_run


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
        "--trials", action="store_true", help="it is to be tested: there must be a list, DATA/trials_NAME"
    )
    parser.add_argument("--enrol", type=Path, metavar="DATA", help="set of the trials' models, where that is another")
    parser.add_argument(
        "--drop-bad-audio",
        action="store_true",
        help="take unreadable recordings out of the set (with --audio; listed in dropped.txt)",
    )
    parser.add_argument(
        "--allow-pipes", action="store_true", help="run the commands ('… |') that wav.scp names (with --audio)"
    )
    parser.add_argument("data", type=Path, help="data directory")
    args = parser.parse_args()

    if args.trials and not dry_run() and not any(args.data.glob("trials_*")):
        raise DataError(f"{args.data}: there is no trial list; write one, trials_NAME, or draw one with make_trials.sh")
    others = [path for other in args.disjoint_from for path in (other / "utt2spk", other / "spk2utt")]
    others += set_files(args.enrol) or [args.enrol / "utt2spk"] if args.enrol else []
    step = Step(
        "validate_data",
        args.data,
        inputs=[*(set_files(args.data) or [args.data / "utt2spk"]), *others],
        digests=recordings_digest(args.data) if args.audio else {},
        settings={name: getattr(args, name) for name in ("audio", "rate", "drop_bad_audio", "allow_pipes")},
    )
    if step.skip():
        return
    step.begin()
    (args.data / "problems.txt").unlink(missing_ok=True)  # of an earlier time

    def problems() -> list[Problem]:
        return list(validate(args.data, args.audio, args.rate, args.disjoint_from, args.allow_pipes, args.enrol))

    found = problems()
    if args.drop_bad_audio and any(problem.is_bad_audio for problem in found):
        num_before = len(DataDir.read(args.data))
        dropped = mend(args.data, found)
        print(f"{args.data}: {len(dropped)} of {num_before} utterances dropped: see dropped.txt")
        found = problems()
    require_valid(args.data, found)
    data = DataDir.read(args.data)
    if args.audio and not args.allow_pipes and data.pipes:
        print(
            f"{args.data}: {len(data.pipes)} recordings are commands ('… |') and were not checked;"
            " --allow-pipes runs them"
        )
    # What it mended is its output: where that is no longer there, the set is to be mended again.
    step.done(set_files(args.data) if args.drop_bad_audio else [], utterances=len(data), speakers=data.num_speakers)
    print(f"{args.data}: {len(data)} utterances of {data.num_speakers} speakers, valid")


if __name__ == "__main__":
    run(main, __file__)
