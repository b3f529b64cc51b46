"""What a person sees of a job array: one line."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable

from sv import status
from sv.launch.jobs import Waiting

TELL_IF_LONGER_S = 10.0
REDRAW_S = 0.5


class Progress:
    """The line of an array, such as `make_feats: 3/8 jobs, 0:12 left`.

    On a terminal it is rewritten while the jobs run. Elsewhere there is one line at the end, if the array took more
    than ten seconds or some of its jobs were done before, and one for each reason for which a cluster lets jobs wait.

    Args:
        what: the line's beginning.
        total: jobs of the array.
        before: how many of them were done before.
        report: called with (done, total) whenever a job has ended.
    """

    def __init__(self, what: str, total: int, before: int, report: Callable[[int, int], None] | None) -> None:
        self._what, self._total, self._before = what, total, before
        self._report = report or (lambda done, total: None)
        self._terminal = sys.stdout.isatty()
        self._began = time.monotonic()
        self._drawn_at = float("-inf")
        self._done = -1
        self._told: set[str] = set()
        self.update(before)

    def update(self, done: int, waiting: Waiting | None = None) -> None:
        """So many jobs have ended, and this is why others do not start."""
        if done != self._done:
            self._done, self._drawn_at = done, float("-inf")
            self._report(done, self._total)
            status.report(self._line(waiting))
        if self._terminal:
            self._draw(waiting)
        elif waiting is not None and waiting.what not in self._told:
            self._told.add(waiting.what)
            self.tell(f"waiting: {waiting}")

    def tell(self, sentence: str) -> None:
        """A line of its own."""
        self._clear()
        print(f"{self._what}: {sentence}", flush=True)

    def end(self) -> None:
        """All jobs are done."""
        took = time.monotonic() - self._began
        self._clear()
        if took > TELL_IF_LONGER_S or self._before:
            before = f", {self._before} done before" if self._before else ""
            self.tell(f"{self._total} job{'s' * (self._total > 1)}{before}{_in(took)}")

    def abandon(self) -> None:
        """It ends otherwise: leave the terminal's line empty."""
        self._clear()

    def _draw(self, waiting: Waiting | None) -> None:
        now = time.monotonic()
        if now - self._drawn_at < REDRAW_S:
            return
        self._drawn_at = now
        line = self._line(waiting)
        print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)

    def _line(self, waiting: Waiting | None) -> str:
        line = f"{self._what}: {self._done}/{self._total} jobs"
        if (ended := self._done - self._before) > 0:
            line += f", {_clock((time.monotonic() - self._began) / ended * (self._total - self._done))} left"
        return line + (f", waiting: {waiting}" if waiting is not None else "")

    def _clear(self) -> None:
        if self._terminal:
            print("\r\033[K", end="", flush=True)
            self._drawn_at = float("-inf")


def _in(seconds: float) -> str:
    return f", took {_clock(seconds)}" if seconds > TELL_IF_LONGER_S else ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
