"""Batches from arks, in the training process or in workers: the same batches whatever their number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch

from sv.errors import UserError
from sv.features.files import FeatureReader
from sv.training.sampler import Batch


class Sampler(Protocol):
    """Batches by epoch and index: `sv.training.sampler.Chunks`, or one process's part of them."""

    def __len__(self) -> int:
        """Batches of an epoch."""
        ...

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch `index` of an epoch."""
        ...


class ChunkLoader(torch.utils.data.Dataset):
    """Batch (epoch, index) of a sampler as tensors: features (B, T, F), speakers (B,).

    With a reader of unlabelled recordings, features (2 B, T, F): after those of the speakers come the unlabelled.
    """

    def __init__(self, sampler: Sampler, reader: FeatureReader, unlabelled: FeatureReader | None = None) -> None:
        self.sampler, self.reader, self.unlabelled = sampler, reader, unlabelled

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor] | UserError:
        try:
            batch = self.sampler.batch(*key)
            x_BTF, speaker_B = load_batch(batch, self.reader)
            if self.unlabelled:
                x_BTF = torch.cat([x_BTF, load_unlabelled(batch, self.unlabelled)])
            return x_BTF, speaker_B
        except UserError as error:  # raised by a worker, it would reach the user as a traceback
            return error


def load_batch(batch: Batch, reader: FeatureReader) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (B, T, F) and speakers (B,) of a batch's chunks."""
    x_BTF = np.stack([reader.chunk(chunk.utterance, chunk.start, batch.length) for chunk in batch.chunks])
    return torch.from_numpy(x_BTF), torch.tensor([chunk.speaker for chunk in batch.chunks])


def load_unlabelled(batch: Batch, reader: FeatureReader) -> torch.Tensor:
    """Features (B, T, F) of a batch's unlabelled chunks; a recording that ends before its chunk begins again there.

    Voiced frames meet at such places all over a recording, wherever the VAD has taken some out between them.
    """
    chunks = []
    for utterance, start in batch.unlabelled:
        pieces, left = [], batch.length
        while left:
            length = min(left, reader.num_frames[utterance] - start)
            pieces.append(reader.chunk(utterance, start, length))
            start, left = 0, left - length
        chunks.append(np.concatenate(pieces))
    return torch.from_numpy(np.stack(chunks))


def batches(
    sampler: Sampler,
    reader: FeatureReader,
    first_epoch: int,
    epochs: int,
    workers: int = 0,
    first_step: int = 0,
    unlabelled: FeatureReader | None = None,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """All batches of epochs first_epoch .. epochs - 1, in order, without a pause between epochs.

    The first `first_step` of them are left out; `unlabelled` reads the recordings of another domain (`ChunkLoader`).

    Raises what the reader raises, whichever process it reads in.
    """
    loader = torch.utils.data.DataLoader(
        ChunkLoader(sampler, reader, unlabelled),
        batch_size=None,
        sampler=[(epoch, index) for epoch in range(first_epoch, epochs) for index in range(len(sampler))][first_step:],
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_one_thread if workers else None,
    )
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        yield batch


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
