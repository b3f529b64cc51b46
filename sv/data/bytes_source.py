"""The bytes of a recording, in a file or in memory, for those who read headers and ranges of it."""

import io
import os
from typing import Protocol

from sv.errors import AudioError


class ByteSource(Protocol):
    """Bytes with a name for messages; `is_stream` says that a program printed them, so sizes may be unknown."""

    name: str
    size: int
    is_stream: bool

    def read_at(self, at: int, count: int) -> bytes:
        """Up to `count` bytes from position `at`, fewer only at the end."""

    def as_file(self) -> str | io.BytesIO:
        """What a library's open takes: the path, or a file in memory."""

    def close(self) -> None: ...


class FileBytes:
    """A file on disk. Raises AudioError: it is missing, a folder, not readable, or has no bytes."""

    is_stream = False

    def __init__(self, path: str) -> None:
        self.name = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as e:
            raise AudioError(f"{path}: cannot open the recording ({e.strerror})") from None
        self.size = os.fstat(self._fd).st_size
        if os.path.isdir(path) or self.size == 0:
            self.close()
            what = "is a folder, not a recording" if os.path.isdir(path) else "the file is empty (0 bytes)"
            raise AudioError(f"{path}: {what}")

    def read_at(self, at: int, count: int) -> bytes:
        try:
            data = os.pread(self._fd, count, at)
            while len(data) < count and (more := os.pread(self._fd, count - len(data), at + len(data))):
                data += more  # one system call reads at most 2 GB
        except OSError as e:
            raise AudioError(f"{self.name}: cannot read the recording ({e.strerror})") from None
        return data

    def as_file(self) -> str:
        return self.name

    def close(self) -> None:
        os.close(self._fd)


class MemoryBytes:
    """What a command printed."""

    is_stream = True

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self._data, self.size = name, data, len(data)

    def read_at(self, at: int, count: int) -> bytes:
        return self._data[at : at + count]

    def as_file(self) -> io.BytesIO:
        return io.BytesIO(self._data)

    def close(self) -> None:
        pass
