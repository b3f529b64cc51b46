"""Commands of ours that a wav.scp may name: read in this process, without a shell, and so without permission."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from sv.data.audio_ark import split_value
from sv.errors import AudioError

if TYPE_CHECKING:
    from sv.data.audio import Recording

_PYTHON = '"$SV_PYTHON" -m '
# By command, the module that knows what it reads (`sources`) and what it would print (`open_words`).
_READERS = {"sv.cli.augment_wav": "sv.augment.recording"}


class OwnCommand(NamedTuple):
    """A command of ours and its words; nothing in them is expanded, as a shell would."""

    line: str
    reader: ModuleType
    words: list[str]

    def open(self, allow_pipes: bool) -> AbstractContextManager[Recording]:
        """The recording that it would print; AudioError for a line that it would refuse."""
        self.sources()
        return self.reader.open_words(self.words, allow_pipes)

    def sources(self) -> list[str]:
        """The recordings that it reads, files or commands; AudioError for a line that it would refuse."""
        try:
            return self.reader.sources(self.words)
        except ValueError as error:
            raise AudioError(f"{self.line}: {error}; make the list again") from None


def own_command(source: str) -> OwnCommand | None:
    """The command of ours that a value of wav.scp is, or None."""
    if not (source.startswith(_PYTHON) and source.endswith("|")):
        return None
    name, _, rest = source[len(_PYTHON) : -1].partition(" ")
    if name not in _READERS:
        return None
    try:  # without quotes, as in most lists, splitting is a hundred times as fast
        words = shlex.split(rest) if any(quote in rest for quote in "'\"\\") else rest.split()
    except ValueError:
        return None
    return OwnCommand(source, importlib.import_module(_READERS[name]), words)


def runs_commands(source: str) -> bool:
    """Whether reading a value of wav.scp would run a command of a shell."""
    if not source.endswith("|"):
        return False
    own = own_command(source)
    return own is None or any(map(runs_commands, own.sources()))


def files_of(source: str) -> Iterator[str]:
    """The files that a value of wav.scp is read from; none of a command, of which that is not known."""
    for value in values_of(source):
        yield split_value(value)[0]


def values_of(source: str) -> Iterator[str]:
    """The files and places in archives that a value of wav.scp is read from, as values of wav.scp themselves."""
    if not source.endswith("|"):
        yield source
    elif own := own_command(source):
        for part in own.sources():
            yield from values_of(part)
