"""What can be wrong with a data directory: found, counted and named, nothing changed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sv.data.ark import MatrixReader
from sv.data.audio import audio_info
from sv.data.datadir import SPEAKER_TABLES, UTTERANCE_TABLES, DataDir
from sv.data.own_commands import runs_commands
from sv.data.tables import read_table, write_lines
from sv.data.trials import Trials, trial_files
from sv.data.utterance_audio import cut
from sv.errors import AudioError, DataError

_ARCHIVED = ("feats.scp", "vad.scp")  # tables whose values are matrices in archives


class Problem(NamedTuple):
    """One thing that is wrong: the file, the key it is about ('' for the file as a whole), and what."""

    file: str
    key: str
    what: str
    is_bad_audio: bool = False  # a recording or segment that cannot be read: the set can do without it

    def __str__(self) -> str:
        return f"{self.file}: {self.key + ': ' if self.key else ''}{self.what}"


def validate(
    path: str | os.PathLike[str],
    audio: bool = False,
    rate: int | None = None,
    disjoint_from: Iterable[str | os.PathLike[str]] = (),
    allow_pipes: bool = False,
    enrol: str | os.PathLike[str] | None = None,
) -> Iterator[Problem]:
    """Every problem of a data directory, one after the other.

    Looks at the order of keys, at references between files, at speaker prefixes, at trials, at the headers of
    features, and, with `audio`, at every recording's header (present, readable, not empty, of the rate) and what its
    utterances want of it (within its length, a channel where there are several), by the rules of their reader.
    Malformed files raise DataError, as they do for every reader.

    Args:
        audio: open the recordings.
        rate: the sampling rate in Hz that all must have.
        disjoint_from: data directories, as the training set, with which this one may share no speaker.
        allow_pipes: run the commands of wav.scp to look at what they print; else they are left alone.
        enrol: the data directory of the models of its trials, where that is another.
    """
    path = Path(path)
    data = DataDir.read(path)
    if not len(data):
        yield Problem("utt2spk", "", "holds no utterances")
    yield from _order(data)
    yield from _references(data)
    yield from _spk2utt(path, data)
    yield from _archives(data)
    yield from _trials(path, path if enrol is None else Path(enrol))
    for other in disjoint_from:
        for speaker in sorted(set(data.utt2spk.values()) & set(DataDir.read(other).utt2spk.values())):
            yield Problem("utt2spk", speaker, f"is a speaker of {other} too; training and test must not share speakers")
    if audio:
        yield from audio_problems(data, rate, allow_pipes)


def require_valid(path: Path, problems: Collection[Problem], found: str = "") -> None:
    """If there are problems, write them to PATH/problems.txt and raise DataError.

    It tells the first one after `found`, how many there are, and what can be done about bad audio.
    """
    if not problems:
        return
    report = path / "problems.txt"
    write_lines(report, map(str, problems))
    first, *others = problems
    more = f" (and {len(others)} more: {report})" if others else ""
    bad = sum(problem.is_bad_audio for problem in problems)
    advice = f"; --drop-bad-audio goes on without what cannot be read ({bad} of these)" if bad else ""
    raise DataError(f"{path}: {found}{first}{more}{advice}")


def _order(data: DataDir) -> Iterator[Problem]:
    tables = {"utt2spk": data.utt2spk, "wav.scp": data.wav, "segments": data.segments or {}, **data.tables}
    for name, table in tables.items():
        for before, key in pairwise(table):
            if key < before:
                yield Problem(name, key, f"comes after {before}: not sorted; sort it with LC_ALL=C sort")
                break


def _references(data: DataDir) -> Iterator[Problem]:
    for utt, speaker in data.utt2spk.items():
        if not utt.startswith(speaker):
            yield Problem("utt2spk", utt, f"does not start with its speaker's id {speaker}, so that sort orders differ")
    if data.segments is not None:
        yield from _missing("segments", data.utt2spk, data.segments, "has no segment")
        yield from _missing("utt2spk", data.segments, data.utt2spk, "has a segment and no speaker")
    recordings = data.utt2spk if data.segments is None else {s.recording: u for u, s in data.segments.items()}
    if data.wav:
        yield from _missing("wav.scp", recordings, data.wav, "has no recording")
        if data.segments is None:
            yield from _missing("utt2spk", data.wav, data.utt2spk, "has a recording and no speaker")
    for name, table in data.tables.items():
        if name in UTTERANCE_TABLES:
            yield from _missing(name, data.utt2spk, table, "is missing")
            yield from _missing(name, table, data.utt2spk, "stands here and not in utt2spk")
        if name in SPEAKER_TABLES:
            yield from _missing(name, set(data.utt2spk.values()), table, "is missing")


def _missing(file: str, wanted: Iterable[str], there: Iterable[str], what: str) -> Iterator[Problem]:
    for key in sorted(set(wanted) - set(there)):
        yield Problem(file, key, what)


def _spk2utt(path: Path, data: DataDir) -> Iterator[Problem]:
    """Where the file is there, it must be utt2spk the other way round: Kaldi's programs read it, ours do not."""
    if not (path / "spk2utt").exists():
        return
    written = {speaker: sorted(utts.split()) for speaker, utts in read_table(path / "spk2utt").items()}
    derived = data.spk2utt
    for speaker in sorted(written.keys() | derived.keys()):
        if written.get(speaker) != derived.get(speaker):
            what = "its utterances are not those of utt2spk" if speaker in written else "is missing"
            yield Problem("spk2utt", speaker, f"{what}; steps/fix_data.sh writes it anew")


