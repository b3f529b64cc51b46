"""Feature folders as networks read them: voiced frames, normalised, whole or a chunk, straight from the arks."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sv.data.ark import MatrixReader
from sv.data.tables import first_few, read_table
from sv.errors import DataError
from sv.features.cmvn import sliding_cmvn, windows
from sv.features.deltas import add_deltas
from sv.features.front_ends import read_feature_config
from sv.records import record_of, settings_of
from sv.systems.system import System

ReadRows = Callable[[int, int], np.ndarray]


def vad_file(name: str) -> str:
    """Kaldi's vad.scp is the energy VAD; any other carries its name."""
    return "vad.scp" if name == "energy" else f"vad_{name}.scp"


def num_voiced_file(name: str) -> str:
    """Where the number of voiced frames of each utterance stands."""
    return "utt2num_voiced" if name == "energy" else f"utt2num_voiced_{name}"


def inputs(folder: Path, vad: str | None) -> list[Path]:
    """The files of a feature folder that decide what is read there, as inputs of a step (`sv.records`)."""
    steps = ["make_feats", *([f"compute_vad_{vad}"] if vad else [])]
    tables = ["utt2spk", "feats.scp", "feats.conf", *([vad_file(vad), num_voiced_file(vad)] if vad else [])]
    return [*filter(Path.exists, (record_of(step, folder) for step in steps)), *(folder / table for table in tables)]


def front_end(folder: Path, vad: str | None) -> dict[str, Any]:
    """How the features and the VAD of a folder were made: a network takes only what it was trained on."""
    config = read_feature_config(folder / "feats.conf", name=folder.name)
    return {
        "features": dataclasses.asdict(config),
        "vad": settings_of(f"compute_vad_{vad}", folder) if vad else None,
    }


class Processing(NamedTuple):
    """What is done to an utterance's frames before a network sees them; the options are those of `FeatureReader`."""

    cmn_window: int | None = None
    norm_vars: bool = False
    deltas: tuple[int, int] | None = None

    @classmethod
    def of_system(cls, system: System) -> Processing:
        """That of a system."""
        cmn = system.cmn
        deltas = system.deltas and (system.deltas.order, system.deltas.window)
        return cls(cmn.window if cmn else None, bool(cmn and cmn.norm_vars), deltas)

    def __call__(self, read: ReadRows, total: int, rows: np.ndarray) -> np.ndarray:
        """Some frames of an utterance of `total`, (len(rows), D); no more is read than these need.

        Args:
            read: frames first <= t < last, float32 (last - first, D).
            rows: the frames wanted, by number, rising, int; at least one.
        """
        low, high = int(rows[0]), int(rows[-1]) + 1
        if not self.cmn_window:
            return self._with_deltas(read, low, high, total)[rows - low]
        first, last = windows(np.array([low, high - 1]), total, self.cmn_window)
        first_read, last_read = int(min(first[0], low)), int(max(last[-1], high))
        features_TD = self._with_deltas(read, first_read, last_read, total)
        span = (low - first_read, high - first_read)
        return sliding_cmvn(features_TD, self.cmn_window, norm_vars=self.norm_vars, span=span)[rows - low]

    def _with_deltas(self, read: ReadRows, low: int, high: int, total: int) -> np.ndarray:
        if self.deltas is None:
            return read(low, high)
        order, window = self.deltas
        first, last = max(low - order * window, 0), min(high + order * window, total)
        return add_deltas(read(first, last), order, window)[low - first : high - first]


