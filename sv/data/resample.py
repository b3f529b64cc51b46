"""Change of sampling rate."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Wave = TypeVar("Wave", np.ndarray, "torch.Tensor")

_ZEROS = 64  # zero crossings of the sinc on each side
_ROLLOFF = 0.9475937167399596  # cutoff over the lower Nyquist frequency
_BETA = 14.769656459379492  # of the Kaiser window; the three are those of "kaiser_best" in resampy and librosa
_COLUMNS = 64  # of the matrix: fewer make poor use of a processor, more multiply with more zeros
_BLOCKS = 1024  # rows multiplied at a time, so that an hour's recording is not held several times


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

    tensor = torch.from_numpy(np.ascontiguousarray(wave, np.float32)) if isinstance(wave, np.ndarray) else wave.float()
    num_out = -(-tensor.shape[-1] * rate_out // rate_in)
    step = _step(rate_in, rate_out)
    matrix_WO = step.matrix_WO.to(tensor.device)
    window, hop_out = matrix_WO.shape
    blocks = -(-num_out // hop_out)
    span = (blocks - 1) * step.hop_in + window
    padded = torch.nn.functional.pad(tensor, (step.reach, max(0, span - step.reach - tensor.shape[-1])))
    windows = padded[..., :span].unfold(-1, window, step.hop_in)
    out = torch.cat([part @ matrix_WO for part in windows.split(_BLOCKS, dim=-2)], -2).flatten(-2)[..., :num_out]
    return out.numpy() if isinstance(wave, np.ndarray) else out


class _Step(NamedTuple):
    """The filter as a matrix: W samples, from `reach` before a position on, give the O that come out for `hop_in`."""

    matrix_WO: torch.Tensor
    hop_in: int
    reach: int


@lru_cache(maxsize=16)
def _step(rate_in: int, rate_out: int) -> _Step:
    """torchaudio's filter for two rates as a matrix product, some eight times as fast as its convolution.

    The filter takes K samples to the few that come out in one period of the two rates; the matrix holds it as often as
    gives about _COLUMNS, each time moved on by a period.
    """
    import torch
    from torchaudio.transforms import Resample

    filters = Resample(
        rate_in,
        rate_out,
        resampling_method="sinc_interp_kaiser",
        lowpass_filter_width=_ZEROS,
        rolloff=_ROLLOFF,
        beta=_BETA,
    )
    kernel_KO = filters.kernel[:, 0].T
    divisor = math.gcd(rate_in, rate_out)
    period_in, period_out = rate_in // divisor, rate_out // divisor
    periods = max(1, _COLUMNS // period_out)
    with torch.inference_mode(False):  # it is kept, and a later caller may want gradients
        matrix_WO = torch.zeros((periods - 1) * period_in + len(kernel_KO), periods * period_out)
        for k in range(periods):
            matrix_WO[k * period_in :][: len(kernel_KO), k * period_out :][:, :period_out] = kernel_KO
    return _Step(matrix_WO, periods * period_in, filters.width)
