"""A Slurm cluster of one node on loopback, for the length of a test: munged, slurmctld and slurmd, no systemd."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from sv.parent import dies_with_parent

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
START_S = 30.0

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=bf_interval=1,sched_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_not():
    """Why there can be no cluster here; None if there can."""
    if os.geteuid() != 0:
        return "Slurm's daemons need root here"
    lacking = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    return f"no {lacking[0]} (Debian: packages slurm-wlm and munge)" if lacking else None


class Cluster:
    """A running cluster of one node with four processors; its commands find it by SLURM_CONF.

    >>> with Cluster() as cluster:
    ...     cluster.call("sinfo")
    """

    def __init__(self):
        self.host = socket.gethostname().partition(".")[0]
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)  # munged wants its socket where anyone can reach it
        self.conf = self.folder / "slurm.conf"
        self._daemons = []

    def __enter__(self):
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        ports = {"controller_port": _free_port(), "node_port": _free_port()}
        self.conf.write_text(CONF.format(host=self.host, folder=self.folder, **ports))
        try:
            at = self.folder
            files = [f"--{name}={at}/munge.{name.partition('-')[0]}" for name in ("socket", "pid-file", "seed-file")]
            self._start("munged", "--foreground", "--num-threads=2", f"--key-file={key}", *files)
            self._until(lambda: (at / "munge.socket").exists(), "munged")
            self._start("slurmctld", "-D", "-c", "-f", str(self.conf))
            self._start("slurmd", "-D", "-N", self.host, "-f", str(self.conf))
            self._until(lambda: "idle" in self.call("sinfo", "--noheader", "--format=%T", check=False), "the node")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.call("scancel", "--user=root", check=False)
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def environment(self):
        """What a process needs to use the cluster."""
        return {"SLURM_CONF": str(self.conf), "PATH": _path()}

    def call(self, *words, check=True):
        """Run one of Slurm's commands; what it says."""
        env = os.environ | self.environment
        return subprocess.run(words, env=env, check=check, stdout=subprocess.PIPE, text=True, timeout=60).stdout

    def state(self, state):
        """Set the node's state, as `drain` and `resume`."""
        self.call("scontrol", "update", f"nodename={self.host}", f"state={state}", "reason=test")

    def jobs(self):
        """The jobs that have not ended: state by their number in the cluster."""
        lines = self.call("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def _start(self, *words):
        out = (self.folder / f"{words[0]}.out").open("wb")
        self._daemons.append(
            subprocess.Popen(
                words,
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=dies_with_parent(signal.SIGKILL),
            )
        )
        out.close()

    def _until(self, ready, what):
        deadline = time.monotonic() + START_S
        while not ready():
            if time.monotonic() > deadline:
                said = "".join(p.read_text(errors="replace") for p in sorted(self.folder.glob("*.out")))
                raise RuntimeError(f"{what} did not start within {START_S:g} s:\n{said[-4000:]}")
            time.sleep(0.1)


def _path():
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]