class FeatureReader:
    """The voiced, normalised frames of the utterances of a feature folder.

    >>> reader = FeatureReader("data/mini/vox1_train/feats/mfcc23_8k", vad="energy", cmn_window=300)
    >>> reader.whole("id00001-abc-00001").shape == (reader.num_frames["id00001-abc-00001"], 23)
    True
    >>> reader.chunk("id00001-abc-00001", start=100, length=200).shape
    (200, 23)

    As in Kaldi's recipes deltas come first, then sliding CMN, over all frames, and the VAD then selects; a chunk
    equals the same rows of the whole, and reads from disk only the rows that it, its deltas and CMN windows need.

    Args:
        folder: holds feats.scp, utt2num_frames and the VAD's files.
        vad: name of the VAD that selects frames; None keeps all.
        cmn_window: frames of the sliding mean; None for no normalisation.
        norm_vars: divide by the sliding deviation as well.
        deltas: order and window of the deltas to append; None for none.

    `num_frames` says how many (voiced) frames each utterance has, `frames_per_s` their rate. Safe to hand to
    worker processes. Raises DataError if a table is missing or does not cover every utterance, and, naming the
    utterance, for frames that are not there or that hold a NaN.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        vad: str | None = None,
        cmn_window: int | None = None,
        norm_vars: bool = False,
        deltas: tuple[int, int] | None = None,
    ) -> None:
        folder = Path(folder)
        if not (folder / "feats.scp").exists():
            raise DataError(f"{folder}: no features here (feats.scp is missing); run stage 1")
        self._feats = read_table(folder / "feats.scp")
        if not self._feats:
            raise DataError(f"{folder}: feats.scp is empty; run stage 1")
        self._vad = read_table(folder / vad_file(vad)) if vad else None
        counts = read_table(folder / (num_voiced_file(vad) if vad else "utt2num_frames"))
        for table in (counts, self._vad or counts):
            if missing := self._feats.keys() - table.keys():
                raise DataError(
                    f"{folder}: {len(missing)} utterances of feats.scp lack a VAD or a count: {first_few(missing)};"
                    " run stage 1"
                )
        config = read_feature_config(folder / "feats.conf", name=folder.name)
        self.frames_per_s = 1000 / config.frame_shift
        try:
            self.num_frames = {utt: int(counts[utt]) for utt in self._feats}
        except ValueError as error:
            raise DataError(f"{folder}: a count of frames is not a number ({error}); run stage 1") from None
        self._processing = Processing(cmn_window, norm_vars, deltas)
        self._reader = MatrixReader(check_finite=True)

    @classmethod
    def of_system(cls, folder: str | os.PathLike[str], system: System) -> FeatureReader:
        """The frames that a system sees."""
        return cls(folder, system.vad, *Processing.of_system(system))

    @property
    def dim(self) -> int:
        """Numbers a frame."""
        deltas = self._processing.deltas
        return self._reader.shape(next(iter(self._feats.values())))[1] * (1 + (deltas[0] if deltas else 0))

    def whole(self, utt: str) -> np.ndarray:
        """All voiced frames, float32 (T, D)."""
        return self.chunk(utt, 0, self.num_frames[utt])

    def voiced(self) -> VoicedUtterances:
        """Every utterance with voiced frames and those, in order of the ids; may be gone through again and again."""
        return VoicedUtterances(self)

    def chunk(self, utt: str, start: int, length: int) -> np.ndarray:
        """Voiced frames start .. start + length, float32 (length, D)."""
        try:
            return self._chunk(utt, start, length)
        except DataError as error:
            raise DataError(f"{utt}: {error}") from None

    def _chunk(self, utt: str, start: int, length: int) -> np.ndarray:
        value = self._feats[utt]
        total = self._reader.num_rows(value)
        if self._vad is None:
            rows = np.arange(start, start + length)
        else:
            rows = np.flatnonzero(self._reader.read_vector(self._vad[utt]))[max(start, 0) : start + length]
        if start < 0 or length < 1 or len(rows) != length or rows[-1] >= total:
            raise DataError(
                f"frames {start}..{start + length} are not there ({total} frames, {self.num_frames[utt]} voiced);"
                " if features, VAD and counts disagree, run stage 1 again"
            )
        return self._processing(partial(self._reader.read_rows, value), total, rows)


class VoicedUtterances:
    """Key and frames (T, D) of the utterances of a reader that have any."""

    def __init__(self, reader: FeatureReader) -> None:
        self._reader = reader

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        for utt in sorted(self._reader.num_frames):
            if self._reader.num_frames[utt]:
                yield utt, self._reader.whole(utt)
