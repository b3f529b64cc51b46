"""Trees of recordings in VoxCeleb's form, <speaker>/<video>/<n>.wav: found in one walk, and made into a set."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from sv.data.datadir import DataDir
from sv.data.tables import first_few, read_lines
from sv.errors import DataError

EXTENSIONS = (".m4a", ".wav", ".flac")
NO_VIDEO = "cd"  # in the place of a video's name, which has eleven characters: voxceleb1_cd does not tell it


class Recording(NamedTuple):
    """A file of the tree."""

    speaker: str
    video: str
    number: str
    path: str

    @property
    def utterance(self) -> str:
        return f"{self.speaker}-{self.video}-{self.number}"


def recordings_below(folder: Path, extensions: Collection[str], has_videos: bool = True) -> Iterator[Recording]:
    """Every <speaker>/<video>/<n> below a folder, or <speaker>/<n>, that ends as one of `extensions`, in C order."""
    for speaker in _folders(os.path.abspath(folder)):
        for place in _folders(speaker.path) if has_videos else [speaker]:
            video = place.name if has_videos else NO_VIDEO
            for file in sorted(_entries(place.path), key=lambda entry: entry.name):
                number, extension = os.path.splitext(file.name)
                if extension in extensions and not number.startswith("."):  # ._*: macOS's notes
                    yield Recording(speaker.name, video, sys.intern(number), file.path)


def _folders(path: str) -> list[os.DirEntry[str]]:
    return sorted((entry for entry in _entries(path) if entry.is_dir()), key=lambda entry: entry.name)


def _entries(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return list(entries)


def names_digest(root: Path, recordings: Iterable[Recording]) -> str:
    """A digest of the names of recordings, from their root on."""
    digest, begin = hashlib.sha256(), len(os.path.join(os.path.abspath(root), ""))
    for recording in recordings:
        digest.update(f"{recording.path[begin:]}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def data_dir(recordings: Iterable[Recording], gender: Mapping[str, str], advice: str = "keep one") -> DataDir:
    """The data directory of some recordings, of one speaker after the other.

    Raises DataError, which ends with `advice`, if an utterance is there twice, as WAV and as FLAC.
    """
    wav: dict[str, str] = {}
    utt2spk: dict[str, str] = {}
    utt2sess: dict[str, str] = {}
    twice: dict[str, set[str]] = {}
    for recording in recordings:
        utt = recording.utterance
        if wav.setdefault(utt, recording.path) != recording.path:
            twice.setdefault(utt, {_extension(wav[utt])}).add(_extension(recording.path))
            continue
        utt2spk[utt] = recording.speaker
        utt2sess[utt] = utt if recording.video == NO_VIDEO else sys.intern(utt[: utt.rindex("-")])
    if twice:
        kinds = [extension for extension in EXTENSIONS if extension in set().union(*twice.values())]
        there = f"as {' and as '.join(kinds)}" if len(kinds) > 1 else f"in two places as {kinds[0]}"
        raise DataError(f"{len(twice)} utterances are there {there}: {first_few(twice)}; {advice}")
    tables, speakers = {"utt2sess": utt2sess}, set(utt2spk.values())
    if speakers <= gender.keys():
        tables["spk2gender"] = {speaker: gender[speaker] for speaker in speakers}
    return DataDir(utt2spk, wav, None, tables)


def _extension(path: str) -> str:
    return os.path.splitext(path)[1]


def read_meta(path: Path, id_column: str, separators: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """A vox1_meta.csv or vox2_meta.csv by speaker; empty if there is none.

    Args:
        path: of the table, of which a header and a line for every speaker are expected.
        id_column: the speakers'.
        separators: what may stand between two columns, by what it is called; spaces beside it do not count.
    Raises:
        DataError: naming the file and what is wrong in it.
    """
    if not path.exists():
        return {}
    lines = [line for line in read_lines(path) if line.strip()]
    if not lines:
        raise DataError(f"{path} is empty; expected a header and a line for every speaker")
    separator = next((each for each in separators.values() if each in lines[0]), "\t")
    header, *rows = ([cell.strip() for cell in line.split(separator)] for line in lines)
    wanted = (id_column, "Gender", "Set")
    if missing := [column for column in wanted if column not in header]:
        said = " or ".join(f"{name}-separated" for name in separators)
        raise DataError(f"{path}: column {missing[0]!r} is missing; expected {said} {', '.join(wanted)}")
    if short := [row for row in rows if len(row) != len(header)]:
        raise DataError(f"{path}: {' '.join(short[0])!r} has {len(short[0])} columns, the header {len(header)}")
    table = {row[header.index(id_column)]: dict(zip(header, row, strict=True)) for row in rows}
    for speaker, row in table.items():
        if row["Set"] not in ("dev", "test"):
            raise DataError(f"{path}: the Set of {speaker} is {row['Set']!r}, not dev or test")
    return table
