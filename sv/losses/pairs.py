"""Whether two utterances are of one speaker: binary cross entropy of pairs within a batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from sv.losses.head import Head, Outcome

Compare = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class PairHead(Head):
    """Logistic regression's loss over pairs of a batch's utterances, as many of one speaker as of two.

    >>> head = PairHead(utterances=4)
    >>> loss, logits_P2, same_P = head.of_pairs(net.compare, net.embed(x_BN1))      # of B utterances B pairs

    A batch holds different speakers with M utterances each, side by side, as `sv.training.groups.SpeakerGroups` makes
    it. Half as many pairs as there are utterances are of one speaker and as many of two, none of them twice: of 8
    speakers × 4 there are 16 and 16 ("Fine-tuning wav2vec2 …", section 3.2.2). They are drawn by torch's generator on
    the CPU, and so is which of two comes first. There are no classes; of several processes each draws of its own part.

    Args:
        utterances: M, two or more.
    """

    def __init__(self, utterances: int) -> None:
        super().__init__()
        self.utterances = utterances

    @property
    def classifier(self) -> None:
        """There are no classes."""
        return

    def of_pairs(self, compare: Compare, x_BTC: torch.Tensor) -> Outcome:
        """Of logits (P, 2) for two speakers and for one, whose difference is what `compare` gives of two (P, T, C)."""
        one_P, two_P, same_P = self.draw(len(x_BTC))
        logit_P = compare(x_BTC[one_P.to(x_BTC.device)], x_BTC[two_P.to(x_BTC.device)])
        logits_P2 = torch.stack([torch.zeros_like(logit_P), logit_P], 1)
        same_P = same_P.long().to(x_BTC.device)
        return Outcome(cross_entropy(logits_P2, same_P), logits_P2, same_P)

    def draw(self, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Places of both utterances of each pair (P,), and whether they are of one speaker.

        Raises ValueError if the batch is not of M utterances of two speakers or more.
        """
        if size % self.utterances or size < 2 * self.utterances:
            raise ValueError(f"a batch of {size} is not of {self.utterances} utterances of each of several speakers")
        pairs_Q2 = torch.combinations(torch.arange(size))
        same_Q = pairs_Q2[:, 0] // self.utterances == pairs_Q2[:, 1] // self.utterances
        kinds = []
        for of_one in (True, False):
            some_P2 = pairs_Q2[same_Q == of_one]
            kinds.append(some_P2[torch.randperm(len(some_P2))[: size // 2]])
        drawn_P2 = torch.cat(kinds)
        flip_P = torch.rand(len(drawn_P2)) < 0.5
        drawn_P2 = torch.where(flip_P[:, None], drawn_P2.flip(1), drawn_P2)
        same_P = torch.arange(len(drawn_P2)) < len(kinds[0])
        return drawn_P2[:, 0], drawn_P2[:, 1], same_P
