"""The options of the front end `wave`, which leaves samples as they are; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from sv.errors import ConfigError


@dataclass(frozen=True)
class WaveConfig:
    """The waveform itself, for networks that begin with convolutions of samples: a sample is a frame of one number."""

    kind: str = "wave"
    sample_frequency: float = 16000.0

    def __post_init__(self) -> None:
        if self.sample_frequency <= 0 or self.sample_frequency % 1:
            raise ConfigError(f"--sample-frequency={self.sample_frequency:g} must be whole, in Hz")

    @property
    def dim(self) -> int:
        """Numbers a frame."""
        return 1

    def num_frames(self, num_samples: int) -> int:
        """Frames of a recording: its samples."""
        return num_samples
