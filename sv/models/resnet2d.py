"""Residual networks over time and frequency with squeeze and excitation: Q/SAP and H/ASP.

The two ResNet-34 of "Clova Baseline System for the VoxCeleb Speaker Recognition Challenge 2020" (Heo et al. 2020,
section 2.1 and table 1). Q/SAP, the quick one, has a quarter of the usual channels and self-attentive pooling; H/ASP
has half of them and attentive statistics pooling.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import relu

from sv.models.channel_attention import ChannelAttention
from sv.models.embedder import WholeEmbedder
from sv.models.squeeze_excitation import SqueezeExcitation

BLOCKS = (3, 4, 6, 3)
SE_REDUCTION = 8


class ResNet2d(WholeEmbedder):
    """Features to embeddings.

    >>> net = ResNet2d.q_sap(64).eval()
    >>> net.embed(torch.randn(4, 200, 64)).shape
    torch.Size([4, 512])

    Shapes: B batch, C channels, M bands of frequency, T frames, E embedding.

    Args:
        feature_dim: numbers a frame, normalised over the recording.
        channels: of each stage.
        strides: of each stage, over time and frequency.
        quick: the input convolution of Q/SAP, 7 x 7 with a stride of 2 over frequency, and its pooling; else H/ASP's.
        embedding_dim: numbers an embedding.
        embedding_norm: batch norm after the embedding layer, as part of it.
    """

    min_frames = 8

    def __init__(
        self,
        feature_dim: int,
        channels: Sequence[int],
        strides: Sequence[int],
        quick: bool,
        embedding_dim: int = 512,
        embedding_norm: bool = False,
    ) -> None:
        super().__init__()
        first = channels[0]
        self.quick = quick
        if quick:
            self.input = torch.nn.Conv2d(1, first, 7, (2, 1), padding=3, bias=False)
            bands = (feature_dim + 1) // 2
        else:
            self.input = torch.nn.Conv2d(1, first, 3, padding=1)  # with a bias, as the ReLU comes before batch norm
            bands = feature_dim
        self.input_norm = torch.nn.BatchNorm2d(first)
        blocks = []
        width = first
        for count, out, stride in zip(BLOCKS, channels, strides, strict=True):
            blocks += [_Block(width if i == 0 else out, out, stride if i == 0 else 1) for i in range(count)]
            width = out
            bands = -(-bands // stride)
        self.blocks = torch.nn.Sequential(*blocks)
        self.pooling: torch.nn.Module = _SelfAttention(width) if quick else ChannelAttention(width * bands, 128)
        self.embedding = torch.nn.Linear(width if quick else 2 * width * bands, embedding_dim)
        self.embedding_norm = torch.nn.BatchNorm1d(embedding_dim) if embedding_norm else torch.nn.Identity()
        self.embedding_dim = self.output_dim = embedding_dim
        for module in self.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)  # a tenth to a quarter faster; tests/bench/bench_network.py

    @classmethod
    def q_sap(
        cls,
        feature_dim: int = 64,
        channels: Sequence[int] = (16, 32, 64, 128),
        embedding_dim: int = 512,
        embedding_norm: bool = False,
    ) -> ResNet2d:
        """Q/SAP: 1.4 million parameters."""
        return cls(feature_dim, channels, (1, 2, 2, 1), True, embedding_dim, embedding_norm)

    @classmethod
    def h_asp(
        cls,
        feature_dim: int = 64,
        channels: Sequence[int] = (32, 64, 128, 256),
        embedding_dim: int = 512,
        embedding_norm: bool = False,
    ) -> ResNet2d:
        """H/ASP: 8.0 million parameters with 64 features."""
        return cls(feature_dim, channels, (1, 2, 2, 2), False, embedding_dim, embedding_norm)

    def embed(self, x_BTF: torch.Tensor, num_frames_B: torch.Tensor | None = None) -> torch.Tensor:
        """Embeddings (B, E) of recordings of one length: squeeze and excitation sees all of each."""
        h_BCMT = self.input(x_BTF.transpose(1, 2)[:, None])
        h_BCMT = relu(self.input_norm(h_BCMT)) if self.quick else self.input_norm(relu(h_BCMT))
        h_BCMT = self.blocks(h_BCMT)
        h_BCT = h_BCMT.mean(2) if self.quick else h_BCMT.flatten(1, 2)
        return self.embedding_norm(self.embedding(self.pooling(h_BCT)))


class _Block(torch.nn.Module):
    """Two 3 x 3 convolutions (the first's ReLU before its batch norm, as the authors have it), excitation, residual."""

    def __init__(self, input_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.one = torch.nn.Conv2d(input_channels, channels, 3, stride, padding=1, bias=False)
        self.one_norm = torch.nn.BatchNorm2d(channels)
        self.two = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.two_norm = torch.nn.BatchNorm2d(channels)
        self.excitation = SqueezeExcitation(channels, channels // SE_REDUCTION)
        self.shortcut: torch.nn.Module = torch.nn.Identity()
        if stride > 1 or input_channels != channels:
            self.shortcut = torch.nn.Sequential(
                torch.nn.Conv2d(input_channels, channels, 1, stride, bias=False), torch.nn.BatchNorm2d(channels)
            )

    def forward(self, x_BCMT: torch.Tensor) -> torch.Tensor:
        h_BCMT = self.one_norm(relu(self.one(x_BCMT)))
        return relu(self.excitation(self.two_norm(self.two(h_BCMT))) + self.shortcut(x_BCMT))


class _SelfAttention(torch.nn.Module):
    """Self-attentive pooling: a weighted mean over time (Cai, Chen & Li, Odyssey 2018, eq. 2-4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(channels, channels)
        self.query_C1 = torch.nn.Parameter(torch.empty(channels, 1))
        torch.nn.init.xavier_normal_(self.query_C1)

    def forward(self, h_BCT: torch.Tensor) -> torch.Tensor:
        h_BTC = h_BCT.transpose(1, 2)
        weight_BT1 = torch.softmax(torch.tanh(self.hidden(h_BTC)) @ self.query_C1, 1)
        return (h_BTC * weight_BT1).sum(1)
