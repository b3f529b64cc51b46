"""Where a run is, for whoever looks: the last line of `exp/RECIPE/status`, which run.sh begins."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from sv.data.atomic import atomic_write


def report(line: str) -> None:
    """Put a line that says what is being done below run.sh's lines; nothing without a run.sh (SV_STATUS)."""
    if (name := os.environ.get("SV_STATUS")) is None:
        return
    path = Path(name)
    with suppress(OSError):  # nobody's work shall fail for want of this
        head = path.read_text(encoding="utf-8").splitlines()[:2] if path.exists() else []
        with atomic_write(path) as out:
            out.write("\n".join([*head, f"{time.strftime('%F %T')}  {line}", ""]))
