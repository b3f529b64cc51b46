"""Job arrays on a real Slurm: one node on loopback, started here."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from slurm_cluster import Cluster, why_not

from sv.errors import UserError
from sv.launch import Array, Job, JobsFailed, run_jobs, slurm
from sv.launch.slurm import Slurm

ROOT = str(Path(__file__).parents[2])
ENGINE = Slurm(engine="slurm", time_min=10)

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"no Slurm: {why_not()}")


@pytest.fixture(scope="module")
def cluster():
    with Cluster() as running:
        yield running


@pytest.fixture(autouse=True)
def here(cluster, monkeypatch):
    """This process uses the cluster, and looks often."""
    for name, value in {**cluster.environment, "PYTHONPATH": ROOT}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(slurm, "FIRST_POLL_S", 0.2)
    monkeypatch.setattr(slurm, "LAST_POLL_S", 0.5)
    monkeypatch.setattr(slurm, "SETTLE_S", 2.0)
    monkeypatch.setattr(slurm, "TELL_AFTER_S", 1.0)


def array(folder, *scripts):
    """Jobs 1..N, each a line of shell that runs in `folder`."""
    jobs = [
        Job(n, ("/bin/sh", "-c", f"cd '{folder}'; {script}"), folder / "log" / f"{n}.log")
        for n, script in enumerate(scripts, 1)
    ]
    return Array("extract", tuple(jobs), folder / "log")


def until(true, within_s=30):
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)


def said(capsys):
    """What was printed, but for the lines that a busy machine's jobs are waited for with."""
    lines = capsys.readouterr().out.splitlines(keepends=True)
    return "".join(line for line in lines if ": waiting: " not in line)


def test_failing_jobs_are_named_and_what_may_be_the_machines_fault_is_tried_once_more(tmp_path, capsys):
    """In a folder with a space: job 2 is a user's mistake, job 3 fails once, job 4 twice, the others are well."""
    folder = tmp_path / "two words"
    folder.mkdir()
    tried = "echo x >> {0}.ran; [ $(wc -l < {0}.ran) = 2 ] || exit 9"
    mistake = "echo x >> 2.ran; echo 'extract: no such run' >&2; exit 1"
    jobs = array(folder, "echo one", mistake, tried.format(3), "echo x >> 4.ran; exit 7", "echo five")
    with pytest.raises(JobsFailed) as caught:
        run_jobs(jobs, engine=ENGINE)
    assert str(caught.value) == f"jobs 2, 4 of 5 failed: extract: no such run (log: {folder}/log/2.log)"
    assert said(capsys) == "extract: jobs 3, 4 of 5 failed (exit code 9); trying once more\n"
    assert [(folder / f"{n}.ran").read_text().count("x") for n in (2, 3, 4)] == [1, 2, 2]
    text = (folder / "log/3.log").read_text()
    marks = ["# /bin/sh -c", f"# attempt 1 on {os.uname().nodename}, started", "# attempt 1 ended", ", exit code 9\n"]
    marks += ["# attempt 2 on", "# attempt 2 ended", ", exit code 0\n"]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)
    assert "\none\n# attempt 1 ended" in (folder / "log/1.log").read_text()


def test_cancelled_job_is_named_and_not_tried_again_and_only_it_runs_the_next_time(tmp_path, cluster, capsys):
    """scancel of one running job; the others end as they would."""
    sleeps = {1: 4, 2: 60, 3: 4}  # of the second until it is cancelled, however slow the machine
    scripts = [f"echo x >> {n}.ran; [ -e quick ] || sleep {s}; touch {n}.done" for n, s in sleeps.items()]

    def cancel():
        until(lambda: (tmp_path / "2.ran").exists())
        number = min(cluster.jobs(), key=lambda job: int(job.partition("_")[0]))
        cluster.call("scancel", f"{number.partition('_')[0]}_1")

    threading.Thread(target=cancel).start()
    with pytest.raises(JobsFailed) as caught:
        run_jobs(array(tmp_path, *scripts), engine=ENGINE)
    assert str(caught.value) == f"job 2 of 3 failed: it was cancelled (scancel) (log: {tmp_path}/log/2.log)"
    assert sorted(p.name for p in tmp_path.glob("*.done")) == ["1.done", "3.done"]
    assert "stopped: it was cancelled (scancel)\n" in (tmp_path / "log/2.log").read_text()
    (tmp_path / "quick").touch()
    run_jobs(array(tmp_path, *scripts), engine=ENGINE, done=lambda job: (tmp_path / f"{job}.done").exists())
    assert [(tmp_path / f"{n}.ran").read_text().count("x") for n in (1, 2, 3)] == [1, 2, 1]
    assert said(capsys) == "extract: 3 jobs, 2 done before\n"


def test_drained_node_is_told_in_a_line_and_the_array_ends_after_its_return(tmp_path, cluster, capsys):
    """Four processors, seven jobs: the node is drained while three are pending."""
    heard = []
    scripts = ["until [ -e go ]; do sleep 0.1; done"] * 7

    def drain():
        until(lambda: list(cluster.jobs().values()).count("RUNNING") == 4)
        cluster.state("drain")
        (tmp_path / "go").touch()  # the four that run end, and no other starts
        until(lambda: heard and heard[-1][0] == 4)
        time.sleep(3)
        heard.append("resumed")
        cluster.state("resume")

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        run_jobs(array(tmp_path, *scripts), engine=ENGINE, report=lambda done, total: heard.append((done, total)))
    finally:
        thread.join()
        cluster.call("scontrol", "update", f"nodename={cluster.host}", "state=resume", check=False)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("extract: waiting: 3 jobs pending (") and "DRAINED" in line for line in lines), lines
    assert heard.index((4, 7)) < heard.index("resumed") < heard.index((7, 7))


