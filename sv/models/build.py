"""Networks and loss heads by the names that a system's YAML gives them."""

from __future__ import annotations

from sv.losses.head import Head
from sv.losses.margin import MarginHead
from sv.losses.pairs import PairHead
from sv.losses.prototypical import PrototypicalHead, PrototypicalSoftmaxHead
from sv.losses.softmax import SoftmaxHead
from sv.models.ecapa import Ecapa
from sv.models.embedder import Embedder
from sv.models.normalised import Normalised
from sv.models.resnet1d import ResNet1d
from sv.models.resnet2d import ResNet2d
from sv.models.xvector import XVectorNet
from sv.systems import models as settings
from sv.systems.losses import BinaryPairs, Loss, Margin, Prototypical, PrototypicalSoftmax
from sv.systems.system import System


def build_model(system: System, feature_dim: int) -> Embedder:
    """The system's network, for features of `feature_dim` numbers a frame."""
    trunk = build_trunk(system.model, feature_dim)
    return Normalised(trunk, system.normalise.variance) if system.normalise else trunk


def build_trunk(m: settings.Model, feature_dim: int) -> Embedder:
    """The trunk that `trunk` names."""
    match m:
        case settings.ResNet1d():
            return ResNet1d(feature_dim, m.blocks, m.channels, m.hidden_dim, m.embedding_dim, m.top_dim)
        case settings.QSap():
            return ResNet2d.q_sap(feature_dim, m.channels, m.embedding_dim, m.embedding_norm)
        case settings.HAsp():
            return ResNet2d.h_asp(feature_dim, m.channels, m.embedding_dim, m.embedding_norm)
        case settings.Ecapa():
            widths = (m.channels, m.aggregated, m.bottleneck, m.attention_dim, m.embedding_dim)
            return Ecapa(feature_dim, *widths, embedding_norm=m.embedding_norm)
        case settings.Wav2Vec2():
            from sv.models.wav2vec2 import Wav2Vec2  # torchaudio, which takes a second

            return Wav2Vec2(m)
    return XVectorNet(feature_dim, m.frame_channels, m.embedding_dim, m.segment_channels)


def build_head(loss: Loss, input_dim: int, num_speakers: int, utterances: int = 1) -> Head:
    """The loss head that `name` names; `utterances` of each speaker stand side by side in a batch."""
    if isinstance(loss, Margin):
        return MarginHead(input_dim, num_speakers, loss.name, loss.margin, loss.scale, loss.normalise)
    if isinstance(loss, Prototypical):
        return PrototypicalHead(utterances)
    if isinstance(loss, PrototypicalSoftmax):
        return PrototypicalSoftmaxHead(input_dim, num_speakers, utterances)
    if isinstance(loss, BinaryPairs):
        return PairHead(utterances)
    return SoftmaxHead(input_dim, num_speakers)
