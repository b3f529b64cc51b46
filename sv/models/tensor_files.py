"""Files of named tensors that others wrote, read as numbers alone: torch.save's, fairseq's among them, and safetensors.

A pickle may name any function of Python to be called. `torch.load(weights_only=True)` calls none but its own few, and
refuses a file that names others. fairseq keeps its settings beside the weights, as objects of classes that are not
installed here; a stand-in that does nothing takes their place.
"""

from __future__ import annotations

import pickletools
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from sv.errors import DataError


class _Inert:
    """Stands for what a pickle names: takes what it is given, keeps nothing and does nothing."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """A file's tensors by name, on the CPU; of a file that has a block `model` (fairseq's), that block's.

    Raises:
        DataError: the file is missing, damaged, or not a set of named tensors.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _read_pickled(path)
    except Exception as error:  # a damaged file fails in many ways, none of which is a bug of ours
        cause = error.__context__ or error  # around a pickle's errors torch puts advice to run its code
        why = (str(cause).splitlines() or [type(cause).__name__])[0]
        raise DataError(
            f"{path}: cannot be read as tensors alone ({why[:100]}); fetch it anew, or give another file"
        ) from None
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path}: not a set of named tensors; it should be a network's state_dict")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise DataError(f"{path}: not a set of named tensors ({name!r} is none)")
    return content


def _read_pickled(path: Path) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():  # the checksums, which torch does not look at
                raise ValueError(f"{damaged} is not what was written")
        unknown = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    else:
        unknown = _named_before_1_6(path)
    with torch.serialization.safe_globals([(_Inert, name) for name in unknown]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _named_before_1_6(path: Path) -> list[str]:
    """The classes and functions that a file of torch's form before 1.6 names, by Python 3's names.

    Such a file is a row of pickles, of which the fourth is what was saved, and then the numbers.
    """
    names = set()
    with path.open("rb") as file:
        for _ in range(4):
            for code, value, _ in pickletools.genops(file):
                if code.name == "GLOBAL":
                    module, name = str(value).split(" ", 1)
                    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
                    names.add(f"{module}.{name}")
    return sorted(names)
