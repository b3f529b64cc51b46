"""Recordings outside any data directory, made into what a network reads as stage 1 and its readers do in one."""

from __future__ import annotations

from typing import Any

import numpy as np

from sv.data.resample import resample
from sv.errors import ConfigError, DataError
from sv.features.files import Processing
from sv.features.front_ends import build_front_end, feature_config
from sv.features.vad import vad_of, voiced_frames
from sv.systems.system import System


class HeardUtterances:
    """Utterances in memory: `sv.features.files.FeatureReader` or `sv.features.wave_reader.WaveReader`, of those.

    Args:
        arrays: what a network reads of each, frames (T, D) or samples (N,), by name.
        frames_per_s: their rate.
    """

    def __init__(self, arrays: dict[str, np.ndarray], frames_per_s: float) -> None:
        self._arrays, self.frames_per_s = arrays, frames_per_s
        self.num_frames = {utt: len(x_T) for utt, x_T in arrays.items()}

    def whole(self, utt: str) -> np.ndarray:
        """All of an utterance."""
        return self._arrays[utt]


class Ear:
    """From samples to what the network of a system reads: voiced, normalised frames or, of waveforms, the samples.

    >>> ear = Ear(run.system, settings_of("train", run.path)["front_end"])
    >>> ear(wave_N, 16000, "anna-01.wav").shape
    (431, 30)

    Args:
        system: with the deltas and normalisation that come after the features.
        front_end: how the set that it was trained on was made, as `sv.source.Source.front_end` has it.
        resample: take recordings of other rates, too.
    """

    def __init__(self, system: System, front_end: dict[str, Any], resample: bool = False) -> None:
        self._config = feature_config(front_end["features"])
        self._resample = resample
        self._vad_name, self._vad = system.vad, vad_of(front_end["vad"]) if front_end["vad"] else None
        self._processing = None if system.input else Processing.of_system(system)
        self._front_end = None if system.input else build_front_end(self._config)

    @property
    def frames_per_s(self) -> float:
        """Of what is given: frames, or samples."""
        return 1000 / self._config.frame_shift if self._processing else int(self._config.sample_frequency)

    def __call__(self, wave_N: np.ndarray, rate: int, name: str, key: str = "") -> np.ndarray:
        """Frames, float32 (T, D), or samples (N,), float32 in the int16 range.

        Args:
            wave_N: samples, float32 in the int16 range.
            rate: Hz.
            name: for messages.
            key: the utterance's id, of which dither, where a configuration asks for it, is a function (with seed 0).
        Raises:
            ConfigError: a rate that is not the network's, and neither its features' configuration nor `resample` allows
                another.
            DataError: too short for one frame, or without a voiced one.
        """
        wanted = int(self._config.sample_frequency)
        if rate != wanted:
            flag = "allow_downsample" if rate > wanted else "allow_upsample"
            if not (self._resample or getattr(self._config, flag, False)):
                raise ConfigError(
                    f"{name} is sampled at {rate} Hz, the network hears {wanted}; resample it, or let it be resampled:"
                    " --resample"
                )
            wave_N = resample(wave_N, rate, wanted)
        if self._processing is None:
            return wave_N
        import torch

        if self._config.num_frames(len(wave_N)) == 0:
            raise DataError(f"{name}: {len(wave_N)} samples are too few for one frame; give a longer recording")
        with torch.inference_mode():
            features_TD = self._front_end.compute(torch.from_numpy(wave_N), key).numpy()
        rows = np.arange(len(features_TD))
        if self._vad:
            rows = np.flatnonzero(voiced_frames(self._vad, features_TD, self._config, lambda: wave_N))
        if not len(rows):
            raise DataError(
                f"{name}: silence: the VAD {self._vad_name} finds no speech in its {len(features_TD)} frames; give a"
                " recording with speech"
            )
        return self._processing(lambda first, last: features_TD[first:last], len(features_TD), rows)
