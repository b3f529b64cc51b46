"""Epochs of so many batches, cut from one pass over the recordings after another."""

from __future__ import annotations

from typing import Any

import numpy as np

from sv.errors import DataError
from sv.training.sampler import EveryRecording


class StreamOfRecordings(EveryRecording):
    """So many batches an epoch, a chunk of each of `batch_size` different recordings, however many there are.

    >>> sampler = StreamOfRecordings(num_frames, utt2spk, (48000, 48000), batch_size=66, seed=1, steps=5000)
    >>> len(sampler)
    5000

    The recordings are gone through in random order, again and again, each pass in an order of its own; what does not
    fill a batch at the end of a pass is left out of it. Raises DataError if there are fewer than a batch's.
    """

    def __init__(self, *usable: Any, steps: int, **limits: Any) -> None:
        super().__init__(*usable, chunks_per_recording=1, **limits)
        self._steps, self._in_a_pass = steps, len(self._recordings) // self.batch_size
        if not self._in_a_pass:
            raise DataError(
                f"training.batch_size: {self.batch_size} chunks are of as many recordings, and {len(self._recordings)}"
                " are long enough; lower it"
            )

    @property
    def num_chunks(self) -> int:
        """Chunks of an epoch."""
        return self._steps * self.batch_size

    def _part(self, epoch: int, index: int) -> np.ndarray:
        number, place = divmod(epoch * self._steps + index, self._in_a_pass)
        if self._order is None or self._order[0] != number:
            self._order = number, self._shuffled(number)
        return self._order[1][place * self.batch_size :][: self.batch_size]

    def _shuffled(self, epoch: int) -> np.ndarray:
        """The recordings, (speaker, place), in the order of a pass."""
        return np.random.default_rng([self.seed, 0, epoch]).permutation(self._recordings)
