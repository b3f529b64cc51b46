"""Features of a data directory, by name: DATA/feats/NAME/{feats.scp,utt2num_frames,…} and its archives."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from sv.cli import Parser, jobs_for, run
from sv.data.datadir import DataDir, write_dropped
from sv.data.parts import join_parts, remove_parts
from sv.data.tables import write_table
from sv.errors import AudioError, DataError
from sv.features.kaldi_config import read_feature_config
from sv.features.waves import read_at_rate, refuse_pipes
from sv.launch import run_array


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
    data = DataDir.read(args.data)
    out = args.data / "feats" / args.conf.stem
    if args.job is None:
        make_all(args, data, out)
    else:
        make_part(args, data.split(args.nj, args.job), out)


def make_all(args: argparse.Namespace, data: DataDir, out: Path) -> None:
    """Start the jobs and join what they leave."""
    read_feature_config(args.conf)
    if not len(data):
        raise DataError(f"{args.data}: utt2spk holds no utterances")
    if not args.allow_pipes:
        refuse_pipes(data)
    jobs = jobs_for(args, len(data))
    out.mkdir(parents=True, exist_ok=True)
    for whole in [out / "feats.scp", *out.glob("vad*.scp")]:  # they say that the folder is whole
        whole.unlink(missing_ok=True)
    remove_parts(out / "arks" / "feats")
    shutil.copyfile(args.conf, out / "feats.conf")
    run_array("make_feats", sys.argv[1:], jobs, out / "log")
    print(join_parts(data, out / "arks" / "feats", jobs, out, "feats.scp", ["utt2num_frames"]))


def make_part(args: argparse.Namespace, data: DataDir, out: Path) -> None:
    """Compute one job's part into OUT/arks/feats.JOB.{ark,scp}."""
    import torch

    from sv.data.ark import ArkWriter
    from sv.features.kaldi import KaldiFeatures

    torch.set_num_threads(1)  # the jobs are the parallelism
    config = read_feature_config(args.conf)
    front_end = KaldiFeatures(config)
    name = out.resolve() / "arks" / f"feats.{args.job}"
    num_frames: dict[str, int] = {}
    dropped: dict[str, str] = {}
    with ArkWriter(name, compress=args.compress) as archive, torch.inference_mode():
        for utt in data.utterances:
            try:
                wave_N = read_at_rate(data, utt, config, args.allow_pipes)
            except AudioError as error:
                if not args.drop_bad_audio:
                    raise
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
