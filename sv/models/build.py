"""Networks and loss heads by the names that a system's YAML gives them."""

from __future__ import annotations

import torch

from sv.losses.softmax import SoftmaxHead
from sv.models.xvector import XVectorNet
from sv.system import System


def build_model(system: System, feature_dim: int) -> XVectorNet:
    """The trunk that `model.trunk` names, for features of `feature_dim` numbers a frame."""
    m = system.model
    return XVectorNet(feature_dim, m.frame_channels, m.embedding_dim, m.segment_channels)


def build_head(system: System, input_dim: int, num_speakers: int) -> torch.nn.Module:
    """The loss head that `loss.name` names: `head(x_BE, speaker_B) -> (loss, logits_BS)`."""
    return SoftmaxHead(input_dim, num_speakers)
