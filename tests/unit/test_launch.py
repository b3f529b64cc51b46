"""Job arrays on this machine: what runs, what the logs say, second attempts, and that nothing outlives its parent."""

import errno
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from job_arrays import shell_array

from sv.errors import ConfigError
from sv.launch import JobsFailed, progress, run_array, run_jobs
from sv.launch.job_log import read_ending
from sv.launch.jobs import Waiting
from sv.launch.local import Local
from sv.launch.progress import Progress

ROOT = str(Path(__file__).parents[2])
WHEN = r"\w{3} \w{3} +\d+ [\d:]{8} \d{4}"
ONE_AT_ONCE = Local(engine="local", max_jobs=1)
TWO_AT_ONCE = Local(engine="local", max_jobs=2)
# Killed by force the first time, well the second.
UNLUCKY_ONCE = "if [ -e tried ]; then echo well; else touch tried; echo half; kill -9 $$; fi"


def ended(pids, within_s=5.0):
    """Whether no process of these is there any more, or is within so many seconds."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not any(is_running(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def is_running(pid):
    """A process that has ended and that nobody has waited for does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_every_job_runs_and_has_its_log(tmp_path):
    run_jobs(shell_array(tmp_path, "echo one > out.1", "echo two > out.2", "echo three > out.3"))
    assert [(tmp_path / f"out.{n}").read_text() for n in (1, 2, 3)] == ["one\n", "two\n", "three\n"]
    assert sorted(p.name for p in (tmp_path / "log").iterdir()) == ["1.log", "2.log", "3.log"]


def test_log_holds_command_host_times_output_and_exit_code(tmp_path):
    run_jobs(shell_array(tmp_path, "echo out; echo err >&2"))
    assert re.fullmatch(
        rf"# /bin/sh -c 'cd .*; echo out; echo err >&2'\n"
        rf"# attempt 1 on {os.uname().nodename}, started {WHEN}\n"
        r"out\nerr\n"
        rf"# attempt 1 ended {WHEN} after \d+\.\d s, exit code 0\n",
        (tmp_path / "log/1.log").read_text(),
    )


def test_end_of_a_job_that_leaves_its_line_open_is_on_a_line_of_its_own(tmp_path):
    run_jobs(shell_array(tmp_path, "printf 100%%"))
    assert "\n100%\n# attempt 1 ended" in (tmp_path / "log/1.log").read_text()
    assert read_ending(tmp_path / "log/1.log", 1).code == 0


def test_log_of_an_earlier_run_is_replaced(tmp_path):
    for word in ("first", "second"):
        run_jobs(shell_array(tmp_path, f"echo {word}"))
    text = (tmp_path / "log/1.log").read_text()
    assert "\nsecond\n" in text
    assert "first" not in text


def test_users_mistake_is_named_with_the_last_words_and_the_log_and_is_not_tried_again(tmp_path):
    """Exit code 1 and one line; the other jobs go to their ends."""
    mistake = "echo x >> tries; echo first; echo 'make: conf/x.conf: no such file' >&2; echo; exit 1"
    with pytest.raises(JobsFailed) as caught:
        run_jobs(shell_array(tmp_path, "touch 1.done", mistake, "sleep 0.1; touch 3.done"))
    assert str(caught.value) == f"job 2 of 3 failed: make: conf/x.conf: no such file (log: {tmp_path}/log/2.log)"
    assert (tmp_path / "tries").read_text() == "x\n"
    assert sorted(p.name for p in tmp_path.glob("*.done")) == ["1.done", "3.done"]


@pytest.mark.parametrize(
    "script", ["exit 3", "echo 'Traceback (most recent call last):'; echo 'OSError: [Errno 116] Stale'; exit 1"]
)
def test_failure_that_may_be_the_machines_is_tried_once_more_and_no_more(tmp_path, script, capsys):
    with pytest.raises(JobsFailed):
        run_jobs(shell_array(tmp_path, "true", f"echo x >> tries; {script}"))
    assert (tmp_path / "tries").read_text() == "x\nx\n"
    code = script[-1]
    assert capsys.readouterr().out == f"jobs: job 2 of 2 failed (exit code {code}); trying once more\n"


