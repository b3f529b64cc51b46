"""One command a file: `python -m sv.cli.NAME --help`. A user's mistake is one line on stderr and exit code 1."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from sv.errors import UserError
from sv.parent import end_with_parent


class Parser(argparse.ArgumentParser):
    """Arguments of a command: defaults are shown by --help, and an option is never guessed from its first letters."""

    def __init__(self, module: str, description: str | None) -> None:
        super().__init__(
            prog=command_name(module),
            description=description,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """One line and exit code 1, as every other mistake."""
        print(f"{self.prog}: {message}; see --help", file=sys.stderr)
        sys.exit(1)

    def add_array_options(self) -> None:
        """--nj for the user, --job and --key for the jobs that the command starts of itself (None: it starts them)."""
        self.add_argument("--nj", type=int, default=1, help="number of jobs")
        self.add_argument("--job", type=int, help=argparse.SUPPRESS)
        self.add_argument("--key", help=argparse.SUPPRESS)  # of the step that started the job

    def add_training_options(self) -> None:
        """What a network learns from, where, and the run: of every command that trains one."""
        self.add_argument("--train", type=Path, required=True, help="data directory of the training set")
        self.add_argument(
            "--adapt", type=Path, help="data directory of unlabelled speech of another domain, for adversarial training"
        )
        self.add_argument(
            "--banks",
            type=Path,
            help="folder of the banks that steps/make_noise_bank.sh filled, for online augmentation",
        )
        self.add_argument("--ngpu", type=int, help="0 is the CPU, N a GPU for each of N processes (None: a GPU if any)")
        self.add_argument("--processes", type=int, help="how many train together, on the CPU too (None: one a GPU)")
        self.add_argument(
            "--workers", type=int, help="processes that read batches ahead (None: 0 on the CPU, 4 on a GPU)"
        )
        self.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")

    def add_verifier_options(self) -> None:
        """The run, and how its network hears recordings: of every command that uses a trained system."""
        self.add_argument("--ngpu", type=int, choices=(0, 1), help="0 is the CPU, 1 a GPU (None: a GPU if any)")
        self.add_argument("--channel", type=int, help="of recordings with several, from 0")
        self.add_argument("--resample", action="store_true", help="take recordings of other rates than the network's")
        self.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")

    def add_costs(self) -> None:
        """The prior and the costs that a decision is made for."""
        self.add_argument(
            "--prior", type=float, default=0.05, help="that two are of one speaker, before they are heard"
        )
        self.add_argument("--c-miss", type=float, default=1.0, help="cost of rejecting a speaker's own recording")
        self.add_argument("--c-fa", type=float, default=1.0, help="cost of accepting another speaker's")

    def add_held_out_option(self) -> None:
        """What a training is judged by."""
        self.add_argument(
            "--valid",
            type=Path,
            required=True,
            help="held out: other utterances of the same speakers, or other speakers",
        )


def device_of(args: argparse.Namespace) -> str | None:
    """Where a trained system hears recordings, of --ngpu: "cpu", "cuda" or, for any GPU, None."""
    return None if args.ngpu is None else ("cpu", "cuda")[args.ngpu]


def jobs_for(args: argparse.Namespace, utterances: int) -> int:
    """How many jobs to start: --nj, and no more than there are utterances."""
    if args.nj < 1:
        raise UserError(f"--nj is a number of jobs from 1, not {args.nj}")
    return min(args.nj, utterances)


_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room or choose another place"),
    **dict.fromkeys((errno.EACCES, errno.EROFS), "allow writing there or choose another place"),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
        "a file stands where a folder should be, or a folder where a file should; move it away",
    ),
    **dict.fromkeys((errno.EIO, errno.ESTALE), "the disk failed; check it"),
}


def command_name(module: str) -> str:
    """`make_feats` of `…/make_feats.py`."""
    return os.path.splitext(os.path.basename(module))[0]


class _Terminated(BaseException):
    """SIGTERM came."""


def _terminated(*_: object) -> NoReturn:
    raise _Terminated


def _quiet_interrupt(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """`sys.excepthook`, for an interrupt that comes while a command still imports, before `run` can catch it."""
    if issubclass(kind, KeyboardInterrupt):
        print(f"{command_name(sys.argv[0])}: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _quiet_disk(told: threading.ExceptHookArgs) -> None:
    """`threading.excepthook`: TensorBoard's writer fails in a thread of its own, and tells the main one as well."""
    if not (isinstance(told.exc_value, OSError) and told.exc_value.errno in _ADVICE):
        threading.__excepthook__(told)


sys.excepthook = _quiet_interrupt
threading.excepthook = _quiet_disk


def run(main: Callable[[], None], module: str) -> NoReturn:
    """Run a command's `main`; a UserError, a full disk or an interrupt is one line, anything else a traceback.

    SIGTERM ends it as an interrupt does, so that half-written files go and the jobs of an array with it; so does the
    end of the run.sh that started it.
    """
    name = command_name(module)
    signal.signal(signal.SIGTERM, _terminated)
    if os.environ.get("SV_PARENT") == str(os.getppid()):
        end_with_parent()
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        sys.exit(130)
    except _Terminated:
        print(f"{name}: terminated", file=sys.stderr)
        sys.exit(143)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0)
        if advice is None:
            raise
        what = error.filename or "an output"
        sys.exit(f"{name}: {what}: {error.strerror}; {advice}, then run the stage again")
    sys.exit(0)
