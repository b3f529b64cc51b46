"""wav2vec2 as a speaker network: torchaudio's model, masked and dropped in training, its output pooled or compared.

Shapes: B utterances, N samples, T tokens (one every 20 ms), C numbers of a token, P pairs, E numbers of an embedding.

Source: "Fine-tuning wav2vec2 for speaker recognition" (Vaessen & van Leeuwen, ICASSP 2022), section 3; Baevski et al.,
"wav2vec 2.0" (NeurIPS 2020).
"""

from __future__ import annotations

import math

import torch
import torchaudio
from torch.utils.checkpoint import checkpoint

from sv.models.embedder import WholeEmbedder
from sv.models.sequence_pooling import pool
from sv.systems import wav2vec2 as settings

CONVOLUTIONS = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))  # widths and strides, in samples of the last
RECEPTIVE_FIELD = 400  # samples that make a token; one more with every 320
START, SEPARATOR, END = 1.0, -1.0, -1.0  # all numbers of these tokens


class Wav2Vec2(WholeEmbedder):
    """A wav2vec2 network: an `Embedder` of waveforms or, without pooling, what compares pairs of them.

    >>> net = Wav2Vec2(settings.Wav2Vec2(trunk="wav2vec2", size="tiny")).eval()
    >>> net.embed(torch.randn(4, 48000, 1)).shape
    torch.Size([4, 128])

    With pooling and in evaluation its output sequence is that of torchaudio's model. In training tokens and channels
    are masked, and layers left out. Without pooling `embed` gives the tokens that the transformer takes, (B, T, C), and
    `compare` the logits of pairs of such: what of a pair is of one utterance alone is computed once.

    Recordings are not padded: the first convolution is normalised over all of a recording, and would see padding.

    Args:
        conf: widths and what is dropped; `pretrained` is for whoever loads weights.
    """

    min_frames = RECEPTIVE_FIELD

    def __init__(self, conf: settings.Wav2Vec2) -> None:
        super().__init__()
        self.conf, widths = conf, conf.widths
        self.net = torchaudio.models.wav2vec2_model(
            extractor_mode="layer_norm" if widths.norm_first else "group_norm",
            extractor_conv_layer_config=[(widths.channels, *each) for each in CONVOLUTIONS],
            extractor_conv_bias=widths.norm_first,
            encoder_embed_dim=widths.dim,
            encoder_projection_dropout=conf.projection_dropout,
            encoder_pos_conv_kernel=widths.kernel,
            encoder_pos_conv_groups=widths.groups,
            encoder_num_layers=widths.layers,
            encoder_num_heads=widths.heads,
            encoder_attention_dropout=conf.attention_dropout,
            encoder_ff_interm_features=widths.hidden,
            encoder_ff_interm_dropout=conf.activation_dropout,
            encoder_dropout=conf.dropout,
            encoder_layer_norm_first=widths.norm_first,
            encoder_layer_drop=conf.layer_drop,
            aux_num_out=None,
        )
        _initialise(self.net, widths.std)
        if conf.freeze_cnn:
            self.net.feature_extractor.requires_grad_(False)
        self.top = None if conf.pooling else torch.nn.Linear(widths.dim, 1)  # a pair's logit
        self.embedding_dim = self.output_dim = conf.dim or widths.dim
        self.recompute = False  # layers in the backward pass, which then keeps less in memory

    @property
    def drops_layers(self) -> bool:
        """Whether some steps leave layers without a gradient."""
        return self.conf.layer_drop > 0

    def embed(self, x_BN1: torch.Tensor, num_frames_B: torch.Tensor | None = None) -> torch.Tensor:
        """Embeddings (B, E) of waveforms of one length; without pooling their tokens (B, T, C)."""
        x_BTC = self.tokens(x_BN1)
        if self.conf.pooling is None:
            return x_BTC
        if self.conf.pooling == "first+cls":
            x_BTC = torch.cat([_token(x_BTC, START), x_BTC], 1)
        return pool(self.conf.pooling, self.encode(x_BTC))

    def tokens(self, x_BN1: torch.Tensor) -> torch.Tensor:
        """Projected convolutions (B, T, C), what the transformer takes; masked in training."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.conf.freeze_cnn):
            features_BTF, _ = self.net.feature_extractor(x_BN1[:, :, 0], None)
        x_BTC = self.net.encoder.feature_projection(features_BTF)
        if not self.training:
            return x_BTC
        num, length, channels = x_BTC.shape
        masked_BTC = stretches(num, length, self.conf.mask_time)[:, :, None]
        masked_BTC = masked_BTC | stretches(num, channels, self.conf.mask_channel)[:, None]
        return x_BTC.masked_fill(masked_BTC.to(x_BTC.device, non_blocking=True), 0)

    def encode(self, x_BTC: torch.Tensor, num_tokens_B: torch.Tensor | None = None) -> torch.Tensor:
        """The transformer's output sequence (B, T, C); `num_tokens_B` counts the valid tokens of each."""
        transformer, mask_B11T = self.net.encoder.transformer, None
        if num_tokens_B is not None:
            padding_BT = torch.arange(x_BTC.shape[1], device=x_BTC.device) >= num_tokens_B[:, None]
            x_BTC = x_BTC.masked_fill(padding_BT[:, :, None], 0)  # positions are told by a convolution
            mask_B11T = ~padding_BT[:, None, None].expand(-1, 1, x_BTC.shape[1], -1)
        x_BTC = x_BTC + transformer.pos_conv_embed(x_BTC)
        if transformer.layer_norm_first:
            x_BTC = transformer.layer_norm(x_BTC)
        x_BTC = transformer.dropout(x_BTC)
        for layer in transformer.layers:
            if self.training and torch.rand(()) < transformer.layer_drop:
                continue
            if self.recompute and self.training:
                x_BTC, _ = checkpoint(layer, x_BTC, mask_B11T, use_reentrant=False)
            else:
                x_BTC, _ = layer(x_BTC, mask_B11T)
        return x_BTC if transformer.layer_norm_first else transformer.layer_norm(x_BTC)

    def compare(
        self,
        one_PTC: torch.Tensor,
        other_PTC: torch.Tensor,
        num_one_P: torch.Tensor | None = None,
        num_other_P: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits (P,) that two utterances are of one speaker, of their tokens: start, one, separator, other, end.

        The counts, of both or of none, are of valid tokens; what is beyond them does not matter.
        """
        start, separator, end = (_token(one_PTC, value) for value in (START, SEPARATOR, END))
        if num_one_P is None:
            return self._logit(torch.cat([start, one_PTC, separator, other_PTC, end], 1))
        counts = zip(num_one_P.tolist(), num_other_P.tolist(), strict=True)
        rows = [
            torch.cat([start[row], one_PTC[row, :n], separator[row], other_PTC[row, :m], end[row]])
            for row, (n, m) in enumerate(counts)
        ]
        return self._logit(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), num_one_P + num_other_P + 3)

    def _logit(self, x_PTC: torch.Tensor, num_P: torch.Tensor | None = None) -> torch.Tensor:
        first_PC = self.encode(x_PTC, num_P)[:, 0]
        with torch.autocast(first_PC.device.type, enabled=False):  # in bf16 many pairs would have one score
            return self.top(first_PC.float())[:, 0]


def num_tokens(num_samples: int) -> int:
    """Tokens of a recording."""
    for width, stride in CONVOLUTIONS:
        num_samples = max(0, (num_samples - width) // stride + 1)
    return num_samples


def stretches(count: int, length: int, mask: settings.Mask) -> torch.Tensor:
    """Which places of `count` sequences are masked, bool (B, `length`): see `Mask`. By torch's generator on the CPU."""
    masked_BL = torch.zeros(count, length, dtype=torch.bool)
    if not mask.prob:
        return masked_BL
    width = min(mask.length, length)
    number_B = (mask.prob * length / mask.length + torch.rand(count, dtype=torch.float64)).long()
    for masked_L, number in zip(masked_BL, number_B.tolist(), strict=True):
        for start in torch.randperm(length - width + 1)[:number].tolist():
            masked_L[start : start + width] = True
    return masked_BL


def _token(like_BTC: torch.Tensor, value: float) -> torch.Tensor:
    return like_BTC.new_full((len(like_BTC), 1, like_BTC.shape[2]), value)


@torch.no_grad()
def _initialise(net: torchaudio.models.Wav2Vec2Model, std: float) -> None:
    """Random weights as fairseq and Hugging Face begin with, where torch's own are others."""
    for layer in net.feature_extractor.conv_layers:
        torch.nn.init.kaiming_normal_(layer.conv.weight)
    projection = net.encoder.feature_projection.projection
    bound = 1 / math.sqrt(projection.in_features)
    torch.nn.init.uniform_(projection.weight, -bound, bound)
    torch.nn.init.uniform_(projection.bias, -bound, bound)
    position = net.encoder.transformer.pos_conv_embed.conv
    scale = 2 / math.sqrt(position.kernel_size[0] * position.in_channels)
    position.weight = torch.randn_like(position.weight) * scale
    torch.nn.init.zeros_(position.bias)
    for module in net.encoder.transformer.layers.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=std)
            torch.nn.init.zeros_(module.bias)
