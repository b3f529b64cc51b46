"""Batches from arks: what they hold, and the same bytes from any number of workers."""

import numpy as np
import pytest
import torch
from feature_sets import speakers_frames, write_features

from sv.data.ark import MatrixReader
from sv.data.datadir import DataDir
from sv.data.tables import read_table
from sv.errors import DataError
from sv.features.files import FeatureReader
from sv.training.loader import batches
from sv.training.sampler import BalancedChunks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_features(tmp_path_factory.mktemp("data") / "train", speakers_frames(4, 3))


def opened(folder):
    reader = FeatureReader(folder, vad="energy", cmn_window=100)
    utt2spk = DataDir.read(folder).utt2spk
    return BalancedChunks(reader.num_frames, utt2spk, (30, 60), 5, seed=1, chunks_per_speaker=4), reader


def all_bytes(stream):
    return [(x.shape, x.numpy().tobytes(), y.tolist()) for x, y in stream]


def test_batches_hold_the_voiced_frames_of_their_chunks(folder):
    """Cut by hand from the arks: select by VAD, no normalisation."""
    sampler, _ = opened(folder)
    feats, vad, ark = read_table(folder / "feats.scp"), read_table(folder / "vad.scp"), MatrixReader()
    stream = batches(sampler, FeatureReader(folder, vad="energy"), 0, 2)
    wanted = [sampler.batch(epoch, index) for epoch in range(2) for index in range(len(sampler))]
    for batch, (x_BTF, speaker_B) in zip(wanted, stream, strict=True):
        for chunk, x_TF, speaker in zip(batch.chunks, x_BTF.numpy(), speaker_B.tolist(), strict=True):
            voiced = ark.read(feats[chunk.utterance])[ark.read_vector(vad[chunk.utterance]) > 0]
            assert np.array_equal(x_TF, voiced[chunk.start : chunk.start + batch.length])
            assert sampler.speakers[speaker] == chunk.utterance.split("-")[0]


def test_workers_give_the_same_bytes(folder):
    """The reader has files open before the workers are forked, and is used on meanwhile."""
    sampler, reader = opened(folder)
    alone = all_bytes(batches(sampler, reader, 0, 3, workers=0))
    stream = batches(sampler, reader, 0, 3, workers=2)
    forked = []
    for batch in stream:
        forked.append(batch)
        reader.chunk("spk00-00", 0, 30)
    assert all_bytes(forked) == alone
    assert len(alone) == 3 * len(sampler)


def test_later_epochs_are_the_tail_of_all(folder):
    sampler, reader = opened(folder)
    assert all_bytes(batches(sampler, reader, 2, 4)) == all_bytes(batches(sampler, reader, 0, 4))[2 * len(sampler) :]


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_archive_is_one_line_from_any_process(tmp_path, workers):
    folder = write_features(tmp_path / "train", speakers_frames(4, 1))
    sampler, reader = opened(folder)
    ark = folder / "arks" / "feats.1.ark"
    ark.write_bytes(ark.read_bytes()[: ark.stat().st_size // 2])
    with pytest.raises(DataError, match="truncated") as caught:
        list(batches(sampler, reader, 0, 2, workers))
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_speakers_are_integers_for_cross_entropy(folder):
    x_BTF, speaker_B = next(batches(*opened(folder), 0, 1))
    assert (x_BTF.dtype, speaker_B.dtype) == (torch.float32, torch.int64)
