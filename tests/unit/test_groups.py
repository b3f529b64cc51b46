"""Epochs of groups of utterances, by counting: who is beside whom, how often, in which batches, what is left out."""

import itertools
from collections import Counter

import numpy as np
import pytest

from sv.errors import ConfigError, DataError
from sv.training.groups import SpeakerGroups
from sv.training.ranks import Ranks, Shard
from sv.training.unlabelled import WithUnlabelled


def corpus(counts, frames=(30, 90), seed=0):
    """Utterances s0-0, s0-1 … as many as each speaker has; their lengths and speakers."""
    utts = [f"s{s:03d}-{u}" for s, count in enumerate(counts) for u in range(count)]
    lengths = np.random.default_rng(seed).integers(*frames, len(utts)).tolist()
    return dict(zip(utts, lengths, strict=True)), {utt: utt.split("-")[0] for utt in utts}


UNEVEN = np.random.default_rng(7).integers(2, 40, 30).tolist()  # of 30 speakers


def sampler(counts=UNEVEN, batch_size=16, utterances=2, seed=1, chunk=(20, 20), **options):
    return SpeakerGroups(*corpus(counts), chunk, batch_size, seed, utterances=utterances, **options)


def epoch_of(chunks, epoch=0):
    return [chunks.batch(epoch, index) for index in range(len(chunks))]


def groups_of(batch, utterances):
    return [batch.chunks[first : first + utterances] for first in range(0, len(batch.chunks), utterances)]


@pytest.mark.parametrize("utterances", [1, 2, 3])
@pytest.mark.parametrize("limit", [None, 7])
def test_groups_are_of_one_speaker_and_of_different_utterances(utterances, limit):
    """Side by side; no speaker in two groups of a batch, no utterance twice in an epoch."""
    chunks = sampler(batch_size=8 * utterances, utterances=utterances, max_per_speaker=limit)
    for epoch in (0, 5):
        batches = epoch_of(chunks, epoch)
        for batch in batches:
            groups = groups_of(batch, utterances)
            assert all({c.speaker for c in group} == {group[0].speaker} for group in groups)
            assert len({group[0].speaker for group in groups}) == len(groups)
        drawn = Counter(c.utterance for batch in batches for c in batch.chunks)
        assert set(drawn.values()) == {1}
        assert all(c.utterance.startswith(chunks.speakers[c.speaker]) for batch in batches for c in batch.chunks)


