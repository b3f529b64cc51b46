"""How much of a waveform is speech, by the VADs of `conf/vad`."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sv.data.resample import resample
from sv.features.kaldi_config import KaldiFeatureConfig
from sv.features.vad import WEBRTC_RATES, EnergyVad, WebRtcVad

if TYPE_CHECKING:
    from sv.features.kaldi import KaldiFeatures

_WEBRTC_RATE = 16000  # to which recordings of rates that it does not take are resampled


def speech_s(wave_N: np.ndarray, rate: int, vad: EnergyVad | WebRtcVad) -> float:
    """Seconds of speech in samples (N,), float32 in the int16 range: voiced frames times their shift.

    Frames are those of our features: 25 ms every 10 ms, as many as shifts fit (--snip-edges=false). What is too short
    for one holds no speech. Raises ConfigError for a rate below that of any sound, as damaged headers have it.
    """
    if isinstance(vad, WebRtcVad) and rate not in WEBRTC_RATES:
        wave_N, rate = resample(wave_N, rate, _WEBRTC_RATE), _WEBRTC_RATE
    config = _frames(rate)
    num_frames = config.num_frames(len(wave_N))
    if num_frames == 0:
        return 0.0
    if isinstance(vad, EnergyVad):
        import torch

        voiced_T = vad.voiced(_front_end(rate).log_energy(torch.from_numpy(wave_N)).numpy())
    else:
        voiced_T = vad.voiced(wave_N, rate, config.frame_centres(num_frames))
    return int(voiced_T.sum()) * config.shift / rate


def _frames(rate: int) -> KaldiFeatureConfig:
    # Of the features only the energy is computed, so the bank is the smallest, which every rate has room for.
    return KaldiFeatureConfig("fbank", sample_frequency=rate, snip_edges=False, use_energy=True, num_mel_bins=3)


@lru_cache
def _front_end(rate: int) -> KaldiFeatures:
    from sv.features.kaldi import KaldiFeatures  # imports torch, which takes seconds

    return KaldiFeatures(_frames(rate))
