"""Trial lists: `enrol test target|nontarget` a line, and unlabelled `enrol test`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sv.data.datadir import DataDir
from sv.data.tables import first_few, read_lines, read_table, write_lines
from sv.errors import DataError


@dataclass
class Trials:
    """A list of trials: model (enrolment) ids, test ids and whether each is a target.

    >>> t = Trials(["spk1-a", "spk1-a"], ["spk1-b", "spk2-a"], np.array([True, False]))
    >>> len(t), t.num_targets
    (2, 1)

    `is_target` is None where the list has no labels. A trial may come twice, as in published lists, and counts
    twice; with two labels it is an error.
    """

    enrol: list[str]
    test: list[str]
    is_target: np.ndarray | None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Trials:
        """Read a list; DataError names the file and line of anything malformed."""
        enrol, test, labels = [], [], []
        for number, line in enumerate(read_lines(path), 1):
            parts = line.split()
            if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] not in ("target", "nontarget")):
                raise DataError(f"{path}:{number}: {line.strip()!r} is not 'enrol test target|nontarget'")
            enrol.append(parts[0])
            test.append(parts[1])
            labels.extend(parts[2:])
        if not enrol:
            raise DataError(f"{path} holds no trials")
        if labels and len(labels) != len(enrol):
            raise DataError(f"{path}: {len(labels)} of {len(enrol)} lines are labelled; all or none must be")
        label_of: dict[tuple[str, str], str] = {}
        for pair, label in zip(zip(enrol, test, strict=True), labels, strict=False):
            if label_of.setdefault(pair, label) != label:
                raise DataError(f"{path}: trial {' '.join(pair)} is a target in one line and a non-target in another")
        return cls(enrol, test, np.array([label == "target" for label in labels]) if labels else None)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the list in its own order."""
        if self.is_target is None:
            write_lines(path, map(" ".join, zip(self.enrol, self.test, strict=True)))
        else:
            labels = np.where(self.is_target, "target", "nontarget").tolist()
            write_lines(path, map(" ".join, zip(self.enrol, self.test, labels, strict=True)))

    def __len__(self) -> int:
        return len(self.enrol)

    @property
    def num_targets(self) -> int:
        """How many trials are targets (0 where unlabelled)."""
        return 0 if self.is_target is None else int(self.is_target.sum())

    def pairs(self) -> list[tuple[str, str]]:
        """Both ids of every trial."""
        return list(zip(self.enrol, self.test, strict=True))

    @cached_property
    def has_repeats(self) -> bool:
        """Whether a trial comes twice; found out once, as a list is not changed once it is read."""
        return len(set(self.pairs())) < len(self)

    def with_ids(self, enrol_ids: set[str], test_ids: set[str]) -> tuple[Trials, dict[str, str]]:
        """The trials whose ids are among those given, and the ids that were not, with the reason."""
        dropped = dict.fromkeys(sorted(set(self.enrol) - enrol_ids), "model without an embedding")
        dropped |= dict.fromkeys(sorted(set(self.test) - test_ids), "test utterance without an embedding")
        rows = [
            row
            for row, (enrol, test) in enumerate(zip(self.enrol, self.test, strict=True))
            if enrol in enrol_ids and test in test_ids
        ]
        if not rows:
            raise DataError("no trial is left: none of the list's ids has an embedding")
        labels = None if self.is_target is None else self.is_target[rows]
        return Trials([self.enrol[r] for r in rows], [self.test[r] for r in rows], labels), dropped

    def require(self, enrol_ids: set[str], test_ids: set[str], what: str) -> None:
        """Raise DataError if a trial names an id that is not among those given; `what` says what they are."""
        for side, ids, known in (("model", self.enrol, enrol_ids), ("test utterance", self.test, test_ids)):
            if missing := set(ids) - known:
                count = sum(i in missing for i in ids)
                raise DataError(f"{count} of {len(self)} trials name a {side} without {what} (first: {min(missing)})")


def list_name(path: Path) -> str:
    """The name of a list: NAME of DATA/trials_NAME."""
    return path.name.removeprefix("trials_")


def trial_files(data_dir: str | os.PathLike[str]) -> dict[str, Path]:
    """The trial lists of a data directory: `trials_NAME` files by name, and Kaldi's plain `trials` by that."""
    files = (path for path in sorted(Path(data_dir).glob("trials*")) if path.name.partition("_")[0] == "trials")
    return {list_name(path): path for path in files}


def speakers_of(*data_dirs: Path) -> dict[str, str]:
    """The speaker of every utterance of some sets and, where one has `models`, of every model of their utterances."""
    speaker = {utt: spk for path in data_dirs for utt, spk in DataDir.read(path).utt2spk.items()}
    tables = [read_table(path / "models") for path in data_dirs if (path / "models").exists()]
    return speaker | {
        model: speaker[first]
        for table in tables
        for model, utts in table.items()
        if (first := utts.split()[0]) in speaker
    }


def speaker_files(path: Path) -> list[Path]:
    """What tells the speakers of a list's ids."""
    return [path.parent / "utt2spk", path.parent / "models"]


def speakers_in(path: Path) -> set[str]:
    """The speakers of a list, of those of its ids that the set beside it knows."""
    known, trials = speakers_of(path.parent), Trials.read(path)
    return {known[i] for i in {*trials.enrol, *trials.test} & known.keys()}


def require_other_speakers(
    calibration: Path, lists: Iterable[Path], speakers: Callable[[Path], set[str]] = speakers_in
) -> None:
    """Raise DataError if one of the lists has speakers of the calibration list, as far as they are known.

    Args:
        speakers: of a list; give a cached `speakers_in` where the same lists are asked about more than once.
    """
    learnt_from = speakers(calibration)
    for path in lists:
        if shared := learnt_from & speakers(path):
            raise DataError(
                f"{path}: {len(shared)} of its speakers are in {calibration} too ({first_few(shared)}); a calibration"
                " is learnt from other speakers than those that it is used on"
            )
