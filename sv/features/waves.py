"""Waveforms at the rate that a feature configuration asks for."""

from __future__ import annotations

import numpy as np

from sv.data.resample import resample
from sv.data.utterance_audio import UtteranceReader
from sv.errors import ConfigError
from sv.features.front_ends import FeatureConfig


def read_at_rate(reader: UtteranceReader, utt: str, config: FeatureConfig) -> np.ndarray:
    """Samples (N,) of an utterance, float32 in the int16 range, at the configuration's rate.

    Raises what `UtteranceReader.read` does, and ConfigError for a resampling that the configuration does not allow.
    """
    return at_rate(*reader.read(utt), config, utt)


def at_rate(wave_N: np.ndarray, rate: int, config: FeatureConfig, name: str) -> np.ndarray:
    """Samples (N,) of a rate in Hz at that of the configuration; ConfigError naming whose, if it does not allow it."""
    wanted = int(config.sample_frequency)
    if rate != wanted:
        flag, allowed = (
            ("--allow-downsample", config.allow_downsample)
            if rate > wanted
            else ("--allow-upsample", config.allow_upsample)
        )
        if not allowed:
            raise ConfigError(
                f"{name} is sampled at {rate} Hz, the features at {wanted}; {flag}=true in the configuration resamples"
            )
        wave_N = resample(wave_N, rate, wanted)
    return wave_N
