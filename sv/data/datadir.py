"""Kaldi data directories: what a set of utterances is on disk, and the operations that make one from another."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from sv.data.atomic import atomic_write
from sv.data.own_commands import runs_commands
from sv.data.tables import first_few, read_lines, read_table, write_table
from sv.data.utterance_audio import UtteranceReader
from sv.errors import AudioError, DataError

# The tables beside utt2spk, wav.scp and segments, by what they are keyed by.
UTTERANCE_TABLES = ("utt2dur", "utt2lang", "utt2sess", "utt2uniq", "feats.scp", "vad.scp", "utt2num_frames")
SPEAKER_TABLES = ("spk2gender",)
RECORDING_TABLES = ("reco2dur", "reco2file_and_channel")
TABLES = UTTERANCE_TABLES + SPEAKER_TABLES + RECORDING_TABLES
LABEL = "SYNTHETIC.txt"  # in a corpus, and in every set made of it: no person speaks here
_NOTES = ("dropped.txt", "problems.txt")  # written about a set, by those who check or thin it out
_Name = TypeVar("_Name")


class Segment(NamedTuple):
    """A stretch of a recording, in seconds; the end -1 is the recording's, the channel counts from 0."""

    recording: str
    start_s: float
    end_s: float
    channel: int | None = None  # needed where the recording has more than one


