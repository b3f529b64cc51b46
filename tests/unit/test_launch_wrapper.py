"""Job arrays by a user's wrapper: a small look-alike of Kaldi's queue.pl."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from job_arrays import shell_array

from sv.errors import UserError
from sv.launch import JobsFailed, run_array, run_jobs, wrapper
from sv.launch.job_log import LoggedProcess, read_ending, run_logged
from sv.launch.jobs import Job
from sv.launch.wrapper import Wrapper

ROOT = str(Path(__file__).parents[2])
QUEUE = Wrapper(engine="wrapper", command=f"{Path(__file__).parent}/queue_like.sh --mem 4G")


@pytest.fixture(autouse=True)
def where_the_jobs_find_us(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ROOT)


def test_jobs_run_and_have_the_logs_of_every_engine(tmp_path):
    """Our log says the command and its end; the wrapper's own is beside its list of jobs."""
    run_jobs(shell_array(tmp_path, "echo one", "echo two"), engine=QUEUE)
    text = (tmp_path / "log/2.log").read_text()
    assert re.fullmatch(
        r"# /bin/sh -c 'cd .*; echo two'\n# attempt 1 on \S+, started .*\ntwo\n"
        r"# attempt 1 ended .* after \d+\.\d s, exit code 0\n",
        text,
    )
    assert sorted(p.name for p in (tmp_path / "log/wrapper").iterdir()) == [
        *("jobs.attempt1.1.log", "jobs.attempt1.2.log", "jobs.json", "jobs.out")
    ]


def test_failing_jobs_are_named_and_only_they_are_tried_again_by_their_numbers(tmp_path, capsys):
    """Job 2 fails once, job 4 twice; the second call of the wrapper has two jobs."""
    scripts = ["echo x >> 1.ran", "echo x >> 2.ran; [ $(wc -l < 2.ran) = 2 ]", "true", "echo cannot; exit 7"]
    with pytest.raises(JobsFailed) as caught:
        run_jobs(shell_array(tmp_path, scripts[0], f"{scripts[1]} || exit 9", *scripts[2:]), engine=QUEUE)
    assert str(caught.value) == f"job 4 of 4 failed: cannot (log: {tmp_path}/log/4.log)"
    assert capsys.readouterr().out == "jobs: jobs 2, 4 of 4 failed (exit code 9); trying once more\n"
    assert ((tmp_path / "1.ran").read_text(), (tmp_path / "2.ran").read_text()) == ("x\n", "x\nx\n")
    assert "2 / 4 failed" not in (tmp_path / "log/wrapper/jobs.out").read_text()  # that was the first call
    assert "1 / 2 failed" in (tmp_path / "log/wrapper/jobs.out").read_text()


def test_paths_of_the_user_may_hold_job_and_what_a_shell_would_take(tmp_path):
    """They are in the list of jobs; JOB in the list's own path makes the wrapper's name for it another."""
    folder = tmp_path / "JOB"
    folder.mkdir()
    with pytest.raises(JobsFailed, match=re.escape("/JOB/a b$(x)&'JOBS'\": not a run")):
        run_array("extract", [f"{folder}/a b$(x)&'JOBS'\"", "data"], 2, folder / "log", engine=QUEUE)
    assert (folder / "log/extract.2.log").exists()
    assert (folder / "log/wrapper/extract.attempt1.2.log").exists()


def test_place_that_the_wrappers_shell_would_break_is_refused(tmp_path):
    folder = tmp_path / "two words"
    with pytest.raises(UserError, match=r"two words/log/wrapper/jobs.json' would pass through a shell"):
        run_jobs(shell_array(folder, "true"), engine=QUEUE)


def test_job_that_the_wrapper_loses_is_told_with_the_wrappers_last_words(tmp_path, monkeypatch):
    """A wrapper that submits nothing, and says that it did."""
    monkeypatch.setattr(wrapper, "SETTLE_S", 0.2)
    liar = Wrapper(engine="wrapper", command="sh -c 'echo one node is down'")
    with pytest.raises(JobsFailed) as caught:
        run_jobs(shell_array(tmp_path, "true"), engine=liar)
    assert "lost: sh ended (exit code 0) without its end; it said: one node is down" in str(caught.value)
    assert (tmp_path / "log/1.log").read_text().count("lost: ") == 2


LAUNCHER = """
import sys; sys.path.insert(0, {tests!r})
from pathlib import Path; from job_arrays import shell_array; from test_launch_wrapper import QUEUE
from sv.cli import run; from sv.launch import run_jobs
scripts = ["echo $$ > %d.pid; exec sleep 60" % n for n in (1, 2)]
run(lambda: run_jobs(shell_array(Path({folder!r}), *scripts), engine=QUEUE), "launcher.py")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_end_of_the_launcher_is_the_end_of_the_wrappers_jobs(tmp_path, number):
    """Also by force: the wrapper is told by the kernel."""
    program = LAUNCHER.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    launcher = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while len(pids := written(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(pids) == 2
    launcher.send_signal(number)
    _, said = launcher.communicate(timeout=20)
    assert said == ("launcher: terminated\n" if number == signal.SIGTERM else "")
    deadline = time.monotonic() + 30  # seconds; a busy machine has taken more than 10
    logs = [tmp_path / "log/1.log", tmp_path / "log/2.log"]
    while any(read_ending(log, 1) is None for log in logs) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [read_ending(log, 1).how for log in logs] == ["exit code 143 (SIGTERM)"] * 2
    assert not any(map(alive, pids))


def test_a_signal_that_comes_while_the_job_starts_is_passed_on_as_well(tmp_path, monkeypatch):
    """The log has its last line: whoever waits for it would wait for ever."""

    def refuse(*_):
        raise AssertionError("nobody minds the signal yet")

    class Interrupted(LoggedProcess):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("sv.launch.job_log.LoggedProcess", Interrupted)
    monkeypatch.setattr("sv.launch.job_log.PASS_ON_AFTER_S", 0.1)
    before = signal.signal(signal.SIGTERM, refuse)
    try:
        assert run_logged(Job(1, ("sleep", "60"), tmp_path / "1.log"), 1) == 143
    finally:
        signal.signal(signal.SIGTERM, before)
    assert read_ending(tmp_path / "1.log", 1).how == "exit code 143 (SIGTERM)"


def written(folder):
    return [int(text) for p in folder.glob("*.pid") if (text := p.read_text().strip())]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
