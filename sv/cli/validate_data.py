"""Check a data directory: one line with the first problem and how many there are; all of them in DATA/problems.txt."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sv.cli import Parser, jobs_for, run
from sv.data.datadir import DataDir, set_files
from sv.data.mend import mend
from sv.data.recordings import recordings_digest
from sv.data.tables import read_lines, write_lines
from sv.data.validate import Problem, audio_problems, require_valid, validate
from sv.errors import DataError
from sv.records import Step, dry_run
from sv.step_jobs import part_done, run_jobs_of

PART = 2000  # recordings whose headers this process opens itself; of more every job has as many or more


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_array_options()
    parser.add_argument("--audio", action="store_true", help="open every recording's header; in --nj jobs if many")
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
    if args.job is not None:
        part = DataDir.read(args.data).split(args.nj, args.job)
        found = audio_problems(part, args.rate, args.allow_pipes)
        write_lines(f"{parts_of(args)}.{args.job}.problems", (json.dumps(problem) for problem in found))
        part_done("validate_data", args.data, args, parts_of(args))
        return
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

    def structure() -> list[Problem]:
        return list(validate(args.data, disjoint_from=args.disjoint_from, enrol=args.enrol))

    found = structure()
    data = DataDir.read(args.data)
    of_audio, names = of_recordings(step, args, data) if args.audio and len(data) else ([], [])
    if args.drop_bad_audio and any(problem.is_bad_audio for problem in of_audio):
        dropped = mend(args.data, of_audio)
        print(f"{args.data}: {len(dropped)} of {len(data)} utterances dropped: see dropped.txt")
        found, data = structure(), DataDir.read(args.data)
        of_audio = [problem for problem in of_audio if not problem.is_bad_audio]
    require_valid(args.data, found + of_audio)
    if args.audio and not args.allow_pipes and data.pipes:
        print(
            f"{args.data}: {len(data.pipes)} recordings are commands ('… |') and were not checked;"
            " --allow-pipes runs them"
        )
    # What it mended is its output: where that is no longer there, the set is to be mended again.
    outputs = set_files(args.data) if args.drop_bad_audio else []
    step.done(outputs, names, utterances=len(data), speakers=data.num_speakers)
    print(f"{args.data}: {len(data)} utterances of {data.num_speakers} speakers, valid")


def of_recordings(step: Step, args: argparse.Namespace, data: DataDir) -> tuple[list[Problem], list[str]]:
    """The problems of the recordings, and the names of the jobs that found them, if there were any."""
    jobs = min(jobs_for(args, len(data)), len(data) // PART)
    if jobs < 2:
        return list(audio_problems(data, args.rate, args.allow_pipes)), []
    names = run_jobs_of(step, "validate_data", jobs, parts_of(args))
    files = (f"{parts_of(args)}.{job}.problems" for job in range(1, jobs + 1))
    return [Problem(*json.loads(line)) for file in files for line in read_lines(file)], names


def parts_of(args: argparse.Namespace) -> Path:
    """Where the jobs' parts go, without `.JOB.problems`."""
    return args.data / "validated" / "part"


if __name__ == "__main__":
    run(main, __file__)
