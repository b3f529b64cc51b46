"""Chunks of unlabelled recordings beside those of labelled batches, for training that adapts to another domain."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sv.errors import DataError
from sv.training.sampler import Batch, Chunks, speech


class WithUnlabelled:
    """The batches of a sampler, each with as many chunks, of the same length, of unlabelled recordings.

    >>> both = WithUnlabelled(sampler, num_frames)
    >>> batch = both.batch(epoch=3, index=0)
    >>> len(batch.chunks) == len(batch.unlabelled)
    True

    Every recording is drawn once before any is drawn again, in an order of each round's own, through epochs as if
    there were none. A recording that is shorter than the chunk goes on at its beginning where it ends (see
    `sv.training.loader.load_unlabelled`); those shorter than the shortest chunk are not used: `too_short` names them.

    The labelled batches are what they are without the unlabelled ones; all is a function of (seed, epoch, index).

    Args:
        labelled: whose batches they are.
        num_frames: (voiced) frames, or samples, of each unlabelled recording.
    Raises:
        DataError: no recording is long enough.
    """

    def __init__(self, labelled: Chunks, num_frames: Mapping[str, int]) -> None:
        self._labelled, self.seed = labelled, labelled.seed
        shortest = labelled.chunk_frames[0]
        self.too_short = {utt: n for utt, n in num_frames.items() if n < shortest}
        self._recordings = sorted(num_frames.keys() - self.too_short.keys())
        self._num_frames = num_frames
        if not self._recordings:
            raise DataError(
                f"no unlabelled utterance has {speech(shortest, labelled.frames_per_s)}; lower training.chunk_s"
            )

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._labelled)

    @property
    def together(self) -> int:
        """Labelled chunks that stand side by side."""
        return self._labelled.together

    def size(self, index: int) -> int:
        """Labelled chunks in batch `index` of any epoch."""
        return self._labelled.size(index)

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch `index` of an epoch."""
        batch = self._labelled.batch(epoch, index)
        rng = np.random.default_rng([self.seed, 4, epoch, index])
        before = epoch * self._labelled.num_chunks + self._labelled.before(index)
        batch.unlabelled = [
            (utterance, int(rng.integers(0, self._starts(utterance, batch.length))))
            for utterance in self._drawn(before, len(batch.chunks))
        ]
        return batch

    def _drawn(self, first: int, count: int) -> list[str]:
        """The recordings that are drawn from the `first` draw of all on."""
        number = len(self._recordings)
        rounds = {
            turn: np.random.default_rng([self.seed, 3, turn]).permutation(number)
            for turn in range(first // number, (first + count - 1) // number + 1)
        }
        return [self._recordings[rounds[draw // number][draw % number]] for draw in range(first, first + count)]

    def _starts(self, utterance: str, length: int) -> int:
        """How many places a chunk may begin at: any where it goes round."""
        frames = self._num_frames[utterance]
        return frames - length + 1 if frames >= length else frames
