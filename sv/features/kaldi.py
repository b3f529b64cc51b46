"""The front end `kaldi`: log-mel filterbanks (fbank) and MFCC as Kaldi's feature programs compute them.

One implementation, on batches, for arks, training and inference, on CPU and GPU. Shapes: B batch, N samples,
T frames, W samples of a window, K FFT bins, M mel bins, D feature dimensions.

Source: kaldi/src/feat/feature-window.cc, mel-computations.cc, feature-fbank.cc, feature-mfcc.cc (behaviour),
and Davis & Mermelstein 1980 for MFCC.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sv.errors import ConfigError, DataError
from sv.features.config import read_flags

FLT_EPSILON = 1.1920928955078125e-07  # the floor that Kaldi puts under mel energies before the logarithm
BLOCK_FRAMES = 512  # frames computed at a time: small enough for a core's cache


@dataclass(frozen=True)
class KaldiFeatureConfig:
    """Kaldi's options of the same names; the defaults are Kaldi's, except that dither is off unless asked.

    `allow_downsample` and `allow_upsample` let audio of another rate be resampled (`sv.data.audio.resample`).
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
        if self.window_type not in _WINDOWS:
            raise ConfigError(f"--window-type={self.window_type} is not one of {', '.join(_WINDOWS)}")
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


def read_feature_config(path: str | os.PathLike[str], name: str | None = None) -> KaldiFeatureConfig:
    """Read `conf/features/NAME.conf`; a name that starts with fbank or mfcc says which of the two it is.

    `name` is given where the file was copied under another one, as into a feature folder.
    """
    kind = next((k for k in ("fbank", "mfcc") if (name or Path(path).name).startswith(k)), None)
    if kind is None:
        raise ConfigError(
            f"{path}: a feature configuration's file name starts with fbank or mfcc, and so says what it is"
        )
    return read_flags(path, KaldiFeatureConfig, kind=kind)


class KaldiFeatures(torch.nn.Module):
    """Waveforms in, fbank or MFCC matrices out.

    >>> front_end = KaldiFeatures(KaldiFeatureConfig("mfcc", num_ceps=20, snip_edges=False))
    >>> front_end(torch.randn(2, 16000) * 1000).shape
    torch.Size([2, 100, 20])
    >>> front_end.compute(torch.randn(8000) * 1000, key="spk1-a").shape
    torch.Size([50, 20])

    Samples are floats in the int16 range (±32768), as Kaldi takes them. Holds no parameters.
    """

    def __init__(self, config: KaldiFeatureConfig) -> None:
        super().__init__()
        self.config = config
        window_W = _WINDOWS[config.window_type](config.window, config.blackman_coeff)
        self.register_buffer("window_W", window_W.float(), persistent=False)
        self.register_buffer("mel_KM", mel_bank(config).float(), persistent=False)
        self.register_buffer("dct_MD", _dct_and_lifter(config).float(), persistent=False)

    def forward(self, wave_BN: torch.Tensor) -> torch.Tensor:
        """Features (B, T, D) of waves of one length (B, N); without dither."""
        frames_BTW = self.frame(wave_BN)
        return self.features_of_frames(frames_BTW.flatten(0, 1)).unflatten(0, frames_BTW.shape[:2])

    def compute(self, wave_N: torch.Tensor, key: str = "", seed: int = 0) -> torch.Tensor:
        """Features (T, D) of one recording (N,) of any length, in memory bounded by the recording itself.

        Dither, if the configuration asks for it, is a function of the seed and the key (the utterance's id).

        Raises:
            DataError: too short for one frame.
        """
        frames_TW = self.frame(wave_N[None])[0]
        generator = _generator(seed, key) if self.config.dither else None
        blocks = []
        for block_TW in frames_TW.split(BLOCK_FRAMES):
            if generator is not None:
                noise_TW = torch.randn(block_TW.shape, generator=generator).to(block_TW.device)
                block_TW = block_TW + self.config.dither * noise_TW
            blocks.append(self.features_of_frames(block_TW))
        return torch.cat(blocks)

    def frame(self, wave_BN: torch.Tensor) -> torch.Tensor:
        """Overlapping frames (B, T, W); without --snip-edges they are centred and the ends are mirrored."""
        c = self.config
        num_samples = wave_BN.shape[1]
        num_frames = c.num_frames(num_samples)
        if num_frames == 0:
            raise DataError(f"{num_samples} samples are too few for one frame of {c.window}")
        if not c.snip_edges:
            left = c.window // 2 - c.shift // 2
            right = (num_frames - 1) * c.shift + c.window - left - num_samples
            wave_BN = _mirror(wave_BN, left, max(right, 0))
        span = (num_frames - 1) * c.shift + c.window
        return wave_BN[:, :span].unfold(1, c.window, c.shift)

    def features_of_frames(self, frames_TW: torch.Tensor) -> torch.Tensor:
        """Features (T, D) of frames (T, W) of raw samples."""
        c = self.config
        if c.remove_dc_offset:
            frames_TW = frames_TW - frames_TW.mean(1, keepdim=True)
        energy_T = self._log_energy(frames_TW) if c.use_energy and c.raw_energy else None
        if c.preemphasis_coefficient:
            # The first sample of a frame has no predecessor: Kaldi lets it be its own.
            previous_TW = torch.cat([frames_TW[:, :1], frames_TW[:, :-1]], 1)
            frames_TW = torch.sub(frames_TW, previous_TW, alpha=c.preemphasis_coefficient)
        frames_TW = frames_TW * self.window_W
        if c.use_energy and not c.raw_energy:
            energy_T = self._log_energy(frames_TW)
        spectrum_TK = torch.view_as_real(torch.fft.rfft(frames_TW, n=c.fft_size))[:, : self.mel_KM.shape[0]]
        power_TK = spectrum_TK.square().sum(-1)
        mel_TM = (power_TK if c.use_power else power_TK.sqrt()) @ self.mel_KM
        if c.kind == "mfcc" or c.use_log_fbank:
            mel_TM = mel_TM.clamp_min(FLT_EPSILON).log()
        if c.kind == "mfcc":
            features_TD = mel_TM @ self.dct_MD
            if energy_T is not None:
                features_TD[:, 0] = energy_T
            return features_TD
        return mel_TM if energy_T is None else torch.cat([energy_T[:, None], mel_TM], 1)

    def _log_energy(self, frames_TW: torch.Tensor) -> torch.Tensor:
        energy_T = frames_TW.square().sum(1).clamp_min(FLT_EPSILON).log()
        floor = self.config.energy_floor
        return energy_T.clamp_min(math.log(floor)) if floor > 0 else energy_T


