"""Pairs within a batch and their loss: who is compared with whom, and against torch's own."""

from collections import Counter
from itertools import combinations

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from sv.losses.pairs import PairHead


def drawn(head, size, seed=0):
    torch.manual_seed(seed)
    return head.draw(size)


@pytest.mark.parametrize(("utterances", "size"), [(4, 32), (2, 8), (3, 6)])
def test_as_many_pairs_of_one_speaker_as_of_two_and_none_twice(utterances, size):
    one_P, two_P, same_P = drawn(PairHead(utterances), size)
    speakers = torch.arange(size) // utterances
    assert torch.equal(same_P, speakers[one_P] == speakers[two_P])
    pairs = [frozenset(pair) for pair in zip(one_P.tolist(), two_P.tolist(), strict=True)]
    assert len(set(pairs)) == len(pairs)
    assert all(len(pair) == 2 for pair in pairs)
    exist = size // utterances * utterances * (utterances - 1) // 2
    assert (same_P.sum(), (~same_P).sum()) == (min(size // 2, exist), size // 2)


def test_every_pair_and_order_is_drawn_alike():
    """Of 3 speakers × 2, all 3 + 3 of 12 pairs; 3,000 draws, within four deviations."""
    counts = Counter()
    for seed in range(3000):
        one_P, two_P, same_P = drawn(PairHead(2), 6, seed)
        counts.update((int(a), int(b)) for a, b, same in zip(one_P, two_P, same_P, strict=True) if not same)
    possible = [pair for pair in combinations(range(6), 2) if pair[0] // 2 != pair[1] // 2]
    assert len(counts) == 2 * len(possible)
    mean = 3000 * 3 / len(counts)
    assert all(abs(count - mean) < 4 * mean**0.5 for count in counts.values())


def test_the_loss_is_binary_cross_entropy_of_what_compare_gives():
    x_BTC = torch.randn(8, 5, 3, requires_grad=True)

    def compare(one_PTC, two_PTC):
        return (one_PTC * two_PTC).sum((1, 2))

    head = PairHead(2)
    torch.manual_seed(4)
    outcome = head.of_pairs(compare, x_BTC)
    one_P, two_P, same_P = drawn(head, 8, 4)
    logit_P = compare(x_BTC[one_P], x_BTC[two_P])
    torch.testing.assert_close(outcome.loss, binary_cross_entropy_with_logits(logit_P, same_P.float()))
    assert outcome.accuracy == ((logit_P > 0) == same_P).double().mean()
    outcome.loss.backward()
    assert x_BTC.grad.abs().sum() > 0


def test_one_speaker_cannot_be_compared():
    with pytest.raises(ValueError, match="of several speakers"):
        PairHead(4).draw(4)
