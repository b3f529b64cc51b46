"""What the programs for LDC's corpora share: finding recordings, reading tables, one utterance a side of a call.

A recording is known by the name of its file up to the first dot, as the corpora's tables name it. A side of a
two-channel call is a line of `segments` with the channel, A 0 and B 1. What a table lists and cannot be used is left
out of the set and stands in its dropped.txt with the reason.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sv.data.audio import audio_info
from sv.data.bytes_source import FileBytes
from sv.data.datadir import DataDir, Segment, read_label, set_files, write_dropped
from sv.data.sphere import MAGIC, read_sphere_header
from sv.data.tables import first_few, read_lines
from sv.errors import AudioError, DataError
from sv.records import Step

CHANNEL = {"a": 0, "b": 1}
Row = list[str]


class Found(NamedTuple):
    """What of a recording's header matters here."""

    num_channels: int
    needs: str  # the coding, if sph2pipe is needed for it; else ""


@dataclass
class Recordings:
    """The recordings below some folders: absolute paths by name, those whose name is there twice, and a digest."""

    paths: dict[str, str]
    hidden: list[str]  # files left aside, as another of the same name comes first in C order
    digest: str  # of all paths and sizes
    folders: list[Path]


def recordings_below(*folders: Path, extension: str = ".sph") -> Recordings:
    """Find the recordings below folders, links followed; a folder that is not there holds none."""
    files = sorted(path for folder in folders for path in _files_below(folder, extension, set()))
    paths: dict[str, str] = {}
    hidden, digest = [], hashlib.sha256()
    for path in files:
        if paths.setdefault(os.path.basename(path).partition(".")[0], path) != path:
            hidden.append(path)
        digest.update(f"{path}\t{os.stat(path).st_size}\n".encode(errors="surrogateescape"))
    return Recordings(paths, hidden, digest.hexdigest(), list(folders))


def _files_below(folder: Path, extension: str, above: set[str]) -> Iterator[str]:
    real = os.path.realpath(folder)
    if not os.path.isdir(folder) or real in above:  # a link that leads back up
        return
    for entry in os.scandir(folder):
        if entry.is_dir():
            yield from _files_below(Path(entry.path), extension, above | {real})
        elif entry.name.lower().endswith(extension) and not entry.name.startswith(".") and entry.is_file():
            yield os.path.abspath(entry.path)


def require_root(root: Path, what: str, holds: str) -> None:
    """Raise DataError if a corpus's root is not a folder."""
    if not root.is_dir():
        raise DataError(f"{what}: {root} is not a folder; give its root, the folder that holds {holds}")


def first_there(what: str, *candidates: Path) -> Path:
    """The first of the places at which copies of a corpus keep a table; DataError naming them if it is at none."""
    for path in candidates:
        if path.exists():
            return path
    others = f" (nor {', '.join(map(str, candidates[1:]))})" if candidates[1:] else ""
    raise DataError(f"{what}: {candidates[0]} is missing{others}")


def read_rows(
    path: Path, columns: str, separator: str | None = ",", is_header: Callable[[Row], bool] = lambda row: False
) -> Iterator[tuple[int, Row]]:
    """The rows of a table with their line numbers, cells stripped.

    Args:
        columns: what the leading columns are, for messages and for their number, as "call, speaker A, speaker B".
        separator: between cells; None for any blanks.
        is_header: whether the first row is no data.
    Raises:
        DataError: no such file; a row with fewer columns; no row at all.
    """
    least, num_rows = columns.count(",") + 1, 0
    for number, line in enumerate(read_lines(path, errors="replace"), 1):
        row = [cell.strip() for cell in line.split(separator)]
        if not any(row):
            continue
        if len(row) < least:
            raise DataError(f"{path}:{number}: {line.strip()!r} has {len(row)} columns, expected {columns} …")
        num_rows += 1
        if num_rows > 1 or not is_header(row):
            yield number, row
    if not num_rows:
        raise DataError(f"{path} is empty; expected {columns} … a line")


