"""Waveforms at the rate that a feature configuration asks for."""

from __future__ import annotations

import torch

from sv.data.datadir import DataDir
from sv.data.resample import resample
from sv.errors import ConfigError
from sv.features.kaldi import KaldiFeatureConfig


def read_at_rate(data: DataDir, utt: str, config: KaldiFeatureConfig, allow_pipes: bool) -> torch.Tensor:
    """Samples (N,) of an utterance at the configuration's rate; AudioError if that takes a resampling not allowed."""
    wave_N, rate = data.read_audio(utt, allow_pipes)
    wanted = int(config.sample_frequency)
    if rate != wanted:
        flag, allowed = (
            ("--allow-downsample", config.allow_downsample)
            if rate > wanted
            else ("--allow-upsample", config.allow_upsample)
        )
        if not allowed:
            raise ConfigError(
                f"{utt} is sampled at {rate} Hz, the features at {wanted}; {flag}=true in the configuration resamples"
            )
        wave_N = resample(wave_N, rate, wanted)
    return torch.as_tensor(wave_N)
