"""A network whose input is normalised over the chunk or the utterance that it is given."""

from __future__ import annotations

import torch

from sv.models.embedder import Embedder

EPSILON = 1e-5  # added to a variance, as instance normalisation has it


def normalised(x_BTF: torch.Tensor, variance: bool, num_frames_B: torch.Tensor | None = None) -> torch.Tensor:
    """Features (B, T, F) less their mean over time and, with `variance`, by their deviation; float32.

    `num_frames_B` counts the valid frames of each; what lies beyond them is not counted and becomes 0.
    """
    x_BTF = x_BTF.float()
    if num_frames_B is None:
        centred_BTF = x_BTF - x_BTF.mean(1, keepdim=True)
        count = x_BTF.shape[1]
    else:
        valid_BT1 = (torch.arange(x_BTF.shape[1], device=x_BTF.device) < num_frames_B[:, None])[:, :, None]
        count = num_frames_B[:, None, None]
        centred_BTF = (x_BTF - (x_BTF * valid_BT1).sum(1, keepdim=True) / count) * valid_BT1
    if not variance:
        return centred_BTF
    variance_B1F = centred_BTF.square().sum(1, keepdim=True) / count
    return centred_BTF * torch.rsqrt(variance_B1F + EPSILON)


class Normalised(torch.nn.Module):
    """A trunk behind normalisation: an `Embedder` itself.

    >>> net = Normalised(ResNet2d.q_sap(64), variance=True).eval()
    >>> net.embed(torch.randn(4, 200, 64)).shape
    torch.Size([4, 512])
    """

    def __init__(self, trunk: Embedder, variance: bool) -> None:
        super().__init__()
        self.trunk, self.variance = trunk, variance
        self.min_frames, self.equal_lengths = trunk.min_frames, trunk.equal_lengths
        self.embedding_dim, self.output_dim = trunk.embedding_dim, trunk.output_dim
        self.drops_layers = trunk.drops_layers

    def _input(self, x_BTF: torch.Tensor, num_frames_B: torch.Tensor | None = None) -> torch.Tensor:
        return normalised(x_BTF, self.variance, num_frames_B)

    def embed(self, x_BTF: torch.Tensor, num_frames_B: torch.Tensor | None = None) -> torch.Tensor:
        """Embeddings (B, E); `num_frames_B` counts the valid frames of each, the rest is padding."""
        return self.trunk.embed(self._input(x_BTF, num_frames_B), num_frames_B)

    def embed_long(self, x_TF: torch.Tensor, block: int) -> torch.Tensor:
        """The embedding (E,) of one recording of any length, normalised as a whole."""
        return self.trunk.embed_long(self._input(x_TF[None])[0], block)

    def compare(self, one_PTC: torch.Tensor, other_PTC: torch.Tensor, *counts: torch.Tensor) -> torch.Tensor:
        """What a trunk without embeddings gives of pairs of what `embed` gives (`sv.models.wav2vec2.Wav2Vec2`)."""
        return self.trunk.compare(one_PTC, other_PTC, *counts)

    def for_head(self, e_BE: torch.Tensor) -> torch.Tensor:
        """What the loss head takes, of embeddings."""
        return self.trunk.for_head(e_BE)

    def forward(self, x_BTF: torch.Tensor) -> torch.Tensor:
        """What the loss head takes, of features."""
        return self.trunk(self._input(x_BTF))
