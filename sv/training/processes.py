"""Several processes that train one network: started, watched and ended together, by torchrun's own launcher."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from sv.errors import UserError
from sv.run import Run
from sv.training.checkpoint import read_checkpoint

RDZV_PORT = 29400  # torchrun's


def run_processes(this: Run, count: int, ngpu: int | None, nodes: int = 1) -> bool:
    """Run this very command in `count` processes on this machine; whether the training came to its end.

    On each of several `nodes` of a Slurm job this function starts as many, and all train together. If a process dies,
    the others are ended within half a minute. Raises UserError that names the process that was the first to fail, its
    last words and its log.
    """
    if ngpu and ngpu > torch.cuda.device_count():
        raise UserError(f"--ngpu {ngpu}, but torch sees {torch.cuda.device_count()} GPUs here")
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
        elastic_launch(config, sys.executable)("-m", "sv.cli.train", *sys.argv[1:])
    except ChildFailedError as error:
        raise UserError(_why(error.failures, count * nodes, logs)) from None
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
    last = this.checkpoint()
    stored = read_checkpoint(last) if last.exists() else {"epoch": 0}
    return stored["epoch"] == this.system.training.epochs


def _meeting_place() -> str:
    """Where the processes of a Slurm job's nodes find each other: a port of its first node."""
    listed = ["scontrol", "show", "hostnames", os.environ["SLURM_STEP_NODELIST"]]
    first = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()[0]
    return f"{socket.gethostbyname(first)}:{RDZV_PORT + int(os.environ['SLURM_JOB_ID']) % 1000}"


def _why(failures: dict[int, ProcessFailure], count: int, logs: Path) -> str:
    """What the first to fail said last: one that a signal killed, before those that then lost it."""
    rank, failure = min(failures.items(), key=lambda item: (item[1].exitcode != -signal.SIGKILL, item[1].timestamp))
    log = next(logs.glob(f"*/attempt_0/{failure.local_rank}/stderr.log"), logs)
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    said = [line for line in lines if line.strip()]
    how = f"was ended by {signal.Signals(-failure.exitcode).name}" if failure.exitcode < 0 else None
    what = how or (said[-1].removeprefix("train: ") if said else f"exit code {failure.exitcode}")
    return f"process {rank} of {count}: {what} (log: {log})"
