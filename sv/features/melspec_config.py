"""The options of the front end `melspec`, and how many frames it makes of a recording; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sv.errors import ConfigError


@dataclass(frozen=True)
class MelSpecConfig:
    """Log-mel or, with `num_ceps`, cepstra of the VoxSRC 2020 authors' front end.

    `allow_downsample` and `allow_upsample` let audio of another rate be resampled (`sv.data.resample`).
    """

    kind: str = "melspec"
    sample_frequency: float = 16000.0
    frame_length: float = 25.0  # ms
    frame_shift: float = 10.0  # ms
    fft_size: int = 512
    preemphasis_coefficient: float = 0.97
    num_mel_bins: int = 64
    low_freq: float = 0.0
    high_freq: float = 0.0  # 0 is half the sampling rate
    num_ceps: int = 0  # 0 gives log-mel
    allow_downsample: bool = False
    allow_upsample: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.window <= self.fft_size:
            raise ConfigError(f"--frame-length={self.frame_length:g} must lie in 2 samples..--fft-size={self.fft_size}")
        if self.shift < 1:
            raise ConfigError(f"--frame-shift={self.frame_shift:g} is too small")
        if not 0 <= self.preemphasis_coefficient <= 1:
            raise ConfigError(f"--preemphasis-coefficient={self.preemphasis_coefficient:g} must lie in 0..1")
        if not 0 <= self.num_ceps <= self.num_mel_bins:
            raise ConfigError(f"--num-ceps={self.num_ceps} must lie in 0..--num-mel-bins={self.num_mel_bins}")
        if not 0 <= self.low_freq < self.high_edge <= self.sample_frequency / 2:
            raise ConfigError(
                f"--low-freq={self.low_freq:g} and --high-freq={self.high_freq:g} do not lie in"
                f" 0..{self.sample_frequency / 2:g} Hz"
            )

    @property
    def high_edge(self) -> float:
        """Upper edge of the mel bank in Hz."""
        return self.high_freq or self.sample_frequency / 2

    @property
    def window(self) -> int:
        """Samples of a frame."""
        return round(self.sample_frequency * 0.001 * self.frame_length)

    @property
    def shift(self) -> int:
        """Samples between frames."""
        return round(self.sample_frequency * 0.001 * self.frame_shift)

    @property
    def use_energy(self) -> bool:
        """Whether the first number is an energy: never."""
        return False

    @property
    def dim(self) -> int:
        """Numbers a frame."""
        return self.num_ceps or self.num_mel_bins

    def num_frames(self, num_samples: int) -> int:
        """Frames of a recording: one every shift, centred, from sample 0; none if it is too short to be mirrored."""
        return 1 + num_samples // self.shift if num_samples > self.fft_size // 2 else 0

    def num_samples(self, num_frames: int) -> int:
        """Samples of the shortest recording that has so many frames."""
        return (num_frames - 1) * self.shift

    def frame_centres(self, num_frames: int) -> np.ndarray:
        """Sample index of the middle of each frame, int (T,)."""
        return self.shift * np.arange(num_frames)
