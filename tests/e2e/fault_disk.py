"""A small disk that can be filled: a tmpfs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

PAGE = 4096
STAGE_OF = {  # the stage that writes the files below a folder, by a part of their names
    "/feats/": 1,
    "/checkpoints/": 4,
    "curves.tsv": 4,
    "/embeddings/": 5,
    "/backend/": 6,
    "/scores/": 7,
    "/report/": 9,
    "data/": 0,
}


class SmallDisk:
    """A tmpfs at a folder that is made for it.

    >>> disk = SmallDisk(tmp_path / "disk", "8m")     # OSError if this user cannot mount one
    >>> disk.fill(leave=3 * PAGE)                     # all but three pages is taken now
    >>> disk.free()
    >>> disk.remove()
    """

    def __init__(self, folder: Path, size: str) -> None:
        self.folder = folder
        self._filler = folder / "somebody's film"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            folder.rmdir()
            raise OSError(done.stderr.strip())

    def remove(self) -> None:
        """Take it away with all that it holds."""
        subprocess.run(["umount", self.folder], check=True)
        self.folder.rmdir()

    def fill(self, leave: int) -> None:
        """Take all but so many bytes."""
        with self._filler.open("wb", buffering=0) as out, suppress(OSError):
            while (room := self.room() - leave) > 0:
                out.write(bytes(min(room, 1 << 20)))

    def free(self) -> None:
        """Give it back."""
        self._filler.unlink(missing_ok=True)

    def room(self) -> int:
        """Bytes that are free."""
        stat = os.statvfs(self.folder)
        return stat.f_bavail * stat.f_frsize


def written_by_stage(work: Path, names: Mapping[str, str]) -> dict[int, int]:
    """The bytes on disk that each stage needs for files that a run left, in whole pages."""
    need: dict[int, int] = {}
    for name in names:
        stage = next((stage for part, stage in STAGE_OF.items() if part in name), None)
        if stage is not None:
            need[stage] = need.get(stage, 0) + -(-(work / name).stat().st_size // PAGE) * PAGE
    return need
