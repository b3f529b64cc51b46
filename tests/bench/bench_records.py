"""What the records of steps cost a run of ./run.sh, and how long a finished one takes to find that nothing is to do.

    .venv/bin/python -m tests.bench.bench_records [run.sh's options]

Runs it twice in an empty place, by default mini as it is, and times all that records do (fingerprints, comparing,
writing, the state of the recordings) in every step and job, whose processes are started through this file.
"""

import functools
import json
import os
import platform
import runpy
import shlex
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Timer:
    """Seconds spent in some functions; those that one calls of another are not counted twice."""

    def __init__(self) -> None:
        self.seconds, self._depth = 0.0, 0

    @contextmanager
    def _running(self) -> Iterator[None]:
        began, self._depth = time.perf_counter(), self._depth + 1
        try:
            yield
        finally:
            self._depth -= 1
            self.seconds += (time.perf_counter() - began) * (self._depth == 0)

    def __call__(self, what: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        @functools.wraps(what)
        def timed(*arguments: Any, **options: Any) -> Any:
            with self._running():
                return what(*arguments, **options)

        return timed


def run_timed(python: str, times: Path, words: Sequence[str]) -> None:
    """Be `python -m MODULE …` or `python FILE …`, and add a line to `times` at the end: name and seconds in records.

    Args:
        python: what a step starts its jobs with: it calls this function again.
    """
    import sv.data.recordings
    import sv.records
    from sv.records import Step

    timer = Timer()
    for name in ("__init__", "skip", "begin", "done", "job_holds"):
        setattr(Step, name, timer(getattr(Step, name)))
    sv.records.job_done = timer(sv.records.job_done)
    sv.data.recordings.recordings_digest = timer(sv.data.recordings.recordings_digest)
    sys.executable = python
    name, *sys.argv = [Path(words[0]).stem, *words] if words[0] != "-m" else [words[1].rpartition(".")[2], *words[1:]]
    try:
        if words[0] == "-m":
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, str(Path(words[0]).parent))
            runpy.run_path(words[0], run_name="__main__")
    finally:
        with times.open("a") as out:
            out.write(json.dumps([name + (" job" if "--job" in words else ""), timer.seconds]) + "\n")


def run_sh(python: Path | str, options: Sequence[str]) -> float:
    """Run ./run.sh; the seconds that it took."""
    began = time.perf_counter()
    env = {**os.environ, "SV_PYTHON": str(python)}
    subprocess.run([ROOT / "run.sh", *options], env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def cpu() -> str:
    """The machine's kind."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(os.sched_getaffinity(0))} cores"


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        times, python, bench = Path(folder, "times"), Path(folder, "python"), shlex.quote(str(Path(__file__)))
        python.write_text(
            f"#!/bin/bash\n"
            f"case $1:${{2:-}} in -m:sv.cli.*|*.py:*)"
            f' exec {shlex.quote(sys.executable)} {bench} --timed "$0" {shlex.quote(str(times))} "$@" ;; esac\n'
            f'exec {shlex.quote(sys.executable)} "$@"\n'
        )
        python.chmod(0o755)
        options = [*sys.argv[1:], "--work", f"{folder}/work"]
        print(f"{cpu()}; ./run.sh {shlex.join(sys.argv[1:])}".rstrip())
        whole = run_sh(python, options)
        spent: dict[str, float] = defaultdict(float)
        for name, seconds in map(json.loads, times.read_text().splitlines()):
            spent[name] += seconds
        total = sum(spent.values())
        for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
            print(f"  {name:24}{seconds:8.3f} s")
        print(f"records {total:.2f} s of {whole:.1f} s: {100 * total / whole:.2f} %")
        again = [run_sh(sys.executable, options) for _ in range(3)]
        print(f"finished, run again: {', '.join(f'{seconds:.2f}' for seconds in again)} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--timed"]:
        sys.path[0] = str(ROOT)
        run_timed(sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
    else:
        main()
