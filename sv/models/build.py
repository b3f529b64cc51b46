"""Networks and loss heads by the names that a system's YAML gives them."""

from __future__ import annotations

from sv.loss_settings import Loss, Margin, Prototypical, PrototypicalSoftmax
from sv.losses.head import Head
from sv.losses.margin import MarginHead
from sv.losses.prototypical import PrototypicalHead, PrototypicalSoftmaxHead
from sv.losses.softmax import SoftmaxHead
from sv.models.embedder import Embedder
from sv.models.resnet1d import ResNet1d
from sv.models.xvector import XVectorNet
from sv.system import ResNet1d as ResNet1dSettings
from sv.system import System


def build_model(system: System, feature_dim: int) -> Embedder:
    """The trunk that `model.trunk` names, for features of `feature_dim` numbers a frame."""
    m = system.model
    if isinstance(m, ResNet1dSettings):
        return ResNet1d(feature_dim, m.blocks, m.channels, m.hidden_dim, m.embedding_dim, m.top_dim)
    return XVectorNet(feature_dim, m.frame_channels, m.embedding_dim, m.segment_channels)


def build_head(loss: Loss, input_dim: int, num_speakers: int, utterances: int = 1) -> Head:
    """The loss head that `name` names; `utterances` of each speaker stand side by side in a batch."""
    if isinstance(loss, Margin):
        return MarginHead(input_dim, num_speakers, loss.name, loss.margin, loss.scale, loss.normalise)
    if isinstance(loss, Prototypical):
        return PrototypicalHead(utterances)
    if isinstance(loss, PrototypicalSoftmax):
        return PrototypicalSoftmaxHead(input_dim, num_speakers, utterances)
    return SoftmaxHead(input_dim, num_speakers)
