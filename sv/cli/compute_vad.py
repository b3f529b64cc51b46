"""Voice activity of a feature folder: its vad.scp (energy, Kaldi's) or vad_NAME.scp, and utt2num_voiced."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sv.cli import Parser, jobs_for, run
from sv.data.datadir import DataDir
from sv.data.parts import read_parts, remove_parts
from sv.data.tables import first_few, write_table
from sv.errors import ConfigError, DataError
from sv.features.files import num_voiced_file, vad_file
from sv.features.kaldi_config import read_feature_config
from sv.features.vad import WEBRTC_RATES, EnergyVad, WebRtcVad, read_vad_config
from sv.features.waves import read_at_rate, refuse_pipes
from sv.launch import run_array


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_array_options()
    parser.add_argument("--conf", type=Path, required=True, help="conf/vad/NAME.conf")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands ('… |') that wav.scp names")
    parser.add_argument("data", type=Path, help="data directory")
    parser.add_argument("feats", help="name of its features: DATA/feats/NAME")
    args = parser.parse_args()
    out = args.data / "feats" / args.feats
    feats = DataDir.read(out)
    if args.job is None:
        make_all(args, feats, out)
    else:
        make_part(args, feats.split(args.nj, args.job), out)


def make_all(args: argparse.Namespace, feats: DataDir, out: Path) -> None:
    """Start the jobs and join what they leave."""
    if "feats.scp" not in feats.tables:
        raise DataError(f"{out}: no features here (feats.scp is missing); make them first (stage 1)")
    require_input(args, out)
    jobs = jobs_for(args, len(feats))
    name = args.conf.stem
    parts = out / "arks" / f"vad_{name}"
    (out / vad_file(name)).unlink(missing_ok=True)
    remove_parts(parts)
    run_array("compute_vad", sys.argv[1:], jobs, out / "log")
    scp, voiced = read_parts(parts, "scp", jobs), read_parts(parts, "utt2num_voiced", jobs)
    if lost := feats.utt2spk.keys() - scp.keys():
        raise DataError(f"{out}: {len(lost)} utterances have no VAD: {first_few(lost)}; run the stage again")
    write_table(out / num_voiced_file(name), voiced)
    write_table(out / vad_file(name), scp)
    silent = sum(count == "0" for count in voiced.values())
    print(f"{out}: VAD {name} of {len(scp)} utterances, {silent} without a voiced frame")


def require_input(args: argparse.Namespace, out: Path) -> None:
    """Raise a UserError if the features or recordings are not what this VAD judges."""
    vad = read_vad_config(args.conf)
    config = read_feature_config(out / "feats.conf", name=args.feats)
    if isinstance(vad, EnergyVad) and not config.use_energy:
        raise ConfigError(
            f"{args.conf}: the energy VAD needs features whose first column is the log-energy;"
            f" {args.feats} has none (--use-energy)"
        )
    if isinstance(vad, WebRtcVad):
        if config.sample_frequency not in WEBRTC_RATES:
            raise ConfigError(
                f"{args.conf}: the WebRTC VAD takes {', '.join(map(str, WEBRTC_RATES))} Hz;"
                f" {args.feats} is of {config.sample_frequency:g} Hz"
            )
        if not args.allow_pipes:
            refuse_pipes(DataDir.read(args.data))


def make_part(args: argparse.Namespace, feats: DataDir, out: Path) -> None:
    """Decide for one job's part, into OUT/arks/vad_NAME.JOB.{ark,scp}."""
    from sv.data.ark import ArkWriter, MatrixReader

    vad = read_vad_config(args.conf)
    config = read_feature_config(out / "feats.conf", name=args.feats)
    reader = MatrixReader(check_finite=True)
    name = out.resolve() / "arks" / f"vad_{args.conf.stem}.{args.job}"
    voiced: dict[str, int] = {}
    data = DataDir.read(args.data)
    with ArkWriter(name) as archive:
        for utt in feats.utterances:
            value = feats.tables["feats.scp"][utt]
            if isinstance(vad, EnergyVad):
                decisions_T = vad.voiced(reader.read(value)[:, 0])
            else:
                wave_N = read_at_rate(data, utt, config, args.allow_pipes)
                centre_T = config.frame_centres(reader.num_rows(value))
                decisions_T = vad.voiced(wave_N, int(config.sample_frequency), centre_T)
            archive.write(utt, decisions_T)
            voiced[utt] = int(decisions_T.sum())
    write_table(f"{name}.utt2num_voiced", voiced)
    print(f"{len(voiced)} utterances, {sum(voiced.values())} voiced frames")


if __name__ == "__main__":
    run(main, __file__)
