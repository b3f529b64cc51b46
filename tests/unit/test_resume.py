"""A training cut short anywhere and taken up again: the same bytes; what of its checkpoints stays, and what is used."""

import os
import signal

import pytest
import torch
from trainings import small_run, write_sets

import sv.training.checkpoint
import sv.training.loop
from sv.cli.train import train_run
from sv.errors import DataError
from sv.records import record_of, settings_of
from sv.systems.reading import load_system
from sv.training.checkpoint import load_model, networks, read_checkpoint
from sv.training.schedule import momentum, rate

SETTINGS = ("training.epochs=3",)  # of 5 steps

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(sets, tmp_path_factory):
    """A training that nobody touched."""
    torch.set_num_threads(1)
    run = small_run(tmp_path_factory.mktemp("whole"), *SETTINGS)
    train_run(run, *sets, ngpu=0, workers=0)
    return run


def left_by(run):
    """Every checkpoint and the curves, byte for byte."""
    files = sorted((run.path / "checkpoints").iterdir())
    return {path.name: path.read_bytes() for path in [*files, run.path / "curves.tsv"]}


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours runs after it."""


def killed_after(monkeypatch, step, save_every, run, sets, workers=0):
    """Train, saving every so many steps, and end it without warning after a step counted from the first."""
    steps, clock = [], [0.0]
    honest = torch.optim.Adam.step

    def counted(*arguments, **options):
        if len(steps) == step:
            raise Killed
        steps.append(1)
        clock[0] += 1.0
        return honest(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.Adam, "step", counted)
        patched.setattr(sv.training.loop, "SAVE_EVERY_S", save_every - 0.5)
        patched.setattr(sv.training.loop, "seconds", lambda: clock[0])
        with pytest.raises(Killed):
            train_run(run, *sets, ngpu=0, workers=workers)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("step", [2, 8])
def test_killed_within_an_epoch_and_resumed_is_as_never_killed(whole, sets, tmp_path, monkeypatch, step, workers):
    """Saved every second step, killed at 2 (nothing of it lost) and at 8 (a step lost), resumed with other workers."""
    cut = small_run(tmp_path, *SETTINGS)
    killed_after(monkeypatch, step, 2, cut, sets, workers)
    stored = read_checkpoint(cut.checkpoint())
    assert (stored["epoch"], stored["step"]) == divmod(step - step % 5 % 2, 5)
    train_run(cut, *sets, ngpu=0, workers=workers)
    assert left_by(cut) == left_by(whole)
    assert "resumed after epoch" in (cut.path / "log" / "train.log").read_text()


def test_killed_at_every_step_in_turn_is_as_never_killed(whole, sets, tmp_path, monkeypatch):
    cut = small_run(tmp_path, *SETTINGS)
    for _ in range(14):
        killed_after(monkeypatch, 1, 1, cut, sets)
    train_run(cut, *sets, ngpu=0, workers=0)
    assert left_by(cut) == left_by(whole)


def test_a_cycle_of_rate_and_momentum_is_taken_up_where_it_was(sets, tmp_path, monkeypatch):
    """Adam is given the schedule's rate and beta1 at every step; killed in its rise and in its fall, the same bytes."""
    cycle = (*SETTINGS, "training.schedule={name: one_cycle}")
    seen = []
    honest = torch.optim.Adam.step

    def noted(optimiser, *arguments, **options):
        seen.extend((group["lr"], *group["betas"]) for group in optimiser.param_groups)
        return honest(optimiser, *arguments, **options)

    untouched, cut = small_run(tmp_path / "untouched", *cycle), small_run(tmp_path / "cut", *cycle)
    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.Adam, "step", noted)
        train_run(untouched, *sets, ngpu=0, workers=0)
    settings = cut.system.training
    of = [(settings.schedule, step / 5, 3) for step in range(15)]
    assert seen == [(settings.optimiser.lr * rate(*each, []), momentum(*each), 0.999) for each in of]
    assert seen[4][1] < 0.86 < 0.94 < seen[0][1]
    for step in (3, 8):
        killed_after(monkeypatch, step, 2, cut, sets)
    train_run(cut, *sets, ngpu=0, workers=0)
    assert left_by(cut) == left_by(untouched)


