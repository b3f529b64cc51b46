"""Scores by a network that compares pairs: each trial's is that of its two utterances, however they are batched."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sv.data.trials import Trials
from sv.errors import DataError, UserError
from sv.models.wav2vec2 import Wav2Vec2, num_tokens
from sv.scoring import pairs
from sv.scoring.pairs import PairScorer, operations
from sv.systems.wav2vec2 import SIZES
from sv.systems.wav2vec2 import Wav2Vec2 as Settings

WIDTHS = SIZES["tiny"]
SAMPLES = {f"u{n}": 400 + 320 * (n * 7 % 11) for n in range(12)}


class Tokens:
    """Tokens of utterances, made of their names; counts how often each is asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, utts):
        for utt in utts:
            self.asked.append(utt)
            rng = np.random.default_rng(int(utt[1:]))
            yield utt, rng.normal(size=(num_tokens(SAMPLES[utt]), WIDTHS.dim)).astype(np.float32)


def compare(one_PTC, two_PTC, num_one_P, num_two_P):
    """Not symmetric, and blind to padding."""
    return torch.stack(
        [
            one_TC[:n].sum() - 2 * two_TC[:m].square().sum()
            for one_TC, two_TC, n, m in zip(one_PTC, two_PTC, num_one_P, num_two_P, strict=True)
        ]
    )


def all_trials(models=range(12), tests=range(12)):
    drawn = [(f"u{m}", f"u{t}") for m in models for t in tests if m != t]
    order = np.random.default_rng(3).permutation(len(drawn))
    return Trials([drawn[n][0] for n in order], [drawn[n][1] for n in order], None)


def expected(trials):
    tokens = dict(Tokens()(SAMPLES))
    return [
        tokens[a].sum(dtype=float) - 2 * np.square(tokens[b], dtype=float).sum()
        for a, b in zip(trials.enrol, trials.test, strict=True)
    ]


@pytest.mark.parametrize("room", [1 << 30, 12_000, 1])
@pytest.mark.parametrize("batch", [6000, 40, 1])
def test_scores_are_those_of_single_pairs_whatever_fits_into_memory(monkeypatch, room, batch):
    monkeypatch.setattr(pairs, "BATCH_TOKENS", batch)
    tokens, trials = Tokens(), all_trials()
    scorer = PairScorer(compare, WIDTHS, tokens, tokens, SAMPLES, SAMPLES, torch.device("cpu"), cache_bytes=room)
    np.testing.assert_allclose(scorer.score(trials), expected(trials), rtol=1e-4, atol=1e-3)
    if room == 1 << 30:
        assert sorted(tokens.asked) == sorted(SAMPLES)  # one set on both sides: each once
    else:
        assert len(tokens.asked) > 12


def test_two_sets_are_read_apart():
    enrol, test, trials = Tokens(), Tokens(), all_trials(range(3), range(3, 9))
    scorer = PairScorer(compare, WIDTHS, enrol, test, SAMPLES, SAMPLES, torch.device("cpu"))
    np.testing.assert_allclose(scorer.score(trials), expected(trials), rtol=1e-4, atol=1e-3)
    assert enrol.asked == ["u0", "u1", "u2"]
    assert test.asked == [f"u{n}" for n in range(3, 9)]


def test_a_list_that_takes_days_is_refused_unless_somebody_says_yes(monkeypatch):
    """A clock that goes an hour with every batch: 132 pairs in 12 batches or so."""
    hours = iter(range(10_000))
    monkeypatch.setattr(pairs, "seconds", lambda: 3600.0 * next(hours))
    monkeypatch.setattr(pairs, "BATCH_TOKENS", 60)
    tokens, trials, said = Tokens(), all_trials(), []
    of = (compare, WIDTHS, tokens, tokens, SAMPLES, SAMPLES, torch.device("cpu"))
    with pytest.raises(UserError, match=r"^132 trials would take \d+ (hours|days) here, as each is .* or say --yes$"):
        PairScorer(*of, yes=False).score(trials)
    assert len(PairScorer(*of, yes=True, say=said.append).score(trials)) == 132
    assert said[-1].startswith("100.0 % of 132 trials, 0 seconds to go")


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(pairs, "seconds", lambda: self.now)

    def after(self, seconds, function):
        """The function, which takes so long."""

        def slow(*arguments):
            self.now += seconds
            return function(*arguments)

        return slow

    def reading(self, seconds):
        """Utterances whose tokens take so long each."""
        tokens = Tokens()

        def slow(utts):
            for each in tokens(utts):
                self.now += seconds * len(each[1])
                yield each

        return tokens, slow


