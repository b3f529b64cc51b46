"""The state of the recordings that a data directory names, without reading them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sv.data.tables import read_table

# What of a data directory says which samples an utterance has.
AUDIO_TABLES = ("wav.scp", "segments", "reco2file_and_channel")


def recordings_digest(data_dir: Path) -> dict[str, str]:
    """{"recordings": a digest of size and time of every file in wav.scp}, or {} without a wav.scp.

    Commands are not run; that they are there stands in wav.scp itself.
    """
    if not (data_dir / "wav.scp").exists():
        return {}
    digest = hashlib.sha256()
    for recording, source in sorted(read_table(data_dir / "wav.scp").items()):
        if not source.endswith("|"):
            try:
                stat = os.stat(source)
                digest.update(f"{recording}\t{stat.st_size}\t{stat.st_mtime_ns}\n".encode())
            except OSError:
                digest.update(f"{recording}\tmissing\n".encode())
    return {"recordings": digest.hexdigest()}