def _archives(data: DataDir) -> Iterator[Problem]:
    reader = MatrixReader()
    for name in _ARCHIVED:
        for utt, value in data.tables.get(name, {}).items():
            try:
                reader.num_rows(value)
            except DataError as error:
                yield Problem(name, utt, str(error))
    reader.close()


def _trials(path: Path, enrol: Path) -> Iterator[Problem]:
    """Ids of models and trials that are unknown; what was dropped from the sets is known, and scoring says so."""
    tests = _listed(path)
    models: Iterable[str] = _listed(enrol)
    if (enrol / "models").exists():
        utts_of = {model: utts.split() for model, utts in read_table(enrol / "models").items()}
        file = "models" if enrol == path else str(enrol / "models")
        yield from _unknown(file, "an utterance", chain.from_iterable(utts_of.values()), models)
        models = utts_of.keys()
    for file in trial_files(path).values():
        trials = Trials.read(file)
        yield from _unknown(file.name, "a model", trials.enrol, models)
        yield from _unknown(file.name, "a test utterance", trials.test, tests)


def _listed(path: Path) -> set[str]:
    """The utterances of a data directory, and those that were dropped from it."""
    tables = (path / name for name in ("utt2spk", "dropped.txt"))
    return {utt for table in tables if table.name == "utt2spk" or table.exists() for utt in read_table(table)}


def _unknown(file: str, side: str, ids: Iterable[str], known: Iterable[str]) -> Iterator[Problem]:
    yield from _missing(file, ids, known, f"is the id of {side} and unknown here")


class _Header:
    """A recording of which only the header is known: for asking a reader what it would refuse."""

    def __init__(self, rate: int, num_samples: int, num_channels: int) -> None:
        self.rate, self.num_samples, self.num_channels = rate, num_samples, num_channels

    def read(self, *_: int) -> np.ndarray:
        return np.empty(0, np.float32)

    def close(self) -> None:
        pass


def audio_problems(data: DataDir, rate: int | None, allow_pipes: bool) -> Iterator[Problem]:
    """What `validate` finds in the recordings of a data directory; arguments as there."""
    utts_of: dict[str, list[str]] = {}
    for utt in data.utterances if data.segments is None else sorted(data.segments):
        utts_of.setdefault(utt if data.segments is None else data.segments[utt].recording, []).append(utt)
    for recording, source in sorted(data.wav.items()):
        if runs_commands(source) and not allow_pipes:
            continue
        try:
            info = audio_info(source, allow_pipes=allow_pipes)
        except AudioError as error:
            yield Problem("wav.scp", recording, str(error), is_bad_audio=True)
            continue
        if rate and info.rate != rate:
            yield Problem("wav.scp", recording, f"is sampled at {info.rate} Hz, not {rate} ({source})")
        for utt in utts_of.get(recording, []):
            try:
                cut(data, utt, _Header(*info))
            except DataError as error:
                file = "wav.scp" if data.segments is None else "segments"
                what = str(error).removeprefix(f"{utt}: ")
                yield Problem(file, utt, what, is_bad_audio=isinstance(error, AudioError))
