"""The job array of a step: jobs whose parts are whole already are not run again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sv.data.parts import part_files, remove_parts
from sv.records import Step, job_done


def run_jobs_of(step: Step, command: str, jobs: int, parts: Path) -> list[str]:
    """Run `python -m sv.cli.COMMAND` with this process's own arguments for every job whose part is not there yet.

    Args:
        step: what the jobs do; it has begun.
        command: the command that this process runs.
        jobs: how many.
        parts: path of the parts, which are `PARTS.JOB.ark` and the like. Those of other jobs are removed.
    Returns:
        The jobs' names, as `Step.done` takes them.
    """
    from sv.launch import run_array  # the engines take a tenth of a second, and most calls have nothing to run

    names = {job: _name(job, jobs) for job in range(1, jobs + 1)}
    held = {job for job, name in names.items() if step.job_holds(name)}
    remove_parts(parts, keep=held)
    arguments = [*sys.argv[1:], "--key", step.key]
    run_array(command, arguments, jobs, step.folder / "log", what=str(step), done=held.__contains__)
    return list(names.values())


def part_done(step: str, folder: Path, args: argparse.Namespace, parts: Path) -> None:
    """Record, from a job's own process (`--job --nj --key`), that its part of a step is whole."""
    job_done(step, folder, args.key, _name(args.job, args.nj), part_files(Path(f"{parts}.{args.job}")))


def _name(job: int, jobs: int) -> str:
    return f"{job}of{jobs}"
