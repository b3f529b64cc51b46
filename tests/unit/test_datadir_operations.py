"""`sv.data.datadir`: the operations that make one directory from others."""

import time

import pytest
from data_dirs import UTTS, full, keys, plain

from sv.data.datadir import DataDir, Segment, combine
from sv.errors import DataError


def test_subset_of_utterances_takes_what_belongs_to_them():
    """By hand: one recording of two is kept whole in reco2dur, one speaker of three in spk2gender."""
    data = full().subset(["s1-a-1", "s1-a-2", "s1-b-1"])
    utts, recordings = ["s1-a-1", "s1-a-2", "s1-b-1"], ["s1-a", "s1-b"]
    assert keys(data) == {
        "utt2spk": utts,
        "wav.scp": recordings,
        "segments": utts,
        "utt2sess": utts,
        "utt2dur": utts,
        "spk2gender": ["s1"],
        "reco2dur": recordings,
    }


def test_subset_of_speakers_and_of_both():
    assert full().subset(speakers=["s2"]).utterances == [utt for utt in UTTS if utt.startswith("s2")]
    assert full().subset(["s1-a-1", "s2-a-1"], ["s2"]).utterances == ["s2-a-1"]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"utterances": ["s1-a-1", "x", "y"]}, "2 utterances are not here: x, y"),
        ({"speakers": ["s9"]}, "1 speakers are not here: s9"),
        ({"utterances": []}, "the subset would be empty"),
        ({"utterances": ["s1-a-1"], "speakers": ["s2"]}, "the subset would be empty"),
    ],
)
def test_a_subset_of_what_is_not_there_is_refused(chosen, said):
    with pytest.raises(DataError, match=said):
        full().subset(**chosen)


@pytest.mark.parametrize("jobs", [1, 2, 5, 12])
def test_split_is_a_partition_in_order(jobs):
    """Parts put together are all utterances in order; sizes differ by at most one; every part has its recordings."""
    parts = [full().split(jobs, job) for job in range(1, jobs + 1)]
    assert [utt for part in parts for utt in part.utterances] == UTTS
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for part in parts:
        assert set(part.wav) == {part.segments[utt].recording for utt in part.utterances}


def test_more_jobs_than_utterances_are_refused():
    with pytest.raises(DataError, match="12 utterances cannot be split into 13 jobs; lower --nj"):
        full().split(13, 1)
    with pytest.raises(DataError, match=r"job 3 is not one of 1\.\.2"):
        full().split(2, 3)


def many_sessions():
    utts = [f"s{s:02d}-{v}-{n}" for s in range(30) for v in range(1 + s % 7) for n in range(1 + (s + v) % 5)]
    data = plain(utts)
    data.tables["utt2sess"] = {utt: utt.rpartition("-")[0] for utt in utts}
    return data


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.3])
def test_hold_out_keeps_sessions_whole_and_every_speaker(fraction):
    """A partition; no session on both sides; all speakers in the rest; the size as asked, but for one session."""
    data = many_sessions()
    rest, held = data.hold_out(fraction, seed=1)
    assert sorted(rest.utterances + held.utterances) == data.utterances
    assert not set(rest.tables["utt2sess"].values()) & set(held.tables["utt2sess"].values())
    assert rest.num_speakers == data.num_speakers
    assert fraction * len(data) <= len(held) < fraction * len(data) + 5


@pytest.mark.parametrize("fraction", [0.001, 0.3])
def test_every_speaker_can_be_held_out_of(fraction):
    """Of each with two sessions one or more, whole, and one stays; a small fraction holds one of each, of the short."""
    data = many_sessions()
    rest, held = data.hold_out(fraction, seed=1, every_speaker=True)
    assert sorted(rest.utterances + held.utterances) == data.utterances
    sessions = [set(each.tables["utt2sess"].values()) for each in (rest, held)]
    assert not sessions[0] & sessions[1]
    with_two = {f"s{s:02d}" for s in range(30) if s % 7}
    assert set(held.utt2spk.values()) == with_two
    assert rest.num_speakers == 30
    if fraction == 0.001:
        assert len(sessions[1]) == len(with_two)
        of_all = len(data) / len(set(data.tables["utt2sess"].values()))
        assert len(held) / len(sessions[1]) < 0.8 * of_all
    else:
        assert fraction * len(data) <= len(held) < fraction * len(data) + 5
    again = data.hold_out(fraction, seed=1, every_speaker=True)[1]
    assert again.utterances == held.utterances != data.hold_out(fraction, seed=2, every_speaker=True)[1].utterances


