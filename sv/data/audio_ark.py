"""Archives of recordings: many in one large file, which a wav.scp names as `archive:offset`.

At the offset begins a WAV file, as Kaldi's wav-copy writes it, or `AUDIO`, a number of bytes and a file of another
kind, as kaldiio writes FLAC; before it stand the recording's name and a space.
"""

from __future__ import annotations

import io
import os
import struct
from typing import IO

from sv.data.bytes_source import ByteSource, FileBytes
from sv.errors import AudioError

_OTHER = b"AUDIO"  # before what is no WAV file: this, a byte that says how many follow, and in these the size


def split_value(source: str) -> tuple[str, int | None]:
    """The file that a value of wav.scp names, and in an archive the offset: as in Kaldi, digits behind a colon."""
    path, _, offset = source.rpartition(":")
    return (path, int(offset)) if path and offset.isdecimal() else (source, None)


def open_bytes(source: str) -> ByteSource:
    """The bytes of a recording that is a file or stands in an archive; AudioError if they cannot be read."""
    path, offset = split_value(source)
    return FileBytes(path) if offset is None else ArchivedBytes(path, offset)


class ArchivedBytes:
    """The bytes of one recording of an archive.

    Raises AudioError naming archive and offset: no such archive, or no recording begins there.
    """

    is_stream = False

    def __init__(self, archive: str, offset: int) -> None:
        self.name = f"{archive}:{offset}"
        self._file = FileBytes(archive)
        head = self._file.read_at(offset, 16)
        if head[:4] == b"RIFF" and len(head) >= 8:
            self._at, promised = offset, 8 + struct.unpack_from("<I", head, 4)[0]
        elif head[: len(_OTHER)] == _OTHER and len(head) > len(_OTHER):
            size_at = len(_OTHER) + 1
            width = head[size_at - 1]
            self._at = offset + size_at + width
            promised = int.from_bytes(head[size_at : size_at + width], "little")
        else:
            self.close()
            raise AudioError(f"{self.name}: no recording begins there; the list is of another archive")
        there = self._file.size - self._at
        if promised > there:
            self.close()
            raise AudioError(f"{self.name}: truncated, has {there} of {promised} bytes; make the archive again")
        self.size = promised

    def read_at(self, at: int, count: int) -> bytes:
        """Up to `count` bytes from position `at` of the recording, fewer only at its end."""
        return self._file.read_at(self._at + at, max(0, min(count, self.size - at)))

    def as_file(self) -> io.BytesIO:
        """All of it, in memory."""
        return io.BytesIO(self.read_at(0, self.size))

    def close(self) -> None:
        """Close the archive."""
        self._file.close()


def write_recording(archive: IO[bytes], path: str | os.PathLike[str], name: str, content: bytes) -> str:
    """Append a recording, a file's content, to an open archive; the value that names it in a wav.scp.

    `path` is where the archive will be.
    """
    archive.write(f"{name} ".encode())
    at = archive.tell()
    if content[:4] != b"RIFF":
        width = (len(content).bit_length() + 7) // 8
        archive.write(_OTHER + bytes([width]) + len(content).to_bytes(width, "little"))
    archive.write(content)
    return f"{os.fspath(path)}:{at}"
