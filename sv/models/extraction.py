"""Embeddings of whole recordings of any length, batched by length, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from sv.features.files import FeatureReader
from sv.models.embedder import Embedder

BATCH_FRAMES = 6000  # frames that one forward pass holds, padding included


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
    for batch in batches_by_length(reader.num_frames, utterances, batch_frames):
        matrices = [torch.from_numpy(reader.whole(utt)) for utt in batch]
        if len(matrices[0]) > batch_frames:
            vectors_BE = model.embed_long(matrices[0].to(device), batch_frames)[None]
        else:
            x_BTF = torch.nn.utils.rnn.pad_sequence(matrices, batch_first=True).to(device)
            num_frames_B = torch.tensor([len(matrix) for matrix in matrices], device=device)
            vectors_BE = model.embed(x_BTF, num_frames_B)
        yield from zip(batch, vectors_BE.float().cpu().numpy(), strict=True)


def batches_by_length(num_frames: dict[str, int], utterances: Iterable[str], batch_frames: int) -> Iterator[list[str]]:
    """Utterances by length, cut so that a batch padded to its longest has at most `batch_frames` frames."""
    batch: list[str] = []
    for utt in sorted(utterances, key=lambda u: (num_frames[u], u)):
        if batch and num_frames[utt] * (len(batch) + 1) > batch_frames:
            yield batch
            batch = []
        batch.append(utt)
    if batch:
        yield batch
