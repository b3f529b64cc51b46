"""What a system's YAML says of a wav2vec2 network: `model: {trunk: wav2vec2, …}`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from sv.settings import PositiveInt, Strict

Probability = Annotated[float, Field(ge=0, lt=1)]

# Numbers of an embedding for each of a frame; `sv.models.sequence_pooling` says what each is.
POOLINGS = {
    "mean": 1,
    "max": 1,
    "mean+std": 2,
    "std+mean": 2,
    "quantile": 5,
    "first": 1,
    "first+cls": 1,
    "middle": 1,
    "last": 1,
    "random": 1,
}


# torchaudio's bundles that were pretrained and not trained for recognition, of the sizes base and large.
BUNDLES = {
    "WAV2VEC2_BASE": "wav2vec2_fairseq_base_ls960.pth",
    "WAV2VEC2_LARGE": "wav2vec2_fairseq_large_ls960.pth",
    "WAV2VEC2_LARGE_LV60K": "wav2vec2_fairseq_large_lv60k.pth",
    "WAV2VEC2_XLSR53": "wav2vec2_fairseq_large_xlsr53.pth",
    "WAV2VEC2_XLSR_300M": "wav2vec2_xlsr_300m.pth",
}
HUGGING_FACE_FILES = ("model.safetensors", "pytorch_model.bin")  # of a folder, the first that is there


@dataclass(frozen=True)
class Size:
    """The widths of a network: channels of the seven convolutions, the transformer's, and where its norms stand."""

    channels: int
    dim: int
    layers: int
    heads: int
    hidden: int
    kernel: int = 128  # of the convolution that tells positions
    groups: int = 16
    norm_first: bool = False  # and then every convolution is normalised, and has a bias
    std: float = 0.02  # of the transformer's random weights


SIZES = {
    "tiny": Size(32, 64, 3, 4, 128, kernel=16, groups=4, std=0.07),  # for tests and small sets
    "base": Size(channels=512, dim=768, layers=12, heads=12, hidden=3072),
    "large": Size(channels=512, dim=1024, layers=24, heads=16, hidden=4096),
    "large_lv60k": Size(channels=512, dim=1024, layers=24, heads=16, hidden=4096, norm_first=True),
}


class Mask(Strict):
    """SpecAugment of a sequence: up to `prob` of it is set to 0 in stretches of `length`, drawn for each utterance.

    Of N places N prob / length stretches, rounded up or down at random, may overlap; as fairseq draws them.
    """

    prob: Probability = 0.0
    length: PositiveInt = 10


class Wav2Vec2(Strict):
    """wav2vec2 (Baevski et al. 2020), its output sequence pooled into an embedding; by default for fine-tuning.

    `pretrained` is a bundle of torchaudio's or a file (`sv.models.wav2vec2_weights`); null begins at random. Without
    `pooling` it compares pairs of utterances itself (loss `bce`). The paper leaves open how much is masked and dropped:
    the figures are those of its authors' code, and of the pretraining's own.
    """

    trunk: Literal["wav2vec2"]
    size: Literal["tiny", "base", "large", "large_lv60k"] = "base"
    pretrained: str | None = None
    pooling: (
        Literal["mean", "max", "mean+std", "std+mean", "quantile", "first", "first+cls", "middle", "last", "random"]
        | None
    ) = "mean+std"
    freeze_cnn: bool = True  # the convolutions keep their weights
    layer_drop: Probability = 0.05  # of each transformer layer, for the whole batch
    dropout: Probability = 0.1  # of what each layer adds, and before the first
    attention_dropout: Probability = 0.1
    projection_dropout: Probability = 0.1
    activation_dropout: Probability = 0.0  # within the feed-forward layers
    mask_time: Mask = Mask(prob=0.05, length=10)
    mask_channel: Mask = Mask(prob=0.0, length=10)

    @property
    def widths(self) -> Size:
        """The numbers behind `size`."""
        return SIZES[self.size]

    @property
    def dim(self) -> int | None:
        """Numbers an embedding; None where pairs are compared, and there is none."""
        return self.pooling and self.widths.dim * POOLINGS[self.pooling]