def test_hold_out_is_a_function_of_the_seed():
    """The order of utt2spk does not matter; the seed does."""
    data = many_sessions()
    shuffled = data._restricted(set(data.utt2spk))
    shuffled.utt2spk = dict(sorted(data.utt2spk.items(), key=lambda item: item[0][::-1]))
    held = {seed: d.hold_out(0.1, seed)[1].utterances for seed, d in ((1, data), (2, data))}
    assert shuffled.hold_out(0.1, 1)[1].utterances == held[1]
    assert held[1] != held[2]


def test_hold_out_without_sessions_takes_single_utterances():
    _, held = plain(UTTS).hold_out(0.2, seed=0)
    assert len(held) == 3


def test_hold_out_of_nothing_is_refused():
    with pytest.raises(DataError, match="every speaker has a single session"):
        plain(["s1-a", "s2-a"]).hold_out(0.5, seed=0)
    with pytest.raises(DataError, match="fraction must lie in"):
        full().hold_out(1.0, seed=0)
    with pytest.raises(DataError, match="a seed is a number from 0, not -1"):
        full().hold_out(0.5, seed=-1)


@pytest.mark.parametrize("count", [1, 7, 28])
def test_hold_out_of_speakers_takes_all_that_they_said(count):
    """A partition with no speaker on both sides; their tables go with them."""
    data = many_sessions()
    rest, held = data.hold_out_speakers(count, seed=1)
    assert sorted(rest.utterances + held.utterances) == data.utterances
    assert held.num_speakers == count
    assert rest.num_speakers == data.num_speakers - count
    assert set(held.tables["utt2sess"]) == set(held.wav) == set(held.utterances)


def test_speakers_held_out_are_a_function_of_seed_and_names():
    """Whatever the order of utt2spk; more by the same seed hold the fewer."""
    data = many_sessions()
    turned = plain(data.utterances[::-1])
    held = {n: data.hold_out_speakers(n, seed=1)[1].utterances for n in (5, 9)}
    assert turned.hold_out_speakers(5, seed=1)[1].utterances == held[5]
    assert set(held[5]) < set(held[9])
    assert data.hold_out_speakers(5, seed=2)[1].utterances != held[5]


def test_hold_out_of_speakers_leaves_two_to_train_on():
    assert full().hold_out_speakers(1, seed=0)[0].num_speakers == 2
    for count in (0, 2):
        with pytest.raises(DataError, match=rf"{count} of its 3 speakers cannot be held out.*; ask for 1 to 1$"):
            full().hold_out_speakers(count, seed=0)
    with pytest.raises(DataError, match=r"of its 2 speakers cannot be held out.*; there are too few$"):
        plain(["s1-a", "s2-a"]).hold_out_speakers(1, seed=0)


def test_fix_drops_and_says_why():
    """One of each reason; the rest is whole."""
    data = full()
    del data.wav["s1-a"], data.segments["s2-a-1"]
    rest, dropped = data.fix(lambda utt: "too short" if utt == "s3-b-2" else None)
    assert dropped == {
        "s1-a-1": "recording s1-a is not in wav.scp",
        "s1-a-2": "recording s1-a is not in wav.scp",
        "s2-a-1": "not in segments",
        "s3-b-2": "too short",
    }
    assert sorted([*rest.utterances, *dropped]) == UTTS
    assert set(rest.wav) == {segment.recording for segment in rest.segments.values()}