class CallSet:
    """The utterances of a set as a corpus's tables list them, and what of these is left out.

    >>> calls = CallSet("sre08", recordings_below(root))
    >>> calls.add("100396-sre08-taaa-a", "100396", "taaa", "a", gender="m")
    >>> calls.check()
    >>> calls.write(out / "sre08", root)
    """

    def __init__(self, tag: str, recordings: Recordings) -> None:
        self._tag, self._recordings = tag, recordings
        self._data = DataDir({}, {}, {}, {"utt2sess": {}})
        self._gender: dict[str, str] = {}
        self._two_genders: set[str] = set()
        self._utt_of: dict[tuple[str, str, float], str] = {}  # by recording, side and start
        self._found: dict[str, Found | str] = {}  # or the reason why it cannot be used
        self.dropped: dict[str, str] = {}

    def add(
        self,
        utt: str,
        speaker: str,
        name: str,
        side: str,
        *,
        gender: str = "",
        session: str = "",
        start_s: float = 0.0,
        end_s: float = -1.0,
    ) -> None:
        """Add a side of a recording, or put it among what is dropped if it cannot be used.

        Args:
            name: the recording's.
            side: "a" or "b"; "" for the only channel, or the first.
            gender: of the speaker, "m" or "f"; "" where it is not known. The first that is given counts.
            session: the call, by default this recording.
            start_s, end_s: the part of the recording, in seconds.
        """
        if gender and self._gender.setdefault(speaker, gender) != gender:
            self._two_genders.add(speaker)
        if utt in self._data.utt2spk or utt in self.dropped:
            return
        try:
            channel = self._channel(name, side)
        except AudioError as error:
            self.dropped[utt] = str(error)
            return
        before = self._utt_of.setdefault((name, side, start_s), utt)
        if before != utt:
            reason = f"side {side} of {name} is listed as two speakers', {self._speaker_of(before)} and {speaker}"
            self.dropped[utt] = reason
            self.drop(before, reason)
            return
        recording = f"{self._tag}-{name}"
        self._data.utt2spk[utt] = speaker
        self._data.wav[recording] = self._recordings.paths[name]
        self._data.segments[utt] = Segment(recording, start_s, end_s, channel)
        self._data.tables["utt2sess"][utt] = session or recording

    def drop(self, utt: str, reason: str) -> None:
        """Leave an utterance out."""
        self._data.utt2spk.pop(utt, None)
        self.dropped[utt] = reason

    def set_table(self, name: str, table: dict[str, str]) -> None:
        """Give the set another table of its utterances; left out if it does not cover them."""
        if self._data.utt2spk.keys() <= table.keys():
            self._data.tables[name] = {utt: table[utt] for utt in self._data.utt2spk}

    @property
    def utterances(self) -> set[str]:
        """The utterances so far."""
        return set(self._data.utt2spk)

    def num_channels(self, name: str) -> int:
        """Of a recording; 1 where it is not there or not readable."""
        found = self._look(name)
        return 1 if isinstance(found, str) else found.num_channels

    def check(self) -> None:
        """Raise DataError if no utterance is left or recordings need sph2pipe and it is not there."""
        where = self._where
        if not self._data.utt2spk:
            first = next((f" (first: {utt}: {why})" for utt, why in sorted(self.dropped.items())), "")
            raise DataError(f"{where}: none of the recordings that the tables list can be used{first}")
        need = {name: found.needs for name, found in self._found.items() if isinstance(found, Found) and found.needs}
        if need and not shutil.which("sph2pipe"):
            raise DataError(
                f"{where}: {len(need)} of {len(self._found)} recordings have a SPHERE coding such as"
                f" '{need[min(need)]}' ({first_few(need)}), for which sph2pipe must be on PATH; install it (LDC, or"
                " Kaldi's tools) or convert them to WAV, leaving their names as they are"
            )

    def write(self, out: Path, root: Path) -> list[Path]:
        """Write the set and its dropped.txt, say what it is, and return its files; to be checked before."""
        data = self._data.subset(self.utterances)
        data.synthetic = read_label(root)
        speakers = set(data.utt2spk.values())
        unknown = speakers - self._gender.keys()
        if not unknown:
            data.tables["spk2gender"] = {speaker: self._gender[speaker] for speaker in speakers}
        data.write(out)
        write_dropped(out / "dropped.txt", self.dropped)
        label = "" if data.synthetic is None else ", synthetic speech"
        print(f"{out}: {len(data)} utterances of {len(speakers)} speakers{label}")
        self._say(out, speakers, unknown)
        return set_files(out)

    def _say(self, out: Path, speakers: set[str], unknown: set[str]) -> None:
        if self.dropped:
            utt = min(self.dropped)
            print(f"{out}: {len(self.dropped)} left out, see dropped.txt (first: {utt}: {self.dropped[utt]})")
        if self._recordings.hidden:
            files = f"{len(self._recordings.hidden)} files have the name of another, which comes before and is taken"
            print(f"{out}: {files} (first: {self._recordings.hidden[0]})")
        if self._two_genders:
            print(f"{out}: {len(self._two_genders)} speakers are listed as m and f ({first_few(self._two_genders)})")
        if unknown and unknown != speakers:
            print(f"{out}: no spk2gender, as {len(unknown)} speakers' is not known ({first_few(unknown)})")

    def _speaker_of(self, utt: str) -> str:
        return self._data.utt2spk.get(utt, utt)

    def _channel(self, name: str, side: str) -> int | None:
        """The channel for `segments`; AudioError with the reason if there is none."""
        if side and side not in CHANNEL:
            raise AudioError(f"side {side} of {name} is neither A nor B")
        found = self._look(name)
        if isinstance(found, str):
            raise AudioError(found)
        channel = CHANNEL[side] if side else 0
        if channel >= found.num_channels:
            raise AudioError(f"side {side} of {name} is listed, and the recording has one channel")
        return channel if found.num_channels > 1 else None

    def _look(self, name: str) -> Found | str:
        if name not in self._found:
            path = self._recordings.paths.get(name)
            try:
                self._found[name] = look(path) if path else f"there is no recording {name} below {self._where}"
            except AudioError as error:
                self._found[name] = str(error)
        return self._found[name]

    @property
    def _where(self) -> str:
        return " or ".join(map(str, self._recordings.folders))


def look(path: str) -> Found:
    """What the header of a recording says, without decoding it; AudioError as its readers raise it."""
    source = FileBytes(path)
    try:
        if source.read_at(0, len(MAGIC)) != MAGIC:  # FLAC, or converted under its old name
            return Found(audio_info(path).num_channels, "")
        header = read_sphere_header(source)
        if header.coding.partition(",")[0] not in ("pcm", "ulaw", "alaw"):
            return Found(audio_info(path).num_channels, "")  # or the error that its reader has to say
        return Found(header.num_channels, header.coding if header.needs_sph2pipe else "")
    finally:
        source.close()


def write_set(step: Step, calls: CallSet, out: Path, root: Path) -> None:
    """Check and write the only set of a step."""
    calls.check()
    step.begin()
    step.done(calls.write(out, root), utterances=len(calls.utterances))


def digests(recordings: Iterable[Recordings]) -> dict[str, str]:
    """For a Step: names and sizes of all recordings."""
    whole = hashlib.sha256("".join(found.digest for found in recordings).encode())
    return {"names and sizes of the recordings": whole.hexdigest()}