@pytest.mark.parametrize("step", [3, 5, 14])
def test_sigterm_saves_and_the_next_run_resumes(whole, sets, tmp_path, monkeypatch, capsys, step):
    """Within an epoch, at an epoch's end, at the last step but one: ended in order, with a word, without a record."""
    cut = small_run(tmp_path, *SETTINGS)
    steps = []
    honest = torch.optim.Adam.step

    def signalled(*arguments, **options):
        steps.append(1)
        if len(steps) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return honest(*arguments, **options)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.Adam, "step", signalled)
        train_run(cut, *sets, ngpu=0, workers=0)
    signal.signal(signal.SIGTERM, before)
    assert len(steps) == step
    assert "it will resume when the stage runs again" in capsys.readouterr().out
    assert not record_of("train", cut.path).exists()
    stored = read_checkpoint(cut.checkpoint())
    assert (stored["epoch"], stored["step"]) == divmod(step, 5)
    train_run(cut, *sets, ngpu=0, workers=0)
    assert left_by(cut) == left_by(whole)


def test_the_last_epochs_and_the_best_stay(sets, tmp_path):
    run = small_run(tmp_path, "training.epochs=4", "training.keep_last=3")
    train_run(run, *sets, ngpu=0, workers=0)
    names = sorted(path.name for path in (run.path / "checkpoints").iterdir())
    assert names == ["best.pt", "epoch-0002.pt", "epoch-0003.pt", "epoch-0004.pt", "last.pt"]
    assert (run.path / "checkpoints/last.pt").samefile(run.path / "checkpoints/epoch-0004.pt")


