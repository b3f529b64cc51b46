"""Which chunks an epoch trains on: every random choice is a function of (seed, epoch, batch)."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from sv.errors import DataError

# Between the lengths that batches have. Convolution libraries prepare themselves for every shape that they meet and
# keep that: some twenty lengths, not two hundred, save time and a gigabyte.
LENGTHS_A_SECOND = 10


def speech(length: float, frames_per_s: float) -> str:
    """A length as messages say it, of (voiced) frames or of samples: '2.5 s of (voiced) speech'."""
    return f"{length / frames_per_s:.6g} s of (voiced) speech"


class Chunk(NamedTuple):
    """A stretch of an utterance's (voiced) frames, or of its samples, and the index of its speaker."""

    utterance: str
    start: int
    speaker: int


@dataclass
class Batch:
    """Chunks of one length, in frames or samples; perhaps with others of speakers unknown: their utterances and starts.

    `places` says where the chunks stand in the whole batch, which this may be a part of.
    """

    length: int
    chunks: list[Chunk]
    unlabelled: list[tuple[str, int]] = field(default_factory=list)
    places: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if self.places is None:
            self.places = range(len(self.chunks))


class Chunks(ABC):
    """Batches of one length each, of the utterances that are long enough, of the speakers who have enough of them.

    Utterances shorter than the shortest chunk, or of no more than `min_frames` frames, are not used, nor are speakers
    with fewer than `min_utts` others: `too_short`, `too_few` (their other utterances) and `left_out` (speakers) name
    them. Batches are equal to within one chunk, and no larger than asked. With `together` above 1 so many chunks of a
    speaker stand side by side, a speaker must have as many utterances, and batches are equal to within one such group.

    What is called frames are samples where that is what is read; `frames_per_s` says how many a second has.

    Raises DataError if fewer than two speakers are left.
    """

    num_unplaced = 0  # utterances that every epoch leaves out, whichever they are

    def __init__(
        self,
        num_frames: Mapping[str, int],
        utt2spk: Mapping[str, str],
        chunk_frames: tuple[int, int],
        batch_size: int,
        seed: int,
        min_frames: int = 0,
        min_utts: int = 1,
        together: int = 1,
        frames_per_s: float = 100.0,
    ) -> None:
        self.chunk_frames, self.batch_size, self.seed = chunk_frames, batch_size, seed
        self.together, self.min_utts = together, max(min_utts, together)
        self.frames_per_s, self.length_step = frames_per_s, round(frames_per_s / LENGTHS_A_SECOND)
        self.too_short = {utt: n for utt, n in num_frames.items() if n < chunk_frames[0] or n <= min_frames}
        by_speaker: dict[str, list[str]] = {}
        for utt in sorted(num_frames.keys() - self.too_short.keys()):
            by_speaker.setdefault(utt2spk[utt], []).append(utt)
        few = {speaker for speaker, utts in by_speaker.items() if len(utts) < self.min_utts}
        self.too_few = {utt: len(by_speaker[speaker]) for speaker in few for utt in by_speaker[speaker]}
        self.speakers = sorted(by_speaker.keys() - few)
        self.left_out = {utt2spk[utt] for utt in self.too_short} - by_speaker.keys() | few
        if len(self.speakers) < 2:
            raise DataError(
                f"a network learns to tell speakers apart; {len(self.speakers)} of the training set's"
                f" {len(self.speakers) + len(self.left_out)} have {_several(self.min_utts)} of"
                f" {speech(max(chunk_frames[0], min_frames + 1), frames_per_s)}; lower {self._limits(min_frames)},"
                " or see whether the VAD took too much away"
            )
        # Per speaker, utterances by length, so that those long enough for a chunk are the tail of the list.
        self._utts: list[list[str]] = []
        self._lengths: list[np.ndarray] = []
        for speaker in self.speakers:
            utts = sorted(by_speaker[speaker], key=lambda utt: (num_frames[utt], utt))
            self._utts.append(utts)
            self._lengths.append(np.array([num_frames[utt] for utt in utts]))
        self._order: tuple[int, np.ndarray] | None = None

    @property
    @abstractmethod
    def num_chunks(self) -> int:
        """Chunks of an epoch."""

    @abstractmethod
    def batch(self, epoch: int, index: int) -> Batch:
        """Batch `index` of an epoch."""

    @abstractmethod
    def _shuffled(self, epoch: int) -> np.ndarray:
        """What an epoch draws from, in its order, (chunks or groups of them, …)."""

    def __len__(self) -> int:
        """Batches of an epoch."""
        return -(-self.num_chunks // self.batch_size)

    def before(self, index: int) -> int:
        """Chunks before batch `index` in any epoch."""
        return self.num_chunks // self.together * index // len(self) * self.together

    def size(self, index: int) -> int:
        """Chunks in batch `index` of any epoch."""
        return self.before(index + 1) - self.before(index)

    @property
    def enough_utts(self) -> str:
        """The setting that says how many utterances a speaker must have."""
        return "training.groups.utterances" if self.min_utts == self.together > 1 else "training.min_speaker_utts"

    def _limits(self, min_frames: int) -> str:
        """The settings that leave utterances and speakers out."""
        used = {"training.chunk_s": True, "training.min_utt_s": min_frames > 0, self.enough_utts: self.min_utts > 1}
        return " or ".join(name for name, is_used in used.items() if is_used)

    def _part(self, epoch: int, index: int) -> np.ndarray:
        """What batch `index` of an epoch draws from."""
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, self._shuffled(epoch)
        order = self._order[1]
        return order[len(order) * index // len(self) : len(order) * (index + 1) // len(self)]

    def _length(self, fillable: int, rng: np.random.Generator) -> int:
        """A batch's length, in whole steps, no longer than what all of it can fill."""
        shortest, longest = self.chunk_frames
        steps = (min(longest, fillable) - shortest) // self.length_step
        return shortest + self.length_step * int(rng.integers(0, steps + 1))


class BalancedChunks(Chunks):
    """The same number of chunks from every speaker.

    >>> sampler = BalancedChunks(num_frames, utt2spk, (200, 400), batch_size=64, seed=1, chunks_per_speaker=8)
    >>> sampler.batch(epoch=3, index=0).length
    290

    An epoch is every speaker `chunks_per_speaker` times, shuffled. A batch's length is no longer than what each of its
    speakers can fill with some utterance; of the utterances of a speaker that are long enough, one is drawn, and then
    a place in it.
    """

    def __init__(self, *usable: Any, chunks_per_speaker: int, **limits: Any) -> None:
        super().__init__(*usable, **limits)
        self.chunks_per_speaker = chunks_per_speaker

    @property
    def num_chunks(self) -> int:
        """Chunks of an epoch."""
        return len(self.speakers) * self.chunks_per_speaker

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch `index` of an epoch."""
        speakers = self._part(epoch, index)
        rng = np.random.default_rng([self.seed, 1, epoch, index])
        length = self._length(min(int(self._lengths[speaker][-1]) for speaker in speakers), rng)
        chunks = []
        for speaker in speakers:
            lengths = self._lengths[speaker]
            first = int(np.searchsorted(lengths, length))
            which = int(rng.integers(first, len(lengths)))
            start = int(rng.integers(0, lengths[which] - length + 1))
            chunks.append(Chunk(self._utts[speaker][which], start, int(speaker)))
        return Batch(length, chunks)

    def _shuffled(self, epoch: int) -> np.ndarray:
        speakers = np.repeat(np.arange(len(self.speakers)), self.chunks_per_speaker)
        return np.random.default_rng([self.seed, 0, epoch]).permutation(speakers)


ALIKE = 32  # batches within which recordings of like length come together


class EveryRecording(Chunks):
    """So many chunks from every recording, however many its speaker has.

    An epoch is every utterance `chunks_per_recording` times, shuffled, and then put in order of length within every
    32 batches' worth, whose batches are shuffled again: the recordings of a batch are of like length, so that it is
    seldom a short one that keeps a batch's chunks short. The length of a batch is drawn up to that of its shortest
    recording.
    """

    def __init__(self, *usable: Any, chunks_per_recording: int, **limits: Any) -> None:
        super().__init__(*usable, **limits)
        self.chunks_per_recording = chunks_per_recording
        speakers = [np.full(len(utts), speaker) for speaker, utts in enumerate(self._utts)]
        places = [np.arange(len(utts)) for utts in self._utts]
        self._recordings = np.stack([np.concatenate(speakers), np.concatenate(places)], 1)  # (N, 2)
        self._all_lengths = np.concatenate(self._lengths)

    @property
    def num_chunks(self) -> int:
        """Chunks of an epoch."""
        return len(self._recordings) * self.chunks_per_recording

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch `index` of an epoch."""
        recordings = self._part(epoch, index)
        rng = np.random.default_rng([self.seed, 1, epoch, index])
        lengths = [int(self._lengths[speaker][place]) for speaker, place in recordings]
        length = self._length(min(lengths), rng)
        return Batch(
            length,
            [
                Chunk(self._utts[speaker][place], int(rng.integers(0, frames - length + 1)), int(speaker))
                for (speaker, place), frames in zip(recordings, lengths, strict=True)
            ],
        )

    def _shuffled(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 0, epoch])
        order = rng.permutation(np.repeat(np.arange(len(self._recordings)), self.chunks_per_recording))
        cuts = [len(order) * index // len(self) for index in range(ALIKE, len(self), ALIKE)]
        order = np.concatenate(
            [pool[np.argsort(self._all_lengths[pool], kind="stable")] for pool in np.split(order, cuts)]
        )
        # Batches are equal to within one chunk: only those of one size change places, so that sizes stay.
        starts = [len(order) * index // len(self) for index in range(len(self) + 1)]
        batches = [order[start:end] for start, end in itertools.pairwise(starts)]
        for size in {len(batch) for batch in batches}:
            of_size = [index for index, batch in enumerate(batches) if len(batch) == size]
            moved = rng.permutation(of_size)
            for index, batch in zip(of_size, [batches[other] for other in moved], strict=True):
                batches[index] = batch
        return self._recordings[np.concatenate(batches)]


def _several(min_utts: int) -> str:
    return "an utterance" if min_utts == 1 else f"{min_utts} utterances"
