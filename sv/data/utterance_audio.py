"""The samples of a data directory's utterances, a recording opened once for its segments that are read in a row."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import numpy as np

from sv.data.audio import Recording, bounds, open_audio, read_part
from sv.errors import AudioError, DataError

if TYPE_CHECKING:
    from sv.data.datadir import DataDir


class UtteranceReader:
    """Reads utterances one after the other; a recording stays open until another one is asked for.

    >>> with UtteranceReader(DataDir.read("tests/data/tiny")) as reader:
    ...     wave_N, rate = reader.read("spk1-a")

    Args:
        data: whose utterances. In their C order those of one recording mostly follow each other.
        allow_pipes: whether the commands of wav.scp may be run; once for the segments that are read in a row.
    """

    def __init__(self, data: DataDir, allow_pipes: bool = False) -> None:
        self._data, self._allow_pipes = data, allow_pipes
        self._name: str | None = None
        self._opened: Recording | AudioError | None = None
        self._stack = ExitStack()

    def read(self, utt: str) -> tuple[np.ndarray, int]:
        """Samples of an utterance, float32 (N,) in the int16 range, and their rate in Hz.

        Raises, naming the utterance and its source, AudioError for what `sv.data.audio.read_audio` refuses, and
        DataError where a channel must be named or is not there.
        """
        recording = self.open(utt)
        return cut(self._data, utt, recording), recording.rate

    def measure(self, utt: str) -> tuple[int, int]:
        """How many samples `read` would give, and their rate, from headers where these say it; raises as it does."""
        segment = self._data.segment(utt)
        recording = self.open(utt)
        channel_of(self._data, utt, recording)
        try:
            start, stop = bounds(recording, self._data.wav[segment.recording], segment.start_s, segment.end_s)
        except AudioError as error:
            raise AudioError(f"{utt}: {error}") from None
        return stop - start, recording.rate

    def open(self, utt: str) -> Recording:
        """The recording of an utterance, which stays open until one of another is asked for; raises as `read` does."""
        name = self._data.segment(utt).recording
        if name != self._name:
            self.close()
            try:
                opened = open_audio(self._data.wav[name], allow_pipes=self._allow_pipes)
                self._opened = self._stack.enter_context(opened)
            except AudioError as error:
                self._opened = error  # for all of its segments: a command that fails is not run again
            self._name = name
        if isinstance(self._opened, AudioError):
            raise AudioError(f"{utt}: {self._opened}")
        return self._opened

    def close(self) -> None:
        """Close what is open; the reader can be used on."""
        self._stack.close()
        self._name = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def cut(data: DataDir, utt: str, recording: Recording) -> np.ndarray:
    """An utterance's samples (N,) out of its open recording; raises as `UtteranceReader.read` does."""
    segment = data.segment(utt)
    channel = channel_of(data, utt, recording)
    try:
        return read_part(recording, data.wav[segment.recording], segment.start_s, segment.end_s, channel)
    except AudioError as error:
        raise AudioError(f"{utt}: {error}") from None


def channel_of(data: DataDir, utt: str, recording: Recording) -> int:
    """Which channel of its open recording an utterance is, from 0.

    Raises DataError where a channel must be named or is not there.
    """
    segment = data.segment(utt)
    source, channels = data.wav[segment.recording], recording.num_channels
    if segment.channel is None and channels > 1:
        named = data.tables.get("reco2file_and_channel", {}).get(segment.recording, "").split()[-1:]
        raise DataError(
            f"{utt}: {source}: has {channels} channels; name one in segments, '{utt} {segment.recording}"
            f" {segment.start_s:g} {segment.end_s:g} CHANNEL' with CHANNEL from 0"
            + (f" (the {named[0]} of reco2file_and_channel selects none, as in Kaldi)" if named else "")
        )
    if segment.channel is not None and segment.channel >= channels:
        raise DataError(f"{utt}: {source}: has no channel {segment.channel}, only {channels}, counted from 0")
    return segment.channel or 0
