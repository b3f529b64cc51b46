"""The state of recordings, those that a data directory names and others, without reading them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from pathlib import Path

from sv.data.audio_ark import open_bytes
from sv.data.own_commands import files_of, values_of
from sv.data.tables import read_table

# What of a data directory says which samples an utterance has.
AUDIO_TABLES = ("wav.scp", "segments", "reco2file_and_channel")
PROBES, PROBE_BYTES = 3, 4096  # blocks of a file: at its beginning, in its middle, at its end


def recordings_digest(data_dir: Path) -> dict[str, str]:
    """{"recordings": a digest of size and time of every file in wav.scp}, or {} without a wav.scp.

    Of a command of ours (`sv.data.own_commands`) that is every file that it reads. Others are not run; that they are
    there stands in wav.scp itself.
    """
    if not (data_dir / "wav.scp").exists():
        return {}
    digest = hashlib.sha256()
    state = cache(_state)  # copies of a recording share it, and many share a noise
    for recording, source in sorted(read_table(data_dir / "wav.scp").items()):
        for file in files_of(source):
            digest.update(f"{recording}\t{state(file)}\n".encode())
    return {"recordings": digest.hexdigest()}


def probe(source: str) -> str:
    """What tells a recording from another one of its length: a digest of each file's size and three blocks of it.

    Of a value of wav.scp that runs no command; of an archive it is the recording's bytes. Nothing but a few blocks is
    read, and a file that was only touched has the same. Raises AudioError.
    """
    digest = hashlib.sha256()
    for value in values_of(source):
        with closing(open_bytes(value)) as content:
            digest.update(f"{content.size}\n".encode())
            for block in range(PROBES):
                digest.update(content.read_at(max(content.size - PROBE_BYTES, 0) * block // (PROBES - 1), PROBE_BYTES))
    return digest.hexdigest()[:32]


def files_digest(paths: Iterable[str | Path]) -> str:
    """A digest of names, sizes and times of files, in their order; a link to nowhere is one that is missing."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path}\t{_state(path)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _state(file: str | Path) -> str:
    try:
        stat = os.stat(file)
    except OSError:
        return "missing"
    return f"{stat.st_size}\t{stat.st_mtime_ns}"
