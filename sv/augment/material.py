"""Noises and impulse responses in memory: a job reads thousands of utterances and the same few hundred files."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from sv.data.audio import open_audio, read_part
from sv.data.resample import resample
from sv.errors import AudioError

MAX_BYTES = 256 << 20


class Material:
    """Samples of files, the ones asked for last kept up to `max_bytes`.

    >>> material = Material()
    >>> material.read("musan/noise/free-sound/noise-free-sound-0000.wav", 16000).dtype
    dtype('float32')
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._kept: OrderedDict[tuple[str, int], tuple[np.ndarray, bool]] = OrderedDict()

    def read(self, path: str, rate: int, at_most: int | None = None) -> np.ndarray:
        """The first channel of a file at a rate in Hz, float32 (N,): all of it, or about `at_most` samples or more.

        Of a file at that very rate no more is read than is wanted. A file at another rate is read and resampled whole,
        so that what comes out does not depend on how much was wanted before. Raises AudioError as `read_audio` does.
        """
        key = path, rate
        wave_N, whole = self._kept.get(key, (None, False))
        if wave_N is None or not (whole or (at_most is not None and at_most <= len(wave_N))):
            wave_N, whole = _read(path, rate, at_most)
            self._keep(key, wave_N, whole)
        else:
            self._kept.move_to_end(key)
        return wave_N

    def _keep(self, key: tuple[str, int], wave_N: np.ndarray, whole: bool) -> None:
        if before := self._kept.pop(key, None):
            self._bytes -= before[0].nbytes
        self._kept[key] = wave_N, whole
        self._bytes += wave_N.nbytes
        while self._bytes > self._max_bytes and len(self._kept) > 1:
            _, (old_N, _) = self._kept.popitem(last=False)
            self._bytes -= old_N.nbytes


def _read(path: str, rate: int, at_most: int | None) -> tuple[np.ndarray, bool]:
    with open_audio(path) as recording:
        if recording.rate == rate and at_most is not None and at_most < recording.num_samples:
            wave_N = recording.read(0, at_most, 0)
            if not np.isfinite(wave_N).all():
                raise AudioError(f"{path}: holds NaN or infinite samples; convert it again")
            return wave_N, False
        return resample(read_part(recording, path, channel=0), recording.rate, rate), True
