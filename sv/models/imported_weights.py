"""State dicts of public networks under our names: of the VoxSRC 2020 authors' ResNets, and of a public ECAPA-TDNN.

Sources: clovaai/voxceleb_trainer (ResNetSE34L, ResNetSE34V2) and TaoRuijie/ECAPA-TDNN; names of their parameters only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch

from sv.errors import DataError
from sv.models.ecapa import Ecapa
from sv.models.resnet2d import BLOCKS, ResNet2d

# Of a name's parts in turn: what begins it, and what that is here. A front end's constants are ours to compute.
_SHARED = [(r"^__S__\.", ""), (r"^speaker_encoder\.", ""), (r"num_batches_tracked$", None), (r"^torchfb(ank)?\.", None)]
_RESNET = [
    (r"^instancenorm\.", None),
    (r"^conv1\.", "input."),
    (r"^bn1\.", "input_norm."),
    (r"\.conv1\.", ".one."),
    (r"\.bn1\.", ".one_norm."),
    (r"\.conv2\.", ".two."),
    (r"\.bn2\.", ".two_norm."),
    (r"\.se\.fc\.0\.", ".excitation.squeeze."),
    (r"\.se\.fc\.2\.", ".excitation.excite."),
    (r"\.downsample\.", ".shortcut."),
    (r"^sap_linear\.", "pooling.hidden."),
    (r"^attention$", "pooling.query_C1"),
    (r"^attention\.0\.", "pooling.hidden."),
    (r"^attention\.2\.", "pooling.norm."),
    (r"^attention\.3\.", "pooling.energy."),
    (r"^fc\.", "embedding."),
]
_ECAPA = [
    (r"^conv1\.", "input."),
    (r"^bn1\.", "input_norm."),
    (r"^layer4\.", "aggregation."),
    (r"\.conv1\.", ".reduce."),
    (r"\.bn1\.", ".reduce_norm."),
    (r"\.convs\.", ".parts."),
    (r"\.bns\.", ".part_norms."),
    (r"\.conv3\.", ".expand."),
    (r"\.bn3\.", ".expand_norm."),
    (r"\.se\.se\.1\.", ".excitation.squeeze."),
    (r"\.se\.se\.3\.", ".excitation.excite."),
    (r"^attention\.0\.", "pooling.hidden."),
    (r"^attention\.2\.", "pooling.norm."),
    (r"^attention\.4\.", "pooling.energy."),
    (r"^bn5\.", "pooling_norm."),
    (r"^fc6\.", "embedding."),
    (r"^bn6\.", "embedding_norm."),
]


def load_imported(model: ResNet2d | Ecapa, state: Mapping[str, torch.Tensor]) -> None:
    """Load a public network's weights into ours; the model is unchanged if they do not fit.

    >>> net = ResNet2d.q_sap(40)
    >>> load_imported(net, torch.load("baseline_lite_ap.model", weights_only=True))

    A head's weights (names that begin with `__L__.` or `speaker_loss.`) are passed over.

    Raises:
        DataError: names that are not the network's, are missing, or have other shapes; the first few.
    """
    renamed = _ecapa_name if isinstance(model, Ecapa) else _resnet_name
    own = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    found = {}
    for name, tensor in state.items():
        if name.startswith(("__L__.", "speaker_loss.")):
            continue
        if (target := renamed(name)) is None:
            continue
        if target in own and tensor.dim() == own[target].dim() + 1 and tensor.shape[-1] == 1:
            tensor = tensor[..., 0]  # a convolution of width 1 over a mean is a linear layer
        found[target] = tensor
    if extra := sorted(found.keys() - own.keys()):
        raise DataError(f"{len(extra)} tensors are not of this network: {', '.join(extra[:3])}")
    if missing := sorted(own.keys() - found.keys()):
        raise DataError(f"{len(missing)} of the network's tensors are missing: {', '.join(missing[:3])}")
    if other := sorted(name for name in own if own[name].shape != found[name].shape):
        shapes = ", ".join(f"{n} is {tuple(found[n].shape)}, not {tuple(own[n].shape)}" for n in other[:3])
        raise DataError(f"{len(other)} tensors have other shapes: {shapes}")
    model.load_state_dict(found, strict=False)


def _resnet_name(name: str) -> str | None:
    def in_one_row(match: re.Match[str]) -> str:
        return f"blocks.{sum(BLOCKS[: int(match[1]) - 1]) + int(match[2])}."

    return _renamed(name, _RESNET, r"^layer(\d)\.(\d+)\.", in_one_row)


def _ecapa_name(name: str) -> str | None:
    return _renamed(name, _ECAPA, r"^layer([123])\.", lambda match: f"blocks.{int(match[1]) - 1}.")


def _renamed(
    name: str, rules: list[tuple[str, str | None]], block: str, new_block: Callable[[re.Match[str]], str]
) -> str | None:
    """Our name of a tensor; None if it is none of the network's."""
    for pattern, new in [*_SHARED, *rules]:
        if re.search(pattern, name):
            if new is None:
                return None
            name = re.sub(pattern, new, name)
    return re.sub(block, new_block, name)
