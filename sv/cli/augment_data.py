"""Augmented copies of a data directory: one directory of UTT-reverb, UTT-noise, …, drawn of all; no audio is written.

Every recording of it is a line that says how it is made (`python -m sv.cli.augment_wav --help`); our programs read it
as they read a file, Kaldi's run it.
"""

from functools import cache
from pathlib import Path

from sv.augment.config import Augmentation, partial_of, read_augmentation
from sv.augment.copies import Materials, copies_of, material_files, read_material
from sv.cli import Parser, run
from sv.data.audio import audio_info
from sv.data.datadir import DataDir, set_files
from sv.data.recordings import recordings_digest
from sv.data.subsets import refuse_same
from sv.errors import DataError
from sv.records import Step


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--conf", type=Path, required=True, help="conf/augment/NAME.yaml")
    parser.add_argument("--musan", type=Path, metavar="DIR", help="what local/prepare_musan.py wrote")
    parser.add_argument("--rirs", type=Path, metavar="DIR", help="what local/prepare_rirs.py wrote")
    parser.add_argument("--seed", type=int, default=0, help="of every draw")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands ('… |') that wav.scp names")
    parser.add_argument("data", type=Path, help="data directory of clean recordings")
    parser.add_argument("out", type=Path, help="data directory to write")
    args = parser.parse_args()
    refuse_same(args.out, args.data)
    conf = read_augmentation(args.conf)
    lists = [path for copy in conf.copies.values() for path in material_files(copy, args.musan, args.rirs)]
    step = Step(
        "augment_data",
        args.out,
        inputs=[*(set_files(args.data) or [args.data / "utt2spk"]), *lists],
        digests=recordings_digest(args.data),
        settings={"augmentation": conf.model_dump(mode="json"), "seed": args.seed},
    )
    if step.skip():
        return
    materials = find_materials(conf, args.conf, args.musan, args.rirs)
    clean = DataDir.read(args.data)

    @cache
    def seconds_of(recording: str) -> float:
        info = audio_info(clean.wav[recording], allow_pipes=args.allow_pipes)
        return info.num_samples / info.rate

    copies = copies_of(clean, conf, materials, args.seed, seconds_of)
    step.begin()
    copies.write(args.out)
    step.done(set_files(args.out), utterances=len(copies), of=len(clean) * len(materials))
    print(
        f"{args.out}: {len(copies)} of {len(clean) * len(materials)} copies ({', '.join(materials)})"
        f" of {len(clean)} utterances"
    )


def find_materials(conf: Augmentation, path: Path, musan: Path | None, rirs: Path | None) -> Materials:
    """What every kind of copies is made with; DataError, or a line if the configuration says skip, where one lacks."""
    name, materials = path.stem, {}
    for ending, copy in conf.copies.items():
        found = read_material(copy, musan, rirs)
        if not isinstance(found, str):
            materials[ending] = found
            continue
        missing = f"{name}: {ending}: {found}"
        if conf.if_missing == "stop":
            root = conf.needs[ending]
            partial = partial_of(path)
            raise DataError(
                f"{missing}; give the whole corpus with --data-root {root}=DIR"
                + (f", leave out what lacks with --set augment={partial}" if partial else "")
                + ", or train without copies with --set augment=null"
            )
        print(f"{missing}; these copies are left out")
    if not materials:
        raise DataError(f"{name}: no kind of copies has its material; --set augment=null trains without copies")
    return materials


if __name__ == "__main__":
    run(main, __file__)
