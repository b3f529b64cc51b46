"""The range test as a command: what it leaves, by which steps, how it ends, and its one-line refusals."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import refused, run_command
from trainings import small_run, write_sets

import sv.training.lr_range
from sv.cli.train import train_run
from sv.records import counts_of, record_of

ROOT = Path(__file__).parents[2]
QUICK = ("--steps", 160, "--smoothing", 0.9, "--from", 1e-6)
SETTINGS = ("training.batch_size=24", "training.chunks_per_speaker=12")  # of three steps an epoch

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("data"))


@pytest.fixture
def tested(sets, monkeypatch, capsys):
    """Tests a run; returns what the command said."""

    def do(run, *options):
        words = (*QUICK, *options, "--train", sets[0], "--ngpu", 0, run.path)
        return run_command(monkeypatch, capsys, "lr_range_test", *words)

    return do


def losses(run):
    header, *lines = (run.path / "lr_range" / "losses.tsv").read_text().splitlines()
    assert header == "step\tlr\tloss\tsmoothed"
    return np.array([list(map(float, line.split("\t"))) for line in lines])


def left_by(run):
    return {path.name: path.read_bytes() for path in (run.path / "lr_range").iterdir() if path.is_file()}


def test_a_small_network_has_its_rates_found_and_the_test_is_skipped_then(tested, tmp_path):
    """Three rates in order within the sweep; the same bytes when forced again; another rate in the run is no change."""
    run = small_run(tmp_path, *SETTINGS)
    code, said, _ = tested(run)
    assert code == 0
    found = json.loads((run.path / "lr_range" / "suggestion.json").read_text())
    assert 1e-6 < found["start"] < found["steepest"] < found["stop"] <= 1
    assert found["plateau"] == pytest.approx(math.log(6), rel=0.2)  # chance among six speakers
    assert f"falls most steeply at {found['steepest']:.2e}, starts to at {found['start']:.2e}, stops at" in said
    before = left_by(run)
    assert before.keys() == {"losses.tsv", "curve.png", "suggestion.json"}
    assert counts_of("lr_range_test", run.path / "lr_range") == {"steps": len(losses(run))}
    small_run(tmp_path, *SETTINGS, "training.optimiser.lr=0.7", "training.schedule={name: constant}")
    assert "lr_range: unchanged, skipped" in tested(run)[1]
    assert "(sweep.smoothing is 0.8, was 0.9)" in tested(run, "--smoothing", 0.8)[1]
    assert left_by(run) != before
    tested(run)
    assert left_by(run) == before
    assert not (run.path / "checkpoints").exists()


def test_steps_are_those_of_the_training_at_other_rates(tested, sets, tmp_path, monkeypatch):
    """The batches and first weights of a training, in which the rates are put to those of the test, give its losses."""
    run = small_run(tmp_path, *SETTINGS, "training.epochs=54")
    tested(run, "--stop-at", 1e9)
    measured = losses(run)
    assert len(measured) == 160
    lrs, seen = iter(measured[:, 1]), []
    honest = sv.training.loop.learn

    def learn(state, *arguments):
        try:
            sv.training.loop.set_pace(state.optimiser, next(lrs), None)
        except StopIteration:
            raise KeyboardInterrupt from None
        loss, *others = honest(state, *arguments)
        seen.append(float(loss.detach()))
        return loss, *others

    with monkeypatch.context() as patched:
        patched.setattr(sv.training.loop, "learn", learn)
        with pytest.raises(KeyboardInterrupt):
            train_run(run, *sets, ngpu=0, workers=0)
    assert measured[:100, 2] == pytest.approx(seen[:100], rel=1e-3)  # rates are written with six digits


def with_losses(monkeypatch, replacement):
    """Let the n-th loss of a test be what `replacement` makes of it and n."""
    honest, count = sv.training.lr_range.learn, []

    def learn(*arguments):
        count.append(1)
        loss, *others = honest(*arguments)
        return torch.tensor(replacement(len(count), float(loss.detach()))), *others

    monkeypatch.setattr(sv.training.lr_range, "learn", learn)


def test_a_loss_that_is_no_number_ends_the_test(tested, tmp_path, monkeypatch):
    run = small_run(tmp_path, *SETTINGS)
    with_losses(monkeypatch, lambda n, loss: math.nan if n == 121 else max(0.2, 2 - 0.02 * n))
    code, said, _ = tested(run)
    assert code == 0
    assert "lr range small  ends at step 121, lr" in said
    assert "the loss is no number any more" in said
    assert len(losses(run)) == 120
    assert json.loads((run.path / "lr_range" / "suggestion.json").read_text())["stop"] == losses(run)[-1, 1]


def test_the_test_ends_when_the_loss_is_several_times_its_lowest(tested, tmp_path, monkeypatch):
    run = small_run(tmp_path, *SETTINGS)
    with_losses(monkeypatch, lambda n, loss: 2.0 if n < 40 else 1.0 if n < 100 else 9.0)
    assert "the loss is 4 times its lowest" in tested(run)[1]
    smoothed = losses(run)[:, 3]
    assert smoothed[-1] > 4 * smoothed.min() > smoothed[-2]


def test_a_loss_that_never_falls_is_one_line_and_leaves_the_curve_alone(tested, tmp_path, monkeypatch):
    run = small_run(tmp_path, *SETTINGS)
    with_losses(monkeypatch, lambda n, loss: 2.0 + 0.1 * (n % 3))
    code, _, said = tested(run)
    assert code == 1
    assert said.count("\n") == 1
    assert f"lr_range_test: {run.path}: the loss never falls by more than its noise" in said
    assert left_by(run).keys() == {"losses.tsv", "curve.png"}
    assert not record_of("lr_range_test", run.path / "lr_range").exists()


def test_a_domain_classifier_learns_beside(tested, sets, tmp_path):
    """Its unlabelled speech is asked for; the losses are those of the speakers' head, which its gradient changes."""
    plain = small_run(tmp_path / "plain", *SETTINGS)
    both = small_run(tmp_path / "both", *SETTINGS, "training.adversarial={weight: 1.0, schedule: constant}")
    assert "name it with --adapt DATA" in refused(tested(both))
    assert [tested(plain)[0], tested(both, "--adapt", sets[1])[0]] == [0, 0]
    assert losses(both)[0, 2] == pytest.approx(losses(plain)[0, 2], rel=0.1)  # other statistics of batch norm
    assert losses(both)[-1, 2] != losses(plain)[-1, 2]


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tested, sets, tmp_path):
    one, two = (small_run(tmp_path / name, *SETTINGS) for name in ("one", "two"))
    tested(one)
    words = ["--processes", 2, *QUICK, "--train", sets[0], "--ngpu", 0, two.path]
    command = [sys.executable, "-m", "sv.cli.lr_range_test", *map(str, words)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("the loss falls most steeply") == 1
    assert losses(two)[:80] == pytest.approx(losses(one)[:80], rel=1e-3)


def test_killed_it_begins_anew(tested, tmp_path, monkeypatch):
    """By SIGTERM at a step: no file, no record; then as if nothing had been."""
    run, whole = small_run(tmp_path / "cut", *SETTINGS), small_run(tmp_path / "whole", *SETTINGS)
    honest, count = torch.optim.Adam.step, []

    def counted(*arguments, **options):
        count.append(1)
        if len(count) == 20:
            os.kill(os.getpid(), signal.SIGTERM)
        return honest(*arguments, **options)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.Adam, "step", counted)
        assert tested(run)[0] == 143
    signal.signal(signal.SIGTERM, before)
    assert left_by(run) == {}
    tested(run)
    tested(whole)
    assert left_by(run) == left_by(whole)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--from", 2], "--from and --to are rates, one above the other, not 2 and 1"),
        (["--banks", "x", "--train", "no-such"], "no-such/feats/mfcc23_8k: no features here"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, monkeypatch, capsys, options, problem):
    run = small_run(tmp_path)
    words = ["--train", "x", *options, "--ngpu", 0, run.path]
    assert problem in refused(run_command(monkeypatch, capsys, "lr_range_test", *words))
    assert not (run.path / "lr_range" / "losses.tsv").exists()


def test_it_is_of_one_node(sets, tested, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_NODES", "2")
    assert "lr_range_test runs on one node, not on 2; start it with srun" in refused(tested(small_run(tmp_path)))
