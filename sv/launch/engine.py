"""What every engine is: its settings, as `conf/engines/NAME.yaml` gives them, and the running of an array."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TypeVar

from sv.launch.job_log import Ending
from sv.launch.jobs import Array, Tick
from sv.settings import Strict
from sv.yaml_errors import nearest

Value = TypeVar("Value")
COMMANDS = Path(__file__).parents[1] / "cli"


class Engine(Strict, ABC):
    """Where jobs run. An engine is its settings."""

    def for_command(self, command: str) -> Engine:
        """This engine with the settings that it has for one command."""
        return self

    def require(self) -> None:
        """Raise a UserError if a program that the engine calls is not there."""

    @abstractmethod
    def run(self, array: Array, attempt: int, tick: Tick) -> dict[int, Ending]:
        """Run every job to its end, also when another fails, and end all of them if this is interrupted.

        Args:
            array: the jobs to run.
            attempt: 1, or 2 for jobs that failed once; for the logs.
            tick: called again and again with the number of jobs that have ended, and why others do not start.
        Returns:
            How each job ended, by its number.
        """


def known_command(commands: dict[str, Value]) -> dict[str, Value]:
    """For the key `commands`: settings by the command of sv.cli that they are for."""
    known = [path.stem for path in sorted(COMMANDS.glob("[!_]*.py"))]
    for name in commands:
        if name not in known:
            raise ValueError(f"commands.{name}: no such command{nearest(name, known)}")
    return commands
