"""What an epoch is made of, by counting; the addressing of its randomness."""

from collections import Counter

import numpy as np
import pytest

from sv.errors import DataError
from sv.training.sampler import BalancedChunks, EveryRecording

NUM_FRAMES = {f"s{s}-{u}": 30 + 11 * u + 7 * s for s in range(5) for u in range(4)} | {"s1-x": 19, "s3-x": 12}
UTT2SPK = {utt: utt.split("-")[0] for utt in NUM_FRAMES}


def sampler(num_frames=NUM_FRAMES, utt2spk=UTT2SPK, chunk=(20, 60), batch_size=8, per_speaker=6, seed=1):
    return BalancedChunks(num_frames, utt2spk, chunk, batch_size, seed, chunks_per_speaker=per_speaker)


def epoch_of(chunks, epoch=0):
    return [chunks.batch(epoch, index) for index in range(len(chunks))]


@pytest.mark.parametrize("epoch", [0, 3])
@pytest.mark.parametrize("per_speaker", [1, 6, 7])
def test_every_speaker_has_as_many_chunks(per_speaker, epoch):
    batches = epoch_of(sampler(per_speaker=per_speaker), epoch)
    assert Counter(c.speaker for b in batches for c in b.chunks) == dict.fromkeys(range(5), per_speaker)


def test_chunks_lie_within_utterances_of_their_speaker():
    chunks = sampler()
    for epoch in range(20):
        for batch in epoch_of(chunks, epoch):
            for chunk in batch.chunks:
                assert UTT2SPK[chunk.utterance] == chunks.speakers[chunk.speaker]
                assert 0 <= chunk.start <= NUM_FRAMES[chunk.utterance] - batch.length


def test_lengths_lie_between_the_bounds_and_reach_both():
    """A speaker whose longest utterance is shorter than the longest chunk lowers its batch's length, no further."""
    chunks = sampler()
    lengths = {batch.length for epoch in range(60) for batch in epoch_of(chunks, epoch)}
    assert min(lengths) == 20
    assert max(lengths) == 60
    short = sampler({**NUM_FRAMES, **{f"s2-{u}": 40 for u in range(4)}})
    for epoch in range(60):
        for batch in epoch_of(short, epoch):
            assert batch.length <= (40 if any(chunk.speaker == 2 for chunk in batch.chunks) else 60)


@pytest.mark.parametrize("batch_size", [3, 4, 7, 8, 29, 30, 31, 100])
def test_batches_are_equal_to_within_one_and_no_larger_than_asked(batch_size):
    sizes = [len(batch.chunks) for batch in epoch_of(sampler(batch_size=batch_size))]
    assert sum(sizes) == 30
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-30 // batch_size)
    assert min(sizes) >= 2  # batch normalisation


def test_batch_is_a_function_of_seed_epoch_and_index():
    """Asked for in any order, of any sampler; each of the three makes another."""
    first, again = sampler(), sampler()
    backwards = {(e, i): again.batch(e, i) for e in (2, 0, 1) for i in reversed(range(len(again)))}
    for (epoch, index), batch in backwards.items():
        assert first.batch(epoch, index) == batch
    assert len({str(batch) for batch in backwards.values()}) == len(backwards)
    assert sampler(seed=2).batch(0, 0) != first.batch(0, 0)


def test_order_of_the_tables_does_not_matter():
    shuffled = dict(reversed(NUM_FRAMES.items()))
    assert epoch_of(sampler(shuffled, dict(reversed(UTT2SPK.items())))) == epoch_of(sampler())


def test_too_short_utterances_are_listed_and_not_used():
    chunks = sampler()
    assert chunks.too_short == {"s1-x": 19, "s3-x": 12}
    used = {c.utterance for epoch in range(30) for b in epoch_of(chunks, epoch) for c in b.chunks}
    assert used == NUM_FRAMES.keys() - chunks.too_short.keys()


def test_starts_are_uniform():
    """One utterance, one length: 31 starts, 6000 draws, chi-square below its 99.9 % point (59.7)."""
    chunks = sampler({"a-1": 50, "b-1": 50}, {"a-1": "a", "b-1": "b"}, (20, 20), 60, 30)
    starts = [c.start for epoch in range(100) for b in epoch_of(chunks, epoch) for c in b.chunks]
    counts = np.bincount(starts, minlength=31)
    assert len(counts) == 31
    assert (np.square(counts - 6000 / 31) / (6000 / 31)).sum() < 59.7


def test_utterances_of_a_speaker_are_drawn_alike():
    """All are long enough: 4 utterances, 600 draws, chi-square below its 99.9 % point (16.3)."""
    chunks = sampler(chunk=(20, 30))
    used = Counter(c.utterance for epoch in range(100) for b in epoch_of(chunks, epoch) for c in b.chunks)
    counts = np.array([used[f"s0-{u}"] for u in range(4)])
    assert counts.sum() == 600
    assert (np.square(counts - 150) / 150).sum() < 16.3


def test_speakers_without_a_long_enough_utterance_are_left_out():
    """As if they were not there, and named; the training goes on with the others."""
    chunks = sampler(NUM_FRAMES | {"a0-0": 19, "t1-0": 5}, UTT2SPK | {"a0-0": "a0", "t1-0": "t1"})
    assert chunks.left_out == {"a0", "t1"}
    assert chunks.too_short.keys() == {"a0-0", "t1-0", "s1-x", "s3-x"}
    assert epoch_of(chunks) == epoch_of(sampler())


