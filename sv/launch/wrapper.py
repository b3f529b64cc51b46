"""Job arrays by a user's own wrapper, called as Kaldi's run.pl, queue.pl and slurm.pl are."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from sv.data.atomic import atomic_write
from sv.errors import ConfigError, DataError, UserError
from sv.launch.engine import Engine, known_command
from sv.launch.job_log import Ending, close_log, read_ending
from sv.launch.jobs import Array, Job, Tick
from sv.parent import dies_with_parent

POLL_S = 1.0
SETTLE_S = 15.0  # until another machine's last lines are visible here
GRACE_S = 30.0  # from the request to end until an end by force: it has jobs to delete


class Wrapper(Engine):
    """A command that runs an array as `COMMAND JOB=1:N LOG WORDS…` and returns when all jobs have ended.

    Wrappers replace JOB in the words and give them to a shell. A user's paths may hold anything, so they do not pass
    through it: the jobs are in a file, and the words are `sv.cli.run_job FILE JOB`, which writes our own log; the
    wrapper's own goes beside that file. An interrupt, or the end of this process by force, is a SIGTERM to the
    wrapper, which is to end its jobs, as queue.pl does.
    """

    engine: Literal["wrapper"]
    command: str
    commands: dict[str, str] = Field(default_factory=dict)  # for one command, in place of `command`

    _known = field_validator("commands")(known_command)

    @field_validator("command", "commands")
    @classmethod
    def _words(cls, given: str | dict[str, str], info: ValidationInfo) -> str | dict[str, str]:
        for command in [given] if isinstance(given, str) else given.values():
            try:
                empty = not shlex.split(command)
            except ValueError as error:
                raise ValueError(f"{info.field_name}: {command!r}: {error}") from None
            if empty:
                raise ValueError(f"{info.field_name}: a command is empty")
        return given

    def for_command(self, command: str) -> Wrapper:
        """With `commands.COMMAND` in place of `command`."""
        return self.model_copy(update={"command": self.commands.get(command, self.command), "commands": {}})

    def require(self) -> None:
        """The wrapper."""
        program = shlex.split(self.command)[0]
        if shutil.which(program) is None:
            raise ConfigError(f"engine command {self.command!r}: {program} is no program on PATH (see conf/engines)")

    def run(self, array: Array, attempt: int, tick: Tick) -> dict[int, Ending]:
        """See `Engine.run`."""
        listing = array.folder / "wrapper" / f"{array.command}.json"
        with atomic_write(listing) as out:
            json.dump([{"number": job.number, "words": job.words, "log": str(job.log)} for job in array.jobs], out)
        words = self._call(array, attempt, listing)
        said = listing.with_suffix(".out")
        with said.open("wb") as out:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                process_group=0,
                preexec_fn=dies_with_parent(signal.SIGTERM),
            )
        try:
            while process.poll() is None:
                time.sleep(min(POLL_S, 0.05 + len(array.jobs) / 100))
                tick(len(_endings(array, attempt)), None)
        except BaseException:
            _stop(process)
            raise
        return self._settled(array, attempt, process.returncode, said)

    def _call(self, array: Array, attempt: int, listing: Path) -> list[str]:
        """The wrapper's words; a name for JOB that is in none of the paths."""
        paths = [str(listing), sys.executable]
        for path in paths:
            if shlex.quote(path) != path:
                raise UserError(
                    f"engine wrapper: {path!r} would pass through a shell, which a path with such characters does not"
                    " survive; choose another place, or another engine"
                )
        name = "JOB"
        while any(name in path for path in paths):
            name += "_"
        log = listing.with_suffix(f".attempt{attempt}.{name}.log")
        runner = [sys.executable, "-m", "sv.cli.run_job", "--attempt", str(attempt), str(listing), name]
        return [*shlex.split(self.command), f"{name}=1:{len(array.jobs)}", str(log), *runner]

    def _settled(self, array: Array, attempt: int, code: int, said: Path) -> dict[int, Ending]:
        """The endings, when the wrapper has ended; jobs that have none are lost."""
        deadline = time.monotonic() + SETTLE_S
        while len(endings := _endings(array, attempt)) < len(array.jobs) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        lines = said.read_text(encoding="utf-8", errors="replace").splitlines()
        why = f"{shlex.split(self.command)[0]} ended (exit code {code}) without its end" + "".join(
            f"; it said: {line.strip()}" for line in lines[-1:]
        )
        for job in array.jobs:
            if job.number not in endings:
                endings[job.number] = close_log(job, attempt, Ending(f"lost: {why}"))
        return endings


def read_listed_job(listing: Path, index: int) -> Job:
    """The job that stands at a place, from 1, of the file that a wrapper's jobs are given."""
    try:
        jobs = json.loads(listing.read_text(encoding="utf-8"))
        return Job(jobs[index - 1]["number"], tuple(jobs[index - 1]["words"]), Path(jobs[index - 1]["log"]))
    except (OSError, ValueError, LookupError) as error:
        raise DataError(f"{listing}: no job {index} can be read here ({error}); run the stage again") from None


def _endings(array: Array, attempt: int) -> dict[int, Ending]:
    found = {job.number: read_ending(job.log, attempt) for job in array.jobs}
    return {number: ending for number, ending in found.items() if ending is not None}


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the wrapper and, where it runs them as processes of this machine, its jobs."""
    try:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
