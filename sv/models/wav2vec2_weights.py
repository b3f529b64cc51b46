"""Pretrained weights of wav2vec 2.0: where they are found, and how they come into a model of torchaudio's."""

from __future__ import annotations

import http.client
import logging
import os
import re
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torchaudio.models import Wav2Vec2Model

from sv.data.tables import first_few
from sv.errors import ConfigError, DataError
from sv.models.tensor_files import read_tensors
from sv.models.wav2vec2_names import layout_of
from sv.systems.wav2vec2 import BUNDLES, HUGGING_FACE_FILES
from sv.yaml_errors import nearest

log = logging.getLogger("wav2vec2")

ADDRESS = "https://download.pytorch.org/torchaudio/models"


def find_pretrained(name: str) -> Path:
    """The file of the weights that a system names; a bundle's is downloaded if it is not there yet.

    >>> find_pretrained("WAV2VEC2_BASE")
    PosixPath('/home/me/.cache/torch/hub/checkpoints/wav2vec2_fairseq_base_ls960.pth')

    Args:
        name: of a torchaudio bundle (`BUNDLES`), whose file is kept where torchaudio itself keeps it; or the path of
            a file, or of a Hugging Face folder.

    Raises:
        ConfigError: there is neither a bundle nor a file of this name.
        DataError: a bundle's file is not here and cannot be downloaded, or a folder has no weights.
    """
    if name in BUNDLES:
        return _bundle_file(name)
    path = Path(name).expanduser()
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        raise ConfigError(f"{name}: no such file or folder, and no bundle of torchaudio's{nearest(name, BUNDLES)}")
    return path


def load_pretrained(model: Wav2Vec2Model, path: Path) -> None:
    """Load a file's encoder into the model, which has the same shape and no head; unchanged if they do not fit.

    The file may be torchaudio's, fairseq's or Hugging Face's; what it holds of a head of pretraining or of speech
    recognition is passed over. The tensors do not tell the number of attention heads nor where the layer norms are,
    so these are not checked.

    Raises:
        DataError: not a wav2vec 2.0, or of another size, or tensors that are missing, unknown or of other shapes.
    """
    stored = read_tensors(path)
    if (layout := layout_of(stored)) is None:
        raise DataError(f"{path}: not the weights of a wav2vec 2.0 (it holds {first_few(stored)})")
    named = {name: target for name in stored if (target := layout.renamed(name)) is not None}
    found = {target: stored[name] for name, target in named.items()}
    own = model.state_dict()
    its_size, our_size = _size(found), _size(own)
    if its_size and its_size != our_size:
        raise DataError(f"{path}: has {its_size}; this system has {our_size}; give weights of that size")
    for problem, names in (
        ("missing", own.keys() - found.keys()),
        ("unknown", {name for name, target in named.items() if target not in own}),
        ("of another size", {name for name, t in named.items() if t in own and own[t].shape != found[t].shape}),
    ):
        if names:
            raise DataError(
                f"{path}: does not fit this wav2vec 2.0: {len(names)} tensors are {problem}: {first_few(names)}"
            )
    model.load_state_dict(found)


def _size(state: Mapping[str, torch.Tensor]) -> str:
    """The layers, their width and the convolutions below, in words; '' if the tensors that say so are missing."""
    layers = {name.split(".")[3] for name in state if name.startswith("encoder.transformer.layers.")}
    convolutions = [
        t for n, t in state.items() if re.fullmatch(r"feature_extractor\.conv_layers\.\d+\.conv\.weight", n)
    ]
    norms = [n for n in state if re.fullmatch(r"feature_extractor\.conv_layers\.\d+\.layer_norm\.weight", n)]
    projection = state.get("encoder.feature_projection.projection.weight")
    if projection is None or not all(t.dim() for t in (projection, *convolutions)):
        return ""
    widths = "/".join(dict.fromkeys(str(t.shape[0]) for t in convolutions))
    mode = "layer_norm" if len(norms) > 1 else "group_norm"
    return f"{len(layers)} layers of {projection.shape[0]} over {len(convolutions)} {mode} convolutions of {widths}"


def _in_folder(folder: Path) -> Path:
    for name in HUGGING_FACE_FILES:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder}: has neither {' nor '.join(HUGGING_FACE_FILES)}")


def _bundle_file(name: str) -> Path:
    """A bundle's file in torch.hub's cache, downloaded on first use."""
    url, path = f"{ADDRESS}/{BUNDLES[name]}", Path(torch.hub.get_dir(), "checkpoints", BUNDLES[name])
    if path.is_file():
        return path
    log.info(f"wav2vec2: downloading {url} to {path}")
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(partial), progress=sys.stderr.isatty())
        read_tensors(partial)  # a connection that broke off is no error to torch.hub
        os.replace(partial, path)
    except (OSError, http.client.HTTPException, DataError) as error:
        why = "what came is not whole" if isinstance(error, DataError) else " ".join(str(error).split())
        raise DataError(
            f"{name}: could not be downloaded ({why}); fetch {url} and put it at {path}, or name another file"
            " with --set model.pretrained=FILE"
        ) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return path
