"""1-D residual networks: convolutions over time in bottleneck blocks, attentive statistics pooling.

The trunk of "Modular or monolithic" (section 2), which counts layers as the names do: one input convolution, three in
every block, the pooling, two fully connected. ResNet-52 has blocks 3, 4, 6, 3 and ResNet-28 has 2, 2, 2, 2.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch.nn.functional import relu

from sv.models.pooling import AttentivePooling, WeightedMoments

KERNEL = 3  # of a block's middle convolution
INPUT_KERNEL = 5


class ResNet1d(torch.nn.Module):
    """Features to embeddings.

    >>> net = ResNet1d(feature_dim=23, blocks=(2, 2, 2, 2)).eval()
    >>> x_BTF = torch.randn(4, 200, 23)
    >>> net.embed(x_BTF).shape, net(x_BTF).shape
    (torch.Size([4, 512]), torch.Size([4, 512]))

    From the second stage on each begins with a stride of 2, so that the pooling sees every eighth frame. The embedding
    is the second fully connected layer's output; a loss head takes it after ReLU and batch norm, or, with a margin
    layer on top (`top_dim`), takes that layer's output, which then is the embedding.

    Shapes: B batch, T frames, F features, C channels, E embedding.

    Args:
        feature_dim: numbers a frame.
        blocks: residual blocks of each stage.
        channels: of each stage's output; a bottleneck has a quarter of them.
        hidden_dim: of the first fully connected layer.
        embedding_dim: of the second.
        top_dim: of a further layer for margin losses; None for none.
    """

    min_frames = 1
    equal_lengths = False
    drops_layers = False

    def __init__(
        self,
        feature_dim: int,
        blocks: Sequence[int],
        channels: Sequence[int] = (256, 512, 1024, 2048),
        hidden_dim: int = 512,
        embedding_dim: int = 512,
        top_dim: int | None = None,
    ) -> None:
        super().__init__()
        first = channels[0] // 4
        self.input = torch.nn.Conv1d(feature_dim, first, INPUT_KERNEL, padding=INPUT_KERNEL // 2, bias=False)
        self.input_norm = torch.nn.BatchNorm1d(first)
        widths = [first, *channels]
        self.blocks = torch.nn.ModuleList(
            _Block(widths[stage] if i == 0 else width, width, stride=2 if i == 0 and stage > 0 else 1)
            for stage, (count, width) in enumerate(zip(blocks, channels, strict=True))
            for i in range(count)
        )
        self.pooling = AttentivePooling(channels[-1])
        self.hidden = torch.nn.Linear(2 * channels[-1], hidden_dim)
        self.hidden_norm = torch.nn.BatchNorm1d(hidden_dim)
        self.embedding = torch.nn.Linear(hidden_dim, embedding_dim)
        self.embedding_norm = torch.nn.BatchNorm1d(embedding_dim)
        self.top = None if top_dim is None else torch.nn.Linear(embedding_dim, top_dim)
        self.embedding_dim = self.output_dim = top_dim or embedding_dim
        self.stride = 2 ** sum(block.stride > 1 for block in self.blocks)

    @property
    def context(self) -> int:
        """Input frames to each side that a frame before the pooling depends on."""
        reach, stride = INPUT_KERNEL // 2, 1
        for block in self.blocks:
            reach += KERNEL // 2 * stride
            stride *= block.stride
        return reach

    def frames(self, x_BTF: torch.Tensor, num_frames_B: torch.Tensor | None = None) -> torch.Tensor:
        """Activations before the pooling (B, ceil(T / 8), C); what lies beyond the valid frames counts as silence."""
        h_BCT = relu(self.input_norm(self.input(_masked(x_BTF.transpose(1, 2), num_frames_B))))
        for block in self.blocks:
            h_BCT = block(h_BCT, num_frames_B)
            num_frames_B = _strided(num_frames_B, block.stride)
        return h_BCT.transpose(1, 2)

    def embed(self, x_BTF: torch.Tensor, num_frames_B: torch.Tensor | None = None) -> torch.Tensor:
        """Embeddings (B, E); `num_frames_B` counts the valid input frames of each, the rest is padding."""
        h_BTC = self.frames(x_BTF, num_frames_B)
        for block in self.blocks:
            num_frames_B = _strided(num_frames_B, block.stride)
        return self._embedded(self.pooling.moments(h_BTC, num_frames_B))

    def forward(self, x_BTF: torch.Tensor) -> torch.Tensor:
        """What the loss head takes (B, `output_dim`)."""
        return self.for_head(self.embed(x_BTF))

    def for_head(self, e_BE: torch.Tensor) -> torch.Tensor:
        """What the loss head takes (B, `output_dim`), of embeddings."""
        return e_BE if self.top is not None else self.embedding_norm(relu(e_BE))

    def embed_long(self, x_TF: torch.Tensor, block: int) -> torch.Tensor:
        """The embedding (E,) of one recording of any length, about `block` frames at a time; equal to `embed`.

        Blocks overlap by the context of the convolutions, and only the weighted moments of the pooling are kept.
        """
        step = max(block // self.stride, 1) * self.stride
        margin = -(-self.context // self.stride) * self.stride
        parts = (self._part(x_TF, start, step, margin) for start in range(0, len(x_TF), step))
        return self._embedded(functools.reduce(WeightedMoments.joined, parts))[0]

    def _part(self, x_TF: torch.Tensor, start: int, step: int, margin: int) -> WeightedMoments:
        """Moments of the activations of input frames start .. start + step, which see `margin` frames to both sides."""
        first, last = max(start - margin, 0), min(start + step + margin, len(x_TF))
        h_BTC = self.frames(x_TF[None, first:last])
        skip = (start - first) // self.stride
        wanted = -(-(min(start + step, len(x_TF)) - start) // self.stride)
        return self.pooling.moments(h_BTC[:, skip : skip + wanted])

    def _embedded(self, moments: WeightedMoments) -> torch.Tensor:
        e_BE = self.embedding(self.hidden_norm(relu(self.hidden(moments.statistics()))))
        return e_BE if self.top is None else self.top(self.embedding_norm(relu(e_BE)))


class _Block(torch.nn.Module):
    """Bottleneck: convolutions of width 1, 3 and 1, the middle one strided; a projection where shapes differ."""

    def __init__(self, input_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        narrow = channels // 4
        self.stride = stride
        self.reduce = torch.nn.Conv1d(input_channels, narrow, 1, bias=False)
        self.reduce_norm = torch.nn.BatchNorm1d(narrow)
        self.middle = torch.nn.Conv1d(narrow, narrow, KERNEL, stride, padding=KERNEL // 2, bias=False)
        self.middle_norm = torch.nn.BatchNorm1d(narrow)
        self.expand = torch.nn.Conv1d(narrow, channels, 1, bias=False)
        self.expand_norm = torch.nn.BatchNorm1d(channels)
        self.shortcut: torch.nn.Module = torch.nn.Identity()
        if stride > 1 or input_channels != channels:
            self.shortcut = torch.nn.Sequential(
                torch.nn.Conv1d(input_channels, channels, 1, stride, bias=False), torch.nn.BatchNorm1d(channels)
            )

    def forward(self, x_BCT: torch.Tensor, num_frames_B: torch.Tensor | None) -> torch.Tensor:
        h_BCT = relu(self.reduce_norm(self.reduce(x_BCT)))
        h_BCT = relu(self.middle_norm(self.middle(_masked(h_BCT, num_frames_B))))
        return relu(self.expand_norm(self.expand(h_BCT)) + self.shortcut(x_BCT))


def _masked(h_BCT: torch.Tensor, num_frames_B: torch.Tensor | None) -> torch.Tensor:
    """Zeros beyond the valid frames, as a convolution's own padding is: a recording is then what it is alone."""
    if num_frames_B is None:
        return h_BCT
    return h_BCT * (torch.arange(h_BCT.shape[2], device=h_BCT.device) < num_frames_B[:, None])[:, None]


def _strided(num_frames_B: torch.Tensor | None, stride: int) -> torch.Tensor | None:
    """How many frames are left of so many: convolutions are padded to keep ceil(T / stride)."""
    return None if num_frames_B is None else -(-num_frames_B // stride)
