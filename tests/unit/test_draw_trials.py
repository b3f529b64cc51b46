"""`sv.data.draw_trials`: which trials there are by brute force, and that a draw is one of them, fair and addressed."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from data_dirs import plain

from sv.data.draw_trials import draw_trials, equal_shares
from sv.errors import DataError


def people(num_speakers=8, genders="mf", with_sessions=True):
    """Speakers of 2 to 5 sessions with 1 to 3 utterances each; every other one of another gender."""
    utts = [f"s{s}-{v}-{n}" for s in range(num_speakers) for v in range(2 + s % 4) for n in range(1 + (s + v) % 3)]
    data = plain(utts)
    if with_sessions:
        data.tables["utt2sess"] = {utt: utt.rpartition("-")[0] for utt in utts}
    if genders:
        data.tables["spk2gender"] = {f"s{s}": genders[s % len(genders)] for s in range(num_speakers)}
    return data


def all_trials(data):
    """Every pair that may be a trial, either way round as one: (targets, same gender, others)."""
    gender, session = data.tables.get("spk2gender", {}), data.tables.get("utt2sess", {})
    kinds = set(), set(), set()
    for pair in combinations(data.utterances, 2):
        one, two = (data.utt2spk[utt] for utt in pair)
        if one != two:
            same = one in gender and two in gender and gender[one] == gender[two]
            kinds[1 if same else 2].add(frozenset(pair))
        elif not session or session[pair[0]] != session[pair[1]]:
            kinds[0].add(frozenset(pair))
    return kinds


def drawn_kinds(data, trials):
    """How many of a draw are of each kind; every trial is one of `all_trials`, with its label, and none comes twice."""
    pairs = [frozenset(pair) for pair in zip(trials.enrol, trials.test, strict=True)]
    assert len(set(pairs)) == len(pairs)
    targets, same, others = all_trials(data)
    assert [pair in targets for pair in pairs] == trials.is_target.tolist()
    assert set(pairs) <= targets | same | others
    return trials.num_targets, sum(pair in same for pair in pairs), sum(pair in others for pair in pairs)


@pytest.mark.parametrize("data", [people(), people(genders=None), people(with_sessions=False), people(genders="m")])
def test_all_that_exist_are_found(data):
    """More are asked for than there are: the brute-force set, whole."""
    found = drawn_kinds(data, draw_trials(data, 10**6, 10**6, seed=0))
    assert found == tuple(map(len, all_trials(data)))


def test_half_of_the_nontargets_are_within_a_gender():
    """An odd one too; where one half lacks some, the other makes up."""
    data = people()
    assert drawn_kinds(data, draw_trials(data, 30, 101, seed=3)) == (30, 51, 50)
    few = people(5, genders="mffff")
    _, same, others = map(len, all_trials(few))
    number = 2 * others + 20
    assert number < same + others
    assert drawn_kinds(few, draw_trials(few, 3, number, seed=3)) == (3, number - others, others)


def test_speakers_without_a_gender_are_with_the_others():
    data = people()
    data.tables["spk2gender"] = {"s0": "m", "s2": "m"}
    assert drawn_kinds(data, draw_trials(data, 5, 40, seed=0)) == (5, 20, 20)


def test_every_couple_of_speakers_has_its_share():
    """Of targets, speakers; of non-targets, couples within each kind: equal to within one, or all that they have."""
    data = people()
    trials = draw_trials(data, 80, 200, seed=1)
    speakers = [
        tuple(sorted({data.utt2spk[a], data.utt2spk[b]})) for a, b in zip(trials.enrol, trials.test, strict=True)
    ]
    count = Counter(speakers)
    for kind, pairs in enumerate(all_trials(data)):
        room = Counter(tuple(sorted({data.utt2spk[utt] for utt in pair})) for pair in pairs)
        most = max(count[couple] for couple in room)
        assert all(count[couple] in (most, most - 1) or count[couple] == room[couple] for couple in room), kind


def test_draw_is_a_function_of_seed_and_names():
    """Not of the order of utt2spk; either side of a pair is the model about as often."""
    data, turned = people(), people()
    turned.utt2spk = dict(reversed(turned.utt2spk.items()))
    drawn = [draw_trials(d, 50, 100, seed) for d, seed in ((data, 1), (turned, 1), (data, 2))]
    pairs = [list(zip(t.enrol, t.test, strict=True)) for t in drawn]
    assert pairs[0] == pairs[1] == sorted(pairs[0])
    assert pairs[0] != pairs[2]
    assert 50 < sum(enrol < test for enrol, test in pairs[0]) < 100


def test_nothing_to_draw_is_refused():
    single = plain(["s1-a", "s2-a"])
    with pytest.raises(DataError, match="no target trial can be made of its 2 speakers"):
        draw_trials(single, 1, 1, seed=0)
    with pytest.raises(DataError, match="no non-target trial can be made of its 1 speakers"):
        draw_trials(plain(["s1-a", "s1-b"]), 1, 1, seed=0)
    for numbers in ((0, 1, 0), (1, 0, 0), (1, 1, -1)):
        with pytest.raises(DataError, match="counted from 1, seeds from 0"):
            draw_trials(people(), *numbers)


@pytest.mark.parametrize("total", [0, 1, 7, 20, 29])
def test_shares_are_equal_up_to_the_room(total):
    """All is given out, and who has less than another by two is full."""
    room_C = np.array([1, 9, 0, 4, 9, 6])
    share_C = equal_shares(room_C, total, [0])
    assert share_C.sum() == total
    assert (share_C <= room_C).all()
    assert all(share == room or share >= share_C.max() - 1 for share, room in zip(share_C, room_C, strict=True))
