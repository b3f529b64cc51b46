"""The front end `wave`: samples as they are, for networks that begin with convolutions of them."""

from __future__ import annotations

import torch

FULL_SCALE = 32768.0


class Wave(torch.nn.Module):
    """Waveforms in the int16 range (B, N) as frames of one number in -1 … 1, (B, N, 1)."""

    def forward(self, wave_BN: torch.Tensor) -> torch.Tensor:
        """Frames (B, N, 1), float32."""
        return (wave_BN.float() / FULL_SCALE)[:, :, None]