def _generator(seed: int, key: str) -> torch.Generator:
    digest = hashlib.blake2b(f"{seed}\n{key}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def mel_scale(hertz: np.ndarray | float) -> np.ndarray | float:
    """Kaldi's mel scale: 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


def mel_bank(config: KaldiFeatureConfig) -> torch.Tensor:
    """Triangular filters (K, M), equally spaced and triangular on the mel scale, float64.

    K leaves out the Nyquist bin, as Kaldi does. Raises ConfigError if a filter catches no FFT bin.
    """
    bins = config.fft_size // 2
    mel_K = mel_scale(np.arange(bins) * config.sample_frequency / config.fft_size)
    low, high = mel_scale(config.low_freq), mel_scale(config.high_edge)
    edges = np.linspace(low, high, config.num_mel_bins + 2)
    left_M, centre_M, right_M = edges[:-2], edges[1:-1], edges[2:]
    rising_KM = (mel_K[:, None] - left_M) / (centre_M - left_M)
    falling_KM = (right_M - mel_K[:, None]) / (right_M - centre_M)
    bank_KM = np.maximum(0.0, np.minimum(rising_KM, falling_KM))
    empty = np.flatnonzero(bank_KM.sum(0) == 0)
    if len(empty):
        raise ConfigError(f"--num-mel-bins={config.num_mel_bins} is too many: filter {empty[0]} catches no FFT bin")
    return torch.from_numpy(bank_KM)


def _dct_and_lifter(config: KaldiFeatureConfig) -> torch.Tensor:
    """Orthonormal DCT-II (M, D) with the sine lifter on its columns; empty for fbank."""
    if config.kind != "mfcc":
        return torch.zeros(0)
    M, D, Q = config.num_mel_bins, config.num_ceps, config.cepstral_lifter
    m, d = np.arange(M)[:, None], np.arange(D)
    dct_MD = np.sqrt(2.0 / M) * np.cos(np.pi / M * (m + 0.5) * d)
    dct_MD[:, 0] = np.sqrt(1.0 / M)
    if Q:
        dct_MD = dct_MD * (1 + 0.5 * Q * np.sin(np.pi * d / Q))
    return torch.from_numpy(dct_MD)


def _mirror(wave_BN: torch.Tensor, left: int, right: int) -> torch.Tensor:
    """Extend both ends by mirror images that repeat the end sample: index -1 reads 0, index N reads N - 1."""
    num_samples = wave_BN.shape[1]
    if max(left, right) <= num_samples:
        head, tail = wave_BN[:, :left].flip(1), wave_BN[:, num_samples - right :].flip(1)
        return torch.cat([head, wave_BN, tail], 1)
    # Shorter than the mirror: the image of the image, with period 2 N.
    index = torch.arange(-left, num_samples + right, device=wave_BN.device) % (2 * num_samples)
    return wave_BN[:, torch.minimum(index, 2 * num_samples - 1 - index)]


def _phase(size: int) -> torch.Tensor:
    return 2 * math.pi * torch.arange(size, dtype=torch.float64) / (size - 1)


_WINDOWS = {
    "povey": lambda size, _: (0.5 - 0.5 * torch.cos(_phase(size))) ** 0.85,
    "hamming": lambda size, _: 0.54 - 0.46 * torch.cos(_phase(size)),
    "hanning": lambda size, _: 0.5 - 0.5 * torch.cos(_phase(size)),
    "rectangular": lambda size, _: torch.ones(size, dtype=torch.float64),
    "sine": lambda size, _: torch.sin(_phase(size) / 2),
    "blackman": lambda size, a: a - 0.5 * torch.cos(_phase(size)) + (0.5 - a) * torch.cos(2 * _phase(size)),
}
