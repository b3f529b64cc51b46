"""Job arrays: what runs, what the logs say, and that nothing outlives an interrupt."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sv.errors import UserError
from sv.launch import JobsFailed, run_array, run_jobs

ROOT = str(Path(__file__).parents[2])


def shell(script):
    return ["/bin/sh", "-c", script]


def test_every_job_runs_with_its_number_everywhere(tmp_path):
    run_jobs(shell(f"echo JOB of JOB > {tmp_path}/out.JOB"), 3, 5, f"{tmp_path}/JOB/x.JOB.log")
    assert {p.name: p.read_text() for p in tmp_path.glob("out.*")} == {f"out.{j}": f"{j} of {j}\n" for j in (3, 4, 5)}
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.glob("*/*.log")) == [
        f"{j}/x.{j}.log" for j in (3, 4, 5)
    ]


def test_log_holds_command_host_times_output_and_exit_code(tmp_path):
    run_jobs(shell("echo out; echo err >&2"), 1, 1, f"{tmp_path}/x.log")
    text = (tmp_path / "x.log").read_text()
    when = r"\w{3} \w{3} +\d+ [\d:]{8} \d{4}"
    assert re.fullmatch(
        r"# /bin/sh -c 'echo out; echo err >&2'\n"
        rf"# host {os.uname().nodename}, started {when}\n"
        r"out\nerr\n"
        rf"# ended {when} after \d+\.\d s, exit code 0\n",
        text,
    )


def test_failing_job_is_named_with_its_last_words_and_log(tmp_path):
    script = "if [ JOB = 2 ]; then echo first; echo 'cannot go on' >&2; echo; exit 3; fi; sleep 0.1; touch JOB.done"
    with pytest.raises(JobsFailed) as caught:
        run_jobs(shell(f"cd {tmp_path}; {script}"), 1, 3, f"{tmp_path}/x.JOB.log")
    assert str(caught.value) == f"job 2 of 3 failed: cannot go on (log: {tmp_path}/x.2.log)"
    assert "exit code 3" in (tmp_path / "x.2.log").read_text()
    assert sorted(p.name for p in tmp_path.glob("*.done")) == ["1.done", "3.done"]  # the others went to their end


def test_several_failing_jobs_are_all_numbered(tmp_path):
    with pytest.raises(JobsFailed, match=r"^jobs 1, 3 of 3 failed: it said nothing \(exit code 1\)"):
        run_jobs(shell("[ JOB = 2 ]"), 1, 3, f"{tmp_path}/x.JOB.log")


def test_program_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(JobsFailed, match=r"^job 1 of 1 failed: no-such-program: No such file") as caught:
        run_jobs(["no-such-program"], 1, 1, f"{tmp_path}/x.log")
    assert "\n" not in str(caught.value)


def test_logs_that_would_collide_are_refused(tmp_path):
    with pytest.raises(UserError, match="must hold JOB"):
        run_jobs(["true"], 1, 2, f"{tmp_path}/x.log")


def test_no_more_jobs_at_once_than_allowed(tmp_path):
    """Each job leaves a file while it runs and counts the files that are there."""
    script = f"cd {tmp_path}; touch JOB.on; ls *.on | wc -l > JOB.count; sleep 0.1; rm JOB.on"
    run_jobs(shell(script), 1, 6, f"{tmp_path}/x.JOB.log", max_jobs=2)
    counts = [int(p.read_text()) for p in tmp_path.glob("*.count")]
    assert len(counts) == 6
    assert max(counts) <= 2


def test_paths_of_the_user_may_hold_job(tmp_path, monkeypatch):
    """`extract` fails on a folder that is not there and names it, JOB and all."""
    monkeypatch.setenv("PYTHONPATH", ROOT)
    with pytest.raises(JobsFailed) as caught:
        run_array("extract", [f"{tmp_path}/JOBS", "data"], 1, tmp_path / "JOB" / "log")
    assert f"{tmp_path}/JOBS: not a run" in str(caught.value)
    assert (tmp_path / "JOB" / "log" / "extract.1.log").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_every_job_and_starts_no_other(tmp_path, number):
    """The signal goes to the launching process alone, as `kill` sends it."""
    program = (
        "from sv.cli import run; from sv.launch import run_jobs; import sys\n"
        f"run(lambda: run_jobs(['/bin/sh', '-c', 'cd {tmp_path}; echo $$ > JOB.pid; exec sleep 60'],"
        f" 1, 4, '{tmp_path}/x.JOB.log', max_jobs=2), 'launcher.py')"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": ROOT}, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 20
    while len(list(tmp_path.glob("*.pid"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    launcher.send_signal(number)
    _, said = launcher.communicate(timeout=10)
    assert (launcher.returncode, said) in [(130, "launcher: interrupted\n"), (143, "launcher: terminated\n")]
    pids = {p.name: int(p.read_text()) for p in tmp_path.glob("*.pid")}
    assert sorted(pids) == ["1.pid", "2.pid"]
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
