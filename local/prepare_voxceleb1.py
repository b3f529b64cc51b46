"""VoxCeleb1 on disk -> OUT/vox1_dev and OUT/vox1_test, data directories, the latter with its trial lists.

Takes ROOT/dev/wav and ROOT/test/wav, or one merged ROOT/wav, of <speaker>/<video>/<n>.wav or .flac. In a merged
tree the test speakers are those that vox1_meta.csv or, without it, the trial list says. Trial lists are found by
the names under which they are published, or given with --trials NAME=FILE; where the published list of that name has
another number of trials, the name gets an _other behind it. ROOT/SYNTHETIC.txt goes into both sets.
"""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path

from voxceleb_lists import (
    BOTH_PARTS,
    TEST_PART,
    given_lists,
    no_list,
    published_lists,
    read_list,
    require_recordings,
    true_names,
    write_lists,
)
from voxceleb_tree import Recording, data_dir, names_digest, read_meta, recordings_below

from sv.cli import Parser, run
from sv.data.datadir import LABEL, read_label, set_files
from sv.data.trials import Trials
from sv.errors import DataError
from sv.records import Step

EXPECTED = {"vox1_dev": (1_211, 148_642), "vox1_test": (40, 4_874)}  # speakers, utterances


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument(
        "--trials",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a trial list, FILE below ROOT or a path; instead of the published ones",
    )
    parser.add_argument("root", type=Path, help="VoxCeleb1 as downloaded")
    parser.add_argument("out", type=Path, help="folder of the data directories")
    args = parser.parse_args()
    prepare(args.root, args.out, find_lists(args.root, args.trials))


def prepare(root: Path, out: Path, lists: dict[str, Path]) -> None:
    """Write both sets; DataError if tree or list is missing or empty, or a list names a file that is not there.

    Nothing is done if tree and lists are as they were the last time.
    """
    parts = {part: list(recordings_below(root / part, (".wav", ".flac"))) for part in parts_of(root)}
    step = Step(
        "prepare_voxceleb1",
        out,
        inputs=[*lists.values(), root / "vox1_meta.csv", root / LABEL],
        digests={"names of the recordings": names_digest(root, chain.from_iterable(parts.values()))},
        settings={"root": os.path.abspath(root), "lists": list(lists)},
    )
    if step.skip():
        return
    trials = {name: read_list(path) for name, path in lists.items()}
    meta = read_meta(root / "vox1_meta.csv", "VoxCeleb1 ID", {"tab": "\t"})
    dev, test = parts.values() if len(parts) == 2 else split(parts["wav"], meta, trials)
    for part, recordings in (("development", dev), ("test", test)):
        if not recordings:
            raise DataError(f"{root}: the {part} part holds no .wav or .flac file")
    gender = {speaker: fields["Gender"] for speaker, fields in meta.items()}
    sets = {"vox1_dev": data_dir(dev, gender), "vox1_test": data_dir(test, gender)}
    label = read_label(root)
    require_recordings(lists, trials, set(sets["vox1_test"].utt2spk), str(root))
    names = true_names(trials)
    step.begin()
    is_voxceleb = not {published.name for published in TEST_PART.values()}.isdisjoint(trials)
    for name, data in sets.items():
        data.synthetic = label
        data.write(out / name)
        speakers, utterances = EXPECTED[name]
        whole = (data.num_speakers, len(data)) == EXPECTED[name] or not is_voxceleb
        print(
            f"{out / name}: {len(data)} utterances of {data.num_speakers} speakers"
            + ("" if whole else f" (VoxCeleb1 has {utterances} of {speakers})")
            + ("" if label is None else ", synthetic speech")
        )
    write_lists(trials, names, out / "vox1_test")
    step.done([path for name in sets for path in set_files(out / name)], dev=len(dev), test=len(test))


def find_lists(root: Path, given: list[str]) -> dict[str, Path]:
    """Trial lists by name: those given as NAME=FILE, or else the published ones that lie below the root."""
    if not root.is_dir():
        raise DataError(
            f"VoxCeleb1: {root} is not a folder; give its root, the folder that holds dev/ and test/ (or wav/)"
        )
    lists = given_lists(root, given)
    if not given:
        lists = published_lists([root], TEST_PART)
        for file in BOTH_PARTS:
            if (root / file).exists():
                print(f"{root / file}: left out, as it draws on speakers that VoxCeleb1 systems are trained on")
    if not lists:
        raise no_list(root, TEST_PART)
    return lists


def parts_of(root: Path) -> tuple[str, ...]:
    """The folders of the parts, the development part first, or the one folder of a merged tree."""
    if (root / "dev/wav").is_dir() and (root / "test/wav").is_dir():
        return "dev/wav", "test/wav"
    if (root / "wav").is_dir():
        return ("wav",)
    raise DataError(f"{root}: neither dev/wav and test/wav nor wav/ is there; this is not VoxCeleb1's root")


def split(
    recordings: list[Recording], meta: dict[str, dict[str, str]], trials: dict[str, Trials]
) -> tuple[list[Recording], list[Recording]]:
    """The recordings of the development and of the test part of a merged tree."""
    if meta:
        test_speakers = {speaker for speaker, row in meta.items() if row["Set"] == "test"}
    else:
        ids = (i for list_ in trials.values() for i in (*list_.enrol, *list_.test))
        test_speakers = {i.split("-", 1)[0] for i in ids}
    dev, test = [], []
    for recording in recordings:
        (test if recording.speaker in test_speakers else dev).append(recording)
    return dev, test


if __name__ == "__main__":
    run(main, __file__)
