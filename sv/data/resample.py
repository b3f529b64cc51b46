"""Change of sampling rate."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Wave = TypeVar("Wave", np.ndarray, "torch.Tensor")

_ZEROS = 64  # zero crossings of the sinc on each side
_ROLLOFF = 0.9475937167399596  # cutoff over the lower Nyquist frequency
_BETA = 14.769656459379492  # of the Kaiser window; the three are those of "kaiser_best" in resampy and librosa


def resample(wave: Wave, rate_in: int, rate_out: int) -> Wave:
    """Band-limited resampling by a Kaiser-windowed sinc (torchaudio's `sinc_interp_kaiser`).

    With f the Nyquist frequency of the lower rate: flat within 0.01 dB up to 0.875 f (3.5 kHz for 8 kHz audio),
    3 dB down at 0.938 f, 24 dB at 0.975 f; what lies above 1.02 f comes back 100 dB down or lower. No delay.

    Args:
        wave: float (..., N), a NumPy array or a tensor; a tensor stays on its device and passes gradients.
        rate_in: Hz.
        rate_out: Hz; equal rates give `wave` back.
    Returns:
        The same kind, float32 (..., ceil(N * rate_out / rate_in)).
    """
    if rate_in == rate_out:
        return wave
    import torch  # here, as it takes seconds and most readers of audio do not resample

    if isinstance(wave, np.ndarray):
        tensor = torch.from_numpy(np.ascontiguousarray(wave, np.float32))
        return _resampler(rate_in, rate_out)(tensor).numpy()
    return _resampler(rate_in, rate_out).to(wave.device)(wave.float())


@lru_cache(maxsize=16)
def _resampler(rate_in: int, rate_out: int) -> torch.nn.Module:
    """The filter for two rates, computed once a process."""
    from torchaudio.transforms import Resample

    return Resample(
        rate_in,
        rate_out,
        resampling_method="sinc_interp_kaiser",
        lowpass_filter_width=_ZEROS,
        rolloff=_ROLLOFF,
        beta=_BETA,
    )