def test_extraction_takes_the_network_that_is_asked_for(sets, tmp_path):
    """The last, the best, or the mean of the last ones."""
    run = small_run(tmp_path, "training.epochs=4", "training.keep_last=3")
    train_run(run, *sets, ngpu=0, workers=0)
    last = [read_checkpoint(run.path / "checkpoints" / f"epoch-000{n}.pt")["model"] for n in (2, 3, 4)]
    best = read_checkpoint(run.path / "checkpoints" / "best.pt")["model"]

    def network(*settings):
        return load_model(small_run(tmp_path, "training.epochs=4", "training.keep_last=3", *settings)).state_dict()

    for name, tensor in network().items():
        assert torch.equal(tensor, last[-1][name])
    for name, tensor in network("extraction.checkpoint=best").items():
        assert torch.equal(tensor, best[name])
    for name, tensor in network("extraction.average=3").items():
        mean = torch.stack([weights[name].double() for weights in last]).mean(0)
        torch.testing.assert_close(tensor.double(), mean if tensor.is_floating_point() else last[-1][name].double())
    (run.path / "checkpoints/epoch-0002.pt").unlink()
    with pytest.raises(DataError, match=r"2 epochs are kept, extraction\.average is 3"):
        networks(small_run(tmp_path, "training.epochs=4", "training.keep_last=3", "extraction.average=3"))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "gone"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_taken(whole, sets, tmp_path, capsys, damage):
    """The record says that it is damaged; training goes on from the epoch before and ends with the same bytes."""
    run = small_run(tmp_path, *SETTINGS)
    train_run(run, *sets, ngpu=0, workers=0)
    for name in ("last.pt", "epoch-0003.pt"):  # one file under two names
        path = run.path / "checkpoints" / name
        content = bytearray(path.read_bytes())
        path.unlink()
        if damage == "flipped":
            content[len(content) // 2] ^= 1
        if damage != "gone":
            path.write_bytes(content[: len(content) // (2 if damage == "truncated" else 1)])
    train_run(run, *sets, ngpu=0, workers=0)
    log = (run.path / "log" / "train.log").read_text()
    assert "resumed after epoch 2" in log
    assert f"last.pt is {'missing' if damage == 'gone' else 'not what was written'}" in capsys.readouterr().out
    assert left_by(run) == left_by(whole)


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_checkpoint_of_a_training_cut_short_is_named_too(whole, sets, tmp_path, monkeypatch, damage):
    """last.pt of within the second epoch: training goes back to the end of the first."""
    run = small_run(tmp_path, *SETTINGS)
    killed_after(monkeypatch, 8, 2, run, sets)
    content = bytearray(run.checkpoint().read_bytes())
    content[len(content) // 2] ^= 1
    run.checkpoint().write_bytes(content[: len(content) // (2 if damage == "truncated" else 1)])
    train_run(run, *sets, ngpu=0, workers=0)
    log = (run.path / "log" / "train.log").read_text()
    assert "last.pt: " in log
    assert "resumed after epoch 1, step 0" in log
    assert left_by(run) == left_by(whole)


@pytest.mark.parametrize("lost", ["best.pt", "epoch-0002.pt", "epoch-0003.pt", "last.pt", "../curves.tsv"])
def test_what_is_lost_of_a_finished_training_comes_back(whole, sets, tmp_path, lost):
    """By another name of the same file, or by training the epochs from before it again."""
    run = small_run(tmp_path, *SETTINGS)
    train_run(run, *sets, ngpu=0, workers=0)
    (run.path / "checkpoints" / lost).unlink()
    train_run(run, *sets, ngpu=0, workers=0)
    assert left_by(run) == left_by(whole)


def test_what_is_lost_of_a_training_that_ended_early_comes_back(sets, tmp_path):
    """An epoch of the last ones that are kept, though more epochs were allowed."""
    run = small_run(tmp_path, "training.schedule={name: plateau, patience: 1, final_ratio: 0.6}", "training.epochs=60")
    train_run(run, *sets, ngpu=0, workers=0)
    before = left_by(run)
    epochs = read_checkpoint(run.checkpoint())["epoch"]
    assert 1 < epochs < 60
    lost = run.path / "checkpoints" / f"epoch-{epochs - 1:04d}.pt"
    lost.unlink()
    train_run(run, *sets, ngpu=0, workers=0)
    assert lost.exists()
    assert left_by(run) == before


@pytest.mark.parametrize("renamed", ["epoch-0003.pt", "best.pt"])
def test_killed_before_an_epoch_had_all_its_names(whole, sets, tmp_path, monkeypatch, renamed):
    """last.pt is written, and the process dies at one of its other names."""
    run = small_run(tmp_path, *SETTINGS)
    honest = os.replace

    def replace(one, other):
        if str(other).endswith(renamed) and read_checkpoint(run.checkpoint())["epoch"] == (3 if "3" in renamed else 2):
            raise Killed
        honest(one, other)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        try:
            train_run(run, *sets, ngpu=0, workers=0)
        except Killed:
            pass
        else:
            assert renamed == "best.pt"  # the best was the first epoch: nothing to name
    train_run(run, *sets, ngpu=0, workers=0)
    assert left_by(run) == left_by(whole)


def test_another_setting_trains_anew_and_keeps_the_old_network_beside(whole, sets, tmp_path, capsys):
    run = small_run(tmp_path, "training.epochs=2")
    train_run(run, *sets, ngpu=0, workers=0)
    before = left_by(run)
    changed = small_run(tmp_path, *SETTINGS)
    train_run(changed, *sets, ngpu=0, workers=0)
    assert f"train {run.path}: runs again (system.training.epochs is 3, was 2)" in capsys.readouterr().out
    assert left_by(changed) == left_by(whole)
    aside = run.path / "checkpoints-before-1"
    assert {path.name: path.read_bytes() for path in aside.iterdir()}.items() <= before.items()
    assert settings_of("train", run.path)["system"]["training"]["epochs"] == 3


def test_a_checkpoint_is_read_once_under_all_its_names(sets, tmp_path, monkeypatch):
    """last.pt, best.pt and two epochs are two files or three; the one that is taken is then loaded."""
    run = small_run(tmp_path, *SETTINGS)
    train_run(run, *sets, ngpu=0, workers=0)
    files = {path.stat().st_ino for path in (run.path / "checkpoints").iterdir()}
    record_of("train", run.path).unlink()
    read = []
    honest = sv.training.checkpoint.read_checkpoint
    monkeypatch.setattr(sv.training.checkpoint, "read_checkpoint", lambda path: read.append(path) or honest(path))
    train_run(run, *sets, ngpu=0, workers=0)
    assert len(read) == len(files) + 1


def test_average_is_of_epochs_that_are_kept():
    from trainings import SMALL

    from sv.errors import ConfigError

    with pytest.raises(ConfigError, match=r"extraction\.average: 3 epochs are wanted, training\.keep_last keeps 2"):
        load_system(SMALL, sets=["extraction.average=3"])
    with pytest.raises(ConfigError, match="it is the last epochs that are averaged"):
        load_system(SMALL, sets=["extraction.average=2", "extraction.checkpoint=best"])
