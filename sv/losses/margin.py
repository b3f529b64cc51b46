"""Additive margin softmax losses: AM (of the cosine) and AAM (of the angle)."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import cross_entropy, linear, normalize

from sv.losses.head import Head, Outcome


class MarginHead(Head):
    """Cross entropy of the training speakers, the true one's similarity made smaller by a margin.

    >>> head = MarginHead(64, num_speakers=1211, kind="aam", margin=0.2, scale=30)
    >>> loss, logits_BS, _ = head(torch.randn(8, 64), torch.arange(8))

    With theta the angle between an embedding and a speaker's weights, both of length 1, the true speaker's logit is

        am    scale (cos theta - margin)        Wang et al. 2018 (CosFace), eq. 4; VoxSRC 2020, eq. 2
        aam   scale cos(theta + margin)         Deng et al. 2019 (ArcFace), eq. 3; VoxSRC 2020, eq. 3

    and any other's scale cos theta. Where theta + margin passes pi, cos(theta + margin) would fall no further; there
    aam takes cos theta - margin sin(margin), which goes on falling, as the ArcFace authors' code does.

    Without `normalise` embeddings keep their length, which stands in place of the scale: |x| (cos theta - margin)
    ("Modular or monolithic", section 4.1).

    `margin_part`, 1 unless a training sets it, is the part of the margin that is in force.

    The logits that are returned have no margin: accuracy is of the decision that a test would make.

    Args:
        input_dim: E, numbers an embedding.
        num_speakers: S.
        kind: "am" or "aam".
        margin: of the cosine, or in radians; from 0.
        scale: of the logits; not used without `normalise`.
        normalise: scale embeddings to length 1.
    """

    def __init__(
        self, input_dim: int, num_speakers: int, kind: str, margin: float, scale: float, normalise: bool = True
    ) -> None:
        super().__init__()
        if kind not in ("am", "aam"):
            raise ValueError(f"kind is am or aam, not {kind}")
        self.kind, self.margin, self.scale, self.normalise = kind, margin, scale, normalise
        self.margin_part = 1.0
        self.weight_SE = torch.nn.Parameter(torch.empty(num_speakers, input_dim))
        torch.nn.init.xavier_normal_(self.weight_SE)

    def forward(self, x_BE: torch.Tensor, speaker_B: torch.Tensor) -> Outcome:
        """The loss with the margin, and the logits without it (B, S)."""
        x_BE = x_BE.to(torch.promote_types(x_BE.dtype, torch.float32))
        with torch.autocast(x_BE.device.type, enabled=False):  # half an angle's digits are lost in half precision
            cos_BS = linear(normalize(x_BE), normalize(self.weight_SE))
            scale = self.scale if self.normalise else x_BE.norm(dim=1, keepdim=True)
            rows_B = torch.arange(len(x_BE), device=x_BE.device)
            target_B = self._with_margin(cos_BS[rows_B, speaker_B])
            with_margin_BS = cos_BS.index_put((rows_B, speaker_B), target_B)
            return Outcome(cross_entropy(scale * with_margin_BS, speaker_B), scale * cos_BS, speaker_B)

    def _with_margin(self, cos_B: torch.Tensor) -> torch.Tensor:
        margin = self.margin * self.margin_part
        if self.kind == "am":
            return cos_B - margin
        sin_B = (1 - cos_B.square()).clamp_min(1e-9).sqrt()  # whose slope at 0 is infinite
        turned_B = cos_B * math.cos(margin) - sin_B * math.sin(margin)
        beyond_B = cos_B <= math.cos(math.pi - margin)
        return torch.where(beyond_B, cos_B - margin * math.sin(margin), turned_B)
