"""A data directory whose recordings are written anew: 16 bits, one rate, FLAC or WAV, as files or in a few archives.

Each is read back before it counts. Those that cannot be converted are listed in OUT/failed.txt, the others done.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from sv.cli import Parser, jobs_for, run
from sv.data.atomic import atomic_write
from sv.data.audio_ark import write_recording
from sv.data.convert import convert_to_file, converted, file_name
from sv.data.datadir import DataDir, set_files, write_dropped
from sv.data.encode import CODINGS
from sv.data.partitions import PARTITIONS, PHONE_NUMBERS
from sv.data.parts import read_parts
from sv.data.recordings import recordings_digest
from sv.data.subsets import refuse_same
from sv.data.tables import first_few, write_table
from sv.errors import AudioError, DataError
from sv.records import Step
from sv.step_jobs import part_done, run_jobs_of

FORMS = (*CODINGS, *(f"{coding}.ark" for coding in CODINGS))
OF_FRAMES = ("feats.scp", "vad.scp", "utt2num_frames")  # tables of features, which are made anew


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_array_options()
    parser.add_argument("--to", choices=FORMS, default="flac", help="a file each, or an archive a job")
    parser.add_argument("--rate", type=int, required=True, help="of what is written, in Hz")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands ('… |') that wav.scp names")
    parser.add_argument(
        "--drop-bad-audio", action="store_true", help="go on without those that fail (listed in dropped.txt)"
    )
    parser.add_argument("data", type=Path, help="data directory")
    parser.add_argument("out", type=Path, help="data directory to write, with the recordings below it")
    args = parser.parse_args()
    if args.job is None:
        convert_all(args)
    else:
        convert_part(args, DataDir.read(args.data))
        part_done("convert_audio", args.out, args, parts_of(args))


def convert_all(args: argparse.Namespace) -> None:
    """Start the jobs whose parts are not there yet and join what they leave."""
    refuse_same(args.out, args.data)
    step = Step(
        "convert_audio",
        args.out,
        inputs=[args.data / "utt2spk", *(file for file in set_files(args.data) if file.name not in OF_FRAMES)],
        digests=recordings_digest(args.data),
        settings={"to": args.to, "rate": args.rate},
    )
    if step.skip():
        return
    data = DataDir.read(args.data)
    data.require_readable(args.allow_pipes)
    jobs = jobs_for(args, len(data.wav))
    step.begin()
    (args.out / "utt2spk").unlink(missing_ok=True)
    names = run_jobs_of(step, "convert_audio", jobs, parts_of(args))
    wav = read_parts(parts_of(args), "wav", jobs)
    failed = read_parts(parts_of(args), "failed", jobs, optional=True)
    write_dropped(args.out / "failed.txt", failed)
    if lost := data.wav.keys() - wav.keys() - failed.keys():
        raise DataError(f"{args.out}: {len(lost)} recordings were not converted: {first_few(lost)}; run it again")
    if failed and not args.drop_bad_audio:
        raise DataError(
            f"{len(failed)} of {len(data.wav)} recordings cannot be converted ({first_few(failed)}): see"
            f" {args.out / 'failed.txt'}; get them again, or go on without them: --drop-bad-audio"
        )
    if not wav:
        raise DataError(f"{args.data}: no recording can be converted; the first: {next(iter(failed.values()))}")
    dropped = {utt: reason for utt in data.utt2spk if (reason := failed.get(data.segment(utt).recording))}
    kept = data.subset(data.utt2spk.keys() - dropped.keys())
    kept.wav = {recording: wav[recording] for recording in kept.wav}
    kept.tables = {name: table for name, table in kept.tables.items() if name not in OF_FRAMES}
    kept.write(args.out)
    write_dropped(args.out / "dropped.txt", dropped)
    for file in _others(args.data):
        shutil.copyfile(file, args.out / file.name)
    step.done(set_files(args.out), names, recordings=len(wav), failed=len(failed))
    print(
        f"{args.out}: {len(kept)} utterances, {len(wav)} recordings as {args.to} at {args.rate} Hz"
        + (f", {len(dropped)} dropped: see dropped.txt" if dropped else "")
    )


def convert_part(args: argparse.Namespace, data: DataDir) -> None:
    """Convert one job's recordings; what they are called and which failed goes to OUT/parts/audio.JOB.{wav,failed}."""
    coding, _, archived = args.to.partition(".")
    part = f"{parts_of(args)}.{args.job}"
    names = sorted(data.wav)
    names = names[len(names) * (args.job - 1) // args.nj : len(names) * args.job // args.nj]
    wav: dict[str, str] = {}
    failed: dict[str, str] = {}
    if archived:
        with atomic_write(f"{part}.ark", "wb") as archive:
            for name in names:
                try:
                    content, _ = converted(data.wav[name], args.rate, coding, args.allow_pipes)
                    wav[name] = write_recording(archive, Path(f"{part}.ark").resolve(), name, content)
                except AudioError as error:
                    failed[name] = str(error)
    else:
        speaker_of = first_speakers(data)
        for name in names:
            target = (args.out / "audio" / file_name(name, speaker_of.get(name, "unknown"), coding)).resolve()
            try:
                convert_to_file(data.wav[name], target, args.rate, coding, args.allow_pipes)
                wav[name] = str(target)
            except AudioError as error:
                failed[name] = str(error)
    write_dropped(f"{part}.failed", failed)
    write_table(f"{part}.wav", wav)
    print(f"{len(wav)} recordings, {len(failed)} failed")


def first_speakers(data: DataDir) -> dict[str, str]:
    """By recording, the speaker of its first utterance."""
    speakers: dict[str, str] = {}
    for utt in data.utterances:
        speakers.setdefault(data.segment(utt).recording, data.utt2spk[utt])
    return speakers


def parts_of(args: argparse.Namespace) -> Path:
    """Where the jobs' parts go, without `.JOB.wav`, `.JOB.failed` and `.JOB.ark`."""
    return args.out / "parts" / "audio"


def _others(data: Path) -> list[Path]:
    """What a set has beside its tables: models, trial lists, and what is told of trials."""
    told = (data / name for name in ("models", PARTITIONS, PHONE_NUMBERS))
    return [*filter(Path.exists, told), *sorted(data.glob("trials_*"))]


if __name__ == "__main__":
    run(main, __file__)