@pytest.mark.parametrize(("limit", "utterances"), [(None, 2), (9, 2), (500, 3), (2, 2), (11, 1)])
def test_every_speaker_has_as_many_groups_as_its_utterances_make(limit, utterances):
    """No more than the limit, rounded down to whole groups; nothing is lost to a full batch."""
    chunks = sampler(batch_size=5 * utterances, utterances=utterances, max_per_speaker=limit)
    kept = [count for count in UNEVEN if count >= utterances]
    want = [min(count, limit or count) // utterances * utterances for count in kept]
    assert chunks.num_unplaced == 0
    for epoch in range(3):
        drawn = Counter(c.speaker for batch in epoch_of(chunks, epoch) for c in batch.chunks)
        assert [drawn[speaker] for speaker in range(len(kept))] == want


@pytest.mark.parametrize("batch_size", [6, 8, 14, 30, 58, 60])
@pytest.mark.parametrize("distinct", [True, False])
def test_batches_are_equal_to_within_a_group_and_no_larger_than_asked(batch_size, distinct):
    chunks = sampler(batch_size=batch_size, distinct_speakers=distinct)
    for epoch in range(4):
        sizes = [len(batch.chunks) for batch in epoch_of(chunks, epoch)]
        assert sizes == [chunks.size(index) for index in range(len(chunks))]
        assert sum(sizes) == chunks.num_chunks
        assert not any(size % 2 for size in sizes)
        assert max(sizes) <= batch_size
        assert max(sizes) - min(sizes) <= 2


@pytest.mark.parametrize("counts", [[40, 4, 4, 4, 4], [400, *[6] * 20], [9, 8, 7, 6], [100, 100, 2, 2, 2, 2]])
@pytest.mark.parametrize("groups", [2, 3, 4])
def test_of_a_speaker_with_too_many_groups_some_are_left_out_and_counted(counts, groups):
    """He is in every batch, once; all of the others' groups are placed; other utterances of his every epoch."""
    chunks = sampler(counts, batch_size=2 * groups)
    left_out = sum(2 * max(0, count // 2 - len(chunks)) for count in counts)
    assert chunks.num_unplaced == left_out
    assert chunks.num_chunks == sum(count // 2 * 2 for count in counts) - left_out
    if left_out:  # with one batch more, the groups that have a place in one would not need it
        assert sum(min(count // 2, len(chunks) + 1) for count in counts) <= groups * len(chunks)
    used = set()
    for epoch in range(60):
        batches = epoch_of(chunks, epoch)
        drawn = Counter(c.speaker for batch in batches for c in batch.chunks)
        assert [drawn[s] for s in range(len(counts))] == [2 * min(count // 2, len(chunks)) for count in counts]
        used |= {c.utterance for batch in batches for c in batch.chunks if c.speaker == 0}
    assert len(used) > 0.9 * counts[0]


def test_all_speakers_in_every_batch_where_it_is_that_large():
    chunks = sampler([6, 7, 6, 7, 6], batch_size=10)
    assert len(chunks) == 3
    for batch in epoch_of(chunks, 2):
        assert sorted({c.speaker for c in batch.chunks}) == list(range(5))


def test_groups_of_a_speaker_lie_anywhere_in_the_epoch():
    """Three groups of each of 40 speakers in 15 batches of 8: each batch as likely as any other for the first speaker.

    900 of his groups, chi-square of 14 degrees below its 99.9 % point; they repel one another, which makes it smaller.
    """
    chunks = sampler([6] * 40, batch_size=16)
    assert len(chunks) == 15
    epochs = [epoch_of(chunks, epoch) for epoch in range(300)]
    where = [index for of in epochs for index, batch in enumerate(of) if 0 in {c.speaker for c in batch.chunks}]
    assert len(where) == 900
    counts = np.bincount(where, minlength=15)
    assert (np.square(counts - 60) / 60).sum() < 36.1


def test_any_two_utterances_of_a_speaker_meet_alike():
    """Five utterances, two groups an epoch: the ten pairs, 2000 draws, chi-square below its 99.9 % point (27.9)."""
    chunks = sampler([5] * 6, batch_size=8)
    pairs = Counter(
        frozenset(c.utterance for c in group)
        for epoch in range(1000)
        for batch in epoch_of(chunks, epoch)
        for group in groups_of(batch, 2)
        if group[0].speaker == 0
    )
    counts = np.array([pairs[frozenset((f"s000-{a}", f"s000-{b}"))] for a, b in itertools.combinations(range(5), 2)])
    assert counts.sum() == 2000
    assert (np.square(counts - 200) / 200).sum() < 27.9


def test_an_epoch_has_the_same_length_and_other_utterances_than_the_next():
    chunks = sampler(max_per_speaker=6)
    epochs = [{c.utterance for batch in epoch_of(chunks, epoch) for c in batch.chunks} for epoch in range(40)]
    assert len({len(of_epoch) for of_epoch in epochs}) == 1
    assert epochs[0] != epochs[1]
    assert set().union(*epochs) == set(corpus(UNEVEN)[0])


def test_batch_is_a_function_of_seed_epoch_and_index():
    """Asked for in any order, of any sampler, of tables in any order; each of the three makes another."""
    utts, utt2spk = corpus(UNEVEN)
    again = SpeakerGroups(dict(reversed(utts.items())), dict(reversed(utt2spk.items())), (20, 20), 16, 1, utterances=2)
    first = sampler()
    backwards = {(e, i): again.batch(e, i) for e in (2, 0, 1) for i in reversed(range(len(again)))}
    for key, batch in backwards.items():
        assert first.batch(*key) == batch
    assert len({str(batch) for batch in backwards.values()}) == len(backwards)
    assert sampler(seed=2).batch(0, 0) != first.batch(0, 0)


def test_chunks_lie_within_their_utterances_and_lengths_reach_both_bounds():
    frames, _ = corpus(UNEVEN)
    chunks = sampler(chunk=(10, 40), batch_size=6)
    batches = [batch for epoch in range(20) for batch in epoch_of(chunks, epoch)]
    assert all(0 <= c.start <= frames[c.utterance] - batch.length for batch in batches for c in batch.chunks)
    assert {batch.length for batch in batches} == {10, 20, 30, 40}
    room = Counter(frames[c.utterance] - batch.length - c.start for batch in batches for c in batch.chunks)
    assert room[0] > 20  # chunks at the very end are drawn too


def test_speakers_without_a_whole_group_are_left_out_and_the_setting_is_named():
    chunks = sampler([1, 5, 2, 4, 3], batch_size=6, utterances=3)
    assert chunks.speakers == ["s001", "s003", "s004"]
    assert chunks.left_out == {"s000", "s002"}
    assert chunks.too_few == {"s000-0": 1, "s002-0": 2, "s002-1": 2}
    assert (chunks.enough_utts, chunks.min_utts) == ("training.groups.utterances", 3)
    stricter = sampler([4, 5, 2, 4, 3], batch_size=6, utterances=3, min_utts=4)
    assert stricter.speakers == ["s000", "s001", "s003"]
    assert (stricter.enough_utts, stricter.min_utts) == ("training.min_speaker_utts", 4)
    with pytest.raises(DataError, match=r"1 of the training set's 3 have 3 utterances of 0\.2 s .* training\.groups"):
        sampler([2, 5, 1], batch_size=6, utterances=3)


def test_a_batch_of_more_speakers_than_there_are_is_one_line():
    with pytest.raises(ConfigError) as caught:
        sampler([4] * 5 + [1], batch_size=12)
    assert str(caught.value) == (
        "training.batch_size: 12 chunks are 6 different speakers with 2 utterances, and the training set has 5; lower"
        " it to 10"
    )
    assert len(sampler([4] * 5, batch_size=12, distinct_speakers=False)) == 2


def test_speakers_may_be_in_a_batch_twice_where_that_is_allowed():
    """One utterance of each in no order: then nothing is left out, however much a speaker has."""
    chunks = sampler([40, 2, 2], batch_size=4, utterances=1, distinct_speakers=False)
    batches = epoch_of(chunks)
    assert sorted(c.utterance for b in batches for c in b.chunks) == sorted(corpus([40, 2, 2])[0])
    assert chunks.num_unplaced == 0
    assert any(len({c.speaker for c in batch.chunks}) < len(batch.chunks) for batch in batches)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_processes_share_whole_groups(count):
    """Each group is in one part and in one piece; shares make the mean over processes that of the batch."""
    chunks = sampler(batch_size=16)
    both = WithUnlabelled(chunks, {f"call{i}": 50 for i in range(9)})
    for index in range(len(chunks)):
        shards = [Shard(both, Ranks(rank, count)) for rank in range(count)]
        parts = [shard.batch(3, index) for shard in shards]
        assert all(len({c.speaker for c in group}) == 1 for part in parts for group in groups_of(part, 2))
        whole = both.batch(3, index)
        assert Counter(c for part in parts for c in part.chunks) == Counter(whole.chunks)
        assert Counter(c for part in parts for c in part.unlabelled) == Counter(whole.unlabelled)
        assert all(len(part.chunks) == len(part.unlabelled) for part in parts)
        sizes = [len(part.chunks) for part in parts]
        assert max(sizes) - min(sizes) <= 2
        assert [shard.share(index) for shard in shards] == pytest.approx([n * count / sum(sizes) for n in sizes])
    with pytest.raises(ConfigError, match="a batch of 12 chunks, 6 groups, cannot be shared by 9 processes"):
        Shard(sampler(batch_size=14), Ranks(0, 9))


def test_unlabelled_recordings_go_round_beside_groups():
    """Every one once before any again, as beside other epochs."""
    both = WithUnlabelled(sampler(batch_size=14), {f"call{i}": 50 for i in range(11)})
    drawn = [utt for epoch in range(3) for index in range(len(both)) for utt, _ in both.batch(epoch, index).unlabelled]
    assert all(len(set(drawn[first : first + 11])) == 11 for first in range(0, len(drawn) - 10, 11))
