"""The front end `melspec`: log-mel spectra, and cepstra of them, as the VoxSRC 2020 authors compute them.

One implementation, on batches, for arks, training and inference, on CPU and GPU. Shapes: B batch, N samples,
T frames, W samples of a window, K FFT bins, M mel bins, D feature dimensions.

Source: "Clova Baseline System for the VoxCeleb Speaker Recognition Challenge 2020", section 3.1, and the behaviour of
torchaudio's MelSpectrogram, on which the authors' code stands.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from sv.errors import DataError
from sv.features.mel import dct, triangles
from sv.features.melspec_config import MelSpecConfig

FULL_SCALE = 32768.0
FLOOR = 1e-6  # added to mel energies of samples in -1 … 1 before the logarithm
BLOCK_FRAMES = 128  # frames computed at a time: small enough for a core's cache


class MelSpec(torch.nn.Module):
    """Waveforms in, log-mel or cepstra matrices out, not normalised.

    >>> front_end = MelSpec(MelSpecConfig())
    >>> front_end(torch.randn(2, 32000) * 1000).shape
    torch.Size([2, 201, 64])

    Samples are floats in the int16 range (±32768) and scaled to ±1: the floor under the logarithm counts from there.
    Holds no parameters, and lets no gradient through.
    """

    def __init__(self, config: MelSpecConfig) -> None:
        super().__init__()
        self.config = config
        turn_W = 2 * math.pi * torch.arange(config.window, dtype=torch.float64) / config.window
        self.register_buffer("window_W", (0.54 - 0.46 * torch.cos(turn_W)).float(), persistent=False)
        self.register_buffer("mel_KM", mel_bank(config).float(), persistent=False)
        dct_MD = torch.from_numpy(dct(config.num_mel_bins, config.num_ceps)).float()
        self.register_buffer("dct_MD", dct_MD, persistent=False)

    @torch.no_grad()
    def forward(self, wave_BN: torch.Tensor) -> torch.Tensor:
        """Features (B, T, D) of waves of one length (B, N), in float32 whatever surrounds it."""
        with torch.autocast(wave_BN.device.type, enabled=False):
            return self.features_of_frames(self.frame(wave_BN.float()))

    @torch.no_grad()
    def compute(self, wave_N: torch.Tensor, key: str = "", seed: int = 0) -> torch.Tensor:
        """Features (T, D) of one recording (N,) of any length, in memory bounded by the recording itself.

        Raises DataError if it is too short to be mirrored at its ends. Key and seed are of front ends with dither.
        """
        frames_TW = self.frame(wave_N[None])[0]
        return torch.cat([self.features_of_frames(block_TW) for block_TW in frames_TW.split(BLOCK_FRAMES)])

    def frame(self, wave_BN: torch.Tensor) -> torch.Tensor:
        """Overlapping frames (B, T, W) after pre-emphasis, centred; both ends are mirrored about their last sample."""
        c = self.config
        num_samples = wave_BN.shape[1]
        if c.num_frames(num_samples) == 0:
            raise DataError(f"{num_samples} samples are too few for a frame; more than {c.fft_size // 2} are needed")
        wave_BN = wave_BN / FULL_SCALE
        if c.preemphasis_coefficient:
            previous_BN = torch.cat([wave_BN[:, 1:2], wave_BN[:, :-1]], 1)
            wave_BN = torch.sub(wave_BN, previous_BN, alpha=c.preemphasis_coefficient)
        left = c.window // 2  # the window lies in the middle of the transform's samples, whose others are zero
        wave_BN = torch.nn.functional.pad(wave_BN[:, None], (left, c.window - left), "reflect")[:, 0]
        return wave_BN[:, : (c.num_frames(num_samples) - 1) * c.shift + c.window].unfold(1, c.window, c.shift)

    def features_of_frames(self, frames_TW: torch.Tensor) -> torch.Tensor:
        """Features (…, T, D) of frames (…, T, W)."""
        log_mel_TM = (self.power(frames_TW * self.window_W) @ self.mel_KM + FLOOR).log()
        return log_mel_TM @ self.dct_MD if self.config.num_ceps else log_mel_TM

    def power(self, frames_TW: torch.Tensor) -> torch.Tensor:
        """Power spectra (…, T, K) of windowed frames (…, T, W)."""
        spectrum_TK = torch.fft.rfft(frames_TW, n=self.config.fft_size)
        return spectrum_TK.real.square() + spectrum_TK.imag.square()


def mel_bank(config: MelSpecConfig) -> torch.Tensor:
    """Filters (K, M), equally spaced on the mel scale and triangular in Hz, float64.

    Raises ConfigError if a filter catches no FFT bin.
    """
    hertz_K = np.linspace(0, config.sample_frequency / 2, config.fft_size // 2 + 1)
    low, high = (2595 * np.log10(1 + edge / 700) for edge in (config.low_freq, config.high_edge))
    edges = 700 * (10 ** (np.linspace(low, high, config.num_mel_bins + 2) / 2595) - 1)
    return torch.from_numpy(triangles(hertz_K, edges))
