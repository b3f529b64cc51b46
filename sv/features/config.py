"""Kaldi-style option files: `--name=value` lines that set the fields of a dataclass, strictly."""

from __future__ import annotations

import dataclasses
import difflib
import os
from pathlib import Path
from typing import TypeVar

from sv.errors import ConfigError

T = TypeVar("T")

_BOOLEANS = {"true": True, "false": False, "t": True, "f": False, "1": True, "0": False}


def read_flags(path: str | os.PathLike[str], into: type[T], **given: object) -> T:
    """Read an option file into a dataclass; `num-mel-bins` sets the field `num_mel_bins`.

    Args:
        path: file of `--name=value` lines; `#` starts a comment.
        into: dataclass whose fields are the known options.
        given: fields that the file does not set (it must not).
    Raises:
        ConfigError: missing file, a line of another form, an unknown option (with the nearest right one),
            an option twice, or a value of the wrong type; names file, line and option.
    """
    path = Path(path)
    types = {f.name: f.type for f in dataclasses.fields(into) if f.name not in given}  # type: ignore[arg-type]
    values: dict[str, object] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    for number, line in enumerate(lines, 1):
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        flag, equals, value = text.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--") or not equals:
            raise ConfigError(f"{path}:{number}: {text!r} is not of the form --name=value")
        if name not in types:
            near = difflib.get_close_matches(name, types, 1)
            hint = f"; did you mean --{near[0].replace('_', '-')}?" if near else ""
            raise ConfigError(f"{path}:{number}: unknown option {flag}{hint}")
        if name in values:
            raise ConfigError(f"{path}:{number}: {flag} comes twice")
        try:
            values[name] = _convert(value.strip(), str(types[name]))
        except (ValueError, KeyError):
            raise ConfigError(f"{path}:{number}: {flag} takes a {types[name]}, not {value.strip()!r}") from None
    try:
        return into(**values, **given)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _convert(value: str, type_name: str) -> object:
    if type_name.startswith("bool"):
        return _BOOLEANS[value.lower()]
    return {"int": int, "float": float, "str": str}[type_name](value)
