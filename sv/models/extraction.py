"""Embeddings of whole recordings of any length, batched by length, or of crops.

Memory is bounded but for networks that see all of a recording at once (`Embedder.equal_lengths`), and for the features
of recordings that are read as such: there it grows with the longest one.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from sv.features.files import FeatureReader
from sv.features.wave_reader import WaveReader
from sv.models.embedder import Embedder
from sv.source import Prepare, Reader, as_they_are
from sv.torch_seed import torch_seed

BATCH_FRAMES = 6000  # frames that one forward pass holds, padding included
READ_AHEAD = 8  # utterances


@torch.inference_mode()
def embeddings(
    model: Embedder,
    reader: FeatureReader,
    utterances: Iterable[str],
    device: torch.device,
    batch_frames: int = BATCH_FRAMES,
) -> Iterator[tuple[str, np.ndarray]]:
    """Utterances with their embeddings, float32 (E,), shortest first.

    Utterances of like length share a forward pass and the padding of the shorter ones is masked; those longer
    than `batch_frames` go through in blocks. Either way an embedding is that of the utterance alone, up to
    rounding. The model is put into evaluation mode; every utterance must have `model.min_frames` frames.
    """
    model.eval()
    for batch in batches_by_length(reader.num_frames, utterances, batch_frames, model.equal_lengths):
        matrices = [torch.from_numpy(reader.whole(utt)) for utt in batch]
        if len(matrices[0]) > batch_frames:
            vectors_BE = model.embed_long(matrices[0].to(device), batch_frames)[None]
        else:
            x_BTF = torch.nn.utils.rnn.pad_sequence(matrices, batch_first=True).to(device)
            num_frames_B = torch.tensor([len(matrix) for matrix in matrices], device=device)
            vectors_BE = model.embed(x_BTF, num_frames_B)
        yield from zip(batch, vectors_BE.float().cpu().numpy(), strict=True)


@torch.inference_mode()
def wave_embeddings(
    model: Embedder,
    reader: WaveReader,
    utterances: Iterable[str],
    device: torch.device,
    prepare: Prepare,
    seed: int = 0,
    draws: int = 1,
) -> Iterator[tuple[str, np.ndarray]]:
    """Utterances with their embeddings, float32 (E,), in C order, of recordings that `prepare` makes features of.

    What a network draws of an utterance is a function of the seed and of the utterance's name. With `draws` above 1 it
    is drawn so often: float32 (`draws`, E).
    """
    model.eval()
    for utt, wave_N in read_ahead(reader, sorted(utterances)):
        x_TF = prepare(torch.from_numpy(wave_N)[None].to(device))[0]
        torch.manual_seed(torch_seed(seed, 8, zlib.crc32(utt.encode())))
        if draws > 1:
            e_DE = model.embed(x_TF.expand(draws, -1, -1))
            yield utt, e_DE.float().cpu().numpy()
            continue
        vector_E = model.embed_long(x_TF, BATCH_FRAMES) if len(x_TF) > BATCH_FRAMES else model.embed(x_TF[None])[0]
        yield utt, vector_E.float().cpu().numpy()


@torch.inference_mode()
def crop_embeddings(
    model: Embedder,
    reader: Reader,
    utterances: Iterable[str],
    device: torch.device,
    count: int,
    length: int,
    prepare: Prepare = as_they_are,
) -> Iterator[tuple[str, np.ndarray]]:
    """Utterances with the embeddings of `count` crops of `length` frames or samples, float32 (count, E), in C order.

    Crops begin at regular intervals, the first at the beginning, the last so that it ends with the utterance (VoxSRC
    2020, section 3.3). An utterance that is shorter than a crop is repeated until it fills one.
    """
    model.eval()
    for utt, x_TF in read_ahead(reader, sorted(utterances)):
        if len(x_TF) < length:
            x_TF = np.concatenate([x_TF] * -(-length // len(x_TF)))[:length]
        starts = np.linspace(0, len(x_TF) - length, count).astype(int)
        crops_BTF = torch.from_numpy(np.stack([x_TF[start : start + length] for start in starts]))
        yield utt, model.embed(prepare(crops_BTF.to(device))).float().cpu().numpy()


def read_ahead(reader: Reader, utterances: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Utterances with their frames or samples, in their order; the next ones are read while these are worked on."""
    with ThreadPoolExecutor(1) as thread:  # one: a reader's files are not for several at a time
        waiting: deque[tuple[str, Future[np.ndarray]]] = deque()
        try:
            for utt in utterances:
                waiting.append((utt, thread.submit(reader.whole, utt)))
                if len(waiting) > READ_AHEAD:
                    first, read = waiting.popleft()
                    yield first, read.result()
            for first, read in waiting:
                yield first, read.result()
        finally:
            thread.shutdown(cancel_futures=True)


def batches_by_length(
    num_frames: dict[str, int], utterances: Iterable[str], batch_frames: int, equal: bool = False
) -> Iterator[list[str]]:
    """Utterances by length, cut so that a batch padded to its longest has at most `batch_frames` frames.

    With `equal` the utterances of a batch have one length, and there is no padding.
    """
    batch: list[str] = []
    for utt in sorted(utterances, key=lambda u: (num_frames[u], u)):
        grown = num_frames[utt] * (len(batch) + 1) > batch_frames
        if batch and (grown or (equal and num_frames[utt] != num_frames[batch[0]])):
            yield batch
            batch = []
        batch.append(utt)
    if batch:
        yield batch
