"""Audit the recordings of a data directory: OUT/audit.html, figures of all in audit.tsv, PROBLEM.txt for each problem.

Nothing is changed, and a recording that cannot be read is a problem like others. Recordings are measured once; with
other limits only the lists and the page are made anew.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from sv.audit.lists import write_figures, write_lists
from sv.audit.measure import Measured, measure_part, parts_there, read_measured
from sv.audit.problems import Found, Limits, duplicate_groups, find
from sv.cli import Parser, jobs_for, run
from sv.data.atomic import atomic_write
from sv.data.datadir import LABEL, DataDir
from sv.data.recordings import AUDIO_TABLES, recordings_digest
from sv.data.tables import first_few
from sv.errors import DataError
from sv.features.vad import EnergyVad, WebRtcVad, read_vad_config
from sv.records import Step, record_of
from sv.step_jobs import part_done, run_jobs_of

MEASURE, AUDIT = "audit_measure", "audit"
ENERGY = Path(__file__).parents[2] / "conf/vad/energy.conf"
CARDS = 18  # utterances drawn on the page


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_array_options()
    parser.add_argument("--rate", type=int, metavar="HZ", help="that all should have (None: that of most)")
    parser.add_argument("--min-s", type=float, default=Limits.min_s, metavar="S", help="shorter ones are too short")
    parser.add_argument(
        "--silent-dbfs",
        type=float,
        default=Limits.silent_dbfs,
        metavar="DB",
        help="silent is what has this RMS or less",
    )
    parser.add_argument(
        "--max-clipped", type=float, default=Limits.max_clipped, metavar="PART", help="of the samples, at full scale"
    )
    parser.add_argument(
        "--min-speech-s", type=float, default=Limits.min_speech_s, metavar="S", help="that the VAD should leave"
    )
    parser.add_argument(
        "--max-dc", type=float, default=Limits.max_dc, metavar="PART", help="of full scale, of the mean from zero"
    )
    vad = parser.add_mutually_exclusive_group()
    vad.add_argument("--vad", type=Path, default=ENERGY, metavar="CONF", help="conf/vad/NAME.conf")
    vad.add_argument("--no-vad", action="store_true", help="do not look for speech, which is faster")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands ('… |') that wav.scp names")
    parser.add_argument("data", type=Path, help="data directory")
    parser.add_argument("out", type=Path, help="folder to write")
    args = parser.parse_args()
    vad = None if args.no_vad else read_vad_config(args.vad)
    limits = Limits(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Limits)})
    if args.job is None:
        measure_all(args, vad)
        write_audit(args, limits)
    else:
        measure_job(args, vad)
        part_done(MEASURE, args.out, args, parts_of(args))


def measure_all(args: argparse.Namespace, vad: EnergyVad | WebRtcVad | None) -> None:
    """Start the jobs whose parts are not there yet."""
    step = Step(
        MEASURE,
        args.out,
        inputs=[args.data / name for name in ("utt2spk", *AUDIO_TABLES)],
        digests=recordings_digest(args.data),
        settings={"vad": {type(vad).__name__: dataclasses.asdict(vad)} if vad else None},
    )
    if step.skip():
        return
    data = DataDir.read(args.data)
    data.require_readable(args.allow_pipes)
    if not data.wav:
        raise DataError(f"{args.data}: there are no recordings here (wav.scp is missing)")
    jobs = jobs_for(args, len(data))
    step.begin()
    names = run_jobs_of(step, "audit", jobs, parts_of(args))
    step.done([], names, utterances=len(data))


def parts_of(args: argparse.Namespace) -> Path:
    """Where the jobs' parts go, without `.JOB.tsv` and `.JOB.unreadable`."""
    return args.out / "measured" / "part"


def measure_job(args: argparse.Namespace, vad: EnergyVad | WebRtcVad | None) -> None:
    """Measure one job's part, into OUT/measured/part.JOB.{tsv,unreadable}."""
    import torch

    torch.set_num_threads(1)  # the jobs are the parallelism
    data = DataDir.read(args.data).split(args.nj, args.job)
    with torch.inference_mode():
        measured, unreadable = measure_part(data, Path(f"{parts_of(args)}.{args.job}"), vad, args.allow_pipes)
    print(f"{measured} utterances, {unreadable} not readable")


def write_audit(args: argparse.Namespace, limits: Limits) -> None:
    """Judge what was measured, and write the lists and the page."""
    step = Step(
        AUDIT,
        args.out,
        inputs=[record_of(MEASURE, args.out), *(args.data / name for name in ("utt2spk", "segments", LABEL))],
        settings={"limits": dataclasses.asdict(limits), "vad": None if args.no_vad else args.vad.stem},
        version=2,
    )
    if step.skip():
        return
    data = DataDir.read(args.data)
    step.begin()
    parts = parts_there(parts_of(args))
    measured = read_measured(parts)
    if lost := data.utt2spk.keys() - measured.unreadable.keys() - set(measured.utts):
        raise DataError(f"{args.out}: {len(lost)} utterances were not measured: {first_few(lost)}; run it again")
    groups = duplicate_groups(measured, data, limits)
    found = list(find(measured, data, limits, groups))
    outputs = write_lists(args.out, found, groups)
    write_figures(args.out / "audit.tsv", parts, measured, found, data)
    write_page(args, limits, data, measured, found)
    outputs += [args.out / "audit.tsv", args.out / "audit.html"]
    counts = {each.problem.name: len(each.reasons) for each in found}
    step.done(outputs, utterances=len(data), **counts)
    tell(args, data, found)


def write_page(args: argparse.Namespace, limits: Limits, data: DataDir, measured: Measured, found: list[Found]) -> None:
    """OUT/audit.html, with drawings of the worst utterances, which are read once more."""
    from sv.audit.cards import choose, draw  # they import matplotlib, which takes half a second
    from sv.audit.page import Audit, page

    audit = Audit(
        name=args.data.resolve().name,
        data=data,
        measured=measured,
        limits=limits,
        vad=None if args.no_vad else args.vad.stem,
        found=found,
        cards=list(draw(choose(found, CARDS), data, measured, args.allow_pipes)),
    )
    with atomic_write(args.out / "audit.html") as out:
        out.write(page(audit))


def tell(args: argparse.Namespace, data: DataDir, found: list[Found]) -> None:
    """One line for every problem, and where the page is."""
    bad = {utt for each in found for utt in each.reasons}
    print(f"{args.data}: {len(data):,} utterances of {data.num_speakers:,} speakers, {len(bad):,} with a problem")
    for each in found:
        print(f"  {len(each.reasons):>9,}  {each.problem.title}: {args.out / each.problem.name}.txt")
    print(args.out / "audit.html")


if __name__ == "__main__":
    run(main, __file__)
