"""What is done to a recording's frames, or to its samples, in tensors of any length: twins of numpy's routines.

They must give the numbers of `sv.features` and `sv.models.extraction`; what those compute in float64 is so here.

Shapes: T frames, D features, C crops, L frames or samples of a crop.
"""

from __future__ import annotations

import numpy as np
import torch

from sv.export.front_ends import length_tensor
from sv.features.cmvn import VARIANCE_FLOOR
from sv.features.files import Processing
from sv.features.vad import EnergyVad


class FrameProcessing(torch.nn.Module):
    """Deltas, sliding normalisation, then the choice of the energy VAD: frames as `sv.features.heard.Ear` gives them.

    >>> FrameProcessing(Processing(cmn_window=300), EnergyVad())(torch.randn(200, 30) + 10).shape
    torch.Size([200, 30])

    Args:
        processing: deltas and normalisation.
        vad: None keeps all frames.
    """

    def __init__(self, processing: Processing, vad: EnergyVad | None) -> None:
        super().__init__()
        self.processing, self.vad = processing, vad

    def forward(self, features_TD: torch.Tensor) -> torch.Tensor:
        """Voiced, normalised frames of the features of a whole recording."""
        p, x_TD = self.processing, features_TD
        if p.deltas:
            x_TD = add_deltas(x_TD, *p.deltas)
        if p.cmn_window:
            x_TD = sliding_cmvn(x_TD, p.cmn_window, p.norm_vars)
        return x_TD[voiced(self.vad, features_TD[:, 0]).nonzero()[:, 0]] if self.vad else x_TD


def add_deltas(features_TD: torch.Tensor, order: int, window: int) -> torch.Tensor:
    """Features with their deltas, (T, D × (order + 1)), as `sv.features.deltas.add_deltas`."""
    x_TD = features_TD.double()
    slope = np.arange(-window, window + 1) / sum(k * k for k in range(-window, window + 1))
    frame_T, last = torch.arange(len_of(x_TD)), length_tensor(len_of(x_TD)) - 1
    blocks, kernel = [x_TD], np.ones(1)
    for _ in range(order):
        kernel = np.convolve(kernel, slope)
        reach = len(kernel) // 2
        near_TW = (frame_T[:, None] + torch.arange(-reach, reach + 1)).clamp(min=0).minimum(last)
        blocks.append((x_TD[near_TW] * torch.from_numpy(kernel)[:, None]).sum(1))
    return torch.cat(blocks, 1).float()


def sliding_cmvn(features_TD: torch.Tensor, window: int, norm_vars: bool) -> torch.Tensor:
    """Frames less the mean of the centred window around each, (T, D), as `sv.features.cmvn.sliding_cmvn`."""
    total = length_tensor(len_of(features_TD))
    first_T = (torch.arange(len_of(features_TD)) - window // 2).clamp(min=0)
    last_T = first_T + window
    first_T = (first_T - (last_T - total).clamp(min=0)).clamp(min=0)
    last_T = last_T.minimum(total)
    count_T1 = (last_T - first_T)[:, None].double()

    def window_mean(y_TD: torch.Tensor) -> torch.Tensor:
        sums_TD = torch.cat([torch.zeros_like(y_TD[:1]), y_TD.cumsum(0)])
        return (sums_TD[last_T] - sums_TD[first_T]) / count_T1

    x_TD = features_TD.double()
    x_TD = x_TD - x_TD.mean(0)  # changes no result, and sums of squares keep their digits
    mean_TD = window_mean(x_TD)
    normalised_TD = x_TD - mean_TD
    if norm_vars:
        variance_TD = window_mean(x_TD.square()) - mean_TD.square()
        normalised_TD = normalised_TD / variance_TD.clamp(min=VARIANCE_FLOOR).sqrt()
        normalised_TD = normalised_TD * (count_T1 > 1)  # a window of one frame has no variance
    return normalised_TD.float()


def voiced(vad: EnergyVad, log_energy_T: torch.Tensor) -> torch.Tensor:
    """Decisions (T,), bool, from log-energies, as `EnergyVad.voiced`, in float32 where that is."""
    total = length_tensor(len_of(log_energy_T))
    threshold = torch.tensor(vad.vad_energy_threshold)
    if vad.vad_energy_mean_scale:
        energy = log_energy_T.double().sum().float()
        threshold = threshold + torch.tensor(vad.vad_energy_mean_scale) * energy / total.float()
    above_T = (log_energy_T > threshold).long()
    above_T = torch.cat([torch.zeros_like(above_T[:1]), above_T.cumsum(0)])
    frame_T, context = torch.arange(len_of(log_energy_T)), vad.vad_frames_context
    first_T, last_T = (frame_T - context).clamp(min=0), (frame_T + context + 1).minimum(total)
    needed_T = (last_T - first_T).float() * torch.tensor(vad.vad_proportion_threshold)
    return (above_T[last_T] - above_T[first_T]).float() >= needed_T


def crops_of(x: torch.Tensor, count: int, length: int) -> torch.Tensor:
    """Crops (C, L, …) at regular intervals of frames or samples, as `sv.models.extraction.crop_embeddings` cuts them.

    A recording shorter than a crop is repeated.
    """
    total = length_tensor(len_of(x))
    step = (total - length).clamp(min=0).double() / max(count - 1, 1)
    start_C = (torch.arange(count, dtype=torch.float64) * step).long()
    index_CL = (start_C[:, None] + torch.arange(length)) % total
    return x.index_select(0, index_CL.flatten()).unflatten(0, index_CL.shape)


def len_of(x: torch.Tensor) -> int:
    """Frames or samples; unlike `len` it stays a symbol where a length is not known beforehand."""
    return x.shape[0]
