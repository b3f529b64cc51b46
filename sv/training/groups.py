"""Which utterances of a speaker a batch compares: epochs of groups of them, in batches of distinct speakers."""

from __future__ import annotations

from typing import Any

import numpy as np

from sv.errors import ConfigError
from sv.training.sampler import Batch, Chunk, Chunks


class SpeakerGroups(Chunks):
    """Groups of different utterances of one speaker, a chunk of each, side by side: s0 s0 s1 s1 ….

    >>> sampler = SpeakerGroups(num_frames, utt2spk, (200, 200), 800, seed=1, utterances=2, max_per_speaker=500)
    >>> batch = sampler.batch(epoch=3, index=0)      # of 400 speakers
    >>> batch.chunks[0].speaker == batch.chunks[1].speaker
    True

    An epoch is every speaker's utterances in groups of `utterances`, in an order of the epoch's own: at most
    `max_per_speaker` of them, and no more than make whole groups; another epoch has others of them. The groups come in
    random order, but one whose speaker is in the batch already waits for a later batch. So every epoch has the same
    number of batches. Only of a speaker with more groups than there are batches some are left out: `num_unplaced`
    counts their utterances.

    A batch's length is drawn up to that of its shortest utterance.

    Args:
        utterances: M, of a group; 1 for batches of single utterances.
        max_per_speaker: utterances an epoch; None for all.
        distinct_speakers: no speaker twice in a batch; without it, groups come in random order and none is left out.
    Raises:
        ConfigError: a batch has more groups than there are speakers.
        DataError: as `Chunks`, which also leaves out speakers with fewer than M utterances.
    """

    def __init__(
        self,
        *usable: Any,
        utterances: int,
        max_per_speaker: int | None = None,
        distinct_speakers: bool = True,
        **limits: Any,
    ) -> None:
        super().__init__(*usable, together=utterances, **limits)
        self._distinct = distinct_speakers
        self._speaker_N = np.repeat(np.arange(len(self.speakers)), [len(utts) for utts in self._utts])
        self._utt_N = [utt for utts in self._utts for utt in utts]
        self._frames_N = np.concatenate(self._lengths)
        self._first_S = np.searchsorted(self._speaker_N, np.arange(len(self.speakers)))
        whole_S = np.bincount(self._speaker_N)
        if max_per_speaker is not None:
            whole_S = np.minimum(whole_S, max_per_speaker)
        whole_S = whole_S // utterances
        self._groups_S = whole_S
        if distinct_speakers:
            self._require_speakers()
            self._groups_S = np.minimum(whole_S, self._num_batches(whole_S))
        self.num_unplaced = int((whole_S - self._groups_S).sum()) * utterances

    @property
    def num_chunks(self) -> int:
        """Chunks of an epoch."""
        return int(self._groups_S.sum()) * self.together

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch `index` of an epoch."""
        row_B = self._part(epoch, index).reshape(-1)
        rng = np.random.default_rng([self.seed, 1, epoch, index])
        frames_B = self._frames_N[row_B]
        length = self._length(int(frames_B.min()), rng)
        start_B = rng.integers(0, frames_B - length + 1)
        drawn = zip(row_B.tolist(), start_B.tolist(), self._speaker_N[row_B].tolist(), strict=True)
        return Batch(length, [Chunk(self._utt_N[row], start, speaker) for row, start, speaker in drawn])

    def _require_speakers(self) -> None:
        groups = self.batch_size // self.together
        if groups > len(self.speakers):
            of_each = f" with {self.together} utterances" if self.together > 1 else ""
            raise ConfigError(
                f"training.batch_size: {self.batch_size} chunks are {groups} different speakers{of_each}, and the"
                f" training set has {len(self.speakers)}; lower it to {len(self.speakers) * self.together}"
            )

    def _num_batches(self, whole_S: np.ndarray) -> int:
        """How many batches there are: as many as the groups fill that have a place in them.

        A speaker has at most one place in each. With fewer batches there are fewer places, so that the batches do not
        become small for the sake of a speaker who has many utterances.
        """
        size = self.batch_size // self.together
        number = -(-int(whole_S.sum()) // size)
        while (filled := -(-int(np.minimum(whole_S, number).sum()) // size)) < number:
            number = filled
        return number

    def _shuffled(self, epoch: int) -> np.ndarray:
        """An epoch's groups, rows of utterances (groups, M), batch after batch."""
        rng = np.random.default_rng([self.seed, 0, epoch])
        row_N = np.lexsort([rng.random(len(self._speaker_N)), self._speaker_N])  # each speaker's own, in random order
        speaker_G = self._in_batches(rng) if self._distinct else rng.permutation(self._of_groups())
        # Of each speaker the first group, where he comes first, then the second, and so on.
        by_speaker_G = np.argsort(speaker_G, kind="stable")
        nth_G = np.empty_like(speaker_G)
        nth_G[by_speaker_G] = np.concatenate([np.arange(count) for count in self._groups_S])
        first_G = self._first_S[speaker_G] + nth_G * self.together
        return row_N[first_G[:, None] + np.arange(self.together)]

    def _of_groups(self) -> np.ndarray:
        """The speaker of each group."""
        return np.repeat(np.arange(len(self.speakers)), self._groups_S)

    def _in_batches(self, rng: np.random.Generator) -> np.ndarray:
        """The speakers of an epoch's groups, batch after batch, none twice in a batch.

        A batch's speakers are drawn one after another, each as likely as he has groups left, as if all groups lay in a
        random order (the largest of log weight + Gumbel noise are such a draw: Efraimidis & Spirakis 2006). Who has as
        many left as there are batches is in all of them: so every group finds its place, as batches are of equal size.
        """
        left_S, drawn = self._groups_S.copy(), []
        for index in range(len(self)):
            with np.errstate(divide="ignore"):
                key_S = np.log(left_S) + rng.gumbel(size=len(left_S))
            key_S[left_S == len(self) - index] = np.inf
            speaker_B = np.argsort(-key_S, kind="stable")[: self.size(index) // self.together]
            left_S[speaker_B] -= 1
            drawn.append(rng.permutation(speaker_B))
        return np.concatenate(drawn)