def test_the_time_that_reading_took_is_not_taken_for_that_of_comparing(monkeypatch):
    """Tokens of 100 s each and 132 pairs of a second are two hours."""
    clock, said = Clock(monkeypatch), []
    monkeypatch.setattr(pairs, "BATCH_TOKENS", 1)
    _, tokens = clock.reading(100)
    of = (clock.after(1, compare), WIDTHS, tokens, tokens, SAMPLES, SAMPLES, torch.device("cpu"))
    assert len(PairScorer(*of, yes=False, say=said.append).score(all_trials())) == 132
    all_tokens = sum(map(num_tokens, SAMPLES.values()))
    assert clock.now == 100 * all_tokens + 132
    first = num_tokens(SAMPLES["u0"])
    assert said[0] == f"0.0 % of 132 trials, {pairs._time(100 * (all_tokens - first))} to go"
    assert said[-1] == "100.0 % of 132 trials, 0 seconds to go"


def test_reading_that_takes_days_is_refused_before_it_is_over(monkeypatch):
    clock = Clock(monkeypatch)
    read, tokens = clock.reading(1800)
    with pytest.raises(UserError, match=r"^132 trials would take 34 hours here"):
        PairScorer(compare, WIDTHS, tokens, tokens, SAMPLES, SAMPLES, torch.device("cpu"), yes=False).score(
            all_trials()
        )
    assert len(read.asked) < 12


def test_only_what_a_block_of_models_is_compared_with_is_read_for_it():
    """A trial a model, in a third of the room that they take: each utterance is read once for either side at most."""
    tokens, trials = Tokens(), Trials([f"u{n}" for n in range(12)], [f"u{(n + 5) % 12}" for n in range(12)], None)
    scorer = PairScorer(compare, WIDTHS, tokens, tokens, SAMPLES, SAMPLES, torch.device("cpu"), cache_bytes=6000)
    np.testing.assert_allclose(scorer.score(trials), expected(trials), rtol=1e-4, atol=1e-3)
    assert len(tokens.asked) <= 24


def test_a_score_that_is_no_number_is_named():
    def broken(*sides):
        return compare(*sides) / torch.where(sides[2] == sides[2].max(), 0.0, 1.0)

    trials = all_trials(range(2), range(2, 4))
    scorer = PairScorer(broken, WIDTHS, Tokens(), Tokens(), SAMPLES, SAMPLES, torch.device("cpu"))
    with pytest.raises(DataError, match=r"the score of trial u\d u\d is not a number"):
        scorer.score(trials)


def test_operations_grow_as_stated(monkeypatch):
    """By torch's own counter, of a transformer of the size: matrix products and attention, not norms."""

    def attention(q, k, v, **_):  # whose products the counter sees
        return (q @ k.transpose(-1, -2)).softmax(-1) @ v

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)
    net = Wav2Vec2(Settings(trunk="wav2vec2", size="tiny", pooling=None)).eval()
    for tokens in (50, 400):
        with FlopCounterMode(display=False) as counted, torch.no_grad():
            net.encode(torch.randn(1, tokens, WIDTHS.dim))
        assert operations(WIDTHS, np.array([tokens]))[0] == pytest.approx(counted.get_total_flops(), rel=0.02)
    of_8_s = operations(SIZES["base"], np.array([2 * num_tokens(8 * 16_000) + 3]))[0]
    assert of_8_s == pytest.approx(0.17e12, rel=0.03)
