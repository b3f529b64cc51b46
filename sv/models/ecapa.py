"""ECAPA-TDNN (Desplanques, Thienpondt & Demuynck, Interspeech 2020)."""

from __future__ import annotations

import torch
from torch.nn.functional import relu

from sv.models.channel_attention import ChannelAttention
from sv.models.embedder import WholeEmbedder
from sv.models.squeeze_excitation import SqueezeExcitation

SCALE = 8  # parts of a Res2 convolution
KERNEL = 3
DILATIONS = (2, 3, 4)
INPUT_KERNEL = 5


class Ecapa(WholeEmbedder):
    """Features to embeddings.

    >>> net = Ecapa(80).eval()
    >>> net.embed(torch.randn(4, 200, 80)).shape
    torch.Size([4, 192])

    Each of the three blocks is given the sum of all that came before it, and their outputs together are aggregated.
    14.7 million parameters with 1024 channels.

    Shapes: B batch, T frames, F features, C channels, A aggregated channels, E embedding.

    Args:
        feature_dim: numbers a frame, less their mean over the recording.
        channels: of the blocks.
        aggregated: channels that are pooled.
        bottleneck: of squeeze and excitation.
        attention_dim: the pooling's bottleneck: 128 in the paper, 256 in some public networks.
        embedding_dim: numbers an embedding.
        embedding_norm: batch norm after the embedding layer, as part of it.
    """

    min_frames = 2

    def __init__(
        self,
        feature_dim: int,
        channels: int = 1024,
        aggregated: int = 1536,
        bottleneck: int = 128,
        attention_dim: int = 128,
        embedding_dim: int = 192,
        embedding_norm: bool = True,
    ) -> None:
        super().__init__()
        self.input = torch.nn.Conv1d(feature_dim, channels, INPUT_KERNEL, padding=INPUT_KERNEL // 2)
        self.input_norm = torch.nn.BatchNorm1d(channels)
        self.blocks = torch.nn.ModuleList(_Block(channels, dilation, bottleneck) for dilation in DILATIONS)
        self.aggregation = torch.nn.Conv1d(len(DILATIONS) * channels, aggregated, 1)
        self.pooling = ChannelAttention(aggregated, attention_dim, context=True, tanh=True, floor=1e-4)
        self.pooling_norm = torch.nn.BatchNorm1d(2 * aggregated)
        self.embedding = torch.nn.Linear(2 * aggregated, embedding_dim)
        self.embedding_norm = torch.nn.BatchNorm1d(embedding_dim) if embedding_norm else torch.nn.Identity()
        self.embedding_dim = self.output_dim = embedding_dim

    def embed(self, x_BTF: torch.Tensor, num_frames_B: torch.Tensor | None = None) -> torch.Tensor:
        """Embeddings (B, E) of recordings of one length: squeeze and excitation sees all of each."""
        h_BCT = self.input_norm(relu(self.input(x_BTF.transpose(1, 2))))
        outputs = []
        for block in self.blocks:
            outputs.append(block(h_BCT))
            h_BCT = h_BCT + outputs[-1]
        h_BAT = relu(self.aggregation(torch.cat(outputs, 1)))
        return self.embedding_norm(self.embedding(self.pooling_norm(self.pooling(h_BAT))))


class _Block(torch.nn.Module):
    """SE-Res2Block: a dense layer, dilated convolutions in a hierarchy of parts, a dense one, excitation, residual."""

    def __init__(self, channels: int, dilation: int, bottleneck: int) -> None:
        super().__init__()
        width = channels // SCALE
        self.reduce = torch.nn.Conv1d(channels, channels, 1)
        self.reduce_norm = torch.nn.BatchNorm1d(channels)
        padding = KERNEL // 2 * dilation
        self.parts = torch.nn.ModuleList(
            torch.nn.Conv1d(width, width, KERNEL, dilation=dilation, padding=padding) for _ in range(SCALE - 1)
        )
        self.part_norms = torch.nn.ModuleList(torch.nn.BatchNorm1d(width) for _ in range(SCALE - 1))
        self.expand = torch.nn.Conv1d(channels, channels, 1)
        self.expand_norm = torch.nn.BatchNorm1d(channels)
        self.excitation = SqueezeExcitation(channels, bottleneck)

    def forward(self, x_BCT: torch.Tensor) -> torch.Tensor:
        h_BCT = self.reduce_norm(relu(self.reduce(x_BCT)))
        *given, kept = h_BCT.chunk(SCALE, 1)
        outputs: list[torch.Tensor] = []
        for part, norm, g_BWT in zip(self.parts, self.part_norms, given, strict=True):
            outputs.append(norm(relu(part(g_BWT + outputs[-1] if outputs else g_BWT))))
        h_BCT = self.expand_norm(relu(self.expand(torch.cat([*outputs, kept], 1))))
        return self.excitation(h_BCT) + x_BCT
