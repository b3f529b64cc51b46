"""Job arrays on the processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from typing import Literal

from sv.launch.engine import Engine
from sv.launch.job_log import Ending, LoggedProcess
from sv.launch.jobs import Array, Tick
from sv.settings import PositiveInt

GRACE_S = 5.0  # from the request to end until an end by force
POLL_S = 0.02


class Local(Engine):
    """Processes of this machine, `max_jobs` at once; by default as many as cores that this process may use.

    An interrupt ends them all; if this process is killed by force, they are killed with it.
    """

    engine: Literal["local"]
    max_jobs: PositiveInt | None = None

    def run(self, array: Array, attempt: int, tick: Tick) -> dict[int, Ending]:
        """See `Engine.run`."""
        at_once = self.max_jobs or len(os.sched_getaffinity(0))
        queued = deque(array.jobs)
        running: dict[int, LoggedProcess] = {}
        endings: dict[int, Ending] = {}
        try:
            while queued or running:
                while queued and len(running) < at_once:
                    job = queued.popleft()
                    running[job.number] = LoggedProcess(job, attempt, own_group=True)
                for number, process in list(running.items()):
                    if process.ended():
                        endings[number] = process.close()
                        del running[number]
                tick(len(endings), None)
                time.sleep(POLL_S)
        except BaseException:
            _stop(running.values())
            raise
        return endings


def _stop(running: Collection[LoggedProcess]) -> None:
    """End the jobs: politely, so that their half-written files go, then by force."""
    deadline = time.monotonic() + GRACE_S
    try:
        for process in running:
            process.signal(signal.SIGTERM)
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
    finally:  # also at a second interrupt
        for process in running:
            process.signal(signal.SIGKILL)
            process.wait()
            with suppress(OSError):  # a full disk is perhaps why we are here
                process.close()
