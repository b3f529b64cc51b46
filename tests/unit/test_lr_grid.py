"""The grid of learning rates as a command: its trainings, its table, what it goes on after and what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from commands import refused, run_command
from runs import made_run
from trainings import small_run, small_system, write_sets

from sv.cli.train import train_run
from sv.records import record_of
from sv.run import Run
from sv.training.checkpoint import read_checkpoint
from sv.training.curves import HEADER

pytestmark = pytest.mark.usefixtures("one_thread")

AT_INFINITY = 1e35  # the first step at this rate leaves no number


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("data"))


@pytest.fixture
def command(sets, monkeypatch, capsys):
    """Runs lr_grid or lr_range_test; returns what it said."""

    def do(name, run, *options):
        valid = ("--valid", sets[1]) if name == "lr_grid" else ()
        words = (*options, "--train", sets[0], *valid, "--ngpu", 0, run.path)
        return run_command(monkeypatch, capsys, name, *words)

    return do


def table(run):
    header, *lines = (run.path / "lr_grid" / "table.tsv").read_text().splitlines()
    assert header == "lr\theld_out_error\tepoch\ttrain_loss\tepochs\toutcome"
    return [line.split("\t") for line in lines]


def test_each_rate_is_trained_as_the_run_would_be(command, sets, tmp_path):
    """Two rates: the curves of two runs of these settings; the table by their curves; then all is skipped."""
    run = small_run(tmp_path / "exp", seed=3)
    code, said, _ = command("lr_grid", run, "--points", 2, "--from", 1e-5, "--to", 1e-2, "--epochs", 2)
    assert code == 0
    best = []
    for (lr, error, epoch, loss, epochs, outcome), rate in zip(table(run), ("1.00e-05", "1.00e-02"), strict=True):
        assert (lr, epochs, outcome) == (rate, "2", "trained")
        alone = small_run(tmp_path / rate, f"training.optimiser.lr={rate}", "training.epochs=2", seed=3)
        train_run(alone, *sets, ngpu=0, workers=0)
        own = Run.open(run.path / "lr_grid" / rate)
        assert (own.name, own.seed, own.system) == (alone.name, 3, alone.system)
        assert read_checkpoint(own.checkpoint())["curves"] == read_checkpoint(alone.checkpoint())["curves"]
        lines = [line.split("\t") for line in (own.path / "curves.tsv").read_text().splitlines()[1:]]
        errors = [line[HEADER.split("\t").index("held_out_eer")] for line in lines]
        assert (error, int(epoch) - 1) == (min(errors, key=float), errors.index(min(errors, key=float)))
        assert loss == lines[-1][1]
        best.append((float(error), rate))
    assert f"table.tsv: --set training.optimiser.lr={min(best)[1]}; it is the grid's edge" in said
    assert said.count("  best\n") == 1
    _, said, _ = command("lr_grid", run, "--points", 2, "--from", 1e-5, "--to", 1e-2, "--epochs", 2)
    assert said.endswith(f"\nlr_grid {run.path / 'lr_grid'}: unchanged, skipped\n")
    assert said.count("unchanged, skipped") == 1  # the trainings are not asked
    _, said, _ = command("lr_grid", run, "--points", 3, "--from", 1e-5, "--to", 1e-2, "--epochs", 2)
    assert said.count("unchanged, skipped") == 2
    assert [row[0] for row in table(run)] == ["1.00e-05", "3.16e-04", "1.00e-02"]


def test_a_training_that_diverges_is_a_row(command, tmp_path):
    run = small_run(tmp_path)
    code, said, _ = command("lr_grid", run, "--points", 2, "--from", 1e-2, "--to", AT_INFINITY, "--epochs", 1)
    assert code == 0
    assert "no longer a number" in said
    assert "1.00e+35          diverged  after 0 epochs" in said
    assert table(run)[0][-1] == "trained"
    assert table(run)[1] == ["1.00e+35", "", "", "nan", "0", "diverged"]
    assert "--set training.optimiser.lr=1.00e-02" in said


@pytest.mark.slow
def test_several_processes_train_together(sets, tmp_path):
    """As in `steps/train.sh`; that a training diverged is known by the words of the process in which it did."""
    run = small_run(tmp_path)
    words = ["--processes", 2, "--points", 2, "--from", 1e-2, "--to", AT_INFINITY, "--epochs", 1, "--ngpu", 0]
    words += ["--train", sets[0], "--valid", sets[1], run.path]
    done = subprocess.run(
        [sys.executable, "-m", "sv.cli.lr_grid", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert ", 2 processes" in done.stdout
    assert [row[-1] for row in table(run)] == ["trained", "diverged"]


def test_where_all_diverge_a_line_says_so(command, tmp_path):
    run = small_run(tmp_path)
    code, _, said = command("lr_grid", run, "--points", 2, "--from", 1e34, "--to", AT_INFINITY)
    assert code == 1
    assert said.endswith(
        f"all trainings diverged; try lower rates, by --from and --to ({run.path}/lr_grid/table.tsv)\n"
    )


def test_the_range_test_gives_the_rates(command, tmp_path):
    """Three points: where the loss starts to fall, falls most steeply and stops; not after another batch size."""
    settings = ("training.batch_size=24", "training.chunks_per_speaker=12")
    run = small_run(tmp_path, *settings)
    said = refused(command("lr_grid", run, "--epochs", 1))
    assert f"{run.path}: no range test was made; run steps/lr_range_test.sh, or give --from and --to" in said
    command("lr_range_test", run, "--steps", 160, "--smoothing", 0.9, "--from", 1e-6)
    found = json.loads((run.path / "lr_range" / "suggestion.json").read_text())
    assert command("lr_grid", run, "--epochs", 1, "--points", 3)[0] == 0
    assert [row[0] for row in table(run)] == [f"{found[name]:.2e}" for name in ("start", "steepest", "stop")]
    small_run(tmp_path, *settings, "training.epochs=9", "training.optimiser.lr=0.5")
    assert "unchanged, skipped" in command("lr_grid", run, "--epochs", 1, "--points", 3)[1]
    small_run(tmp_path, *settings, "training.batch_size=12")
    said = refused(command("lr_grid", run, "--epochs", 1))
    assert "lr_range was made with training.batch_size = 24, which is now 12; run steps/lr_range_test.sh again" in said
    (run.path / "lr_range" / "suggestion.json").write_text("{}")
    assert "suggestion.json is not what lr_range_test wrote" in refused(command("lr_grid", run))


def test_killed_in_its_second_training_it_goes_on_there(command, tmp_path, monkeypatch):
    options = ("--points", 2, "--from", 1e-3, "--to", 1e-2, "--epochs", 2)
    cut, whole = small_run(tmp_path / "cut"), small_run(tmp_path / "whole")
    honest, count = torch.optim.Adam.step, []

    class Killed(BaseException):
        pass

    def counted(*arguments, **keywords):
        count.append(1)
        if len(count) == 18:  # of 5 steps an epoch: in the second epoch of the second training
            raise Killed
        return honest(*arguments, **keywords)

    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.Adam, "step", counted)
        with pytest.raises(Killed):
            command("lr_grid", cut, *options)
    assert not (cut.path / "lr_grid" / "table.tsv").exists()
    said = command("lr_grid", cut, *options)[1]
    assert "1.00e-03: unchanged, skipped" in said
    assert "resumed after epoch 1" in said
    command("lr_grid", whole, *options)
    for path in (*whole.path.rglob("*.pt"), whole.path / "lr_grid" / "table.tsv"):
        assert (cut.path / path.relative_to(whole.path)).read_bytes() == path.read_bytes()


def test_a_signal_ends_it_without_a_table(command, tmp_path, monkeypatch):
    run = small_run(tmp_path)
    monkeypatch.setattr("sv.cli.lr_grid.train_run", lambda *_: False)
    assert command("lr_grid", run, "--points", 2, "--from", 1e-3, "--to", 1e-2)[0] == 0
    assert not (run.path / "lr_grid" / "table.tsv").exists()
    assert not record_of("lr_grid", run.path / "lr_grid").exists()


def test_a_run_that_starts_from_another_finds_it(command, sets, tmp_path):
    train_run(small_run(tmp_path, "training.epochs=1"), *sets, ngpu=0, workers=0)
    plan = small_system("training.start_from=small", "training.epochs=1")
    second = made_run(tmp_path, "second", 1, plan)
    assert command("lr_grid", second, "--points", 2, "--from", 1e-3, "--to", 1e-2)[0] == 0
    config = yaml.safe_load((second.path / "lr_grid" / "1.00e-03" / "config.yaml").read_text())
    assert config["system"]["training"]["optimiser"]["lr"] == 1e-3


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--from", 1e-3], "--from and --to go together"),
        (["--from", 1e-2, "--to", 1e-3], "--from and --to are rates, one above the other, not 0.01 and 0.001"),
        (["--epochs", 0], "--epochs is a number from 1, not 0"),
    ],
)
def test_a_mistake_is_one_line(command, tmp_path, options, problem):
    run = small_run(tmp_path)
    assert problem in refused(command("lr_grid", run, *options))
    assert not (run.path / "lr_grid").exists()
