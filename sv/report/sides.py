"""What data directories know of the two sides of a trial: lengths, genders, languages, sessions, phone numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
    languages: frozenset[str]
    sessions: frozenset[str]


def side_files(folder: Path) -> list[Path]:
    """The files of a set that `read_sides` reads, beside utt2spk and models; not all need be there."""
    frames = _frames(folder)
    counted = [frames, frames.with_name("feats.conf")] if frames else []
    return [*(folder / name for name in (*TABLES, PHONE_NUMBERS)), *counted]


def read_sides(folder: Path, ids: Collection[str], models: bool) -> dict[str, Side]:
    """What a set knows of some of its utterances or models; ids that it does not know are left out.

    Args:
        folder: the data directory.
        models: whether the ids are of models where the set has any, `models`; without them each is an utterance.
    Raises:
        DataError: a table is malformed.
    """
    utt2spk, seconds = read_table(folder / "utt2spk"), durations(folder)
    gender, language, session = (
        read_table(folder / name) if (folder / name).exists() else {} for name in ("spk2gender", "utt2lang", "utt2sess")
    )
    utts_of = read_table(folder / "models") if models and (folder / "models").exists() else {}
    sides = {}
    for i in ids:
        utts = utts_of[i].split() if i in utts_of else [i]
        if not utt2spk.keys() >= set(utts):
            continue
        genders = {gender.get(utt2spk[utt], "").lower() for utt in utts}
        lengths = [seconds.get(utt) for utt in utts]
        sides[i] = Side(
            len(utts),
            None if None in lengths else sum(lengths),
            genders.pop() if genders in ({"f"}, {"m"}) else "",
            _known(language, utts),
            _known(session, utts),
        )
    return sides


def _known(table: Mapping[str, str], utts: Collection[str]) -> frozenset[str]:
    """The values of some utterances; empty unless all have one."""
    return frozenset(table[utt] for utt in utts) if table.keys() >= set(utts) else frozenset()


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
