"""Scores of trials by a network that compares pairs itself: each trial is a pass through its transformer.

What of a pair is of one utterance alone, the tokens, is computed once for each utterance, or once for each block of
models where not all tokens fit into memory; the transformer sees both, and nothing of it can be kept. With T tokens in
a pair (50 a second of speech), C numbers a token and H hidden ones, a layer does 8 T C² + 4 T C H + 4 T² C operations:
for wav2vec2's base and two utterances of 8 s a trial is 0.17 teraflops, and twice the speech a little more than twice
the work. Letters in names: N trials, T tokens, C numbers of a token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from time import monotonic as seconds

import numpy as np
import torch

from sv.data.trials import Trials
from sv.errors import DataError, UserError
from sv.models.wav2vec2 import num_tokens
from sv.systems.wav2vec2 import Size

CACHE_BYTES = 4 << 30  # of tokens that are kept
BATCH_TOKENS = 6000  # of a pass, padding included
LONG_S = 12 * 3600.0  # of a list that is not scored without being asked twice
LOOKED_S = 20.0  # of scoring, before its rate is believed
TELL_EVERY_S = 10.0

Tokens = Callable[[Iterable[str]], Iterator[tuple[str, np.ndarray]]]  # utterances with their tokens, float32 (T, C)
Kept = dict[str, torch.Tensor]
Compare = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def operations(widths: Size, tokens: np.ndarray) -> np.ndarray:
    """Of a pass through the transformer with so many tokens each, float64."""
    T, C = tokens.astype(float), widths.dim
    layer = 8 * T * C**2 + 4 * T * C * widths.hidden + 4 * T**2 * C
    return widths.layers * layer + 2 * T * widths.kernel * C**2 / widths.groups


class PairScorer:
    """Scores lists of trials, batched by length.

    >>> scorer = PairScorer(net.compare, conf.widths, tokens, tokens, num_samples, num_samples, device)
    >>> scores_N = scorer.score(trials)

    Args:
        compare: logits of pairs of tokens, as `sv.models.wav2vec2.Wav2Vec2.compare`.
        widths: of the network.
        enrol, test: the tokens of utterances of either side.
        enrol_samples, test_samples: how long each is.
        yes: score a list however long it takes.
    """

    def __init__(
        self,
        compare: Compare,
        widths: Size,
        enrol: Tokens,
        test: Tokens,
        enrol_samples: Mapping[str, int],
        test_samples: Mapping[str, int],
        device: torch.device,
        yes: bool = True,
        say: Callable[[str], None] = lambda line: None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._compare, self._widths, self._sides = compare, widths, (enrol, test)
        self._samples, self._device, self._yes, self._say = (enrol_samples, test_samples), device, yes, say
        self._cache_bytes = cache_bytes

    @torch.inference_mode()
    def score(self, trials: Trials) -> np.ndarray:
        """The logit of each trial, float64 (N,), in the list's order.

        Raises UserError if it would take longer than `LONG_S` and nobody said yes, and DataError for a score that is
        not a number.
        """
        named = (trials.enrol, trials.test)
        enrol_N, test_N = (
            np.array([num_tokens(samples[utt]) for utt in utts])
            for utts, samples in zip(named, self._samples, strict=True)
        )
        tokens_N = enrol_N + test_N + 3
        work_N = operations(self._widths, tokens_N)
        scores_N = np.full(len(trials), np.nan)
        done, self._began, self._told = 0.0, seconds(), seconds()
        for rows_N, kept in self._blocks(named, (enrol_N, test_N)):
            for batch in _by_size(rows_N[np.argsort(tokens_N[rows_N], kind="stable")], tokens_N):
                scores_N[batch] = self._logits(
                    *([x[utts[n]] for n in batch] for x, utts in zip(kept, named, strict=True))
                )
                done += work_N[batch].sum()
                self._mind(done / work_N.sum(), len(trials))
        if not np.isfinite(scores_N).all():
            worst = int(np.flatnonzero(~np.isfinite(scores_N))[0])
            raise DataError(f"the score of trial {trials.enrol[worst]} {trials.test[worst]} is not a number")
        return scores_N

    def _blocks(
        self, named: tuple[list[str], list[str]], counts: tuple[np.ndarray, np.ndarray]
    ) -> Iterator[tuple[np.ndarray, list[Kept]]]:
        """Rows of trials, and the tokens of both sides' utterances: one block of models after another."""
        same = self._sides[0] is self._sides[1]
        sizes = [dict(zip(utts, count_N.tolist(), strict=True)) for utts, count_N in zip(named, counts, strict=True)]
        if same:
            sizes = [sizes[0] | sizes[1]] * 2
        numbers = [self._numbered(of) for of in sizes]
        number_N2 = np.array([[of[utt] for utt in utts] for of, utts in zip(numbers, named, strict=True)]).T
        kept: list[Kept] = [{}, {}]
        held = [-1, -1]
        for block in sorted(set(map(tuple, number_N2.tolist()))):
            for side, number in enumerate(block):
                if held[side] == number:
                    continue
                if same and held[1 - side] == number:
                    kept[side] = kept[1 - side]
                else:
                    utts = sorted(utt for utt, its in numbers[side].items() if its == number)
                    kept[side] = {utt: torch.from_numpy(x_TC) for utt, x_TC in self._sides[side](utts)}
                held[side] = number
            yield np.flatnonzero((number_N2 == block).all(1)), kept

    def _numbered(self, tokens: dict[str, int]) -> dict[str, int]:
        """The block that each utterance is of; the tokens of one take half the room at most, but for a single one's."""
        of, block, taken = {}, 0, 0
        for utt in sorted(tokens):
            size = tokens[utt] * self._widths.dim * 4
            if taken and taken + size > self._cache_bytes / 2:
                block, taken = block + 1, 0
            of[utt], taken = block, taken + size
        return of

    def _logits(self, one: list[torch.Tensor], other: list[torch.Tensor]) -> np.ndarray:
        counts = [torch.tensor([len(x) for x in side], device=self._device) for side in (one, other)]
        padded = [torch.nn.utils.rnn.pad_sequence(side, batch_first=True).to(self._device) for side in (one, other)]
        return self._compare(*padded, *counts).double().cpu().numpy()

    def _mind(self, part: float, count: int) -> None:
        """Say now and then how far it is; stop if it would take too long."""
        spent = seconds() - self._began
        left = spent / part - spent
        if seconds() - self._told > TELL_EVERY_S:
            self._told = seconds()
            self._say(f"{100 * part:.1f} % of {count} trials, {_time(left)} to go")
        if not self._yes and spent > LOOKED_S and spent + left > LONG_S:
            raise UserError(
                f"{count} trials would take {_time(spent + left)} here, as each is a pass through the network; take a"
                " faster GPU or a shorter list, or say --yes"
            )


def _by_size(rows: np.ndarray, tokens_N: np.ndarray) -> Iterator[np.ndarray]:
    """Rows, shortest pairs first, cut so that a batch padded to its longest has at most `BATCH_TOKENS` tokens."""
    batch: list[int] = []
    for row in rows.tolist():
        if batch and tokens_N[row] * (len(batch) + 1) > BATCH_TOKENS:
            yield np.array(batch)
            batch = []
        batch.append(row)
    if batch:
        yield np.array(batch)


def _time(seconds_: float) -> str:
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds_ >= 2 * size:
            return f"{seconds_ / size:.0f} {name}"
    return f"{seconds_:.0f} seconds"
