"""Kaldi's text tables: one `key value…` a line, C-sorted, every key once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from sv.data.atomic import atomic_write
from sv.errors import DataError


def read_table(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read a `key value` file in its own order; the value is the rest of the line.

    Raises DataError naming the file, the line and the key for a missing file, a line without a value, a
    key that comes twice, or bytes that are not UTF-8. Order is not checked here (see `sv.data.validate`).
    """
    path = Path(path)
    table: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                parts = line.split(None, 1)
                if len(parts) != 2 or not parts[1].strip():
                    what = f"key {parts[0]!r} has no value" if parts else "empty line"
                    raise DataError(f"{path}:{number}: {what}; expected 'key value'")
                if parts[0] in table:
                    raise DataError(f"{path}:{number}: key {parts[0]!r} comes twice")
                table[parts[0]] = parts[1].strip()
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not a file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from None
    return table


def write_table(path: str | os.PathLike[str], table: Mapping[str, object]) -> None:
    """Write a table sorted by key (C order), beside the target and renamed when whole."""
    with atomic_write(path, "w") as out:
        out.writelines(f"{key} {table[key]}\n" for key in sorted(table))


def write_lines(path: str | os.PathLike[str], lines: Iterable[str]) -> None:
    """Write lines as they come, beside the target and renamed when whole."""
    with atomic_write(path, "w") as out:
        out.writelines(f"{line}\n" for line in lines)


def first_few(keys: Iterable[str], count: int = 3) -> str:
    """'a, b, c …' for messages: the first few in sorted order, with an ellipsis where there are more."""
    keys = sorted(keys)
    return ", ".join(keys[:count]) + (" …" if len(keys) > count else "")
