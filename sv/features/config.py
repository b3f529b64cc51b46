"""Kaldi-style option files: `--name=value` lines that set the fields of a dataclass, strictly."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
from pathlib import Path
from typing import TypeVar, get_args, get_type_hints

from sv.data.tables import read_lines
from sv.errors import ConfigError, DataError

T = TypeVar("T")

_BOOLEANS = {"true": True, "false": False, "t": True, "f": False, "1": True, "0": False}
_SPOKEN = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


def read_flags(path: str | os.PathLike[str], into: type[T], **given: object) -> T:
    """Read an option file into a dataclass; `num-mel-bins` sets the field `num_mel_bins`.

    Args:
        path: file of `--name=value` lines; `#` starts a comment.
        into: dataclass whose fields are the known options.
        given: fields that are not options of the file.
    Raises:
        ConfigError: missing file, a line of another form, an unknown option (with the nearest right one),
            an option twice, or a value of the wrong type; names file, line and option.
    """
    path = Path(path)
    hints = get_type_hints(into)
    types = {f.name: hints[f.name] for f in dataclasses.fields(into) if f.name not in given}  # type: ignore[arg-type]
    values: dict[str, object] = {}
    try:
        lines = list(read_lines(path))
    except DataError as error:
        raise ConfigError(str(error)) from None
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
            values[name] = _convert(value.strip(), types[name])
        except (ValueError, KeyError):
            wanted = _SPOKEN[_plain(types[name])]
            raise ConfigError(f"{path}:{number}: {flag} takes {wanted}, not {value.strip()!r}") from None
    try:
        return into(**values, **given)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _plain(hint: type) -> type:
    """bool of `bool | None`."""
    return get_args(hint)[0] if get_args(hint) else hint


def _convert(value: str, hint: type) -> object:
    wanted = _plain(hint)
    if wanted is bool:
        return _BOOLEANS[value.lower()]
    converted = wanted(value)
    if wanted is float and not math.isfinite(converted):
        raise ValueError(value)
    return converted