def test_fix_drops_audio_without_a_speaker():
    """Of segments, and of recordings where these are the utterances."""
    data = full()
    del data.utt2spk["s1-a-1"]
    rest, dropped = data.fix()
    assert dropped == {"s1-a-1": "has no speaker in utt2spk"}
    assert set(rest.segments) == set(rest.utt2spk)
    data = plain(UTTS)
    del data.utt2spk["s1-a-1"]
    assert data.fix()[1] == {"s1-a-1": "has no speaker in utt2spk"}


def test_fix_of_what_is_whole_drops_nothing():
    rest, dropped = full().fix()
    assert dropped == {}
    assert keys(rest) == keys(full())


def test_fix_that_leaves_nothing_is_refused():
    with pytest.raises(DataError, match="no utterance is left; the first was dropped as: silent"):
        full().fix(lambda utt: "silent")


def test_combine_is_the_union():
    """Two halves of a directory give it back; a table that one of them lacks is left out."""
    halves = [full().subset(speakers=["s1", "s3"]), full().subset(speakers=["s2"])]
    assert keys(combine(halves)) == keys(full())
    del halves[1].tables["utt2dur"]
    assert set(combine(halves).tables) == set(full().tables) - {"utt2dur"}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], "nothing to combine"),
        (
            [plain(["a-1", "a-2"]), plain(["a-2", "a-3"], path="second")],
            "second: 1 utterances are in an earlier part too: a-2",
        ),
        ([full(), plain(["a-1"])], "some parts have segments and some have not"),
        ([plain(["a-1"]), DataDir({"a-2": "a"})], "some parts have a wav.scp and some have not"),
        (
            [
                DataDir({"a-1": "a"}, {"r": "1.wav"}, {"a-1": Segment("r", 0, 1)}),
                DataDir({"a-2": "a"}, {"r": "2.wav"}, {"a-2": Segment("r", 0, 1)}, path="second"),
            ],
            "second/wav.scp: r is '2.wav' here and '1.wav' in an earlier part",
        ),
        (
            [
                DataDir({"a-1": "a"}, tables={"spk2gender": {"a": "f"}}),
                DataDir({"a-2": "a"}, tables={"spk2gender": {"a": "m"}}, path="second"),
            ],
            "second/spk2gender: a is 'm' here and 'f' in an earlier part",
        ),
    ],
)
def test_parts_that_contradict_each_other_are_refused(parts, said):
    with pytest.raises(DataError) as caught:
        combine(parts)
    assert said in str(caught.value)


def test_the_inputs_of_an_operation_stay_as_they_were():
    data = full()
    parts = [data.subset(speakers=["s1"]), data.subset(speakers=["s2"])]
    combine(parts)
    data.split(3, 1)
    data.hold_out(0.3, 0)
    data.fix(lambda utt: "no" if utt == "s1-a-1" else None)
    assert keys(data) == keys(full())
    assert parts[0].num_speakers == 1


@pytest.mark.slow
def test_time_grows_with_the_number_of_utterances(tmp_path):
    """All operations on 20,000 and 200,000: ten times as many take less than 40 times as long.

    Quadratic would be 100 times; sorting and memory account for some of the rest, a busy machine for more.
    """
    seconds = {}
    for count in (20_000, 200_000):
        data = plain([f"s{n // 100:05d}-{n % 100 // 10}-{n:07d}" for n in range(count)])
        data.tables["utt2sess"] = {utt: utt.rpartition("-")[0] for utt in data.utt2spk}
        start = time.process_time()
        data.write(tmp_path / str(count))
        data = DataDir.read(tmp_path / str(count))
        data.split(7, 3)
        data.subset(speakers=list(data.spk2utt)[::2])
        data.hold_out(0.1, 0)
        data.fix()
        combine([data.split(2, 1), data.split(2, 2)])
        seconds[count] = time.process_time() - start
    print(seconds)
    assert seconds[200_000] < 40 * seconds[20_000]
