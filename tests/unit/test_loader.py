"""Batches from arks: what they hold, and the same bytes from any number of workers."""

import numpy as np
import pytest
import torch
from data_dirs import write_data, write_lines
from feature_sets import speakers_frames, write_features

from sv.data.ark import MatrixReader
from sv.data.datadir import DataDir
from sv.data.tables import read_table
from sv.errors import DataError
from sv.features.files import FeatureReader
from sv.features.wave_reader import WaveReader
from sv.training.loader import batches
from sv.training.ranks import Ranks, Shard
from sv.training.sampler import BalancedChunks, EveryRecording


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


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """A sampler of crops of 200 samples of 12 recordings, and their reader."""
    lengths = {f"spk{s:02d}-{u}": 400 + 10 * s + u for s in range(4) for u in range(3)}
    folder = write_data(tmp_path_factory.mktemp("data") / "train", lengths)
    write_lines(folder / "utt2num_samples", *(f"{utt} {lengths[utt]}" for utt in lengths))
    reader = WaveReader(folder, 16000)
    return EveryRecording(
        reader.num_frames, DataDir.read(folder).utt2spk, (200, 200), 5, 1, chunks_per_recording=2
    ), reader


def scaled(wave_N, rng):
    """Stands for augmentation: a factor drawn for the chunk."""
    return wave_N * np.float32(rng.uniform(1, 2))


def test_batches_of_waveforms_hold_the_samples_of_their_crops(waves):
    sampler, reader = waves
    for index, (x_BN, speaker_B) in enumerate(batches(*waves, 0, 1)):
        batch = sampler.batch(0, index)
        assert (x_BN.shape, x_BN.dtype) == ((len(batch.chunks), 200), torch.float32)
        assert speaker_B.tolist() == [chunk.speaker for chunk in batch.chunks]
        for chunk, x_N in zip(batch.chunks, x_BN.numpy(), strict=True):
            assert np.array_equal(x_N, reader.whole(chunk.utterance)[chunk.start : chunk.start + 200])


def test_augmented_batches_are_the_same_from_any_number_of_workers(waves):
    """And later epochs, or batches, are not changed by what is left out before them."""
    alone = all_bytes(batches(*waves, 0, 3, augment=scaled))
    assert all_bytes(batches(*waves, 0, 3, workers=2, augment=scaled)) == alone
    assert all_bytes(batches(*waves, 1, 3, first_step=2, augment=scaled)) == alone[len(waves[0]) + 2 :]


def test_every_chunk_of_every_epoch_has_its_own_draw(waves):
    """The factors, told by the chunks without augmentation: all between the limits and none twice."""
    pairs = zip(batches(*waves, 0, 3, augment=scaled), batches(*waves, 0, 3), strict=True)
    factors = [x_BN.abs().sum(1) / plain_BN.abs().sum(1) for (x_BN, _), (plain_BN, _) in pairs]
    drawn = torch.cat(factors).tolist()
    assert all(1 <= factor <= 2 for factor in drawn)
    assert len(set(drawn)) == len(drawn) == 3 * 24


def test_augmented_chunks_are_the_same_in_any_number_of_processes(waves):
    """The parts of three processes put together, against one process's batches."""
    sampler, reader = waves
    parts = [batches(Shard(sampler, Ranks(index, 3)), reader, 0, 2, augment=scaled) for index in range(3)]
    for (whole_BN, _), *shared in zip(batches(*waves, 0, 2, augment=scaled), *parts, strict=True):
        for index, (part_BN, _) in enumerate(shared):
            assert torch.equal(part_BN, whole_BN[index::3])
