"""Features of a data directory, by name: DATA/feats/NAME/{feats.scp,utt2num_frames,…} and its archives."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from pathlib import Path

from sv.cli import Parser, jobs_for, run
from sv.data.datadir import DataDir, set_files, write_dropped
from sv.data.parts import join_parts
from sv.data.recordings import AUDIO_TABLES, recordings_digest
from sv.data.tables import write_table
from sv.data.utterance_audio import UtteranceReader
from sv.errors import AudioError, ConfigError
from sv.features.front_ends import build_front_end, read_feature_config
from sv.features.wave_config import WaveConfig
from sv.features.waves import read_at_rate
from sv.records import Step
from sv.step_jobs import part_done, run_jobs_of


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_array_options()
    parser.add_argument("--conf", type=Path, required=True, help="conf/features/NAME.conf")
    parser.add_argument("--seed", type=int, default=0, help="of the dither, where the configuration asks for it")
    parser.add_argument("--compress", action="store_true", help="Kaldi's compressed matrices, a quarter of the space")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands ('… |') that wav.scp names")
    parser.add_argument(
        "--drop-bad-audio", action="store_true", help="go on without unreadable recordings (listed in dropped.txt)"
    )
    parser.add_argument("data", type=Path, help="data directory")
    args = parser.parse_args()
    out = args.data / "feats" / args.conf.stem
    if args.job is None:
        make_all(args, out)
    else:
        make_part(args, DataDir.read(args.data).split(args.nj, args.job), out)
        part_done("make_feats", out, args, out / "arks" / "feats")


def make_all(args: argparse.Namespace, out: Path) -> None:
    """Start the jobs whose parts are not there yet and join what they leave."""
    config = read_feature_config(args.conf)
    if isinstance(config, WaveConfig):
        raise ConfigError(f"{args.conf}: samples are not written to arks; networks read them from the recordings")
    step = Step(
        "make_feats",
        out,
        inputs=[args.data / name for name in ("utt2spk", *AUDIO_TABLES)],
        digests=recordings_digest(args.data),
        settings={
            "features": dataclasses.asdict(config),
            "seed": args.seed,
            "compress": args.compress,
            "drop_bad_audio": args.drop_bad_audio,
        },
    )
    if step.skip():
        return
    data = DataDir.read(args.data)
    data.require_readable(args.allow_pipes)
    jobs = jobs_for(args, len(data))
    out.mkdir(parents=True, exist_ok=True)
    step.begin()
    for whole in [out / "feats.scp", *out.glob("vad*.scp")]:  # they say that the folder is whole
        whole.unlink(missing_ok=True)
    shutil.copyfile(args.conf, out / "feats.conf")
    parts = out / "arks" / "feats"
    names = run_jobs_of(step, "make_feats", jobs, parts)
    print(join_parts(data, parts, jobs, out, "feats.scp", ["utt2num_frames"]))
    step.done([*set_files(out), out / "feats.conf"], names, utterances=len(data))


def make_part(args: argparse.Namespace, data: DataDir, out: Path) -> None:
    """Compute one job's part into OUT/arks/feats.JOB.{ark,scp}."""
    import torch

    from sv.data.ark import ArkWriter

    torch.set_num_threads(1)  # the jobs are the parallelism
    config = read_feature_config(args.conf)
    front_end = build_front_end(config)
    name = out.resolve() / "arks" / f"feats.{args.job}"
    num_frames: dict[str, int] = {}
    dropped: dict[str, str] = {}
    audio = UtteranceReader(data, args.allow_pipes)
    with audio, ArkWriter(name, compress=args.compress) as archive, torch.inference_mode():
        for utt in data.utterances:
            try:
                wave_N = read_at_rate(audio, utt, config)
            except AudioError as error:
                if not args.drop_bad_audio:
                    raise AudioError(f"{error}; or go on without it: --drop-bad-audio") from None
                dropped[utt] = str(error)
                continue
            if config.num_frames(len(wave_N)) == 0:
                dropped[utt] = f"{len(wave_N)} samples are too few for one frame"
                continue
            features_TD = front_end.compute(torch.from_numpy(wave_N), utt, args.seed).numpy()
            archive.write(utt, features_TD)
            num_frames[utt] = len(features_TD)
    write_table(f"{name}.utt2num_frames", num_frames)
    write_dropped(f"{name}.dropped", dropped)
    print(f"{len(num_frames)} utterances, {sum(num_frames.values())} frames, {len(dropped)} dropped")


if __name__ == "__main__":
    run(main, __file__)
