"""The options of Kaldi's fbank and MFCC, and how many frames they make of a recording; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sv.errors import ConfigError

WINDOW_TYPES = ("povey", "hamming", "hanning", "rectangular", "sine", "blackman")
OPTIONS_OF_THE_OTHER = {"fbank": ("num_ceps", "cepstral_lifter"), "mfcc": ("use_log_fbank", "use_power")}


@dataclass(frozen=True)
class KaldiFeatureConfig:
    """Kaldi's options of the same names; the defaults are Kaldi's, except that dither is off unless asked.

    `allow_downsample` and `allow_upsample` let audio of another rate be resampled (`sv.data.resample`).
    """

    kind: str  # fbank or mfcc
    sample_frequency: float = 16000.0
    frame_length: float = 25.0  # ms
    frame_shift: float = 10.0  # ms
    preemphasis_coefficient: float = 0.97
    remove_dc_offset: bool = True
    dither: float = 0.0
    window_type: str = "povey"
    blackman_coeff: float = 0.42
    round_to_power_of_two: bool = True
    snip_edges: bool = True
    num_mel_bins: int = 23
    low_freq: float = 20.0
    high_freq: float = 0.0
    use_energy: bool | None = None  # Kaldi: true for mfcc, false for fbank
    raw_energy: bool = True
    energy_floor: float = 0.0
    use_log_fbank: bool = True
    use_power: bool = True
    num_ceps: int = 13
    cepstral_lifter: float = 22.0
    allow_downsample: bool = False
    allow_upsample: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("fbank", "mfcc"):
            raise ConfigError(f"kind is fbank or mfcc, not {self.kind!r}")
        if self.use_energy is None:
            object.__setattr__(self, "use_energy", self.kind == "mfcc")
        if self.window_type not in WINDOW_TYPES:
            raise ConfigError(f"--window-type={self.window_type} is not one of {', '.join(WINDOW_TYPES)}")
        for value, least, flag in (
            (self.window, 2, f"--frame-length={self.frame_length:g}"),
            (self.shift, 1, f"--frame-shift={self.frame_shift:g}"),
            (self.num_mel_bins, 3, f"--num-mel-bins={self.num_mel_bins}"),
            (self.dither, 0, f"--dither={self.dither:g}"),
            (self.preemphasis_coefficient, 0, f"--preemphasis-coefficient={self.preemphasis_coefficient:g}"),
        ):
            if value < least:
                raise ConfigError(f"{flag} is too small at --sample-frequency={self.sample_frequency:g}")
        if self.preemphasis_coefficient > 1:
            raise ConfigError(f"--preemphasis-coefficient={self.preemphasis_coefficient:g} must lie in 0..1")
        if self.kind == "mfcc" and not 0 < self.num_ceps <= self.num_mel_bins:
            raise ConfigError(f"--num-ceps={self.num_ceps} must lie in 1..--num-mel-bins={self.num_mel_bins}")
        if not 0 <= self.low_freq < self.high_edge <= self.sample_frequency / 2:
            raise ConfigError(
                f"--low-freq={self.low_freq:g} and --high-freq={self.high_freq:g} do not lie in"
                f" 0..{self.sample_frequency / 2:g} Hz"
            )

    @property
    def high_edge(self) -> float:
        """Upper edge of the mel bank in Hz; zero or less counts from the Nyquist frequency, as in Kaldi."""
        return self.high_freq if self.high_freq > 0 else self.sample_frequency / 2 + self.high_freq

    @property
    def window(self) -> int:
        """Samples of a frame."""
        return int(self.sample_frequency * 0.001 * self.frame_length)

    @property
    def shift(self) -> int:
        """Samples between frames."""
        return int(self.sample_frequency * 0.001 * self.frame_shift)

    @property
    def fft_size(self) -> int:
        """Samples of a frame after zero padding."""
        return 1 << (self.window - 1).bit_length() if self.round_to_power_of_two else self.window

    @property
    def dim(self) -> int:
        """Numbers a frame."""
        if self.kind == "mfcc":
            return self.num_ceps
        return self.num_mel_bins + bool(self.use_energy)

    def num_frames(self, num_samples: int) -> int:
        """Frames of a recording, by Kaldi's rule for --snip-edges."""
        if self.snip_edges:
            return 0 if num_samples < self.window else 1 + (num_samples - self.window) // self.shift
        return (num_samples + self.shift // 2) // self.shift

    def frame_centres(self, num_frames: int) -> np.ndarray:
        """Sample index of the middle of each frame, int (T,)."""
        first = self.window // 2 if self.snip_edges else self.shift // 2
        return first + self.shift * np.arange(num_frames)
