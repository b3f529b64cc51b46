"""What data directories know of the two sides of a trial: lengths, genders, languages, sessions, phone numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sv.data.partitions import PHONE_NUMBERS
from sv.data.tables import read_table
from sv.errors import DataError
from sv.features.front_ends import read_feature_config
from sv.features.wave_reader import COUNTS, STEP
from sv.records import settings_of

TABLES = ("spk2gender", "utt2lang", "utt2sess", "utt2dur", COUNTS)


class Side(NamedTuple):
    """A model or a test utterance; what is not known of all its utterances is None, "" or empty."""

    num_utts: int
    seconds: float | None  # all its utterances together
    gender: str  # "f" or "m"
    languages: tuple[str, ...]  # of each utterance
    sessions: tuple[str, ...]


def side_files(folder: Path) -> list[Path]:
    """The files of a set that `Sides` reads, beside utt2spk and models; not all need be there."""
    frames = _frames(folder)
    counted = [frames, frames.with_name("feats.conf")] if frames else []
    return [*(folder / name for name in (*TABLES, PHONE_NUMBERS)), *counted]


class Sides:
    """What a set knows of its utterances and models.

    >>> known = Sides(Path("data/sre16/sre16_eval_enroll"))
    >>> known.models(["1001_sre16"])["1001_sre16"].num_utts
    3

    Raises DataError for a malformed table. Ids that the set does not have are left out.
    """

    def __init__(self, folder: Path) -> None:
        self._speaker = read_table(folder / "utt2spk")
        self._seconds = durations(folder)
        self._gender, self._language, self._session, self._utts = (
            read_table(folder / name) if (folder / name).exists() else {}
            for name in ("spk2gender", "utt2lang", "utt2sess", "models")
        )

    def models(self, ids: Iterable[str]) -> dict[str, Side]:
        """Of models; without `models`, and of what is not in it, each is the utterance of its name."""
        return self._of({i: self._utts[i].split() if i in self._utts else [i] for i in ids})

    def utterances(self, ids: Iterable[str]) -> dict[str, Side]:
        """Of test utterances."""
        return self._of({i: [i] for i in ids})

    def _of(self, utts_of: Mapping[str, Sequence[str]]) -> dict[str, Side]:
        sides = {}
        for i, utts in utts_of.items():
            if not all(utt in self._speaker for utt in utts):
                continue
            seconds = [self._seconds.get(utt) for utt in utts]
            genders = {self._gender.get(self._speaker[utt], "").lower() for utt in utts}
            sides[i] = Side(
                len(utts),
                None if None in seconds else sum(seconds),
                genders.pop() if genders in ({"f"}, {"m"}) else "",
                _each(self._language, utts),
                _each(self._session, utts),
            )
        return sides


def _each(table: Mapping[str, str], utts: Sequence[str]) -> tuple[str, ...]:
    """The values of some utterances; empty unless all have one."""
    found = [table.get(utt) for utt in utts] if table else [None]
    return () if None in found else tuple(found)


def durations(folder: Path) -> dict[str, float]:
    """The lengths of a set's recordings (or segments), before any VAD, in s; empty if nothing tells them.

    From `utt2dur`, else from the samples that `steps/measure_audio.sh` counted, else, to within a window of 25 ms, from
    the frames of the first of its features. DataError for what is not a number.
    """
    frames = _frames(folder)
    if (folder / "utt2dur").exists():
        path, unit_s = folder / "utt2dur", 1.0
    elif (folder / COUNTS).exists() and (measured := settings_of(STEP, folder)):
        path, unit_s = folder / COUNTS, 1 / measured["rate"]
    elif frames:
        config = read_feature_config(frames.with_name("feats.conf"), name=frames.parent.name)
        path, unit_s = frames, config.frame_shift / 1000
    else:
        return {}
    try:
        return {utt: float(count) * unit_s for utt, count in read_table(path).items()}
    except ValueError as error:
        raise DataError(f"{path}: a length is not a number ({error}); run stage 1 again") from None


def _frames(folder: Path) -> Path | None:
    """The number of frames of each utterance, of the first of a set's features in C order."""
    return next(iter(sorted(folder.glob("feats/*/utt2num_frames"))), None)
