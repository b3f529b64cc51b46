"""What training, evaluation and extraction ask of a network, whatever its trunk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

import torch


class Embedder(Protocol):
    """A `torch.nn.Module` that makes embeddings of features. Shapes: B batch, T frames, F features, E embedding."""

    min_frames: int  # that it can embed
    equal_lengths: bool  # whether the recordings of a batch must have one length
    embedding_dim: int
    output_dim: int  # of what a loss head takes
    drops_layers: bool  # whether some training steps leave weights without a gradient

    def embed(self, x_BTF: torch.Tensor, num_frames_B: torch.Tensor | None = None) -> torch.Tensor:
        """Embeddings (B, E); `num_frames_B` counts the valid frames of each, the rest is padding."""
        ...

    def embed_long(self, x_TF: torch.Tensor, block: int) -> torch.Tensor:
        """The embedding (E,) of one recording of any length, about `block` frames at a time; equal to `embed`."""
        ...

    def for_head(self, e_BE: torch.Tensor) -> torch.Tensor:
        """What the loss head takes (B, `output_dim`), of embeddings."""
        ...

    def forward(self, x_BTF: torch.Tensor) -> torch.Tensor:
        """What the loss head takes, of features."""
        ...


class WholeEmbedder(torch.nn.Module, ABC):
    """An `Embedder` but for `embed`, which sees all of a recording; a loss head takes its embeddings as they are."""

    equal_lengths: ClassVar[bool] = True
    drops_layers: bool = False

    @abstractmethod
    def embed(self, x_BTF: torch.Tensor, num_frames_B: torch.Tensor | None = None) -> torch.Tensor:
        """Embeddings (B, E) of recordings of one length."""

    def embed_long(self, x_TF: torch.Tensor, block: int) -> torch.Tensor:
        """The embedding (E,) of one recording, at once."""
        return self.embed(x_TF[None])[0]

    def for_head(self, e_BE: torch.Tensor) -> torch.Tensor:
        """What the loss head takes: embeddings."""
        return e_BE

    def forward(self, x_BTF: torch.Tensor) -> torch.Tensor:
        """What the loss head takes, of features."""
        return self.embed(x_BTF)
