"""What a system's YAML says of its network: `model:`, by the name of its trunk."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sv.settings import PositiveInt, Strict
from sv.systems.wav2vec2 import Wav2Vec2

Channels = Annotated[int, Field(gt=0, multiple_of=4)]
SeChannels = Annotated[int, Field(gt=0, multiple_of=8)]  # squeezed to an eighth


class _Trunk(Strict):
    """What all trunks have: a name, and numbers of an embedding."""

    trunk: str
    embedding_dim: PositiveInt = 512

    @property
    def dim(self) -> int:
        """Numbers an embedding."""
        return self.embedding_dim


class XVector(_Trunk):
    """The x-vector TDNN's widths: five frame-level layers, then two segment-level ones."""

    trunk: Literal["xvector"]
    frame_channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (
        512,
        512,
        512,
        512,
        1500,
    )
    segment_channels: PositiveInt = 512


class ResNet1d(_Trunk):
    """A 1-D residual network: bottleneck blocks and output channels of each stage, then fully connected layers."""

    trunk: Literal["resnet1d"]
    blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]
    channels: tuple[Channels, Channels, Channels, Channels] = (256, 512, 1024, 2048)
    hidden_dim: PositiveInt = 512
    top_dim: PositiveInt | None = None  # of a layer on top, whose output then is the embedding

    @property
    def dim(self) -> int:
        """Numbers an embedding."""
        return self.top_dim or self.embedding_dim


class _VoxSrc2020(_Trunk):
    """What the networks of VoxSRC 2020 have: the choice of a batch norm after the embedding layer."""

    embedding_norm: bool = False


class QSap(_VoxSrc2020):
    """Q/SAP of VoxSRC 2020: ResNet-34 over time and frequency, self-attentive pooling; channels of each stage."""

    trunk: Literal["q_sap"]
    channels: tuple[SeChannels, SeChannels, SeChannels, SeChannels] = (16, 32, 64, 128)


class HAsp(_VoxSrc2020):
    """H/ASP of VoxSRC 2020: ResNet-34 over time and frequency, attentive statistics pooling; channels of each stage."""

    trunk: Literal["h_asp"]
    channels: tuple[SeChannels, SeChannels, SeChannels, SeChannels] = (32, 64, 128, 256)


class Ecapa(_VoxSrc2020):
    """ECAPA-TDNN: channels of the blocks and of what is pooled, bottlenecks of excitation and of attention."""

    trunk: Literal["ecapa"]
    channels: SeChannels = 1024
    aggregated: PositiveInt = 1536
    bottleneck: PositiveInt = 128
    attention_dim: PositiveInt = 128
    embedding_dim: PositiveInt = 192
    embedding_norm: bool = True


Model = Annotated[XVector | ResNet1d | QSap | HAsp | Ecapa | Wav2Vec2, Field(discriminator="trunk")]
