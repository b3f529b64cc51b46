"""Job arrays on Slurm: submitted through submitit, watched with squeue, which needs no accounting."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from sv.data.atomic import atomic_write
from sv.errors import UserError
from sv.launch.engine import Engine, known_command
from sv.launch.job_log import Ending, close_log, read_ending, run_logged
from sv.launch.jobs import Array, Tick, Waiting
from sv.settings import PositiveFloat, PositiveInt, Strict

FIRST_POLL_S, LAST_POLL_S = 1.0, 10.0
SETTLE_S = 15.0  # until another machine's last lines are visible here
TELL_AFTER_S = 5.0  # what a job that starts at once says of itself on the way is no news

# States that a job does not leave (squeue's man page); any other may still go on, a requeued job's too.
_ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}
# Of these, the ones that would only come again.
_STOPPED = {
    "CANCELLED": "it was cancelled (scancel)",
    "DEADLINE": "it could not end before its deadline",
    "OUT_OF_MEMORY": "it needed more than memory_gb of the engine's YAML",
    "TIMEOUT": "it took longer than time_min of the engine's YAML",
}
_OUR_OPTIONS = {"array", "job-name", "output", "error", "open-mode"}
_USUAL_REASONS = {"None", "JobArrayTaskLimit"}  # Slurm has not looked yet; our own `at_once`


class Resources(Strict):
    """What a job asks of Slurm; what is not given is left to the cluster's defaults."""

    partition: str | None = None
    memory_gb: PositiveFloat | None = None
    time_min: PositiveInt | None = None
    cpus: PositiveInt | None = None
    gpus: PositiveInt | None = None
    at_once: PositiveInt | None = None  # how many jobs of an array may run at the same time
    options: dict[str, Any] = Field(default_factory=dict)  # of sbatch, without --

    @field_validator("options")
    @classmethod
    def _are_sbatchs(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name, value in options.items():
            if not isinstance(value, str | int | float) or value is False:
                raise ValueError(f"options.{name}: expected a text, a number, or true for an option without a value")
            if name.lstrip("-").replace("_", "-") in _OUR_OPTIONS:
                raise ValueError(f"options.{name}: the launcher sets this itself")
            if name.startswith("-"):
                raise ValueError(f"options.{name}: write it without dashes in front")
        return options


class Slurm(Engine, Resources):
    """A Slurm cluster that shares this machine's files and environment.

    A second attempt is made for jobs that were lost or failed, but not for those that a person or a limit ended.
    An interrupt cancels the array. Jobs of a run that was killed by force go on in the cluster; the next run of the
    same array cancels them before it starts.
    """

    engine: Literal["slurm"]
    time_min: PositiveInt  # submitit has a default of its own, five minutes
    commands: dict[str, Resources] = Field(default_factory=dict)  # for one command, over the others

    _known = field_validator("commands")(known_command)

    def for_command(self, command: str) -> Slurm:
        """With the resources of `commands.COMMAND` laid over."""
        own = self.commands.get(command, Resources())
        changed = {name: getattr(own, name) for name in own.model_fields_set}
        return self.model_copy(update=changed | {"options": {**self.options, **own.options}, "commands": {}})

    def require(self) -> None:
        """Slurm's programs."""
        for program in ("sbatch", "squeue", "scancel"):
            if shutil.which(program) is None:
                raise UserError(
                    f"engine slurm: {program} is not on PATH; start this on a machine that submits jobs,"
                    " or choose another engine"
                )

    def run(self, array: Array, attempt: int, tick: Tick) -> dict[int, Ending]:
        """See `Engine.run`."""
        folder = (array.folder / "slurm" / array.command).absolute()
        if "%" in str(folder):
            raise UserError(f"engine slurm: {folder} holds a %, which Slurm takes for a pattern; choose another place")
        running = folder / "running"  # holds our array's name in the cluster, as long as it may be there
        if running.exists():
            _end_earlier(running.read_text().strip(), tick)
        if attempt == 1:
            shutil.rmtree(folder, ignore_errors=True)
        name = f"{array.command}-{secrets.token_hex(4)}"
        with atomic_write(running) as out:
            out.write(f"{name}\n")
        try:
            endings = self._watch(array, attempt, tick, self._submit(array, attempt, name, folder))
        except BaseException:
            _cancel(name)
            raise
        running.unlink()
        return endings

    def _submit(self, array: Array, attempt: int, name: str, folder: Path) -> Any:
        """Submit the array; submitit's jobs, in the order of ours."""
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        asked = {
            "timeout_min": self.time_min,
            "mem_gb": self.memory_gb,
            "cpus_per_task": self.cpus,
            "gpus_per_node": self.gpus,
            "slurm_partition": self.partition,
            "slurm_array_parallelism": self.at_once,
            "slurm_additional_parameters": self.options,
        }
        executor = submitit.AutoExecutor(folder, cluster="slurm")
        executor.update_parameters(
            slurm_job_name=name,
            stderr_to_stdout=True,
            slurm_use_srun=False,  # a job is one process; srun would give it one core
            **{key: value for key, value in asked.items() if value is not None},
        )
        try:
            return executor.map_array(run_logged, array.jobs, [attempt] * len(array.jobs))
        except (FailedJobError, FailedSubmissionError) as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            said = next((line for line in lines if line.startswith("sbatch: error")), lines[0])
            raise UserError(f"engine slurm: {said.removeprefix('sbatch: error: ')} (settings: conf/engines)") from None

    def _watch(self, array: Array, attempt: int, tick: Tick, submitted: Any) -> dict[int, Ending]:
        """Wait for the end of every job."""
        cluster_id = submitted[0].job_id.partition("_")[0]
        endings: dict[int, Ending] = {}
        quiet_since: dict[int, float] = {}  # when a job had ended in the cluster and its log did not say so yet
        delays = _Delays()
        pause = FIRST_POLL_S
        while len(endings) < len(array.jobs):
            time.sleep(pause)
            pause = min(pause * 1.2, LAST_POLL_S)
            states = _states(cluster_id, len(array.jobs) - len(endings))
            for place, job in enumerate(array.jobs):
                if job.number in endings:
                    continue
                state = states.of.get(place, "unknown to squeue")
                ending = read_ending(job.log, attempt)
                if ending is not None and ending.code == 0:
                    endings[job.number] = ending
                elif not states.known or state not in _ENDED | {"unknown to squeue"}:
                    quiet_since.pop(job.number, None)
                elif state in _STOPPED:
                    endings[job.number] = close_log(job, attempt, Ending(f"stopped: {_STOPPED[state]}"))
                elif ending is not None:
                    endings[job.number] = ending
                elif time.monotonic() - quiet_since.setdefault(job.number, time.monotonic()) > SETTLE_S:
                    why = f"Slurm's state is {state}{_last_line(submitted[place].paths.stdout)}"
                    endings[job.number] = close_log(job, attempt, Ending(f"lost: {why}"))
            tick(len(endings), delays.lasting(states))
        return endings


@dataclass(frozen=True)
class _States:
    """What squeue says of an array."""

    known: bool  # False if it did not answer
    of: dict[int, str]  # by the place in the array
    waiting: Counter[str]  # how many jobs are "pending (REASON)", or "out of sight" if squeue did not answer


def _states(cluster_id: str, left: int) -> _States:
    """Ask for the states of an array of which so many jobs are left."""
    command = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={cluster_id}", "--format=%K|%T|%r"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode and "Invalid job id" not in answer.stderr:  # ended so long ago that Slurm has forgotten it
        last = (answer.stderr.strip().splitlines() or ["squeue failed"])[-1]
        return _States(False, {}, Counter({f"out of sight ({last})": left}))
    rows = [line.split("|", 2) for line in answer.stdout.splitlines()]
    of = {int(place) if place.isdecimal() else 0: state for place, state, _ in rows}
    return _States(
        True, of, Counter(f"pending ({r})" for _, s, r in rows if s == "PENDING" and r not in _USUAL_REASONS)
    )


class _Delays:
    """Which of the things that jobs wait for are worth telling: those that last."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def lasting(self, states: _States) -> Waiting | None:
        now = time.monotonic()
        self._since = {what: self._since.get(what, now) for what in states.waiting}
        lasting = [what for what, since in self._since.items() if now - since > TELL_AFTER_S]
        return Waiting(states.waiting[lasting[0]], lasting[0]) if lasting else None


def _last_line(path: Path) -> str:
    """What Slurm itself said last of a job, for the end of a sentence."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    return next((f"; it said: {line.strip()}" for line in reversed(lines) if line.strip()), "")


def _cancel(name: str) -> None:
    """Cancel the array of that name, if the cluster has one."""
    subprocess.run(["scancel", f"--name={name}"], capture_output=True, check=False)


def _end_earlier(name: str, tick: Tick) -> None:
    """Cancel what a run that was cut short has left in the cluster, and wait until it has ended."""
    _cancel(name)
    command = ["squeue", "--noheader", "--array", f"--name={name}"]
    while left := subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines():
        tick(0, Waiting(len(left), "of an earlier run still ending"))
        time.sleep(FIRST_POLL_S)
