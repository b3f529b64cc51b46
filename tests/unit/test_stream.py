"""Epochs of so many batches of different recordings, by counting."""

from collections import Counter
from itertools import chain

import pytest

from sv.errors import DataError
from sv.training.stream import StreamOfRecordings

NUM_FRAMES = {f"s{s}-{u}": 30 + u for s in range(5) for u in range(4)} | {"s1-x": 19}
UTT2SPK = {utt: utt.split("-")[0] for utt in NUM_FRAMES}


def stream(steps=3, batch_size=6, seed=1):
    return StreamOfRecordings(NUM_FRAMES, UTT2SPK, (20, 20), batch_size, seed, steps=steps)


def utterances(sampler, batches):
    """Of the first batches, one epoch after the other."""
    drawn = (sampler.batch(*divmod(number, len(sampler))) for number in range(batches))
    return [[chunk.utterance for chunk in batch.chunks] for batch in drawn]


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_batches_are_the_same_however_many_make_an_epoch_and_pass_by_pass_of_all(steps):
    """20 recordings make three batches of 6 a pass; the two that are left over are others in each."""
    drawn = utterances(stream(steps), 30)
    assert drawn == utterances(stream(5), 30)
    assert all(len(set(batch)) == 6 for batch in drawn)
    left = set()
    for number in range(0, 30, 3):
        one_pass = Counter(chain(*drawn[number : number + 3]))
        assert set(one_pass.values()) == {1}
        assert "s1-x" not in one_pass
        left |= NUM_FRAMES.keys() - one_pass.keys()
    assert len(left) > 8
    assert drawn[:3] != drawn[3:6]


def test_an_epoch_is_as_long_as_asked_and_every_batch_full():
    sampler = stream(steps=7)
    assert len(sampler) == 7
    assert {sampler.size(index) for index in range(7)} == {6}
    assert sampler.num_chunks == 42
    assert len(sampler.batch(4, 6).chunks) == 6


def test_another_seed_draws_others():
    assert utterances(stream(seed=2), 3) != utterances(stream(), 3)


def test_fewer_recordings_than_a_batch_are_refused():
    with pytest.raises(DataError, match=r"training.batch_size: 21 chunks are of as many recordings, and 20"):
        stream(batch_size=21)
