"""The x-vector network (Snyder et al., "X-vectors: robust DNN embeddings for speaker recognition", ICASSP 2018)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch

from sv.models.pooling import Moments, StatsPooling

# Kernel width and dilation of the five frame-level layers: {-2..2}, {-2, 0, 2}, {-3, 0, 3}, {0}, {0}.
FRAME_LAYERS = ((5, 1), (3, 2), (3, 3), (1, 1), (1, 1))
CONTEXT = sum((width - 1) * dilation for width, dilation in FRAME_LAYERS)  # frames lost to the two ends: 14


class _Layer(torch.nn.Sequential):
    """Affine, ReLU, batch norm without scale and offset, in this order, as Kaldi's relu-batchnorm-layer."""

    def __init__(self, affine: torch.nn.Module, channels: int) -> None:
        super().__init__(affine, torch.nn.ReLU(), torch.nn.BatchNorm1d(channels, eps=1e-3, affine=False))


class XVectorNet(torch.nn.Module):
    """Five frame-level TDNN layers, statistics pooling, two segment-level layers.

    >>> net = XVectorNet(feature_dim=23).eval()
    >>> x_BTF = torch.randn(4, 200, 23)
    >>> net.embed(x_BTF).shape, net(x_BTF).shape
    (torch.Size([4, 512]), torch.Size([4, 512]))

    The embedding is the first affine layer after pooling, before its nonlinearity. Training goes on through that
    layer's nonlinearity and one more layer, whose output is what a loss head takes (`forward`).

    Convolutions are unpadded, so T frames in give T - 14 to the pooling. Shapes: B batch, T frames, F features,
    C channels, E embedding.
    """

    min_frames = CONTEXT + 1
    equal_lengths = False
    drops_layers = False

    def __init__(
        self,
        feature_dim: int,
        frame_channels: Sequence[int] = (512, 512, 512, 512, 1500),
        embedding_dim: int = 512,
        segment_channels: int = 512,
    ) -> None:
        super().__init__()
        widths = [feature_dim, *frame_channels]
        self.frame_layers = torch.nn.Sequential(
            *(
                _Layer(torch.nn.Conv1d(widths[i], widths[i + 1], width, dilation=dilation), widths[i + 1])
                for i, (width, dilation) in enumerate(FRAME_LAYERS)
            )
        )
        self.pooling = StatsPooling()
        self.embedding = torch.nn.Linear(2 * widths[-1], embedding_dim)
        self.after_embedding = torch.nn.Sequential(
            torch.nn.ReLU(), torch.nn.BatchNorm1d(embedding_dim, eps=1e-3, affine=False)
        )
        self.segment_layer = _Layer(torch.nn.Linear(embedding_dim, segment_channels), segment_channels)
        self.embedding_dim = embedding_dim
        self.output_dim = segment_channels

    def frames(self, x_BTF: torch.Tensor) -> torch.Tensor:
        """Frame-level activations (B, T - 14, C); ValueError for fewer than `min_frames` frames."""
        if x_BTF.shape[1] < self.min_frames:
            raise ValueError(f"{x_BTF.shape[1]} frames are fewer than the network's {self.min_frames}")
        return self.frame_layers(x_BTF.transpose(1, 2)).transpose(1, 2)

    def embed(self, x_BTF: torch.Tensor, num_frames_B: torch.Tensor | None = None) -> torch.Tensor:
        """Embeddings (B, E); `num_frames_B` counts the valid input frames of each, the rest is padding."""
        if num_frames_B is None:
            moments = Moments.of(self.frames(x_BTF))
        elif (fewest := int(num_frames_B.min())) < self.min_frames:
            raise ValueError(f"{fewest} frames are fewer than the network's {self.min_frames}")
        else:
            moments = Moments.of(self.frames(x_BTF), num_frames_B - CONTEXT)
        return self.embedding(self.pooling(moments))

    def forward(self, x_BTF: torch.Tensor) -> torch.Tensor:
        """What the loss head takes (B, `output_dim`)."""
        return self.for_head(self.embed(x_BTF))

    def for_head(self, e_BE: torch.Tensor) -> torch.Tensor:
        """What the loss head takes (B, `output_dim`), of embeddings."""
        return self.segment_layer(self.after_embedding(e_BE))

    def embed_long(self, x_TF: torch.Tensor, block: int) -> torch.Tensor:
        """The embedding (E,) of one recording of any length, `block` frames at a time; equal to `embed`.

        Blocks overlap by the context that the convolutions need, and only the moments of the pooling are kept.
        """
        starts = range(0, max(len(x_TF) - CONTEXT, 1), block)
        parts = (Moments.of(self.frames(x_TF[None, start : start + block + CONTEXT])) for start in starts)
        return self.embedding(self.pooling(functools.reduce(Moments.joined, parts)))[0]
