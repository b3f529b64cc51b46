"""Batches from arks or recordings, in the training process or in workers: the same ones whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product
from typing import Protocol

import numpy as np
import torch

from sv.errors import UserError
from sv.source import Reader
from sv.training.sampler import Batch

# What becomes of a chunk, float32 (T, F) or (N,), as a function of it and of a generator that is its own.
Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Sampler(Protocol):
    """Batches by epoch and index: `sv.training.sampler.Chunks`, or one process's part of them."""

    seed: int

    def __len__(self) -> int:
        """Batches of an epoch."""
        ...

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch `index` of an epoch."""
        ...


class ChunkLoader(torch.utils.data.Dataset):
    """Batch (epoch, index) of a sampler as tensors: features (B, T, F) or samples (B, N), and speakers (B,).

    With a reader of unlabelled recordings, features (2 B, T, F): after those of the speakers come the unlabelled. With
    `augment` every chunk of the speakers is changed, by a draw that is a function of the sampler's seed, the epoch, the
    batch and the chunk's place in it: two utterances of one speaker are drawn for apart.
    """

    def __init__(
        self, sampler: Sampler, reader: Reader, unlabelled: Reader | None = None, augment: Augment | None = None
    ) -> None:
        self.sampler, self.reader, self.unlabelled, self.augment = sampler, reader, unlabelled, augment

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor] | UserError:
        try:
            batch = self.sampler.batch(*key)
            x_BTF, speaker_B = load_batch(batch, self.reader, self.augment, [self.sampler.seed, 6, *key])
            if self.unlabelled:
                x_BTF = torch.cat([x_BTF, load_unlabelled(batch, self.unlabelled)])
            return x_BTF, speaker_B
        except UserError as error:  # raised by a worker, it would reach the user as a traceback
            return error


def load_batch(
    batch: Batch, reader: Reader, augment: Augment | None = None, address: Sequence[int] = ()
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (B, T, F), or samples (B, N), and speakers (B,) of a batch's chunks.

    With `augment`, a chunk's generator is seeded by the address, of the batch, and the chunk's place.
    """
    chunks = [reader.chunk(chunk.utterance, chunk.start, batch.length) for chunk in batch.chunks]
    if augment:
        generators = (np.random.default_rng([*address, place]) for place in batch.places)
        chunks = [augment(*each) for each in zip(chunks, generators, strict=True)]
    return torch.from_numpy(np.stack(chunks)), torch.tensor([chunk.speaker for chunk in batch.chunks])


def load_unlabelled(batch: Batch, reader: Reader) -> torch.Tensor:
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
    reader: Reader,
    first_epoch: int,
    epochs: int,
    workers: int = 0,
    first_step: int = 0,
    unlabelled: Reader | None = None,
    augment: Augment | None = None,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """All batches of epochs first_epoch .. epochs - 1, in order, without a pause between epochs.

    The first `first_step` of them are left out; `unlabelled` reads the recordings of another domain, and `augment`
    changes chunks as they are read (`ChunkLoader`).

    Raises what the reader raises, whichever process it reads in.
    """
    loader = torch.utils.data.DataLoader(
        ChunkLoader(sampler, reader, unlabelled, augment),
        batch_size=None,
        sampler=islice(product(range(first_epoch, epochs), range(len(sampler))), first_step, None),
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
