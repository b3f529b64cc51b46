"""The running of a job array on any engine: which jobs, a second attempt where it may help, what is said at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sv.errors import UserError
from sv.launch.engine import Engine
from sv.launch.engines import chosen_engine
from sv.launch.job_log import Ending, said
from sv.launch.jobs import Array, Job, Waiting
from sv.launch.progress import Progress

SHOWN = 8  # numbers of failed jobs in a message


class JobsFailed(UserError):
    """Some jobs of an array failed."""


def run_array(
    command: str,
    arguments: Sequence[str],
    jobs: int,
    folder: Path,
    *,
    what: str | None = None,
    engine: Engine | None = None,
    done: Callable[[int], bool] = lambda job: False,
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Run `python -m sv.cli.COMMAND ARGUMENTS --nj jobs --job JOB` for JOB = 1..jobs; see `run_jobs`.

    The arguments are passed as they are: a path of the user's may hold JOB.

    Args:
        command: a module of sv.cli.
        arguments: its options.
        jobs: how many.
        folder: of the logs, COMMAND.JOB.log.
        what: how the array's lines on the terminal begin; by default the command.
        engine, done, report: see `run_jobs`.
    """
    words = (sys.executable, "-m", f"sv.cli.{command}", *arguments, "--nj", str(jobs), "--job")
    numbered = [Job(n, (*words, str(n)), folder / f"{command}.{n}.log") for n in range(1, jobs + 1)]
    run_jobs(Array(command, tuple(numbered), folder), what=what, engine=engine, done=done, report=report)


def run_jobs(
    array: Array,
    *,
    what: str | None = None,
    engine: Engine | None = None,
    done: Callable[[int], bool] = lambda job: False,
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Run the jobs of an array.

    Every job runs to its end, also when another has failed; an interrupt ends all of them. When the others have ended,
    a job that failed is tried once more, and its log keeps both attempts. Not so after a mistake that would only come
    again: our commands say a user's mistake in one line and exit with 1 (with 1 and a traceback it may be the
    machine's fault), and a person or a limit may have stopped the job.

    Args:
        array: the jobs.
        what: how the array's lines on the terminal begin; by default the command.
        engine: where they run; by default the one that SV_ENGINE names.
        done: whether a job was done before and need not run.
        report: called with (jobs done, jobs of the array) whenever one has ended.
    Raises:
        JobsFailed: one or more exited with another code than 0, or were lost.
    """
    engine = (engine or chosen_engine()).for_command(array.command)
    todo = [job for job in array.jobs if not done(job.number)]
    total = len(array.jobs)
    progress = Progress(what or array.command, total, total - len(todo), report)
    try:
        failed = _attempt(engine, array, todo, 1, progress) if todo else {}
        if again := [job for job in todo if job.number in failed and _may_help(job, failed[job.number])]:
            progress.tell(f"{_named(again, total)} failed ({failed[again[0].number].how}); trying once more")
            second = _attempt(engine, array, again, 2, progress)
            failed = {n: e for n, e in failed.items() if n not in {job.number for job in again}} | second
    except BaseException:
        progress.abandon()
        raise
    if failed:
        progress.abandon()
        jobs = [job for job in todo if job.number in failed]
        first = jobs[0]
        raise JobsFailed(f"{_named(jobs, total)} failed: {_last_words(first, failed[first.number])} (log: {first.log})")
    progress.end()


def _attempt(engine: Engine, array: Array, jobs: list[Job], attempt: int, progress: Progress) -> dict[int, Ending]:
    """Run the jobs; those that failed, with their endings."""
    before = len(array.jobs) - len(jobs)

    def tick(ended: int, waiting: Waiting | None) -> None:
        progress.update(before + ended, waiting)

    if attempt == 1:
        engine.require()
        for job in jobs:
            job.log.unlink(missing_ok=True)
    endings = engine.run(replace(array, jobs=tuple(jobs)), attempt, tick)
    tick(len(endings), None)
    return {number: ending for number, ending in sorted(endings.items()) if ending.code != 0}


def _may_help(job: Job, ending: Ending) -> bool:
    """Whether trying again may."""
    if ending.code == 1:
        return any(line.startswith("Traceback (most recent call last)") for line in said(job.log))
    return not ending.stopped


def _named(jobs: list[Job], total: int) -> str:
    numbers = ", ".join(str(job.number) for job in jobs[:SHOWN])
    if len(jobs) > SHOWN:
        return f"{len(jobs)} of {total} jobs ({numbers}, …)"
    return f"job{'s' * (len(jobs) > 1)} {numbers} of {total}"


def _last_words(job: Job, ending: Ending) -> str:
    """The last thing that the job said; how it ended, where that is not the reason."""
    lines = said(job.log)
    if ending.stopped:
        return ending.how.removeprefix("stopped: ")
    if not lines:
        return f"it said nothing ({ending.how})"
    last = lines[-1].strip()
    return last if ending.code is not None and ending.code < 128 else f"{ending.how}; its last words: {last}"
