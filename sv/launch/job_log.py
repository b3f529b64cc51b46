"""One job as a process, and its log, whose form is the same on every engine.

    # python -m sv.cli.make_feats --nj 4 --job 2 data/train
    # attempt 1 on node7, started Mon Nov 23 03:01:40 2026
    what the job says
    # attempt 1 ended Mon Nov 23 03:09:12 2026 after 452.3 s, exit code 0

The last line is also how an engine learns the end of a job on another machine. A second attempt is appended.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sv.launch.jobs import Job
from sv.parent import dies_with_parent

_END = re.compile(r"# attempt (?P<attempt>\d+) ended .*?, (?P<how>exit code (?P<code>\d+).*|(?:stopped|lost): .*)")
PASS_ON_AFTER_S = 1.0
_TAIL_BYTES = 4096  # holds the last line


@dataclass(frozen=True)
class Ending:
    """How an attempt at a job ended, in the words of its log's last line.

    `exit code N` (128 + the signal's number if one killed it), `stopped: WHY` where trying again is of no use,
    `lost: WHY` where the job ended without a word, as with its machine.
    """

    how: str
    code: int | None = None

    @property
    def stopped(self) -> bool:
        """A person or a limit ended it."""
        return self.how.startswith("stopped")


class LoggedProcess:
    """A job's process, from its start to the last line of its log. It dies with the process that started it.

    Args:
        own_group: the process leads a group of its own, so that `signal` reaches what it started as well, and a
            terminal's Ctrl-C does not reach it by itself.
    """

    def __init__(self, job: Job, attempt: int, own_group: bool = False) -> None:
        self._log, self._attempt, self._own_group = job.log, attempt, own_group
        self._started = time.time()
        self._process: subprocess.Popen[bytes] | None = None
        _begin(job)
        _append(job.log, f"# attempt {attempt} on {socket.gethostname()}, started {time.ctime(self._started)}\n")
        with job.log.open("ab") as out:
            try:
                self._process = subprocess.Popen(
                    job.words,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    process_group=0 if own_group else None,
                    preexec_fn=dies_with_parent(signal.SIGKILL),
                )
            except OSError as error:
                _append(job.log, f"{job.words[0]}: {error.strerror}\n")

    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process is None or self._process.poll() is not None

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for its end; subprocess.TimeoutExpired if that takes too long."""
        if self._process is not None:
            self._process.wait(timeout_s)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        if self._process is None:
            return
        if not self._own_group:
            self._process.send_signal(number)
            return
        with suppress(ProcessLookupError):  # the group outlives its leader if that left processes behind
            os.killpg(self._process.pid, number)

    def close(self) -> Ending:
        """Write the last line of the log, after the end."""
        code = 127 if self._process is None else self._process.returncode
        how = f"exit code {code}" if code >= 0 else f"exit code {128 - code} ({signal.Signals(-code).name})"
        after = f"after {time.time() - self._started:.1f} s"
        _end(self._log, f"# attempt {self._attempt} ended {time.ctime()} {after}, {how}\n")
        return Ending(how, abs(code) + 128 * (code < 0))


def run_logged(job: Job, attempt: int) -> int:
    """Run a job to its end with its log, on whatever machine this is; SIGTERM and Ctrl-C are passed on to it.

    They are passed on after a while, if it has not ended by then: mostly it got the signal as well, and twice is once
    too much for a job that is just removing its half-written files.

    Returns:
        Its exit code.
    """
    started = threading.Event()

    def later(number: int) -> None:
        started.wait()
        process.signal(signal.Signals(number))

    def pass_on(number: int, _: object) -> None:
        timer = threading.Timer(PASS_ON_AFTER_S, later, [number])
        timer.daemon = True
        timer.start()

    # Before the job is started: a signal in between would end us and leave its log without a last line.
    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        process = LoggedProcess(job, attempt)
        started.set()
        process.wait()
        return process.close().code or 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def close_log(job: Job, attempt: int, ending: Ending) -> Ending:
    """Write the last line in place of a job that could not, or that was not the last to know."""
    if not job.log.exists():
        _begin(job)
    _end(job.log, f"# attempt {attempt} ended {time.ctime()}, {ending.how}\n")
    return ending


def read_ending(log: Path, attempt: int) -> Ending | None:
    """How the attempt ended; None while it has not."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:  # not there, or not yet visible from here
        return None
    found = _END.fullmatch(lines[-1]) if lines else None
    if found is None or int(found["attempt"]) != attempt:
        return None
    return Ending(found["how"], None if found["code"] is None else int(found["code"]))


def said(log: Path) -> list[str]:
    """What the job said in its last attempt: the lines that are neither blank nor ours."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    last = max((i for i, line in enumerate(lines) if re.match(r"# attempt \d+ on ", line)), default=0)
    return [line for line in lines[last:] if line.strip() and not line.startswith("#")]


def _begin(job: Job) -> None:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    _append(job.log, f"# {shlex.join(job.words)}\n")


def _end(log: Path, line: str) -> None:
    """Append the last line, on a line of its own whatever the job said last."""
    whole = True
    with suppress(OSError), log.open("rb") as file:  # a log that someone has removed begins anew
        file.seek(-1, os.SEEK_END)
        whole = file.read() == b"\n"
    _append(log, line if whole else f"\n{line}")


def _append(log: Path, text: str) -> None:
    try:
        with log.open("a", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(log)) from None
