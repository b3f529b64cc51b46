"""VoxCeleb1 on disk -> OUT/vox1_dev and OUT/vox1_test, data directories, the latter with its trial lists.

Takes ROOT/dev/wav and ROOT/test/wav, or one merged ROOT/wav, of <speaker>/<video>/<n>.wav or .flac. In a merged
tree the test speakers are those that vox1_meta.csv or, without it, the trial list says. Trial lists are found by
the names under which they are published, or given with --trials NAME=FILE; where the published list of that name has
another number of trials, the name gets an _other behind it. ROOT/SYNTHETIC.txt goes into both sets.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sv.cli import Parser, run
from sv.data.datadir import LABEL, DataDir, read_label, set_files
from sv.data.tables import first_few, read_lines
from sv.data.trials import Trials, trial_files
from sv.errors import DataError
from sv.records import Step


class PublishedList(NamedTuple):
    """A list of VoxCeleb1-O as published: our name for it and how many trials it has."""

    name: str
    num_trials: int


PUBLISHED = {
    "veri_test.txt": PublishedList("vox1_o", 37_720),
    "veri_test2.txt": PublishedList("vox1_o_cleaned", 37_611),
    "voxceleb1_test_v2.txt": PublishedList("vox1_o_cleaned", 37_611),
}
# Lists that draw on the training speakers of VoxCeleb1: of no use to what is trained on these.
NEED_OTHER_TRAINING = ("list_test_all.txt", "list_test_all2.txt", "list_test_hard.txt", "list_test_hard2.txt")
EXPECTED = {"vox1_dev": (1_211, 148_642), "vox1_test": (40, 4_874)}  # speakers, utterances


class Recording(NamedTuple):
    """A file of the tree."""

    speaker: str
    session: str
    number: str
    path: str

    @property
    def utterance(self) -> str:
        return f"{self.speaker}-{self.session}-{self.number}"


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
    step = Step(
        "prepare_voxceleb1",
        out,
        inputs=[*lists.values(), root / "vox1_meta.csv", root / LABEL],
        digests={"names of the recordings": names_digest(root)},
        settings={"root": os.path.abspath(root), "lists": list(lists)},
    )
    if step.skip():
        return
    trials = {name: read_list(path) for name, path in lists.items()}
    meta = read_meta(root / "vox1_meta.csv")
    dev, test = find_recordings(root, meta, trials)
    gender = {speaker: fields["Gender"] for speaker, fields in meta.items()}
    sets = {"vox1_dev": data_dir(dev, gender), "vox1_test": data_dir(test, gender)}
    label = read_label(root)
    known = set(sets["vox1_test"].utt2spk)
    for name, list_ in trials.items():
        try:
            list_.require(known, known, f"a recording below {root}")
        except DataError as error:
            raise DataError(f"{lists[name]}: {error}") from None
    names = {name: true_name(name, list_) for name, list_ in trials.items()}
    if len(set(names.values())) < len(names):
        raise DataError(f"two of the trial lists {', '.join(names)} would be called the same; give one another name")
    step.begin()
    is_voxceleb = not {published.name for published in PUBLISHED.values()}.isdisjoint(trials)
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
    for old in trial_files(out / "vox1_test").values():
        old.unlink()
    for name, list_ in trials.items():
        write_list(list_, out / "vox1_test" / f"trials_{names[name]}", name)
    step.done([path for name in sets for path in set_files(out / name)], dev=len(dev), test=len(test))


def true_name(name: str, list_: Trials) -> str:
    """A list's name; one that has not as many trials as the published list of its name may not pass for that."""
    return name if num_published(name) in (None, len(list_)) else f"{name}_other"


def num_published(name: str) -> int | None:
    """How many trials the published list of a name has."""
    return next((published.num_trials for published in PUBLISHED.values() if published.name == name), None)


def write_list(list_: Trials, path: Path, found_as: str) -> None:
    """Write a list and say what it is."""
    list_.write(path)
    used = len({*list_.enrol, *list_.test})
    print(
        f"{path}: {len(list_)} trials ({list_.num_targets} target) on {used} utterances"
        + (
            f"; the published {found_as} has {num_published(found_as)}: this is another list, so it has another name"
            if path.name != f"trials_{found_as}"
            else ""
        )
    )


def find_lists(root: Path, given: list[str]) -> dict[str, Path]:
    """Trial lists by name: those given as NAME=FILE, or else the published ones that lie below the root."""
    if not root.is_dir():
        raise DataError(
            f"VoxCeleb1: {root} is not a folder; give its root, the folder that holds dev/ and test/ (or wav/)"
        )
    lists: dict[str, Path] = {}
    for text in given:
        name, equals, file = text.partition("=")
        if not equals or not name.replace("_", "").isalnum():
            raise DataError(f"--trials {text}: expected NAME=FILE, NAME of letters, digits and _")
        lists[name] = root / file
    if not given:
        for file, published in PUBLISHED.items():
            if (root / file).exists() and published.name not in lists:
                lists[published.name] = root / file
        for file in NEED_OTHER_TRAINING:
            if (root / file).exists():
                print(f"{root / file}: left out, as it draws on speakers that VoxCeleb1 systems are trained on")
    if not lists:
        raise DataError(
            f"{root}: no trial list; put one of {', '.join(PUBLISHED)} there, or name one with --trials NAME=FILE"
        )
    return lists


