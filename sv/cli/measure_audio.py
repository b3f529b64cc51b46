"""Measure a data directory's recordings for networks that read them: DATA/utt2num_samples and DATA/reco2probe.

The first has the samples of each utterance, from headers; the second tells a recording from another of its length.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sv.cli import Parser, jobs_for, run
from sv.data.datadir import DataDir
from sv.data.parts import read_parts
from sv.data.recordings import AUDIO_TABLES, probe, recordings_digest
from sv.data.tables import first_few, write_table
from sv.data.utterance_audio import UtteranceReader
from sv.errors import ConfigError, DataError
from sv.features.wave_reader import COUNTS, PROBED, STEP, refuse_commands
from sv.records import Step
from sv.step_jobs import part_done, run_jobs_of


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_array_options()
    parser.add_argument("--rate", type=int, required=True, help="that all recordings must have, in Hz")
    parser.add_argument("data", type=Path, help="data directory")
    args = parser.parse_args()
    if args.job is None:
        measure_all(args)
    else:
        measure_part(args, DataDir.read(args.data).split(args.nj, args.job))
        part_done(STEP, args.data, args, parts_of(args))


def measure_all(args: argparse.Namespace) -> None:
    """Start the jobs whose parts are not there yet and join what they leave."""
    step = Step(
        STEP,
        args.data,
        inputs=[args.data / name for name in ("utt2spk", *AUDIO_TABLES)],
        digests=recordings_digest(args.data),
        settings={"rate": args.rate},
        version=2,
    )
    if step.skip():
        return
    data = DataDir.read(args.data)
    data.require_readable(allow_pipes=True)
    refuse_commands(data)
    jobs = jobs_for(args, len(data))
    step.begin()
    (args.data / COUNTS).unlink(missing_ok=True)
    names = run_jobs_of(step, STEP, jobs, parts_of(args))
    counts = read_parts(parts_of(args), "counts", jobs)
    if lost := data.utt2spk.keys() - counts.keys():
        raise DataError(f"{args.data}: {len(lost)} utterances were not measured: {first_few(lost)}; run it again")
    write_table(args.data / PROBED, read_parts(parts_of(args), "probes", jobs))
    write_table(args.data / COUNTS, counts)
    samples = sum(map(int, counts.values()))
    step.done([args.data / COUNTS, args.data / PROBED], names, utterances=len(counts), samples=samples)
    print(f"{args.data / COUNTS}: {len(counts)} utterances, {samples / args.rate / 3600:.1f} h at {args.rate} Hz")


def parts_of(args: argparse.Namespace) -> Path:
    """Where the jobs' parts go, without `.JOB.counts` and `.JOB.probes`."""
    return args.data / "measured" / "part"


def measure_part(args: argparse.Namespace, data: DataDir) -> None:
    """Measure one job's part, into DATA/measured/part.JOB.{counts,probes}."""
    counts: dict[str, str | int] = {}
    probes: dict[str, str] = {}
    with UtteranceReader(data) as reader:
        for utt in data.utterances:
            counts[utt], rate = reader.measure(utt)
            if rate != args.rate:
                raise ConfigError(f"{utt} is sampled at {rate} Hz, --rate says {args.rate}; resample the recordings")
            recording = data.segment(utt).recording
            if recording not in probes:
                probes[recording] = probe(data.wav[recording])
    write_table(f"{parts_of(args)}.{args.job}.probes", probes)
    write_table(f"{parts_of(args)}.{args.job}.counts", counts)
    print(f"{len(counts)} utterances")


if __name__ == "__main__":
    run(main, __file__)
