"""Processes that do not outlive the one that started them, however that one ends (Linux)."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Let this process get the signal when its parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(number))


def dies_with_parent(number: signal.Signals) -> Callable[[], None]:
    """For `preexec_fn`: the new process gets the signal when the one that started it ends."""
    parent = os.getpid()

    def before_exec() -> None:
        end_with_parent(number)
        if os.getppid() != parent:  # it ended before prctl was called
            os._exit(128 + number)

    return before_exec
