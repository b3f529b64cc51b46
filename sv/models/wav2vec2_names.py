"""What the tensors of a wav2vec 2.0 encoder are called, by torchaudio, by fairseq and by Hugging Face.

Here they are called as torchaudio does. Names of parameters only, as the public files have them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

# The two parts of the positional convolution's weight, which torch has named anew.
_WEIGHT_NORM = [
    (r"\.weight_g$", ".parametrizations.weight.original0"),
    (r"\.weight_v$", ".parametrizations.weight.original1"),
]


class Layout(NamedTuple):
    """One way to name the tensors.

    `mark` matches a name that is this layout's alone, `head` those of pretraining or of speech recognition, which are
    no part of the encoder; both after `prefix`. `names` are replacements, done in turn.
    """

    prefix: str
    mark: str
    head: str
    names: list[tuple[str, str]]

    def renamed(self, name: str) -> str | None:
        """torchaudio's name of a tensor, or None for one of a head; an unknown name stays."""
        name = re.sub(f"^{self.prefix}", "", name)
        if re.match(self.head, name):
            return None
        for pattern, new in [*self.names, *_WEIGHT_NORM]:
            name = re.sub(pattern, new, name)
        return name


TORCHAUDIO = Layout(
    prefix="",
    mark=r"encoder\.(transformer|feature_projection)\.",
    head=r"aux\.",
    names=[],
)
FAIRSEQ = Layout(
    prefix=r"(w2v_encoder\.)?(w2v_model\.)?",
    mark=r"post_extract_proj\.|encoder\.pos_conv\.",
    head=r"mask_emb$|quantizer\.|project_q\.|final_proj\.|proj\.",
    names=[
        (r"^feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
        # A group norm, or a layer norm between two transpositions.
        (r"^feature_extractor\.conv_layers\.(\d+)\.2\.(1\.)?", r"feature_extractor.conv_layers.\1.layer_norm."),
        (r"^layer_norm\.", "encoder.feature_projection.layer_norm."),
        (r"^post_extract_proj\.", "encoder.feature_projection.projection."),
        (r"^encoder\.pos_conv\.0\.", "encoder.transformer.pos_conv_embed.conv."),
        (r"^encoder\.layer_norm\.", "encoder.transformer.layer_norm."),
        (r"^encoder\.layers\.", "encoder.transformer.layers."),
        (r"\.self_attn\.", ".attention."),
        (r"\.self_attn_layer_norm\.", ".layer_norm."),
        (r"\.fc1\.", ".feed_forward.intermediate_dense."),
        (r"\.fc2\.", ".feed_forward.output_dense."),
    ],
)
HUGGING_FACE = Layout(
    prefix=r"(wav2vec2\.)?",
    mark=r"feature_projection\.|encoder\.pos_conv_embed\.",
    head=r"masked_spec_embed$|quantizer\.|project_q\.|project_hid\.|lm_head\.",
    names=[
        (r"^encoder\.", "encoder.transformer."),
        (r"^feature_projection\.", "encoder.feature_projection."),
    ],
)


def layout_of(names: Iterable[str]) -> Layout | None:
    """The layout that these names are of; None if they are not those of a wav2vec 2.0."""
    names = list(names)
    for layout in (TORCHAUDIO, FAIRSEQ, HUGGING_FACE):
        if any(re.match(f"({layout.prefix})({layout.mark})", name) for name in names):
            return layout
    return None
