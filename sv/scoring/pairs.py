"""Scores of trials by a network that compares pairs itself: each trial is a pass through its transformer.

What of a pair is of one utterance alone, the tokens, is computed once for each utterance or, where not all tokens fit
into memory, once for each block of models that it is compared with; the transformer sees both, and nothing of it can be
kept. With T tokens in a pair (50 a second of speech), C numbers a token and H hidden ones, a layer does
8 T C² + 4 T C H + 4 T² C operations: for wav2vec2's base and two utterances of 8 s a trial is 0.17 teraflops, and twice
the speech a little more than twice the work. Letters in names: N trials, T tokens, C numbers of a token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
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
LOOKED_S = 20.0  # of a kind of work, before its rate is believed
TELL_EVERY_S = 10.0

Tokens = Callable[[Iterable[str]], Iterator[tuple[str, np.ndarray]]]  # utterances with their tokens, float32 (T, C)
Kept = dict[str, torch.Tensor]
Compare = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def operations(widths: Size, tokens: np.ndarray) -> np.ndarray:
    """Of a pass through the transformer with so many tokens each, float64."""
    T, C = tokens.astype(float), widths.dim
    layer = 8 * T * C**2 + 4 * T * C * widths.hidden + 4 * T**2 * C
    return widths.layers * layer + 2 * T * widths.kernel * C**2 / widths.groups


@dataclass
class Pace:
    """A kind of work: how much there is of it, how much is done, in how many seconds."""

    whole: float
    done: float = 0.0
    spent_s: float = 0.0

    @property
    def left_s(self) -> float:
        """Seconds that the rest takes at the same rate; 0 before anything is known of it."""
        return self.spent_s * (self.whole - self.done) / self.done if self.done else 0.0


@dataclass(frozen=True)
class Block:
    """Rows of trials whose utterances are in memory together: of models and of tests all, and those to be read."""

    rows_N: np.ndarray
    wanted: tuple[list[str], list[str]]
    read: tuple[list[str], list[str]]


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
        sizes = [
            dict(zip(utts, num_N.tolist(), strict=True)) for utts, num_N in zip(named, (enrol_N, test_N), strict=True)
        ]
        blocks = self._planned(named, sizes)
        to_read = sum(sizes[side][utt] for block in blocks for side in (0, 1) for utt in block.read[side])
        self._reading, self._comparing = Pace(to_read), Pace(work_N.sum())
        self._count, self._now, self._told = len(trials), seconds(), seconds()
        kept: list[Kept] = [{}, {}]
        for block in blocks:
            self._take(block, kept, sizes)
            rows_N = block.rows_N[np.argsort(tokens_N[block.rows_N], kind="stable")]
            for batch in _by_size(rows_N, tokens_N):
                scores_N[batch] = self._logits(
                    *([x[utts[n]] for n in batch] for x, utts in zip(kept, named, strict=True))
                )
                self._mind(self._comparing, work_N[batch].sum())
        if not np.isfinite(scores_N).all():
            worst = int(np.flatnonzero(~np.isfinite(scores_N))[0])
            raise DataError(f"the score of trial {trials.enrol[worst]} {trials.test[worst]} is not a number")
        return scores_N

    def _planned(self, named: tuple[list[str], list[str]], sizes: list[dict[str, int]]) -> list[Block]:
        """One block of models after another, each with its tests, in parts if they are too many."""
        same = self._sides[0] is self._sides[1]
        rows_of: dict[str, list[int]] = {}
        for row, model in enumerate(named[0]):
            rows_of.setdefault(model, []).append(row)
        held: tuple[set[str], set[str]] = (set(), set())
        blocks = []
        for models in self._parts(sizes[0]):
            rows_to: dict[str, list[int]] = {}
            for row in (row for model in models for row in rows_of[model]):
                rows_to.setdefault(named[1][row], []).append(row)
            shared = set(models) if same else set()  # which take no more room
            for tests in self._parts({utt: 0 if utt in shared else sizes[1][utt] for utt in rows_to}):
                read: list[list[str]] = []
                for side, utts in enumerate((models, tests)):
                    there = held[side] | held[1 - side] if same else held[side]
                    read.append([utt for utt in utts if utt not in there])
                    held = (set(utts), held[1]) if side == 0 else (held[0], set(utts))
                rows_N = np.array(sorted(row for test in tests for row in rows_to[test]))
                blocks.append(Block(rows_N, (models, tests), (read[0], read[1])))
        return blocks

    def _parts(self, tokens: Mapping[str, int]) -> Iterator[list[str]]:
        """Utterances by name; the tokens of a part take half the room at most, but for a single one's."""
        part: list[str] = []
        taken = 0
        for utt in sorted(tokens):
            size = tokens[utt] * self._widths.dim * 4
            if taken and taken + size > self._cache_bytes / 2:
                yield part
                part, taken = [], 0
            part.append(utt)
            taken += size
        if part:
            yield part

    def _take(self, block: Block, kept: list[Kept], sizes: list[dict[str, int]]) -> None:
        """Put a block's tokens in place of those that are kept: read, or taken over from these."""
        for side in (0, 1):
            there = kept[1 - side] | kept[side] if self._sides[0] is self._sides[1] else kept[side]
            missing = set(block.read[side])
            kept[side] = {utt: there[utt] for utt in block.wanted[side] if utt not in missing}
            del there  # what is not wanted any more makes room
            if missing:
                for utt, x_TC in self._sides[side](block.read[side]):
                    kept[side][utt] = torch.from_numpy(x_TC)
                    self._mind(self._reading, sizes[side][utt])

    def _logits(self, one: list[torch.Tensor], other: list[torch.Tensor]) -> np.ndarray:
        counts = [torch.tensor([len(x) for x in side], device=self._device) for side in (one, other)]
        padded = [torch.nn.utils.rnn.pad_sequence(side, batch_first=True).to(self._device) for side in (one, other)]
        return self._compare(*padded, *counts).double().cpu().numpy()

    def _mind(self, pace: Pace, work: float) -> None:
        """Note that some work is done; say now and then how far it is, and stop if it would take too long."""
        now = seconds()
        pace.done, pace.spent_s, self._now = pace.done + work, pace.spent_s + now - self._now, now
        paces = (self._reading, self._comparing)
        spent_s = sum(each.spent_s for each in paces)
        if now - self._told > TELL_EVERY_S:
            self._told = now
            part, left_s = self._comparing.done / self._comparing.whole, sum(each.left_s for each in paces)
            self._say(f"{100 * part:.1f} % of {self._count} trials, {_time(left_s)} to go")
        least_s = spent_s + sum(each.left_s for each in paces if each.spent_s > LOOKED_S)
        if not self._yes and least_s > LONG_S:
            raise UserError(
                f"{self._count} trials would take {_time(least_s)} here, as each is a pass through the network; take a"
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