def test_killed_job_that_succeeds_the_second_time_is_a_success_and_its_log_keeps_both_attempts(tmp_path, capsys):
    run_jobs(shell_array(tmp_path, "true", UNLUCKY_ONCE))
    assert capsys.readouterr().out == "jobs: job 2 of 2 failed (exit code 137 (SIGKILL)); trying once more\n"
    text = (tmp_path / "log/2.log").read_text()
    marks = [
        "attempt 1 on",
        "\nhalf\n",
        "attempt 1 ended",
        "exit code 137 (SIGKILL)\n",
        "attempt 2 on",
        "\nwell\n",
        "attempt 2 ended",
        "exit code 0\n",
    ]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_job_that_is_killed_twice_is_told_with_how_it_ended_and_its_last_words(tmp_path):
    with pytest.raises(JobsFailed) as caught:
        run_jobs(shell_array(tmp_path, "echo 50 %; kill -9 $$"))
    assert str(caught.value) == (
        f"job 1 of 1 failed: exit code 137 (SIGKILL); its last words: 50 % (log: {tmp_path}/log/1.log)"
    )


def test_several_failing_jobs_are_all_numbered(tmp_path):
    with pytest.raises(JobsFailed, match=r"^jobs 1, 3 of 3 failed: it said nothing \(exit code 1\)"):
        run_jobs(shell_array(tmp_path, "exit 1", "true", "exit 1"))


def test_many_failing_jobs_are_counted(tmp_path):
    with pytest.raises(JobsFailed, match=r"^12 of 12 jobs \(1, 2, 3, 4, 5, 6, 7, 8, …\) failed: "):
        run_jobs(shell_array(tmp_path, *["exit 1"] * 12))


def test_program_that_is_not_there_is_one_line(tmp_path):
    array = shell_array(tmp_path, "true")
    object.__setattr__(array.jobs[0], "words", ("no-such-program",))
    with pytest.raises(JobsFailed, match=r"^job 1 of 1 failed: no-such-program: No such file") as caught:
        run_jobs(array)
    assert "\n" not in str(caught.value)


def test_no_more_jobs_at_once_than_allowed(tmp_path):
    """Each job leaves a file while it runs and counts the files that are there."""
    script = "touch {0}.on; ls *.on | wc -l > {0}.count; sleep 0.1; rm {0}.on"
    run_jobs(shell_array(tmp_path, *[script.format(n) for n in range(6)]), engine=TWO_AT_ONCE)
    counts = [int(p.read_text()) for p in tmp_path.glob("*.count")]
    assert len(counts) == 6
    assert max(counts) <= 2


def test_jobs_done_before_do_not_run_and_keep_their_logs(tmp_path, capsys):
    array = shell_array(tmp_path, *[f"echo x >> {n}.ran" for n in range(1, 5)])
    run_jobs(array)
    was = (tmp_path / "log/1.log").stat().st_mtime_ns
    run_jobs(array, what="make_feats vox1_train", done=lambda job: job != 3)
    assert [(tmp_path / f"{n}.ran").read_text().count("x") for n in range(1, 5)] == [1, 1, 2, 1]
    assert (tmp_path / "log/1.log").stat().st_mtime_ns == was
    assert capsys.readouterr().out == "make_feats vox1_train: 4 jobs, 3 done before\n"


def test_array_of_which_all_is_done_starts_nothing(tmp_path, capsys):
    run_jobs(shell_array(tmp_path, "touch ran"), done=lambda job: True)
    assert not (tmp_path / "ran").exists()
    assert capsys.readouterr().out == "jobs: 1 job, 1 done before\n"


def test_report_counts_every_job_that_ends(tmp_path):
    heard = []
    run_jobs(
        shell_array(tmp_path, *["true"] * 4),
        engine=ONE_AT_ONCE,
        done=lambda job: job == 2,
        report=lambda done, total: heard.append((done, total)),
    )
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_paths_of_the_user_may_hold_job(tmp_path, monkeypatch):
    """`extract` fails on a folder that is not there and names it, JOB and all."""
    monkeypatch.setenv("PYTHONPATH", ROOT)
    with pytest.raises(JobsFailed) as caught:
        run_array("extract", [f"{tmp_path}/JOBS", "data"], 1, tmp_path / "JOB" / "log")
    assert f"{tmp_path}/JOBS: not a run" in str(caught.value)
    assert (tmp_path / "JOB" / "log" / "extract.1.log").exists()


