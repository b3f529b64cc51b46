"""Angular prototypical loss: an utterance is to be nearest to the other utterances of its speaker in the batch."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy, linear, normalize

SMALLEST_SCALE = 1e-6


class PrototypicalHead(torch.nn.Module):
    """Angular prototypical loss (Chung et al., "In defence of metric learning", Interspeech 2020, eq. 6-7).

    >>> head = PrototypicalHead(utterances=2)
    >>> loss, logits_SS = head(torch.randn(16, 512), torch.arange(8).repeat_interleave(2))

    A batch holds S different speakers with M utterances each, side by side. The first of each is the query, the mean
    of the others the prototype; logits are w cos(query, prototype) + b with w and b learnt, and w kept positive.

    Args:
        utterances: M, two or more.
    """

    def __init__(self, utterances: int = 2) -> None:
        super().__init__()
        self.utterances = utterances
        self.scale = torch.nn.Parameter(torch.tensor(10.0))
        self.offset = torch.nn.Parameter(torch.tensor(-5.0))

    def forward(self, x_BE: torch.Tensor, speaker_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean loss in nats, and the logits of the queries (S, S), of which the diagonal is right.

        Raises ValueError if the batch is not of M utterances a speaker, side by side.
        """
        x_BE = x_BE.to(torch.promote_types(x_BE.dtype, torch.float32))
        M = self.utterances
        if len(x_BE) % M or (speaker_B.view(-1, M) != speaker_B[::M, None]).any():
            raise ValueError(f"a batch is to have {M} utterances of each speaker, side by side")
        x_SME = x_BE.view(-1, M, x_BE.shape[1])
        with torch.autocast(x_BE.device.type, enabled=False):
            cos_SS = linear(normalize(x_SME[:, 0]), normalize(x_SME[:, 1:].mean(1)))
            logits_SS = self.scale.clamp_min(SMALLEST_SCALE) * cos_SS + self.offset
            return cross_entropy(logits_SS, torch.arange(len(logits_SS), device=x_BE.device)), logits_SS
