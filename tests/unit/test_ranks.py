"""Several processes that train one network: the curves of one, no chunk twice, resumed to the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
from trainings import small_run, write_sets

from sv.cli.train import train_run
from sv.errors import ConfigError
from sv.records import record_of
from sv.training.checkpoint import read_checkpoint
from sv.training.processes import _why
from sv.training.ranks import Ranks, Shard
from sv.training.sampler import BalancedChunks
from sv.training.sync_batch_norm import _AllBatchNorm

ROOT = Path(__file__).parents[2]
SETTINGS = ("training.epochs=3", "training.batch_size=8")  # 36 chunks in 5 batches, of 7 and 8


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("data"))


def command(run, sets, *options):
    words = [sys.executable, "-m", "sv.cli.train", "--ngpu", "0", *options, "--train", sets[0], "--valid", sets[1]]
    return [*map(str, words), str(run.path)]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def trained(run, sets, *options):
    done = subprocess.run(command(run, sets, *options), capture_output=True, text=True, env=environment(), timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def started(run, sets, *options):
    return subprocess.Popen(
        command(run, sets, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )


@pytest.fixture(scope="module")
def two(sets, tmp_path_factory):
    """A run of two processes, and what it said."""
    run = small_run(tmp_path_factory.mktemp("two"), *SETTINGS)
    return run, trained(run, sets, "--processes", 2)


def curves(run):
    return [list(map(float, line.split("\t"))) for line in (run.path / "curves.tsv").read_text().splitlines()[1:]]


def left_by(run):
    files = sorted((run.path / "checkpoints").iterdir())
    return {path.name: path.read_bytes() for path in [*files, run.path / "curves.tsv"]}


def chunks_of(ranks, sampler, epoch):
    shard = Shard(sampler, ranks)
    return [(index, chunk) for index in range(len(shard)) for chunk in shard.batch(epoch, index).chunks]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_chunk_is_in_one_part(count):
    """Of every batch, whatever its size; and the shares make the mean over processes that of the batch."""
    utts = {f"s{s}-{u}": 30 for s in range(6) for u in range(3)}
    sampler = BalancedChunks(utts, {utt: utt[:2] for utt in utts}, (20, 20), 8, seed=1, chunks_per_speaker=6)
    whole = Counter((index, chunk) for index in range(len(sampler)) for chunk in sampler.batch(2, index).chunks)
    parts = [chunk for rank in range(count) for chunk in chunks_of(Ranks(rank, count), sampler, 2)]
    assert Counter(parts) == whole
    for index in range(len(sampler)):
        shards = [Shard(sampler, Ranks(rank, count)) for rank in range(count)]
        sizes = [len(shard.batch(2, index).chunks) for shard in shards]
        assert all(shard.sizes(index) == sizes for shard in shards)
        assert [shard.share(index) for shard in shards] == pytest.approx([n * count / sum(sizes) for n in sizes])
        assert sampler.size(index) == sum(sizes)


def test_more_processes_than_chunks_are_refused():
    utts = {f"s{s}-{u}": 30 for s in range(2) for u in range(3)}
    sampler = BalancedChunks(utts, {utt: utt[:2] for utt in utts}, (20, 20), 4, seed=1, chunks_per_speaker=2)
    with pytest.raises(ConfigError, match=r"training\.batch_size: a batch of 4 chunks cannot be shared by 5 processes"):
        Shard(sampler, Ranks(0, 5))


def test_two_processes_learn_what_one_learns(two, sets, tmp_path):
    """The same batches, in uneven parts: curves and weights of one process to float tolerance, said once."""
    one = small_run(tmp_path, *SETTINGS)
    trained(one, sets)
    for ours, theirs in zip(curves(two[0]), curves(one), strict=True):
        assert ours == pytest.approx(theirs, rel=2e-3, abs=2e-3)
    weights = [read_checkpoint(run.checkpoint())["model"] for run in (two[0], one)]
    for name, tensor in weights[1].items():
        torch.testing.assert_close(weights[0][name], tensor, rtol=5e-2, atol=5e-3)
    said = two[1].stdout
    assert said.count("epoch 1/3") == 1
    assert ", 2 processes" in said
    assert record_of("train", two[0].path).exists()


def test_two_processes_twice_are_the_same_bytes(two, sets, tmp_path):
    again = small_run(tmp_path, *SETTINGS)
    trained(again, sets, "--processes", 2, "--workers", 1)
    assert left_by(again) == left_by(two[0])


def test_two_nodes_of_a_slurm_job_train_together(two, sets, tmp_path):
    """As srun starts them, a task a node: here both are this machine. The first keeps the record."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "scontrol").write_text('#!/bin/sh\n[ "$*" = "show hostnames node[1-2]" ] && printf "localhost\\nnode2\\n"\n')
    (bin / "scontrol").chmod(0o755)
    run = small_run(tmp_path, *SETTINGS)
    job = {"SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "node[1-2]", "SLURM_JOB_ID": str(os.getpid())}
    nodes = [
        subprocess.Popen(
            command(run, sets),
            env={**environment(), **job, "SLURM_NODEID": node, "PATH": f"{bin}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for node in "01"
    ]
    said = [process.communicate(timeout=200) for process in nodes]
    assert [process.returncode for process in nodes] == [0, 0], said
    assert sum(stdout.count("epoch 1/3") for stdout, _ in said) == 1
    assert record_of("train", run.path).exists()
    assert left_by(run) == left_by(two[0])


def wait_for(path, process):
    deadline = time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert path.exists(), process.communicate()


def test_killed_and_resumed_two_processes_end_with_the_same_bytes(two, sets, tmp_path):
    """The whole group, by force, when the first epoch's checkpoint is there."""
    cut = small_run(tmp_path, *SETTINGS)
    process = started(cut, sets, "--processes", 2)
    wait_for(cut.checkpoint(), process)
    process.kill()
    process.communicate()
    assert not record_of("train", cut.path).exists()
    trained(cut, sets, "--processes", 2)
    assert left_by(cut) == left_by(two[0])


def ranks_of(process):
    """The processes that a launcher started: rank -> pid."""
    found = {}
    for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if rank := [v for v in variables if v.startswith(b"RANK=")]:
            found[int(rank[0][5:])] = int(pid)
    return found


def long_training(tmp_path):
    return small_run(tmp_path, "training.epochs=100000", "training.batch_size=8")


def test_a_dead_process_ends_the_others_and_is_named(sets, tmp_path):
    """Within a minute, in one line, with its log; none is left."""
    run = long_training(tmp_path)
    process = started(run, sets, "--processes", 2)
    wait_for(run.checkpoint(), process)
    pids = ranks_of(process)
    killed = time.monotonic()
    os.kill(pids[1], signal.SIGKILL)
    _, stderr = process.communicate(timeout=100)
    assert time.monotonic() - killed < 60
    assert process.returncode == 1
    assert stderr.count("\n") == 1
    assert stderr.startswith("train: process 1 of 2: was ended by SIGKILL (log: ")
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())


GATHERING = """
import os, sys, torch
from sv.training.ranks import Ranks
ranks = Ranks.join(torch.device("cpu"))
x_BE = torch.arange(10.0).reshape(5, 2)
mine_BE = x_BE[ranks.index :: ranks.count].clone().requires_grad_()   # 3 and 2 rows
all_BE = ranks.gathered(mine_BE, [3, 2])
loss = (all_BE @ all_BE.T).tril().square().sum() / ranks.count        # every process has the same loss
loss.backward()
print(all_BE.detach().tolist(), mine_BE.grad.tolist(), sep="\\n")
ranks.leave()
"""


def test_gathered_embeddings_and_their_gradients_are_those_of_the_whole_batch():
    """Two processes with 3 and 2 rows, against one with all five."""
    place = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(20000 + os.getpid() % 20000), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", GATHERING],
            env={**environment(), **place, "RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    said = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    (rows, first), (again, second) = ([json.loads(line) for line in out.splitlines()] for out, _ in said)
    x_BE = torch.arange(10.0).reshape(5, 2)
    order = [0, 2, 4, 1, 3]
    assert rows == again == x_BE[order].tolist()
    whole_BE = x_BE[order].clone().requires_grad_()
    (whole_BE @ whole_BE.T).tril().square().sum().backward()
    torch.testing.assert_close(torch.tensor([*first, *second]), whole_BE.grad)


@pytest.mark.slow
def test_two_processes_stopped_within_an_epoch_resume_to_the_same_bytes(sets, tmp_path):
    """SIGTERM at some moment after the first epoch, so often that one lies within an epoch."""
    settings = ("training.epochs=4", "training.batch_size=8", "training.chunks_per_speaker=120")  # 90 steps an epoch
    whole, cut = small_run(tmp_path / "whole", *settings), small_run(tmp_path / "cut", *settings)
    trained(whole, sets, "--processes", 2)
    within = 0
    for pause in (0.1, 0.3):
        process = started(cut, sets, "--processes", 2)
        wait_for(cut.checkpoint(), process)
        time.sleep(pause)
        process.terminate()
        process.communicate(timeout=100)
        within += read_checkpoint(cut.checkpoint())["step"]
    trained(cut, sets, "--processes", 2)
    assert within
    assert left_by(cut) == left_by(whole)


def test_a_mistake_in_a_process_is_the_one_line(sets, tmp_path):
    run = small_run(tmp_path, "training.batch_size=3", "training.chunks_per_speaker=1")
    process = started(run, sets, "--processes", 4)
    _, stderr = process.communicate(timeout=100)
    assert process.returncode == 1
    assert stderr.count("\n") == 1
    assert "training.batch_size: a batch of 3 chunks cannot be shared by 4 processes" in stderr


@pytest.mark.parametrize("seen", [{3: -signal.SIGABRT}, {3: -signal.SIGABRT, 1: 1}])
def test_what_a_process_said_goes_before_the_end_of_those_that_lost_it(seen, tmp_path):
    said = {1: "Traceback\n  lost\n", 2: "a warning\ntrain: too few chunks\n\n", 3: "terminate called\n"}
    for rank, text in said.items():
        log = tmp_path / "ranks" / "attempt_0" / str(rank) / "stderr.log"
        log.parent.mkdir(parents=True)
        log.write_text(text)
    failures = {rank: ProcessFailure(rank, 1, code, "none") for rank, code in seen.items()}
    assert _why(failures, 4, tmp_path) == f"process 2 of 4: too few chunks (log: {log.parents[1]}/2/stderr.log)"
    killed = {**failures, 0: ProcessFailure(0, 1, -signal.SIGKILL, "none")}
    assert _why(killed, 4, tmp_path) == f"process 0 of 4: was ended by SIGKILL (log: {tmp_path})"


def test_sigterm_saves_and_says_that_it_will_resume(sets, tmp_path):
    run = long_training(tmp_path)
    process = started(run, sets, "--processes", 2)
    wait_for(run.checkpoint(), process)
    process.terminate()
    stdout, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    assert "it will resume when the stage runs again" in stdout
    assert "stopped after" in stdout
    assert not record_of("train", run.path).exists()


def test_synchronised_batch_norm_alone_is_torchs():
    """One process, gloo: forward, backward and running statistics of a training step; evaluation."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        for affine, shape in ((True, (6, 5, 9)), (False, (7, 5)), (True, (4, 5, 3, 6))):
            kind = torch.nn.BatchNorm2d if len(shape) == 4 else torch.nn.BatchNorm1d
            theirs = kind(5, eps=1e-3, affine=affine)
            ours = _AllBatchNorm.of(kind(5, eps=1e-3, affine=affine))
            x = torch.randn(shape)
            xs = [x.clone().requires_grad_() for _ in range(2)]
            ys = [norm(x) for norm, x in zip((theirs, ours), xs, strict=True)]
            torch.testing.assert_close(ys[1], ys[0])
            for y in ys:
                (y * torch.arange(5.0).view([1, 5] + [1] * (y.dim() - 2))).square().sum().backward()
            torch.testing.assert_close(xs[1].grad, xs[0].grad, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))
            torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
    finally:
        torch.distributed.destroy_process_group()


def test_asking_for_gpus_that_are_not_there_is_one_line(sets, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    from sv.errors import UserError

    with pytest.raises(UserError, match="--ngpu 3, but torch sees 0 GPUs here"):
        train_run(small_run(tmp_path), *sets, ngpu=3, workers=0)