def test_unknown_engine_is_named_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.setenv("SV_ENGINE", "slurn")
    with pytest.raises(ConfigError, match=r"unknown engine slurn; did you mean slurm\?"):
        run_jobs(shell_array(tmp_path, "true"))


def test_full_disk_under_a_log_ends_the_other_jobs_and_names_the_log(tmp_path, monkeypatch):
    """The second log cannot be written; the first job must not go on."""
    array = shell_array(tmp_path, "echo $$ > 1.pid; exec sleep 60", "true")
    (tmp_path / "log").mkdir()
    array.jobs[1].log.symlink_to("/dev/full")
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is looked at
        run_jobs(array)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(array.jobs[1].log))
    told = (tmp_path / "1.pid").read_text() if (tmp_path / "1.pid").exists() else ""  # it may have ended before it told
    assert not told or ended([int(told)])


LAUNCHER = """
from sv.cli import run; from sv.launch import run_jobs; from sv.launch.local import Local
import sys; sys.path.insert(0, {tests!r})
from pathlib import Path; from job_arrays import shell_array
scripts = ["echo $$ > %d.pid; sleep 60 & echo $! > %d.child; wait" % (n, n) for n in range(1, 5)]
run(lambda: run_jobs(shell_array(Path({folder!r}), *scripts), engine=Local(engine="local", max_jobs=2)), "launcher.py")
"""


@pytest.fixture
def launcher(tmp_path):
    """A process that has started two of four jobs, each with a child of its own; and the jobs' processes."""
    program = LAUNCHER.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while len(pids(tmp_path, "child")) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    yield process
    process.kill()
    process.wait()
    for pid in pids(tmp_path, "pid") + pids(tmp_path, "child"):
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)


def pids(folder, suffix):
    return [int(text) for p in sorted(folder.glob(f"*.{suffix}")) if (text := p.read_text().strip())]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_every_job_and_what_it_started_and_starts_no_other(tmp_path, launcher, number):
    """The signal goes to the launching process alone, as `kill` sends it."""
    launcher.send_signal(number)
    _, said = launcher.communicate(timeout=10)
    assert (launcher.returncode, said) in [(130, "launcher: interrupted\n"), (143, "launcher: terminated\n")]
    assert sorted(p.name for p in tmp_path.glob("*.pid")) == ["1.pid", "2.pid"]
    assert ended(pids(tmp_path, "pid") + pids(tmp_path, "child"))
    assert "attempt 1 ended" in (tmp_path / "log/1.log").read_text()


def test_jobs_do_not_outlive_a_launcher_that_is_killed_by_force(tmp_path, launcher):
    launcher.kill()
    launcher.wait()
    assert len(pids(tmp_path, "pid")) == 2
    assert ended(pids(tmp_path, "pid"))


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when the test says so."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_terminal_has_one_line_that_is_rewritten_and_gone_at_the_end(monkeypatch, clock):
    """Two of eight jobs were done before, two took ten seconds: the other four take twenty."""
    monkeypatch.setattr(sys, "stdout", screen := Terminal())
    line = Progress("extract", 8, 2, None)
    clock[0] = 10
    line.update(4)
    assert screen.getvalue().split("\r\033[K")[-1] == "extract: 4/8 jobs, 0:20 left"
    clock[0] = 11
    line.update(4, Waiting(3, "pending (Resources)"))
    assert (
        screen.getvalue().split("\r\033[K")[-1] == "extract: 4/8 jobs, 0:22 left, waiting: 3 jobs pending (Resources)"
    )
    line.end()
    assert screen.getvalue().endswith("\r\033[Kextract: 8 jobs, 2 done before, took 0:11\n")
    assert screen.getvalue().count("\n") == 1


def test_log_file_has_a_line_only_if_it_took_long_and_one_for_each_reason_to_wait(capsys, clock):
    quick = Progress("quick", 2, 0, None)
    quick.update(1)
    quick.end()
    assert capsys.readouterr().out == ""
    slow = Progress("slow", 2, 0, None)
    for jobs in (2, 1):
        slow.update(0, Waiting(jobs, "pending (Resources)"))
    clock[0] = 3700
    slow.end()
    assert capsys.readouterr().out == "slow: waiting: 2 jobs pending (Resources)\nslow: 2 jobs, took 1:01:40\n"
