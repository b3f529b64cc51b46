"""The front end `kaldi`: log-mel filterbanks (fbank) and MFCC as Kaldi's feature programs compute them.

One implementation, on batches, for arks, training and inference, on CPU and GPU. Shapes: B batch, N samples,
T frames, W samples of a window, K FFT bins, M mel bins, D feature dimensions.

Source: kaldi/src/feat/feature-window.cc, mel-computations.cc, feature-fbank.cc, feature-mfcc.cc (behaviour),
and Davis & Mermelstein 1980 for MFCC.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch

from sv.errors import DataError
from sv.features.kaldi_config import KaldiFeatureConfig
from sv.features.mel import dct, triangles

FLT_EPSILON = 1.1920928955078125e-07  # the floor that Kaldi puts under mel energies before the logarithm
BLOCK_FRAMES = 128  # frames computed at a time: small enough for a core's cache


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
        """Features (B, T, D) of waves of one length (B, N), in float32 whatever surrounds it; without dither."""
        with torch.autocast(wave_BN.device.type, enabled=False):
            frames_BTW = self.frame(wave_BN.float())
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

    def log_energy(self, wave_N: torch.Tensor) -> torch.Tensor:
        """Log-energies (T,) of one recording (N,): what the energy VAD judges, without the spectra.

        They are the column that `compute` gives with --use-energy and --raw-energy, before dither.

        Raises:
            DataError: too short for one frame.
        """
        blocks = self.frame(wave_N[None])[0].split(BLOCK_FRAMES)
        return torch.cat([self._log_energy(self._without_offset(block_TW)) for block_TW in blocks])

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
            wave_BN = _mirror(wave_BN[:, max(-left, 0) :], max(left, 0), max(right, 0))
        span = (num_frames - 1) * c.shift + c.window
        return wave_BN[:, :span].unfold(1, c.window, c.shift)

    def features_of_frames(self, frames_TW: torch.Tensor) -> torch.Tensor:
        """Features (T, D) of frames (T, W) of raw samples."""
        c = self.config
        frames_TW = self._without_offset(frames_TW)
        energy_T = self._log_energy(frames_TW) if c.use_energy and c.raw_energy else None
        if c.preemphasis_coefficient:
            # The first sample of a frame has no predecessor: Kaldi lets it be its own.
            previous_TW = torch.cat([frames_TW[:, :1], frames_TW[:, :-1]], 1)
            frames_TW = torch.sub(frames_TW, previous_TW, alpha=c.preemphasis_coefficient)
        frames_TW = frames_TW * self.window_W
        if c.use_energy and not c.raw_energy:
            energy_T = self._log_energy(frames_TW)
        power_TK = self.power(frames_TW)
        mel_TM = (power_TK if c.use_power else power_TK.sqrt()) @ self.mel_KM
        if c.kind == "mfcc" or c.use_log_fbank:
            mel_TM = mel_TM.clamp_min(FLT_EPSILON).log()
        if c.kind == "mfcc":
            features_TD = mel_TM @ self.dct_MD
            return features_TD if energy_T is None else torch.cat([energy_T[:, None], features_TD[:, 1:]], 1)
        return mel_TM if energy_T is None else torch.cat([energy_T[:, None], mel_TM], 1)

    def power(self, frames_TW: torch.Tensor) -> torch.Tensor:
        """Power spectra (T, K) of windowed frames (T, W)."""
        spectrum_TK = torch.fft.rfft(frames_TW, n=self.config.fft_size)[:, : self.mel_KM.shape[0]]
        return spectrum_TK.real.square() + spectrum_TK.imag.square()

    def _without_offset(self, frames_TW: torch.Tensor) -> torch.Tensor:
        return frames_TW - frames_TW.mean(1, keepdim=True) if self.config.remove_dc_offset else frames_TW

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
    return torch.from_numpy(triangles(mel_K, edges))


def _dct_and_lifter(config: KaldiFeatureConfig) -> torch.Tensor:
    """Orthonormal DCT-II (M, D) with the sine lifter on its columns; empty for fbank."""
    if config.kind != "mfcc":
        return torch.zeros(0)
    D, Q = config.num_ceps, config.cepstral_lifter
    dct_MD = dct(config.num_mel_bins, D)
    if Q:
        dct_MD = dct_MD * (1 + 0.5 * Q * np.sin(np.pi * np.arange(D) / Q))
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
