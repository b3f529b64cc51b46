"""Augmented recordings: what `sv.cli.augment_wav` would print, computed without starting it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from sv.augment.material import Material
from sv.augment.spec import Spec
from sv.augment.waves import Noise, add_noises, looped, reverberate
from sv.data.audio import Recording, open_audio, read_part
from sv.errors import AudioError

_material = Material()  # of this process


def sources(words: list[str]) -> list[str]:
    """The source that a command's words name, then the files of its noises; ValueError if they are malformed."""
    spec, _ = Spec.parse(words)
    return [spec.source, *spec.material]


@contextmanager
def open_words(words: list[str], allow_pipes: bool = False) -> Iterator[AugmentedRecording]:
    """Open the recording that a command's words describe; a source that is a command itself only if allowed.

    Raises AudioError as `open_audio` does, and ValueError for words that are malformed.
    """
    spec, _ = Spec.parse(words)
    with open_audio(spec.source, allow_pipes=allow_pipes) as clean:
        yield AugmentedRecording(clean, spec)


class AugmentedRecording:
    """A recording with what a spec does to it, each channel by itself with the same material.

    Attributes: rate (Hz), num_samples (a channel) and num_channels are those of the clean recording. Samples are
    rounded to int16 and clipped to its range, as in the WAV that the command writes.
    """

    def __init__(self, clean: Recording, spec: Spec) -> None:
        self.rate, self.num_channels = clean.rate, clean.num_channels
        self._clean, self._spec = clean, spec
        self._done: dict[int, np.ndarray] = {}

    @property
    def num_samples(self) -> int:
        return self._clean.num_samples

    def read(self, start: int, stop: int, channel: int) -> np.ndarray:
        """Samples start <= n < stop of a channel, float32 (stop - start,), in the int16 range."""
        return self.read_all(channel)[start:stop]

    def read_all(self, channel: int) -> np.ndarray:
        """A channel, float32 (N,). Raises AudioError naming the file for material that cannot be read or used."""
        if channel not in self._done:
            clean_N = read_part(self._clean, self._spec.source, channel=channel)
            self._done[channel] = np.rint(augmented(clean_N, self.rate, self._spec)).clip(-32768, 32767)
        return self._done[channel]

    def close(self) -> None:
        """The clean recording is closed by who opened it."""


def augmented(wave_N: np.ndarray, rate: int, spec: Spec) -> np.ndarray:
    """What a spec does to samples (N,) at a rate in Hz, float32 (N,); raises AudioError naming a bad file."""
    if spec.reverb is not None:
        try:
            return reverberate(wave_N, _material.read(spec.reverb, rate))
        except ValueError as error:
            raise AudioError(f"{spec.reverb}: {error}") from None
    noises = []
    for snr_db, file in spec.background:
        noise_M = _material.read(file, rate, at_most=len(wave_N))[: len(wave_N)]
        noises.append(Noise(looped(noise_M, len(wave_N)), snr_db))
    for snr_db, start_s, file in spec.foreground:
        noises.append(Noise(_material.read(file, rate), snr_db, int(start_s * rate)))
    return add_noises(wave_N, noises)
