"""Write beside the target and rename when whole: a reader sees the old file or the new, never half a one."""

import errno
import fcntl
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any


@contextmanager
def named_in_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let a failure of the disk name the file that is being written, which those of write and fsync do not."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def replace_durably(file: IO[Any], partial: Path, final: Path) -> None:
    """Close `file`, which wrote `partial`, with its bytes on disk, and rename it to `final`."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
    os.replace(partial, final)


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Open `path` for writing; it takes its name only when the block ends without an exception.

    Text is UTF-8 with `\\n` line ends. Missing parent directories are made. On an exception the temporary
    file is removed and a file already at `path` stays as it was. A process killed by force leaves at most a
    hidden `.<name>.<random>.partial`, which goes when the same file is next written. The new file's mode follows the
    umask, as with `open`.

    >>> with atomic_write("data/train/utt2spk") as f:
    ...     f.write("utt1 spk1\\n")

    Args:
        path: the file to make or replace.
        mode: "w" for text, "wb" for bytes.
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"atomic_write takes mode 'w' or 'wb', not {mode!r}")
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(final)
    partial = final.parent / f".{final.name}.{secrets.token_hex(4)}.partial"
    text = {"encoding": "utf-8", "newline": "\n"} if mode == "w" else {}
    file = open(partial, mode.replace("w", "x"), **text)  # noqa: SIM115 - closed below, on either path
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        with named_in_errors(final):
            yield file
            replace_durably(file, partial, final)
    except BaseException:
        with suppress(OSError):  # a full disk fails again on close; the first error is the one to show
            file.close()
        partial.unlink(missing_ok=True)
        raise


def _remove_abandoned(final: Path) -> None:
    """Remove what killed writers of the same file left; one that still writes holds a lock on its own."""
    for partial in final.parent.glob(f".{glob.escape(final.name)}.{'[0-9a-f]' * 8}.partial"):
        with suppress(OSError), partial.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.unlink()