def test_job_of_which_nothing_is_heard_again_is_lost_and_tried_once_more(tmp_path, capsys):
    """The process that minds the job is killed, as for want of memory: the job dies with it, its log has no end."""
    script = "echo $$ $PPID >> ran; [ $(wc -l < ran) = 2 ] || sleep 60"
    killed = []

    def kill():
        until(lambda: (tmp_path / "ran").exists() and (tmp_path / "ran").read_text().endswith("\n"))
        killed.extend(map(int, (tmp_path / "ran").read_text().split()))
        os.kill(killed[1], signal.SIGKILL)

    threading.Thread(target=kill).start()
    run_jobs(array(tmp_path, script), engine=ENGINE)
    with pytest.raises(ProcessLookupError):
        os.kill(killed[0], 0)
    out = capsys.readouterr().out
    assert out.startswith("extract: job 1 of 1 failed (lost: Slurm's state is FAILED; it said: "), out
    text = (tmp_path / "log/1.log").read_text()
    assert text.index("# attempt 1 ended") < text.index("# attempt 2 on") < text.index("exit code 0\n")


def test_all_settings_reach_slurm(tmp_path, cluster):
    """As scontrol shows them of the running array."""
    asked = {
        "partition": "main",
        "memory_gb": 0.5,
        "cpus": 2,
        "at_once": 1,
        "options": {"comment": "of a test", "nice": 7},
    }
    seen = []

    def look():
        until(lambda: (tmp_path / "ran").exists())
        seen.append(cluster.call("scontrol", "show", "job", "--oneliner", next(iter(cluster.jobs())).partition("_")[0]))
        (tmp_path / "go").touch()

    threading.Thread(target=look).start()
    run_jobs(
        array(tmp_path, *["touch ran; until [ -e go ]; do sleep 0.1; done"] * 2), engine=ENGINE.model_copy(update=asked)
    )
    for setting in (
        "Partition=main",
        "TimeLimit=00:10:00",
        "mem=512M",
        "CPUs/Task=2",
        "ArrayTaskThrottle=1",
        "Comment=of a test",
        "Nice=7",
    ):
        assert setting in seen[0], seen[0]


def test_settings_that_slurm_refuses_are_one_line(tmp_path):
    refused = Slurm(engine="slurm", time_min=1, partition="nowhere")
    with pytest.raises(UserError) as caught:
        run_jobs(array(tmp_path, "true"), engine=refused)
    assert "engine slurm: " in str(caught.value)
    assert "invalid partition specified: nowhere" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_our_commands_leave_the_same_bytes_as_on_this_machine(tmp_path, monkeypatch):
    """`make_feats` of three recordings by two jobs, with the settings of conf/engines/slurm.yaml."""
    bytes_of = {}
    for engine in ("local", "slurm"):
        data = tmp_path / engine
        data.mkdir()
        wavs = {f"spk{name}-{name}": Path(ROOT, "tests/data/wav", f"ref-{name}.wav") for name in "abc"}
        (data / "wav.scp").write_text("".join(f"{utt} {path}\n" for utt, path in wavs.items()))
        (data / "utt2spk").write_text("".join(f"{utt} {utt[:4]}\n" for utt in wavs))
        conf = Path(ROOT, "conf/features/mfcc30_16k.conf")
        monkeypatch.setenv("SV_ENGINE", engine)
        command = [sys.executable, "-m", "sv.cli.make_feats", "--nj", "2", "--conf", conf, data]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        arks = data / "feats/mfcc30_16k/arks"
        bytes_of[engine] = {path.name: path.read_bytes() for path in arks.glob("*.ark")}
        assert (data / "feats/mfcc30_16k/log/slurm").exists() == (engine == "slurm")
    assert len(bytes_of["local"]) == 2
    assert bytes_of["local"] == bytes_of["slurm"]


LAUNCHER = """
import sys; sys.path.insert(0, {tests!r})
from pathlib import Path; from test_slurm import ENGINE, array
from sv.cli import run; from sv.launch import run_jobs
scripts = ["echo x >> %d.ran; [ -e quick ] || sleep 60" % n for n in (1, 2)]
run(lambda: run_jobs(array(Path({folder!r}), *scripts), engine=ENGINE), "launcher.py")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_interrupt_cancels_the_array_and_what_a_killed_launcher_left_the_next_run_cancels(tmp_path, cluster, number):
    """After SIGKILL the jobs go on in the cluster, until the same array is started again."""
    program = LAUNCHER.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    launcher = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    until(lambda: (tmp_path / "1.ran").exists() and (tmp_path / "2.ran").exists())
    earlier = set(cluster.jobs())
    assert len(earlier) == 2
    launcher.send_signal(number)
    _, said = launcher.communicate(timeout=20)
    if number == signal.SIGTERM:
        assert (launcher.returncode, said) == (143, "launcher: terminated\n")
        until(lambda: not cluster.jobs(), within_s=10)
    else:
        assert set(cluster.jobs()) == earlier
    (tmp_path / "quick").touch()
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert not earlier & set(cluster.jobs())
    assert [(tmp_path / f"{n}.ran").read_text() for n in (1, 2)] == ["x\nx\n"] * 2
