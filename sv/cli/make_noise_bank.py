"""Noises and impulse responses for crops that are augmented in training: OUT/{noise,music,speech,ROOM}.RATE.*.

A file for each kind that the augmentation draws from; the training's processes map them into memory.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sv.augment.bank import NOISES, index_file, write_bank
from sv.augment.copies import read_noises, read_rooms
from sv.augment.online import step_name
from sv.augment.online_config import OnlineAugmentation, read_online_augmentation
from sv.cli import Parser, run
from sv.data.recordings import files_digest
from sv.errors import DataError
from sv.records import Step, dry_run


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--conf", type=Path, required=True, help="conf/augment_online/NAME.yaml")
    parser.add_argument("--rate", type=int, required=True, help="of the network, in Hz")
    parser.add_argument("--musan", type=Path, metavar="DIR", help="what local/prepare_musan.py wrote")
    parser.add_argument("--rirs", type=Path, metavar="DIR", help="what local/prepare_rirs.py wrote")
    parser.add_argument("out", type=Path, help="folder of the banks")
    args = parser.parse_args()
    if args.rate < 1:
        raise DataError(f"--rate is a number of samples a second, not {args.rate}")
    conf = read_online_augmentation(args.conf)
    found = {name: find_files(name, args.musan, args.rirs) for needed in conf.needs.values() for name in needed}
    if dry_run():  # may come before the corpora are prepared
        found = {name: [] if isinstance(files, str) else files for name, files in found.items()}
    refuse_or_say(conf, args, found)
    for name, files in found.items():
        if not isinstance(files, str):
            make(name, files, args)
        elif corpus_of(name, args):  # without it, the bank of an earlier one stays: other systems may draw from it
            index_file(args.out, name, args.rate).unlink(missing_ok=True)


def corpus_of(name: str, args: argparse.Namespace) -> Path | None:
    """Where the material of a bank comes from, if it is given."""
    return args.musan if name in NOISES else args.rirs


def find_files(name: str, musan: Path | None, rirs: Path | None) -> list[str] | str:
    """The files of a bank or, as a text, what is missing."""
    if name in NOISES:
        noises = read_noises(name, musan)
        return noises if isinstance(noises, str) else noises.files
    rooms = read_rooms([name], rirs)
    return rooms if isinstance(rooms, str) else rooms[0]


def refuse_or_say(conf: OnlineAugmentation, args: argparse.Namespace, found: dict[str, list[str] | str]) -> None:
    """DataError, or a line if the configuration says skip, where a way lacks its material."""
    for way, needed in conf.needs.items():
        lacking = next((bank for bank in needed if isinstance(found[bank], str)), None)
        if lacking is None:
            continue
        missing = f"{args.conf.stem}: {way}: {found[lacking]}"
        if conf.if_missing == "stop":
            root = "musan" if lacking in NOISES else "rirs"
            raise DataError(
                f"{missing}; give the whole corpus with --data-root {root}=DIR, or take an augmentation that goes on"
                " without (if_missing: skip), as voxsrc_partial"
            )
        stay = not corpus_of(lacking, args) and all(index_file(args.out, bank, args.rate).exists() for bank in needed)
        what = f"{args.out} has some of an earlier time, which is taken" if stay else "no crop is augmented that way"
        print(f"{missing}; {what}")


def make(name: str, files: list[str], args: argparse.Namespace) -> None:
    """Write a bank, unless it is there and its files are as they were."""
    if gone := next((file for file in files if not os.path.exists(file)), None):
        raise DataError(f"{gone} is gone; run stage 2 with the corpus where it is now")
    step = Step(
        step_name(name, args.rate),
        args.out,
        digests={"recordings": files_digest(files)},
        settings={"rate": args.rate},
    )
    if step.skip():
        return
    step.begin()
    written = write_bank(args.out, name, args.rate, files)
    step.done(written, files=len(files))
    print(f"{written[0]}: {len(files)} files, {written[0].stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main, __file__)
