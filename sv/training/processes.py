"""Several processes that train one network: started, watched and ended together, by torchrun's own launcher."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from sv.errors import Diverged, UserError
from sv.models.device import pick_device
from sv.run import Run
from sv.training.checkpoint import read_checkpoint
from sv.training.curves import held_out_errors
from sv.training.schedule import ended

RDZV_PORT = 29400  # torchrun's


def run_processes(
    this: Run, command: str, arguments: Sequence[str], count: int, ngpu: int | None, nodes: int = 1
) -> None:
    """Run a command of `sv.cli`, one of a run, in `count` processes on this machine, to its end or to SIGTERM.

    On each of several `nodes` of a Slurm job this function starts as many, and all train together. If a process dies,
    the others are ended within half a minute. Raises UserError that names the process that was the first to fail, its
    last words and its log; Diverged if these say so.
    """
    pick_device(ngpu)  # told here, in one line, rather than by every process
    logs = this.path / "log" / f"processes{os.environ['SLURM_NODEID'] if nodes > 1 else ''}"
    shutil.rmtree(logs, ignore_errors=True)  # of an earlier time
    logs.mkdir(parents=True)
    for name in logging.root.manager.loggerDict:  # which say in many lines what we say in one
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ["SV_PARENT"] = str(os.getpid())
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // count)))
    specs = DefaultLogsSpecs(str(logs), {rank: Std.ALL if rank else Std.ERR for rank in range(count)})
    config = LaunchConfig(
        nodes,
        nodes,
        count,
        run_id=os.environ.get("SLURM_JOB_ID", "ranks"),
        rdzv_backend="c10d",
        rdzv_endpoint=_meeting_place() if nodes > 1 else "localhost:0",
        max_restarts=0,
        logs_specs=specs,
    )
    try:
        elastic_launch(config, sys.executable)("-m", f"sv.cli.{command}", *arguments)
    except ChildFailedError as error:
        why = _why(error.failures, count * nodes, logs, command)
        raise (Diverged if Diverged.SAYS in why else UserError)(why) from None
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None


def came_to_its_end(this: Run) -> bool:
    """Whether the training of a run is finished, by its last checkpoint."""
    last = this.checkpoint()
    return last.exists() and ended(this.system.training, held_out_errors(read_checkpoint(last)["curves"]))


def _meeting_place() -> str:
    """Where the processes of a Slurm job's nodes find each other: a port of its first node."""
    listed = ["scontrol", "show", "hostnames", os.environ["SLURM_STEP_NODELIST"]]
    first = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()[0]
    return f"{socket.gethostbyname(first)}:{RDZV_PORT + int(os.environ['SLURM_JOB_ID']) % 1000}"


def _why(failures: dict[int, ProcessFailure], count: int, logs: Path, command: str = "train") -> str:
    """What went wrong in the process that the others failed for.

    That is one that was killed, or else one that said in a line why it ends, or else the first: those that lose
    another end in many ways, by SIGABRT among them, and the launcher may see that before what it follows from.
    """
    rank, first = min(failures.items(), key=lambda item: (item[1].exitcode != -signal.SIGKILL, item[1].timestamp))
    last_words = {log: _last_line(log) for log in sorted(logs.glob("*/attempt_0/*/stderr.log"))}
    told = [log for log, line in last_words.items() if line.startswith(f"{command}: ")]
    log = next((log for log in last_words if log.parent.name == str(first.local_rank)), logs)
    if first.exitcode != -signal.SIGKILL and told and log not in told:
        log = told[0]
        rank += int(log.parent.name) - first.local_rank
    elif first.exitcode < 0:
        return f"process {rank} of {count}: was ended by {signal.Signals(-first.exitcode).name} (log: {log})"
    what = last_words.get(log, "").removeprefix(f"{command}: ") or f"exit code {first.exitcode}"
    return f"process {rank} of {count}: {what} (log: {log})"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "")
