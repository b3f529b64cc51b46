"""Utterances for the UBM and the extractor: handled many at a time, in memory that does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from sv.errors import DataError

_MAX_UTTERANCES, _MAX_FRAMES, _MAX_BYTES = 256, 200_000, 1 << 29

# Keys and features, float (T, D). Training goes through them once an iteration: a list, or an object whose __iter__
# reads them again, not a generator.
Utterances = Iterable[tuple[str, np.ndarray]]


def blocks(
    utterances: Utterances, num_gauss: int, device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[list[str], list[int], Tensor]]:
    """Keys, numbers of frames and frames (T, D) of utterances, as many at a time as are handled well together.

    At most 256 utterances, about 200 000 frames, and 512 MB of statistics (num_gauss × D float64 an utterance).

    Raises:
        DataError: an utterance without frames, of another dimension than those before, or with a NaN; it is named.
    """
    keys: list[str] = []
    parts: list[np.ndarray] = []
    for key, x_TD in utterances:
        if x_TD.ndim != 2 or len(x_TD) == 0:
            raise DataError(f"{key}: no frames (all of it silence?); leave it out, or lower the VAD's threshold")
        if parts and x_TD.shape[1] != parts[0].shape[1]:
            raise DataError(f"{key}: features have {x_TD.shape[1]} dimensions, those before {parts[0].shape[1]}")
        if not np.isfinite(x_TD).all():
            raise DataError(f"{key}: its features hold a NaN or an infinity")
        keys.append(key)
        parts.append(x_TD)
        most = min(_MAX_UTTERANCES, max(1, _MAX_BYTES // (8 * num_gauss * x_TD.shape[1])))
        if len(keys) >= most or sum(map(len, parts)) >= _MAX_FRAMES:
            yield keys, list(map(len, parts)), _joined(parts, device, dtype)
            keys, parts = [], []
    if keys:
        yield keys, list(map(len, parts)), _joined(parts, device, dtype)


def _joined(parts: list[np.ndarray], device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(np.concatenate(parts)).to(device, dtype)


def require_rereadable(utterances: Utterances) -> None:
    """ValueError for an iterator, which would be empty in the second pass."""
    if iter(utterances) is utterances:
        raise ValueError("utterances are gone through several times: give a list, or an object that reads them again")
