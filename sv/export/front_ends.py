"""The front ends in operations that every ONNX runtime has: framing by indices, the Fourier transform as a product.

They inherit from those of `sv.features`; only what has no counterpart in ONNX is said anew. The transform is one
product in float32, which is no further from the exact one than the FFT in float32 is.

Shapes: B batch, N samples, T frames, W samples of a window, K FFT bins.
"""

from __future__ import annotations

import math

import torch

from sv.features.front_ends import FeatureConfig
from sv.features.kaldi import KaldiFeatures
from sv.features.kaldi_config import KaldiFeatureConfig
from sv.features.melspec import FULL_SCALE, MelSpec
from sv.features.melspec_config import MelSpecConfig
from sv.features.wave import Wave
from sv.features.wave_config import WaveConfig


def exportable_front_end(config: FeatureConfig) -> torch.nn.Module:
    """What `sv.features.front_ends.build_front_end` builds, to be exported; dither is left out."""
    if isinstance(config, WaveConfig):
        return Wave()
    return ExportableMelSpec(config) if isinstance(config, MelSpecConfig) else ExportableKaldi(config)


class ExportableKaldi(KaldiFeatures):
    """Kaldi's fbank and MFCC.

    >>> ExportableKaldi(KaldiFeatureConfig("mfcc", snip_edges=False))(torch.randn(2, 16000) * 1000).shape
    torch.Size([2, 100, 13])
    """

    def __init__(self, config: KaldiFeatureConfig) -> None:
        super().__init__(config)
        self.register_buffer("dft_W2K", _dft(config, len(self.mel_KM)), persistent=False)

    def forward(self, wave_BN: torch.Tensor) -> torch.Tensor:
        """Features (B, T, D) of waves of one length."""
        frames_BTW = self.frame(wave_BN)
        return self.features_of_frames(frames_BTW.flatten(0, 1)).unflatten(0, frames_BTW.shape[:2])

    def frame(self, wave_BN: torch.Tensor) -> torch.Tensor:
        """Overlapping frames (B, T, W); without --snip-edges they are centred and the ends are mirrored."""
        c, num_samples = self.config, wave_BN.shape[1]
        left = 0 if c.snip_edges else c.window // 2 - c.shift // 2
        index_TW = _places(c.num_frames(num_samples), c.shift, c.window, left)
        if not c.snip_edges:  # index -1 reads 0, index N reads N - 1; of short recordings the image of the image, too
            period = 2 * length_tensor(num_samples)
            index_TW = index_TW % period
            index_TW = torch.minimum(index_TW, period - 1 - index_TW)
        return _taken(wave_BN, index_TW)

    def power(self, frames_TW: torch.Tensor) -> torch.Tensor:
        """Power spectra (T, K) of windowed frames (T, W)."""
        return _power(frames_TW, self.dft_W2K)


class ExportableMelSpec(MelSpec):
    """The VoxSRC authors' log-mel and cepstra.

    >>> ExportableMelSpec(MelSpecConfig())(torch.randn(2, 32000) * 1000).shape
    torch.Size([2, 201, 64])
    """

    def __init__(self, config: MelSpecConfig) -> None:
        super().__init__(config)
        self.register_buffer("dft_W2K", _dft(config, len(self.mel_KM)), persistent=False)

    def forward(self, wave_BN: torch.Tensor) -> torch.Tensor:
        """Features (B, T, D) of waves of one length."""
        return self.features_of_frames(self.frame(wave_BN))

    def frame(self, wave_BN: torch.Tensor) -> torch.Tensor:
        """Overlapping frames (B, T, W) after pre-emphasis, centred; both ends are mirrored about their last sample."""
        c, num_samples = self.config, wave_BN.shape[1]
        wave_BN = wave_BN / FULL_SCALE
        if c.preemphasis_coefficient:
            previous_BN = torch.cat([wave_BN[:, 1:2], wave_BN[:, :-1]], 1)
            wave_BN = torch.sub(wave_BN, previous_BN, alpha=c.preemphasis_coefficient)
        index_TW = _places(c.num_frames(num_samples), c.shift, c.window, c.window // 2).abs()
        index_TW = torch.minimum(index_TW, 2 * length_tensor(num_samples) - 2 - index_TW)
        return _taken(wave_BN, index_TW)

    def power(self, frames_TW: torch.Tensor) -> torch.Tensor:
        """Power spectra (…, T, K) of windowed frames (…, T, W)."""
        return _power(frames_TW, self.dft_W2K)


def length_tensor(length: int) -> torch.Tensor:
    """A length as a tensor (1,), as ONNX wants it beside tensors where it is not known beforehand."""
    return torch.full((1,), length)


def _places(num_frames: int, shift: int, window: int, left: int) -> torch.Tensor:
    """The samples that each frame is of, int (T, W); the first begins `left` samples before the recording."""
    return shift * torch.arange(num_frames)[:, None] + torch.arange(window) - left


def _taken(wave_BN: torch.Tensor, index_TW: torch.Tensor) -> torch.Tensor:
    return wave_BN.index_select(1, index_TW.flatten()).unflatten(1, index_TW.shape)


def _dft(config: KaldiFeatureConfig | MelSpecConfig, bins: int) -> torch.Tensor:
    """Cosines and sines (W, 2 K) of the transform of a window that zeros follow; float32."""
    turn_WK = torch.outer(torch.arange(config.window), torch.arange(bins)) % config.fft_size  # exact, as whole numbers
    angle_WK = turn_WK.double() * (2 * math.pi / config.fft_size)
    return torch.cat([angle_WK.cos(), angle_WK.sin()], 1).float()


def _power(frames_TW: torch.Tensor, dft_W2K: torch.Tensor) -> torch.Tensor:
    real_TK, imag_TK = (frames_TW @ dft_W2K).chunk(2, -1)
    return real_TK.square() + imag_TK.square()