@dataclass
class DataDir:
    """A Kaldi data directory: utterances, their speakers and where their audio or features are.

    >>> d = DataDir.read("tests/data/tiny")
    >>> len(d), d.num_speakers
    (6, 2)
    >>> d.subset(speakers=["spk1"]).utterances
    ['spk1-a', 'spk1-b', 'spk1-c']

    Fields: `utt2spk`; `wav`, recording to path or pipe (empty where there are only features); `segments`, or None
    where every recording is an utterance; `tables`, the other files by name, each keyed by utterance, speaker or
    recording (see the constants of this module); `synthetic`, the text of the corpus's SYNTHETIC.txt where it has
    one, which goes into every set that is made of this one; `path`, where it was read from, for messages.

    Raises DataError naming the file, the line and the key for anything malformed. What is well-formed and still
    wrong, `sv.data.validate` finds; `fix` drops what cannot be kept and returns it with the reasons.
    """

    utt2spk: dict[str, str]
    wav: dict[str, str] = field(default_factory=dict)
    segments: dict[str, Segment] | None = None
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    path: Path | None = None
    synthetic: str | None = None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> DataDir:
        """Read a directory. `spk2utt` is derived from `utt2spk`, not read."""
        path = Path(path)
        if not path.is_dir():
            raise DataError(f"{path} is not a data directory (no such folder)")
        utt2spk = read_table(path / "utt2spk")
        wav = read_table(path / "wav.scp") if (path / "wav.scp").exists() else {}
        segments = _read_segments(path / "segments") if (path / "segments").exists() else None
        tables = {name: read_table(path / name) for name in TABLES if (path / name).exists()}
        return cls(utt2spk, wav, segments, tables, path, read_label(path))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write every file of the directory, each whole or not at all; `utt2spk`, the mark of a set, last.

        Tables of an earlier set there that this one does not have go, with the notes about it; other files stay.
        """
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        held = set(self.tables)
        held |= {name for name, of in (("segments", self.segments), (LABEL, self.synthetic)) if of is not None}
        held |= {"wav.scp"} if self.wav else set()
        for stale in {"wav.scp", "segments", LABEL, *TABLES, *_NOTES} - held:
            (path / stale).unlink(missing_ok=True)
        if self.synthetic is not None:
            with atomic_write(path / LABEL) as out:
                out.write(self.synthetic)
        if self.wav:
            write_table(path / "wav.scp", self.wav)
        if self.segments is not None:
            write_table(path / "segments", {utt: _segment_text(segment) for utt, segment in self.segments.items()})
        for name, table in self.tables.items():
            write_table(path / name, table)
        write_table(path / "spk2utt", {spk: " ".join(utts) for spk, utts in self.spk2utt.items()})
        write_table(path / "utt2spk", self.utt2spk)

    def __len__(self) -> int:
        return len(self.utt2spk)

    @property
    def utterances(self) -> list[str]:
        """Utterance ids in C order."""
        return sorted(self.utt2spk)

    @property
    def spk2utt(self) -> dict[str, list[str]]:
        """Speakers and their utterances, both in C order."""
        spk2utt: dict[str, list[str]] = {}
        for utt in sorted(self.utt2spk):
            spk2utt.setdefault(self.utt2spk[utt], []).append(utt)
        return dict(sorted(spk2utt.items()))

    @property
    def num_speakers(self) -> int:
        """How many speakers there are."""
        return len(set(self.utt2spk.values()))

    @property
    def pipes(self) -> list[str]:
        """Recordings that are commands ('… |') in wav.scp and would be run; ours are not (`sv.data.own_commands`)."""
        return [recording for recording, source in self.wav.items() if runs_commands(source)]

    def require_readable(self, allow_pipes: bool) -> None:
        """Raise DataError if there are no utterances, or recordings that are commands and may not be run.

        One line for all, before any work.
        """
        if not self.utt2spk:
            raise DataError(f"{self._name}: utt2spk holds no utterances")
        if not allow_pipes and (pipes := self.pipes):
            raise DataError(
                f"{self._name}: wav.scp has commands ('… |') for {len(pipes)} recordings ({first_few(pipes)}); a data"
                " directory from elsewhere must not run commands, so pass --allow-pipes if you trust it"
            )

    def segment(self, utt: str) -> Segment:
        """Where an utterance is; without `segments`, the whole of the recording of its name.

        Raises AudioError naming what is missing.
        """
        segment = Segment(utt, 0.0, -1.0) if self.segments is None else self.segments.get(utt)
        if segment is None:
            raise AudioError(f"{self._name}: {utt} is not in segments")
        if segment.recording not in self.wav:
            raise AudioError(f"{self._name}: {utt}: recording {segment.recording} is not in wav.scp")
        return segment

    def read_audio(self, utt: str, allow_pipes: bool = False) -> tuple[np.ndarray, int]:
        """Samples of an utterance and their rate; for many, `UtteranceReader.read`, which says more."""
        with UtteranceReader(self, allow_pipes) as reader:
            return reader.read(utt)

    def subset(self, utterances: Iterable[str] | None = None, speakers: Iterable[str] | None = None) -> DataDir:
        """The directory of some utterances, or of some speakers' utterances.

        Raises DataError naming ids that are not here, or if nothing would be left.
        """
        keep = set(self.utt2spk) if utterances is None else set(utterances)
        if unknown := keep - self.utt2spk.keys():
            raise DataError(f"{self._name}: {len(unknown)} utterances are not here: {first_few(unknown)}")
        if speakers is not None:
            speakers = set(speakers)
            if unknown := speakers - set(self.utt2spk.values()):
                raise DataError(f"{self._name}: {len(unknown)} speakers are not here: {first_few(unknown)}")
            keep = {utt for utt in keep if self.utt2spk[utt] in speakers}
        if not keep:
            raise DataError(f"{self._name}: the subset would be empty")
        return self._restricted(keep)

    def _restricted(self, keep: set[str]) -> DataDir:
        utt2spk = {u: s for u, s in self.utt2spk.items() if u in keep}
        segments = None if self.segments is None else {u: s for u, s in self.segments.items() if u in keep}
        recordings = keep if segments is None else {s.recording for s in segments.values()}
        speakers = set(utt2spk.values())
        kept_keys = {
            **dict.fromkeys(UTTERANCE_TABLES, keep),
            **dict.fromkeys(SPEAKER_TABLES, speakers),
            **dict.fromkeys(RECORDING_TABLES, recordings),
        }
        tables = {name: {k: v for k, v in table.items() if k in kept_keys[name]} for name, table in self.tables.items()}
        wav = {recording: source for recording, source in self.wav.items() if recording in recordings}
        return DataDir(utt2spk, wav, segments, tables, self.path, self.synthetic)

    def split(self, jobs: int, job: int) -> DataDir:
        """Part `job` of `jobs` (from 1) for a job array: consecutive utterances, parts equal to within one.

        Raises DataError if there are fewer utterances than jobs, so that no part is empty.
        """
        if not 1 <= job <= jobs:
            raise DataError(f"job {job} is not one of 1..{jobs}")
        if jobs > len(self):
            raise DataError(f"{self._name}: {len(self)} utterances cannot be split into {jobs} jobs; lower --nj")
        utts = self.utterances
        return self._restricted(set(utts[len(utts) * (job - 1) // jobs : len(utts) * job // jobs]))

    def hold_out(self, fraction: float, seed: int, every_speaker: bool = False) -> tuple[DataDir, DataDir]:
        """Split off about `fraction` of the utterances, by whole sessions: (rest, held out).

        A speaker's session (`utt2sess`; without it each utterance is one) is never on both sides, and every speaker
        keeps at least one in the rest. Sessions are drawn from all speakers alike; the draw is a function of the seed
        and the sessions' names. With `every_speaker` each who has two is on both sides: first the shortest of three
        sessions is drawn of each, then more until the fraction is reached, if it is not passed by then. Raises
        DataError if every speaker has a single session.
        """
        if not 0 < fraction < 1:
            raise DataError(f"the held-out fraction must lie in (0, 1), not {fraction}")
        utt2sess = self.tables.get("utt2sess", {})
        sessions: dict[tuple[str, str], list[str]] = {}
        for utt, speaker in self.utt2spk.items():
            sessions.setdefault((speaker, utt2sess.get(utt, utt)), []).append(utt)
        left = Counter(speaker for speaker, _ in sessions)
        held: set[str] = set()
        order = shuffled(sorted(sessions), seed)
        drawn: dict[str, list[tuple[str, str]]] = {}
        for session in order:
            drawn.setdefault(session[0], []).append(session)
        least = {min(own[:3], key=lambda session: len(sessions[session])) for own in drawn.values() if every_speaker}
        for session in sorted(order, key=lambda session: session not in least):  # these first, the order else as drawn
            speaker, _ = session
            if len(held) >= fraction * len(self) and session not in least:
                break
            if left[speaker] > 1:
                left[speaker] -= 1
                held.update(sessions[session])
        if not held:
            raise DataError(f"{self._name}: nothing can be held out: every speaker has a single session")
        return self._restricted(set(self.utt2spk) - held), self._restricted(held)

    def hold_out_speakers(self, count: int, seed: int) -> tuple[DataDir, DataDir]:
        """Split off `count` whole speakers, drawn by the seed from their names: (rest, held out).

        A larger draw by the same seed holds the smaller one. Raises DataError unless two speakers or more are left.
        """
        speakers = sorted(set(self.utt2spk.values()))
        if not 1 <= count <= len(speakers) - 2:
            advice = f"ask for 1 to {len(speakers) - 2}" if len(speakers) > 2 else "there are too few"
            raise DataError(
                f"{self._name}: {count} of its {len(speakers)} speakers cannot be held out: two or more must be left;"
                f" {advice}"
            )
        held = set(shuffled(speakers, seed)[:count])
        return self.subset(speakers=set(speakers) - held), self.subset(speakers=held)

    def fix(self, keep: Callable[[str], str | None] | None = None) -> tuple[DataDir, dict[str, str]]:
        """Drop utterances that lack a recording or a speaker, or that `keep` objects to: (rest, {utterance: reason}).

        `keep(utterance)` returns None to keep it or the reason why not. Tables that do not cover every kept
        utterance are an error that `validate` reports; they are not thinned out here.
        """
        with_audio = self.wav if self.segments is None else self.segments
        dropped = {utt: "has no speaker in utt2spk" for utt in with_audio if utt not in self.utt2spk}
        for utt in self.utt2spk:
            segment = self.segments.get(utt) if self.segments is not None else Segment(utt, 0.0, -1.0)
            if segment is None:
                dropped[utt] = "not in segments"
            elif self.wav and segment.recording not in self.wav:
                dropped[utt] = f"recording {segment.recording} is not in wav.scp"
            elif keep and (reason := keep(utt)):
                dropped[utt] = reason
        rest = set(self.utt2spk) - dropped.keys()
        if not rest:
            raise DataError(
                f"{self._name}: no utterance is left; the first was dropped as: "
                + next(iter(dropped.values()), "there was none")
            )
        return self._restricted(rest), dropped

    @property
    def _name(self) -> str:
        return str(self.path or "data directory")


def shuffled(names: Sequence[_Name], seed: int) -> list[_Name]:
    """Names in an order that is a function of the seed and of theirs; DataError for a negative seed."""
    if seed < 0:
        raise DataError(f"a seed is a number from 0, not {seed}")
    return [names[index] for index in np.random.default_rng(seed).permutation(len(names))]


def combine(parts: Iterable[DataDir]) -> DataDir:
    """One directory of several with no utterance in common.

    A table that only some parts have is left out. Raises DataError naming an utterance that two parts hold, or a
    recording or speaker of which they say different things, and if only some parts have segments or audio.
    """
    parts = list(parts)
    if not parts:
        raise DataError("there is nothing to combine")
    if len({part.segments is None for part in parts}) > 1:
        raise DataError("some parts have segments and some have not; they cannot be combined")
    if len({bool(part.wav) for part in parts}) > 1:
        raise DataError("some parts have a wav.scp and some have not; they cannot be combined")
    names = set.intersection(*(set(part.tables) for part in parts))
    whole = DataDir({}, {}, None if parts[0].segments is None else {}, {name: {} for name in names})
    if labels := [part.synthetic for part in parts if part.synthetic is not None]:
        whole.synthetic = "".join(dict.fromkeys(labels))
    for part in parts:
        if again := whole.utt2spk.keys() & part.utt2spk.keys():
            raise DataError(f"{part._name}: {len(again)} utterances are in an earlier part too: {first_few(again)}")
        whole.utt2spk.update(part.utt2spk)
        _merge(whole.wav, part.wav, part._name, "wav.scp")
        if whole.segments is not None and part.segments is not None:
            whole.segments.update(part.segments)
        for name in names:
            _merge(whole.tables[name], part.tables[name], part._name, name)
    return whole


def _merge(into: dict[str, str], more: dict[str, str], where: str, name: str) -> None:
    for key, value in more.items():
        if into.setdefault(key, value) != value:
            raise DataError(f"{where}/{name}: {key} is {value!r} here and {into[key]!r} in an earlier part")


def _read_segments(path: Path) -> dict[str, Segment]:
    segments = {}
    for utt, value in read_table(path).items():
        recording, *numbers = value.split()
        try:
            start_s, end_s = map(float, numbers[:2])
            channels = [int(text) for text in numbers[2:] if text.isdecimal()]
        except ValueError:
            raise DataError(f"{path}: {utt}: {value!r} is not 'recording start end' in seconds") from None
        if len(numbers) != 2 + len(channels) or len(channels) > 1:
            raise DataError(f"{path}: {utt}: {' '.join(numbers[2:])!r} after the end is not a channel, 0, 1, …")
        if not (0 <= start_s < math.inf and (start_s < end_s < math.inf or end_s == -1)):
            raise DataError(f"{path}: {utt}: {start_s:g}..{end_s:g} s is not a stretch of time")
        segments[utt] = Segment(recording, start_s, end_s, *channels)
    return segments


def _segment_text(segment: Segment) -> str:
    channel = "" if segment.channel is None else f" {segment.channel}"
    return f"{segment.recording} {segment.start_s:.10g} {segment.end_s:.10g}{channel}"


def read_label(folder: str | os.PathLike[str]) -> str | None:
    """What SYNTHETIC.txt in a corpus or a set says, None where there is none."""
    path = Path(folder) / LABEL
    return "".join(read_lines(path)) if path.exists() else None


def set_files(folder: Path) -> list[Path]:
    """The files of a set that are there, `dropped.txt`, models and trial lists too: inputs and outputs of its steps."""
    names = ("utt2spk", "spk2utt", "wav.scp", "segments", *TABLES, LABEL, "dropped.txt", "models")
    return [*filter(Path.exists, (folder / name for name in names)), *sorted(folder.glob("trials_*"))]


def write_dropped(path: str | os.PathLike[str], dropped: dict[str, str]) -> None:
    """Write `dropped.txt`: `utterance reason` a line; removes an old file if nothing was dropped."""
    if dropped:
        write_table(path, dropped)
    else:
        Path(path).unlink(missing_ok=True)
