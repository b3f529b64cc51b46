"""Job arrays on the processes of this machine."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sv.errors import UserError


class JobsFailed(UserError):
    """Some jobs of an array failed."""


def run_jobs(command: Sequence[str], first: int, last: int, log: str, max_jobs: int | None = None) -> None:
    """Run a command for JOB = first..last on processes of this machine.

    Every job runs to its end, also when another has failed; an interrupt ends all of them.

    Args:
        command: words; JOB in any of them is replaced by the job's number.
        first, last: the numbers, last included.
        log: path of the logs, with JOB in it if there is more than one job.
        max_jobs: how many run at once; default the number of cores that this process may use.
    Raises:
        JobsFailed: one or more exited with another code than 0.
    """
    if first != last and "JOB" not in log:
        raise UserError(f"the log's name {log} must hold JOB, or the jobs would write over each other's")
    jobs = {
        job: ([word.replace("JOB", str(job)) for word in command], Path(log.replace("JOB", str(job))))
        for job in range(first, last + 1)
    }
    _run_all(jobs, max_jobs)


def run_array(module: str, arguments: Sequence[str], jobs: int, log_dir: Path) -> None:
    """Run `python -m sv.cli.MODULE ARGUMENTS --nj jobs --job JOB` for JOB = 1..jobs; logs in `log_dir`.

    The arguments are passed as they are: a path of the user's may hold JOB.
    """
    command = [sys.executable, "-m", f"sv.cli.{module}", *arguments, "--nj", str(jobs), "--job"]
    _run_all({job: ([*command, str(job)], log_dir / f"{module}.{job}.log") for job in range(1, jobs + 1)})


def _run_all(jobs: dict[int, tuple[list[str], Path]], max_jobs: int | None = None) -> None:
    """Run every job's words with its log."""
    running: set[subprocess.Popen[bytes]] = set()
    stopping = threading.Event()
    pool = ThreadPoolExecutor(max_jobs or len(os.sched_getaffinity(0)))
    try:
        futures = {job: pool.submit(_run_one, *words_log, running, stopping) for job, words_log in jobs.items()}
        failed = [job for job, future in futures.items() if future.result()]
    except BaseException:  # an interrupt: the jobs must not outlive it
        stopping.set()
        for process in list(running):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    if failed:
        log = jobs[failed[0]][1]
        which = f"job {failed[0]}" if len(failed) == 1 else f"jobs {', '.join(map(str, failed))}"
        raise JobsFailed(f"{which} of {len(jobs)} failed: {_last_words(log)} (log: {log})")


def _run_one(words: list[str], log: Path, running: set[subprocess.Popen[bytes]], stopping: threading.Event) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.time()
    with log.open("w", encoding="utf-8") as out:
        out.write(f"# {shlex.join(words)}\n# host {socket.gethostname()}, started {time.ctime(started)}\n")
        out.flush()
        try:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        except OSError as error:
            out.write(f"{words[0]}: {error.strerror}\n")
            code = 127
        else:
            running.add(process)
            if stopping.is_set():  # it was started while the others were being ended
                process.terminate()
            code = process.wait()
            running.discard(process)
        out.write(f"# ended {time.ctime()} after {time.time() - started:.1f} s, exit code {code}\n")
    return code


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("#")]
    return said[-1].strip() if said else f"it said nothing ({lines[-1].rpartition(', ')[2]})"
