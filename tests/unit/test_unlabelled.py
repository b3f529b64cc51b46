"""Unlabelled recordings beside labelled batches: alike often, by address, whole in every part; what chunks hold."""

from collections import Counter

import numpy as np
import pytest
from feature_sets import speakers_frames, write_features

from sv.data.datadir import DataDir
from sv.errors import DataError
from sv.features.files import FeatureReader
from sv.training.loader import batches
from sv.training.ranks import Ranks, Shard
from sv.training.sampler import BalancedChunks, EveryRecording
from sv.training.unlabelled import WithUnlabelled

NUM_FRAMES = {f"s{s}-{u}": 30 + 11 * u + 7 * s for s in range(5) for u in range(4)}
UTT2SPK = {utt: utt.split("-")[0] for utt in NUM_FRAMES}
UNLABELLED = {f"call{i}": 15 + 5 * i for i in range(13)}  # 15 to 75 frames; the first is too short


def labelled(seed=1, chunk=(20, 60)):
    return BalancedChunks(NUM_FRAMES, UTT2SPK, chunk, 8, seed, chunks_per_speaker=7)  # 35 chunks in 5 batches


def both(**options):
    return WithUnlabelled(labelled(**options), UNLABELLED)


def stream(sampler, epochs):
    return [sampler.batch(epoch, index) for epoch in range(epochs) for index in range(len(sampler))]


def test_every_recording_is_drawn_once_before_any_is_again():
    """12 recordings, 35 draws an epoch: each round of 12 holds all of them, across batches and epochs."""
    drawn = [utterance for batch in stream(both(), 12) for utterance, _ in batch.unlabelled]
    rounds = [drawn[first : first + 12] for first in range(0, 12 * 35, 12)]
    assert all(sorted(of) == sorted(UNLABELLED.keys() - {"call0"}) for of in rounds)
    assert len({tuple(of) for of in rounds}) == len(rounds)


def test_as_many_beside_as_labelled_and_those_as_they_are_alone():
    for made, alone in zip(stream(both(), 4), stream(labelled(), 4), strict=True):
        assert (made.length, made.chunks) == (alone.length, alone.chunks)
        assert len(made.unlabelled) == len(made.chunks)
    recordings = EveryRecording(NUM_FRAMES, UTT2SPK, (20, 60), 8, 1, chunks_per_recording=3)
    sizes = [(len(batch.chunks), len(batch.unlabelled)) for batch in stream(WithUnlabelled(recordings, UNLABELLED), 1)]
    assert sizes == [(recordings.size(index),) * 2 for index in range(len(recordings))]


def test_a_batch_is_a_function_of_seed_epoch_and_index():
    """Asked for in any order; neither the seed nor the epoch is without effect."""
    one, other = both(), both()
    backwards = {(e, i): other.batch(e, i).unlabelled for e in (2, 0, 1) for i in reversed(range(len(other)))}
    assert all(one.batch(*key).unlabelled == found for key, found in backwards.items())
    assert len({str(found) for found in backwards.values()}) == len(backwards)
    assert both(seed=2).batch(0, 0).unlabelled != one.batch(0, 0).unlabelled
    shuffled = WithUnlabelled(labelled(), dict(reversed(UNLABELLED.items())))
    assert stream(shuffled, 2) == stream(one, 2)


@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_the_unlabelled_chunks_as_the_labelled(count):
    sampler = both()
    for index in range(len(sampler)):
        parts = [Shard(sampler, Ranks(rank, count)).batch(1, index) for rank in range(count)]
        assert all(len(part.unlabelled) == len(part.chunks) for part in parts)
        drawn = Counter(chunk for part in parts for chunk in part.unlabelled)
        assert drawn == Counter(sampler.batch(1, index).unlabelled)


def test_chunks_begin_wherever_they_fit_or_anywhere_where_they_go_round():
    """Chunks of 40: recordings of 40 have one place, those of 60 have 21, those of 20 have 20."""
    frames = {"a": 20, "b": 40, "c": 60}
    made = stream(WithUnlabelled(labelled(chunk=(20, 45)), frames), 400)
    starts = {utt: {s for b in made if b.length == 40 for u, s in b.unlabelled if u == utt} for utt in frames}
    assert starts == {"a": set(range(20)), "b": {0}, "c": set(range(21))}


def test_those_too_short_are_named_and_none_left_is_one_line():
    assert both().too_short == {"call0": 15}
    with pytest.raises(DataError, match=r"no unlabelled utterance has 0\.2 s of ") as caught:
        WithUnlabelled(labelled(), {"a": 19})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_features_are_the_labelled_and_then_the_unlabelled(tmp_path, workers):
    """Cut by hand from whole recordings repeated without end; whatever the number of workers."""
    train = write_features(tmp_path / "train", speakers_frames(4, 3))
    calls = write_features(tmp_path / "calls", {f"call{i:02d}-a": 30 + 9 * i for i in range(6)}, seed=1)
    reader, other = FeatureReader(train, vad="energy"), FeatureReader(calls, vad="energy")
    sampler = BalancedChunks(reader.num_frames, DataDir.read(train).utt2spk, (20, 60), 5, 1, chunks_per_speaker=4)
    made = WithUnlabelled(sampler, other.num_frames)
    went_round = 0
    plain = batches(sampler, reader, 0, 3)
    for batch, (x_BTF, speaker_B), (want_BTF, want_B) in zip(
        stream(made, 3), batches(made, reader, 0, 3, workers, unlabelled=other), plain, strict=True
    ):
        assert np.array_equal(x_BTF[: len(speaker_B)], want_BTF)
        assert np.array_equal(speaker_B, want_B)
        for (utterance, start), x_TF in zip(batch.unlabelled, x_BTF[len(speaker_B) :].numpy(), strict=True):
            whole_TF = other.whole(utterance)
            rows = np.arange(start, start + batch.length)
            went_round += rows[-1] >= len(whole_TF)
            assert np.array_equal(x_TF, whole_TF[rows % len(whole_TF)])
    assert went_round
