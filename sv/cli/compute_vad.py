"""Voice activity of a feature folder: its vad.scp (energy, Kaldi's) or vad_NAME.scp, and utt2num_voiced."""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial
from pathlib import Path

from sv.cli import Parser, jobs_for, run
from sv.data.datadir import DataDir
from sv.data.parts import read_parts
from sv.data.recordings import AUDIO_TABLES, recordings_digest
from sv.data.tables import first_few, read_table, write_table
from sv.data.utterance_audio import UtteranceReader
from sv.errors import DataError
from sv.features.files import num_voiced_file, vad_file
from sv.features.front_ends import read_feature_config
from sv.features.vad import WebRtcVad, read_vad_config, require_fit, voiced_frames
from sv.features.waves import read_at_rate
from sv.records import Step, record_of, settings_of
from sv.step_jobs import part_done, run_jobs_of


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_array_options()
    parser.add_argument("--conf", type=Path, required=True, help="conf/vad/NAME.conf")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands ('… |') that wav.scp names")
    parser.add_argument(
        "--copy-from", type=Path, metavar="CLEAN", help="take the decisions for the utterances that DATA has copies of"
    )
    parser.add_argument("data", type=Path, help="data directory")
    parser.add_argument("feats", help="name of its features: DATA/feats/NAME")
    args = parser.parse_args()
    out = args.data / "feats" / args.feats
    if args.copy_from:
        copy_decisions(args, out)
    elif args.job is None:
        make_all(args, out)
    else:
        make_part(args, DataDir.read(out).split(args.nj, args.job), out)
        part_done(step_name(args.conf.stem), out, args, parts_of(args, out))


def make_all(args: argparse.Namespace, out: Path) -> None:
    """Start the jobs whose parts are not there yet and join what they leave."""
    vad = read_vad_config(args.conf)
    heard = isinstance(vad, WebRtcVad)  # it judges the recordings themselves
    step = Step(
        step_name(args.conf.stem),
        out,
        inputs=[record_of("make_feats", out), *(args.data / name for name in AUDIO_TABLES if heard)],
        digests=recordings_digest(args.data) if heard else {},
        settings={type(vad).__name__: dataclasses.asdict(vad)},
    )
    if step.skip():
        return
    feats = DataDir.read(out)
    if "feats.scp" not in feats.tables:
        raise DataError(f"{out}: no features here (feats.scp is missing); make them first (stage 1)")
    require_input(args, out)
    jobs = jobs_for(args, len(feats))
    step.begin()
    name, parts = args.conf.stem, parts_of(args, out)
    (out / vad_file(name)).unlink(missing_ok=True)
    names = run_jobs_of(step, "compute_vad", jobs, parts)
    scp, voiced = read_parts(parts, "scp", jobs), read_parts(parts, "utt2num_voiced", jobs)
    if lost := feats.utt2spk.keys() - scp.keys():
        raise DataError(f"{out}: {len(lost)} utterances have no VAD: {first_few(lost)}; run the stage again")
    write_table(out / num_voiced_file(name), voiced)
    write_table(out / vad_file(name), scp)
    silent = sum(count == "0" for count in voiced.values())
    step.done([out / num_voiced_file(name), out / vad_file(name)], names, utterances=len(scp), silent=silent)
    print(f"{out}: VAD {name} of {len(scp)} utterances, {silent} without a voiced frame")


def copy_decisions(args: argparse.Namespace, out: Path) -> None:
    """Let every copy (`utt2uniq`) have its clean utterance's decisions: noise is not speech. No ark is copied.

    Raises DataError if a clean utterance, its decisions or as many frames are not there.
    """
    vad, name = read_vad_config(args.conf), args.conf.stem
    clean = args.copy_from / "feats" / args.feats
    step = Step(
        step_name(name),
        out,
        inputs=[record_of("make_feats", out), record_of(step_name(name), clean), args.data / "utt2uniq"],
        settings={type(vad).__name__: dataclasses.asdict(vad)},  # those of the clean one: a network takes both
    )
    if step.skip():
        return
    if settings_of(step_name(name), clean) != step.settings:
        raise DataError(f"{clean} has no VAD by {args.conf} as it is now; run stage 1")
    original = read_table(args.data / "utt2uniq")
    frames, clean_frames = (read_table(folder / "utt2num_frames") for folder in (out, clean))
    if lost := [utt for utt in frames if original.get(utt) not in clean_frames]:
        raise DataError(f"{out}: {len(lost)} utterances are copies of none in {clean}: {first_few(lost)}; run stage 2")
    if other := [utt for utt in frames if frames[utt] != clean_frames[original[utt]]]:
        raise DataError(
            f"{out}: {len(other)} utterances have not as many frames as what they are copies of ({first_few(other)}:"
            f" {frames[min(other)]} and {clean_frames[original[min(other)]]}); run stages 1 and 2"
        )
    step.begin()
    for table in (num_voiced_file(name), vad_file(name)):
        decided = read_table(clean / table)
        write_table(out / table, {utt: decided[original[utt]] for utt in frames})
    step.done([out / num_voiced_file(name), out / vad_file(name)], utterances=len(frames))
    print(f"{out}: VAD {name} of {len(frames)} copies, as of the clean utterances")


def step_name(vad: str) -> str:
    """Of the step in a feature folder, where every VAD has its own."""
    return f"compute_vad_{vad}"


def parts_of(args: argparse.Namespace, out: Path) -> Path:
    """Where the jobs' parts go, without `.JOB.ark`."""
    return out / "arks" / f"vad_{args.conf.stem}"


def require_input(args: argparse.Namespace, out: Path) -> None:
    """Raise a UserError if the features or recordings are not what this VAD judges."""
    vad = read_vad_config(args.conf)
    require_fit(vad, read_feature_config(out / "feats.conf", name=args.feats), args.conf.stem, args.feats)
    if isinstance(vad, WebRtcVad):
        DataDir.read(args.data).require_readable(args.allow_pipes)


def make_part(args: argparse.Namespace, feats: DataDir, out: Path) -> None:
    """Decide for one job's part, into OUT/arks/vad_NAME.JOB.{ark,scp}."""
    from sv.data.ark import ArkWriter, MatrixReader

    vad = read_vad_config(args.conf)
    config = read_feature_config(out / "feats.conf", name=args.feats)
    reader = MatrixReader(check_finite=True)
    name = f"{parts_of(args, out.resolve())}.{args.job}"
    voiced: dict[str, int] = {}
    with ArkWriter(name) as archive, UtteranceReader(DataDir.read(args.data), args.allow_pipes) as audio:
        for utt in feats.utterances:
            features_TD = reader.read(feats.tables["feats.scp"][utt])
            decisions_T = voiced_frames(vad, features_TD, config, partial(read_at_rate, audio, utt, config))
            archive.write(utt, decisions_T)
            voiced[utt] = int(decisions_T.sum())
    write_table(f"{name}.utt2num_voiced", voiced)
    print(f"{len(voiced)} utterances, {sum(voiced.values())} voiced frames")


if __name__ == "__main__":
    run(main, __file__)