def test_short_utterances_and_speakers_with_few_are_left_out():
    """Kaldi's > 400 frames and >= 8 utterances in the small: of more than 52 frames s0 has 1 and s1 2."""
    least = {"min_frames": 52, "min_utts": 3}
    chunks = BalancedChunks(NUM_FRAMES, UTT2SPK, (20, 60), 8, 1, chunks_per_speaker=6, **least)
    assert NUM_FRAMES["s0-2"] == 52
    assert chunks.too_short == {utt: n for utt, n in NUM_FRAMES.items() if n <= 52}
    assert chunks.too_few == {"s0-3": 1, "s1-2": 2, "s1-3": 2}
    assert chunks.left_out == {"s0", "s1"}
    kept = {utt: n for utt, n in NUM_FRAMES.items() if utt[:2] in ("s2", "s3", "s4") and n > 52}
    assert epoch_of(chunks) == epoch_of(sampler(kept))


def test_too_few_speakers_left_names_the_limits():
    """All three settings that leave speakers out, where they do; in one line."""
    with pytest.raises(DataError) as caught:
        BalancedChunks(NUM_FRAMES, UTT2SPK, (20, 60), 8, 1, chunks_per_speaker=6, min_frames=60, min_utts=4)
    assert "0 of the training set's 5 have 4 utterances of 0.61 s of (voiced) speech" in str(caught.value)
    assert "lower training.chunk_s or training.min_utt_s or training.min_speaker_utts, or" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lengths_are_ten_frames_apart():
    """Of chunks of 203 to 398 frames only 203, 213, … 393 are drawn, so that a training meets few shapes."""
    chunks = sampler({"a-1": 500, "b-1": 500}, {"a-1": "a", "b-1": "b"}, chunk=(203, 398), batch_size=2)
    lengths = {batch.length for epoch in range(200) for batch in epoch_of(chunks, epoch)}
    assert lengths == set(range(203, 399, 10))


def test_samples_are_a_tenth_of_a_second_apart_and_told_in_seconds():
    """What a network that reads recordings counts in."""
    samples, speakers = {"a-1": 5000, "b-1": 5000}, {"a-1": "a", "b-1": "b"}
    least = {"chunks_per_speaker": 1, "frames_per_s": 8000.0}
    chunks = BalancedChunks(samples, speakers, (2030, 3980), 2, 1, **least)
    assert {batch.length for epoch in range(200) for batch in epoch_of(chunks, epoch)} == {2030, 2830, 3630}
    with pytest.raises(DataError, match=r"have an utterance of 0\.75 s of \(voiced\) speech; lower"):
        BalancedChunks(samples, speakers, (6000, 6000), 2, 1, **least)


def test_one_speaker_alone_is_refused():
    with pytest.raises(DataError, match=r"1 of the training set's 1 have an utterance of 0\.2 s"):
        sampler({"a-1": 50}, {"a-1": "a"})
    with pytest.raises(DataError, match=r"1 of the training set's 2 have an utterance of 0\.2 s") as caught:
        sampler({"a-1": 50, "b-1": 19}, {"a-1": "a", "b-1": "b"})
    assert "\n" not in str(caught.value)


def every_recording(per_recording=2, batch_size=4, seed=1, chunk=(20, 60)):
    return EveryRecording(NUM_FRAMES, UTT2SPK, chunk, batch_size, seed, chunks_per_recording=per_recording)


@pytest.mark.parametrize("per_recording", [1, 3])
def test_every_recording_is_drawn_from_alike(per_recording):
    """Those that are too short apart; chunks lie within them; batches have the sizes that are told."""
    chunks = every_recording(per_recording)
    for epoch in (0, 5):
        batches = epoch_of(chunks, epoch)
        drawn = Counter(chunk.utterance for batch in batches for chunk in batch.chunks)
        assert drawn == dict.fromkeys(NUM_FRAMES.keys() - chunks.too_short.keys(), per_recording)
        assert [len(batch.chunks) for batch in batches] == [chunks.size(index) for index in range(len(chunks))]
        for batch in batches:
            assert 20 <= batch.length <= 60
            for chunk in batch.chunks:
                assert chunks.speakers[chunk.speaker] == UTT2SPK[chunk.utterance]
                assert 0 <= chunk.start <= NUM_FRAMES[chunk.utterance] - batch.length


def test_an_epoch_of_recordings_is_a_function_of_seed_epoch_and_index():
    """Whatever was asked before; another seed or epoch is another order."""
    chunks = every_recording()
    before = [(b.length, b.chunks) for b in epoch_of(chunks, 3)]
    assert [(b.length, b.chunks) for b in epoch_of(chunks, 4)] != before
    assert [(b.length, b.chunks) for b in epoch_of(every_recording(seed=2), 3)] != before
    again = every_recording()
    assert [(again.batch(3, i).length, again.batch(3, i).chunks) for i in reversed(range(len(again)))] == before[::-1]


def test_recordings_of_like_length_come_together():
    """So that batches are not all as short as the shortest recordings; and batches of all lengths are mixed."""
    rng = np.random.default_rng(0)
    frames = {f"s{i % 7}-{i}": int(n) for i, n in enumerate(rng.integers(20, 400, 700))}
    speaker = {utt: utt.split("-")[0] for utt in frames}
    chunks = EveryRecording(frames, speaker, (20, 400), 10, 1, chunks_per_recording=1)
    within = [np.ptp([frames[c.utterance] for c in batch.chunks]) for batch in epoch_of(chunks)]
    assert np.mean(within) < 40  # of 380 among all
    means = [np.mean([frames[c.utterance] for c in batch.chunks]) for batch in epoch_of(chunks)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5
