"""The description of a job array, the same for every engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """One job: its number, the words of its command, and where its log goes."""

    number: int
    words: tuple[str, ...]
    log: Path


@dataclass(frozen=True)
class Array:
    """The jobs of an array.

    Attributes:
        command: name of the command that all of them run; engines have settings by it, and name their files by it.
        jobs: in the order in which they start.
        folder: of the logs; engines keep their own files in a folder below it.
    """

    command: str
    jobs: tuple[Job, ...]
    folder: Path


@dataclass(frozen=True)
class Waiting:
    """So many jobs that do not go on, and what keeps them, as "pending (Resources)"."""

    jobs: int
    what: str

    def __str__(self) -> str:
        return f"{self.jobs} job{'s' * (self.jobs > 1)} {self.what}"


# What an engine calls while it waits: how many of its jobs have ended, and what the others wait for.
Tick = Callable[[int, Waiting | None], None]
