"""Kaldi's text tables: one `key value…` a line, C-sorted, every key once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sv.data.atomic import atomic_write
from sv.errors import DataError


def read_table(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read a `key value` file in its own order; the value is the rest of the line.

    Raises DataError naming the file, the line and the key for a missing file, a line without a value, a
    key that comes twice, or bytes that are not UTF-8. Order is not checked here (see `sv.data.validate`).
    """
    table: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        parts = line.split(None, 1)
        if len(parts) != 2:
            what = f"key {parts[0]!r} has no value" if parts else "empty line"
            raise DataError(f"{path}:{number}: {what}; expected 'key value'")
        key, value = parts
        if key in table:
            raise DataError(f"{path}:{number}: key {key!r} comes twice")
        table[key] = value.rstrip()
    return table


def read_lines(path: str | os.PathLike[str], errors: str = "strict") -> Iterator[str]:
    """The lines of a text file, with their ends, one after the other.

    Raises DataError naming the file if it is missing, cannot be read, or is not UTF-8; with errors="replace" what is
    not UTF-8 becomes U+FFFD, for tables of which only plain columns matter.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8", errors=errors) as lines:
            yield from lines
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


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