def read_list(path: Path) -> Trials:
    """Read `1|0 spk/video/n.wav spk/video/n.wav` lines; file extensions do not matter."""
    enrol, test, is_target = [], [], []
    for number, line in enumerate(read_lines(path), 1):
        parts = line.split()
        if len(parts) != 3 or parts[0] not in ("0", "1"):
            raise DataError(f"{path}:{number}: {line.strip()!r} is not '1|0 FILE FILE'")
        for file, ids in ((parts[1], enrol), (parts[2], test)):
            steps = Path(file).with_suffix("").parts
            if len(steps) != 3:
                raise DataError(f"{path}:{number}: {file} is not <speaker>/<video>/<n>.wav")
            ids.append("-".join(steps))
        is_target.append(parts[0] == "1")
    if not enrol:
        raise DataError(f"{path} holds no trials")
    return Trials(enrol, test, np.array(is_target))


def read_meta(path: Path) -> dict[str, dict[str, str]]:
    """vox1_meta.csv (tab-separated) by speaker; empty if there is none."""
    if not path.exists():
        return {}
    if not any(line.strip() for line in read_lines(path)):
        raise DataError(f"{path} is empty; expected a header and a line for every speaker")
    header, *rows = ([cell.strip() for cell in line.split("\t")] for line in read_lines(path) if line.strip())
    wanted = ("VoxCeleb1 ID", "Gender", "Set")
    if missing := [column for column in wanted if column not in header]:
        raise DataError(f"{path}: column {missing[0]!r} is missing; expected tab-separated {', '.join(wanted)}")
    if short := [row for row in rows if len(row) != len(header)]:
        raise DataError(f"{path}: {' '.join(short[0])!r} has {len(short[0])} columns, the header {len(header)}")
    table = [dict(zip(header, row, strict=True)) for row in rows]
    return {row["VoxCeleb1 ID"]: row for row in table}


def find_recordings(
    root: Path, meta: dict[str, dict[str, str]], trials: dict[str, Trials]
) -> tuple[list[Recording], list[Recording]]:
    """The recordings of the development and of the test part."""
    if (root / "dev" / "wav").is_dir() and (root / "test" / "wav").is_dir():
        dev, test = (list(recordings_below(root / part / "wav")) for part in ("dev", "test"))
    elif (root / "wav").is_dir():
        if meta:
            test_speakers = {speaker for speaker, row in meta.items() if row["Set"] == "test"}
        else:
            ids = (i for list_ in trials.values() for i in (*list_.enrol, *list_.test))
            test_speakers = {i.split("-", 1)[0] for i in ids}
        dev, test = [], []
        for recording in recordings_below(root / "wav"):
            (test if recording.speaker in test_speakers else dev).append(recording)
    else:
        raise DataError(f"{root}: neither dev/wav and test/wav nor wav/ is there; this is not VoxCeleb1's root")
    for part, recordings in (("development", dev), ("test", test)):
        if not recordings:
            raise DataError(f"{root}: the {part} part holds no .wav or .flac file")
    return dev, test


def names_digest(root: Path) -> str:
    """A digest of the names of all recordings of a tree."""
    digest = hashlib.sha256()
    for part in ("dev/wav", "test/wav", "wav"):
        for recording in recordings_below(root / part) if (root / part).is_dir() else ():
            digest.update(f"{os.path.relpath(recording.path, root)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def recordings_below(folder: Path) -> Iterator[Recording]:
    """Every <speaker>/<video>/<n>.wav or .flac below a folder."""
    for speaker in _folders(folder):
        for session in _folders(speaker.path):
            for file in sorted(os.scandir(session.path), key=lambda entry: entry.name):
                number, extension = os.path.splitext(file.name)
                if extension in (".wav", ".flac") and not number.startswith("."):  # ._*: macOS's notes
                    yield Recording(speaker.name, session.name, number, os.path.abspath(file.path))


def _folders(path: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    return sorted((entry for entry in os.scandir(path) if entry.is_dir()), key=lambda entry: entry.name)


def data_dir(recordings: list[Recording], gender: dict[str, str]) -> DataDir:
    """The data directory of some recordings; DataError if an utterance is there twice (as WAV and as FLAC)."""
    wav = {recording.utterance: recording.path for recording in recordings}
    if len(wav) != len(recordings):
        twice = {r.utterance for r in recordings if wav[r.utterance] != r.path}
        raise DataError(f"{len(twice)} utterances are there as .wav and as .flac: {first_few(twice)}; keep one")
    utt2spk = {recording.utterance: recording.speaker for recording in recordings}
    tables = {"utt2sess": {r.utterance: f"{r.speaker}-{r.session}" for r in recordings}}
    if all(speaker in gender for speaker in utt2spk.values()):
        tables["spk2gender"] = {speaker: gender[speaker] for speaker in set(utt2spk.values())}
    return DataDir(utt2spk, wav, None, tables)


if __name__ == "__main__":
    run(main, __file__)
