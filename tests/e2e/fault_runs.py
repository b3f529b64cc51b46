"""A tiny mini run that is to be disturbed: started in a session of its own, and what it leaves, to be compared."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OPTIONS = [
    *("--systems", "xvector-small"),
    *("--set", "model.frame_channels=[32,32,32,32,64]", "--set", "model.embedding_dim=24"),
    *("--set", "training.epochs=8", "--set", "training.chunks_per_speaker=8", "--set", "training.batch_size=8"),
    *("--set", "training.chunk_s=[1,2]", "--set", "backends.plda.lda_dim=4", "--nj", "2", "--ngpu", "0"),
    *("--calibration-speakers", "3"),
]
RUN = "exp/mini/xvector-small/seed1"
OURS = ("SV_FORCE", "SV_DRY_RUN", "SV_STATUS", "SV_PARENT", "SV_ENGINE")  # what run.sh tells its steps


@dataclass(frozen=True)
class Mini:
    """`./run.sh --data-root mini=CORPUS --work WORK`, small enough for half a minute, on one thread a process.

    >>> mini = Mini(corpus, tmp_path / "work")
    >>> run = mini.start("--stop-stage", "1")       # a Popen that leads its session; its output goes to a pipe
    >>> mini.run("--stage", "2").returncode
    0
    """

    corpus: Path
    work: Path

    def start(self, *more: str) -> subprocess.Popen[str]:
        """Start it."""
        command = [ROOT / "run.sh", "--data-root", f"mini={self.corpus}", "--work", self.work, *OPTIONS, *more]
        env = {name: value for name, value in os.environ.items() if name not in OURS}
        return subprocess.Popen(
            list(map(str, command)),
            env={**env, "SV_PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "TMPDIR": str(self.work.parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return ended(self.start(*more))

    def left(self) -> dict[str, str]:
        """What it has left below data/ and exp/: the digest of every file, by its name.

        Not what tells of a run and not of its result: records, logs, status, and the report's text and page, which
        have the command and times in them.
        """
        return {
            str(path.relative_to(self.work)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.work.rglob("*"))
            if path.is_file()
            and not {".done", "log", "tensorboard"} & set(path.relative_to(self.work).parts)
            and path.name not in ("status", ".lock", "results.md", "report.html")
            and not path.name.startswith(".status.")  # being written
        }

    def records(self) -> dict[Path, tuple[int, str]]:
        """The records of finished steps and jobs: when each was written, and when its step began."""
        return {
            path: (path.stat().st_mtime_ns, content["began"])
            for path, content in self.contents()
            if not path.name.endswith(".begun.json")
        }

    def contents(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Every record and what it holds."""
        for path in sorted(self.work.rglob(".done/*.json")):
            yield path, json.loads(path.read_bytes())["record"]


def ended(run: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """A started run, after its end."""
    out, err = run.communicate()
    return subprocess.CompletedProcess(run.args, run.returncode, out, err)


def announced(run: subprocess.Popen[str], stage: int) -> str:
    """Read on until a run says that the stage begins, or ends; what it said."""
    said = ""
    for line in iter(run.stdout.readline, ""):
        said += line
        if line.startswith(f"== stage {stage}:"):
            break
    return said


def alive(session: int) -> list[int]:
    """The processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it has just ended
            continue
        if int(of) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found


def until(true: Any, within_s: float, what: str) -> float:
    """Wait for it; the seconds that it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() < began + within_s, f"after {within_s} s: {what}"
        time.sleep(0.005)
    return time.monotonic() - began


def end_by_force(run: subprocess.Popen[str]) -> None:
    """Leave nothing of a run behind, whatever has become of it."""
    for process in alive(run.pid):
        os.kill(process, signal.SIGKILL)
    run.wait()
    for pipe in (run.stdout, run.stderr):
        pipe.close()
