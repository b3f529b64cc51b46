"""Voice activity: which frames of a feature matrix are speech."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import webrtcvad

from sv.errors import ConfigError, DataError
from sv.features.config import read_flags
from sv.features.front_ends import FeatureConfig

WEBRTC_RATES = (8000, 16000, 32000, 48000)


@dataclass(frozen=True)
class EnergyVad:
    """Kaldi's compute-vad: a frame is voiced if enough of its neighbours have enough log-energy.

    The options are Kaldi's: of the 2 × `vad_frames_context` + 1 frames around (fewer at the ends) at least the part
    `vad_proportion_threshold` must exceed `vad_energy_threshold` + `vad_energy_mean_scale` × the recording's mean.
    """

    vad_energy_threshold: float = 5.0
    vad_energy_mean_scale: float = 0.5
    vad_proportion_threshold: float = 0.6
    vad_frames_context: int = 0

    def __post_init__(self) -> None:
        if self.vad_frames_context < 0 or self.vad_energy_mean_scale < 0:
            raise ConfigError("--vad-frames-context and --vad-energy-mean-scale must not be negative")
        if not 0 < self.vad_proportion_threshold < 1:
            raise ConfigError("--vad-proportion-threshold must lie between 0 and 1")

    def voiced(self, log_energy_T: np.ndarray) -> np.ndarray:
        """Decisions (T,), bool, from log-energies (T,): column 0 of MFCCs with --use-energy."""
        log_energy_T = np.asarray(log_energy_T, np.float32)
        num_frames, context = len(log_energy_T), self.vad_frames_context
        # float32 throughout, as in Kaldi: 3 frames of 5 are a proportion of 0.6 in it, and not in float64.
        threshold = np.float32(self.vad_energy_threshold)
        if self.vad_energy_mean_scale:
            total = np.float32(log_energy_T.sum(dtype=np.float64))
            threshold += np.float32(self.vad_energy_mean_scale) * total / np.float32(num_frames)
        above = np.concatenate([[0], np.cumsum(log_energy_T > threshold)])
        frame = np.arange(num_frames)
        first, last = np.maximum(frame - context, 0), np.minimum(frame + context + 1, num_frames)
        needed = (last - first).astype(np.float32) * np.float32(self.vad_proportion_threshold)
        return above[last] - above[first] >= needed


@dataclass(frozen=True)
class WebRtcVad:
    """WebRTC's Gaussian-mixture VAD on the waveform, its decisions mapped to feature frames.

    The detector judges consecutive blocks of `block_ms`; a feature frame takes the decision of the block that
    holds its centre, and frames past the last whole block take that block's. A recording shorter than a block is
    unvoiced. `mode` 0 lets most through, 3 least.
    """

    mode: int = 2
    block_ms: int = 10

    def __post_init__(self) -> None:
        if self.mode not in (0, 1, 2, 3) or self.block_ms not in (10, 20, 30):
            raise ConfigError("--mode is 0, 1, 2 or 3 and --block-ms 10, 20 or 30")

    def voiced(self, wave_N: np.ndarray, rate: int, centre_T: np.ndarray) -> np.ndarray:
        """Decisions (T,), bool.

        Args:
            wave_N: samples in the int16 range.
            rate: Hz; one of 8000, 16000, 32000, 48000.
            centre_T: sample index of each feature frame's centre.
        Raises:
            DataError: another rate.
        """
        if rate not in WEBRTC_RATES:
            raise DataError(f"the WebRTC VAD takes {', '.join(map(str, WEBRTC_RATES))} Hz, not {rate}")
        block = rate * self.block_ms // 1000
        if len(wave_N) < block:
            return np.zeros(len(centre_T), bool)
        pcm = np.clip(np.rint(wave_N), -32768, 32767).astype("<i2").tobytes()
        detector = webrtcvad.Vad(self.mode)  # it adapts to what it heard, so each recording has its own
        size = 2 * block
        decisions = [detector.is_speech(pcm[at : at + size], rate) for at in range(0, len(pcm) - size + 1, size)]
        return np.array(decisions)[np.clip(centre_T // block, 0, len(decisions) - 1)]


def read_vad_config(path: str | os.PathLike[str]) -> EnergyVad | WebRtcVad:
    """Read `conf/vad/NAME.conf`; a name that starts with energy or webrtc says which of the two it is."""
    for kind, into in (("energy", EnergyVad), ("webrtc", WebRtcVad)):
        if Path(path).name.startswith(kind):
            return read_flags(path, into)
    raise ConfigError(f"{path}: a VAD configuration's file name starts with energy or webrtc, and so says what it is")


def vad_of(settings: dict[str, dict[str, Any]]) -> EnergyVad | WebRtcVad:
    """The VAD that a record names, as `{"EnergyVad": options}`."""
    ((kind, options),) = settings.items()
    return {vad.__name__: vad for vad in (EnergyVad, WebRtcVad)}[kind](**options)


def voiced_frames(
    vad: EnergyVad | WebRtcVad, features_TD: np.ndarray, config: FeatureConfig, wave: Callable[[], np.ndarray]
) -> np.ndarray:
    """Decisions (T,), bool, of an utterance, by its features or by its samples (N,), which `wave` gives."""
    if isinstance(vad, EnergyVad):
        return vad.voiced(features_TD[:, 0])
    return vad.voiced(wave(), int(config.sample_frequency), config.frame_centres(len(features_TD)))


def require_fit(vad: EnergyVad | WebRtcVad, features: FeatureConfig, vad_name: str, features_name: str) -> None:
    """Raise ConfigError if a VAD cannot judge recordings of which these features are made."""
    if isinstance(vad, EnergyVad) and not features.use_energy:
        raise ConfigError(
            f"vad {vad_name} decides on the log-energy, which {features_name} does not have (--use-energy); choose"
            " other features or --set vad=webrtc"
        )
    if isinstance(vad, WebRtcVad) and features.sample_frequency not in WEBRTC_RATES:
        raise ConfigError(
            f"vad {vad_name} takes {', '.join(map(str, WEBRTC_RATES))} Hz, {features_name} is of"
            f" {features.sample_frequency:g} Hz; choose other features or --set vad=energy"
        )
