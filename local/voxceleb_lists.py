"""The trial lists of VoxCeleb1 and VoxSRC: their published names and sizes, and `1|0 FILE FILE` lines as trials."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from voxceleb_tree import NO_VIDEO

from sv.data.tables import read_lines
from sv.data.trials import Trials, trial_files
from sv.errors import DataError


class PublishedList(NamedTuple):
    """A list as published: our name for it and how many trials it has."""

    name: str
    num_trials: int


TEST_PART = {  # on VoxCeleb1's test part alone
    "veri_test.txt": PublishedList("vox1_o", 37_720),
    "veri_test2.txt": PublishedList("vox1_o_cleaned", 37_611),
    "voxceleb1_test_v2.txt": PublishedList("vox1_o_cleaned", 37_611),
}
BOTH_PARTS = {  # on the development part too: of no use to what is trained on that
    "list_test_all.txt": PublishedList("vox1_e", 581_480),
    "list_test_all2.txt": PublishedList("vox1_e_cleaned", 579_818),
    "list_test_hard.txt": PublishedList("vox1_h", 552_536),
    "list_test_hard2.txt": PublishedList("vox1_h_cleaned", 550_894),
}
VOXSRC = {"voxsrc2020_val.txt": PublishedList("voxsrc2020_val", 263_486)}  # with recordings of voxceleb1_cd
PUBLISHED = TEST_PART | BOTH_PARTS | VOXSRC


def given_lists(root: Path, given: Iterable[str]) -> dict[str, Path]:
    """Lists that were given as NAME=FILE, FILE below the root or a path."""
    lists: dict[str, Path] = {}
    for text in given:
        name, equals, file = text.partition("=")
        if not equals or not name.replace("_", "").isalnum():
            raise DataError(f"--trials {text}: expected NAME=FILE, NAME of letters, digits and _")
        lists[name] = root / file
    return lists


def published_lists(folders: Iterable[Path], published: Mapping[str, PublishedList]) -> dict[str, Path]:
    """The published lists that lie in one of the folders, by our names; of two of one name the first."""
    lists: dict[str, Path] = {}
    for folder in folders:
        for file, (name, _) in published.items():
            if (folder / file).exists():
                lists.setdefault(name, folder / file)
    return lists


def no_list(root: Path, published: Iterable[str]) -> DataError:
    """What to say where there is none."""
    return DataError(
        f"{root}: no trial list; put one of {', '.join(published)} there, or name one with --trials NAME=FILE"
    )


def read_list(path: Path) -> Trials:
    """Read `1|0 FILE FILE` lines; file extensions do not matter."""
    enrol, test, is_target = [], [], []
    utterance = cache(utterance_of)  # a list names each many times
    for number, line in enumerate(read_lines(path), 1):
        parts = line.split()
        if len(parts) != 3 or parts[0] not in ("0", "1"):
            raise DataError(f"{path}:{number}: {line.strip()!r} is not '1|0 FILE FILE'")
        for file, ids in ((parts[1], enrol), (parts[2], test)):
            if not (utt := utterance(file)):
                raise DataError(f"{path}:{number}: {file} is not <speaker>/<video>/<n>.wav")
            ids.append(utt)
        is_target.append(parts[0] == "1")
    if not enrol:
        raise DataError(f"{path} holds no trials")
    return Trials(enrol, test, np.array(is_target))


def utterance_of(file: str) -> str:
    """The utterance of <speaker>/<video>/<n>.wav, also below voxceleb1/, or of voxceleb1_cd/<speaker>/<n>.wav.

    "" for any other.
    """
    match os.path.splitext(file)[0].split("/"):
        case ["voxceleb1_cd", speaker, number]:
            steps = [speaker, NO_VIDEO, number]
        case ["voxceleb1", *steps] | steps:
            pass
    return "-".join(steps) if len(steps) == 3 and all(steps) else ""


def require_recordings(lists: Mapping[str, Path], trials: Mapping[str, Trials], known: set[str], where: str) -> None:
    """Raise DataError, which names the list, if a trial is of an utterance that is not known."""
    for name, list_ in trials.items():
        try:
            list_.require(known, known, f"a recording below {where}")
        except DataError as error:
            raise DataError(f"{lists[name]}: {error}") from None


def true_names(trials: Mapping[str, Trials]) -> dict[str, str]:
    """The lists' names; one that has not as many trials as the published list of its name may not pass for that."""
    names = {
        name: name if num_published(name) in (None, len(list_)) else f"{name}_other" for name, list_ in trials.items()
    }
    if len(set(names.values())) < len(names):
        raise DataError(f"two of the trial lists {', '.join(names)} would be called the same; give one another name")
    return names


def num_published(name: str) -> int | None:
    """How many trials the published list of a name has."""
    return next((published.num_trials for published in PUBLISHED.values() if published.name == name), None)


def write_lists(trials: Mapping[str, Trials], names: Mapping[str, str], folder: Path) -> None:
    """Write lists by their true names into a set, in place of those of an earlier time, and say what they are."""
    for old in trial_files(folder).values():
        old.unlink()
    for name, list_ in trials.items():
        path = folder / f"trials_{names[name]}"
        list_.write(path)
        used = len({*list_.enrol, *list_.test})
        print(
            f"{path}: {len(list_)} trials ({list_.num_targets} target) on {used} utterances"
            + (
                f"; the published {name} has {num_published(name)}: this is another list, so it has another name"
                if names[name] != name
                else ""
            )
        )
