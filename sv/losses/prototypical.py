"""Angular prototypical loss: an utterance is to be nearest to the other utterances of its speaker in the batch."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy, linear, normalize

from sv.losses.head import Head, Outcome
from sv.losses.softmax import SoftmaxHead

SMALLEST_SCALE = 1e-6


class PrototypicalHead(Head):
    """Angular prototypical loss (Chung et al., "In defence of metric learning", Interspeech 2020, eq. 6-7).

    >>> head = PrototypicalHead(utterances=2)
    >>> loss, logits_SS, _ = head(torch.randn(16, 512), torch.arange(8).repeat_interleave(2))

    A batch holds S different speakers with M utterances each, side by side, as `sv.training.groups.SpeakerGroups`
    makes it. The first of each is the query, the mean of the others the prototype; logits are w cos(query, prototype)
    + b with w and b learnt, and w kept positive. A decision is which prototype a query is nearest to.

    Args:
        utterances: M, two or more.
    """

    compares = True

    def __init__(self, utterances: int = 2) -> None:
        super().__init__()
        self.utterances = utterances
        self.scale = torch.nn.Parameter(torch.tensor(10.0))
        self.offset = torch.nn.Parameter(torch.tensor(-5.0))

    @property
    def classifier(self) -> None:
        """There are no classes."""
        return

    def forward(self, x_BE: torch.Tensor, speaker_B: torch.Tensor) -> Outcome:
        """Of the queries' logits (S, S), of which the diagonal is right.

        Who the speakers are does not matter and is not looked at, which would hold up a GPU. Raises ValueError if the
        batch is not of M utterances a speaker.
        """
        if len(x_BE) % self.utterances:
            raise ValueError(f"a batch of {len(x_BE)} is not of {self.utterances} utterances of each speaker")
        x_SME = x_BE.to(torch.promote_types(x_BE.dtype, torch.float32)).unflatten(0, (-1, self.utterances))
        with torch.autocast(x_BE.device.type, enabled=False):
            cos_SS = linear(normalize(x_SME[:, 0]), normalize(x_SME[:, 1:].mean(1)))
            logits_SS = self.scale.clamp_min(SMALLEST_SCALE) * cos_SS + self.offset
            target_S = torch.arange(len(logits_SS), device=x_BE.device)
            return Outcome(cross_entropy(logits_SS, target_S), logits_SS, target_S)


class PrototypicalSoftmaxHead(Head):
    """The sum of the angular prototypical loss and of softmax over the training speakers (VoxSRC 2020, figure 1).

    >>> head = PrototypicalSoftmaxHead(512, num_speakers=5994, utterances=2)
    >>> loss, logits_BS, _ = head(torch.randn(16, 512), torch.arange(8).repeat_interleave(2))

    Batches are those of `PrototypicalHead`; all their utterances are classified, and those are the decisions.

    Args:
        input_dim: E, numbers an embedding.
        num_speakers: of the training set.
        utterances: M, two or more.
    """

    compares = True

    def __init__(self, input_dim: int, num_speakers: int, utterances: int = 2) -> None:
        super().__init__()
        self.prototypical = PrototypicalHead(utterances)
        self.softmax = SoftmaxHead(input_dim, num_speakers)

    @property
    def classifier(self) -> Head:
        """The softmax."""
        return self.softmax

    def forward(self, x_BE: torch.Tensor, speaker_B: torch.Tensor) -> Outcome:
        """The sum of both losses, and the softmax's logits (B, number of speakers)."""
        pairs, classes = self.prototypical(x_BE, speaker_B), self.softmax(x_BE, speaker_B)
        return classes._replace(loss=pairs.loss + classes.loss)
