"""`train` and `extract` as a user starts them: killed and resumed, one job and two, and their one-line refusals."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import refused, run_command
from feature_sets import write_features
from runs import made_run
from trainings import small_run, small_system, write_sets

from sv.cli import extract, train
from sv.data.vectors import Vectors
from sv.errors import ConfigError, DataError, UserError
from sv.features.files import FeatureReader
from sv.launch import JobsFailed
from sv.models.extraction import embeddings
from sv.records import Step, counts_of, record_of, settings_of
from sv.run import Run
from sv.training.checkpoint import load_model, read_checkpoint

ROOT = Path(__file__).parents[2]
FAST = "training.optimiser.lr=0.01"


@pytest.fixture(autouse=True)
def _sv_is_found(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def threads(monkeypatch, request):
    """As many threads here and in the processes started; sums in another order may round otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    monkeypatch.setenv("OMP_NUM_THREADS", str(request.param))
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(sets, tmp_path_factory):
    """A run trained for an epoch; the commands below do not change its checkpoints."""
    run = small_run(tmp_path_factory.mktemp("exp"), "training.epochs=1")
    train.train_run(run, *sets, ngpu=0, workers=0)
    return run


def started(module, *arguments):
    command = [sys.executable, "-m", f"sv.cli.{module}", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def in_process(monkeypatch, command, *arguments):
    monkeypatch.setattr("sys.argv", [command.__name__, *map(str, arguments)])
    command.main()


@pytest.mark.parametrize("threads", [1], indirect=True)
def test_training_killed_and_started_again_ends_with_the_same_bytes(sets, tmp_path, threads):
    """Killed by force when the first epoch's checkpoint appears, against one that nobody touched."""
    settings = ("training.epochs=8", "training.chunks_per_speaker=16")
    whole = small_run(tmp_path / "whole", *settings)
    train.train_run(whole, *sets, ngpu=0, workers=0)
    cut = small_run(tmp_path / "cut", *settings)
    options = ("--ngpu", 0, "--train", sets[0], "--valid", sets[1], cut.path)
    process = started("train", *options)
    deadline = time.monotonic() + 60
    while not cut.checkpoint().exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert read_checkpoint(cut.checkpoint())["epoch"] < 8
    again = started("train", *options)
    said, complaint = again.communicate(timeout=120)
    assert (again.returncode, complaint) == (0, "")
    assert "resumed after epoch" in said
    for name in ("checkpoints/last.pt", "checkpoints/best.pt", "curves.tsv"):
        assert (cut.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert not [path for path in cut.path.rglob("*.partial") if path.parent.name != "checkpoints"]


def test_two_jobs_extract_the_vectors_of_one(trained, tmp_path, monkeypatch):
    """Two processes against this one; those too short for the network go to dropped.txt with the reason."""
    frames = {f"spk{i:02d}-{n}": n for i, n in enumerate((14, 20, 60, 9, 200, 300, 33))}
    folder = write_features(tmp_path / "test", frames, voiced=1.0)
    in_process(monkeypatch, extract, "--nj", 2, "--ngpu", 0, trained.path, tmp_path / "test")
    out = trained.embeddings("test")
    reader = FeatureReader.of_system(folder, trained.system)
    kept = [utt for utt, n in frames.items() if n >= 15]
    expected = dict(embeddings(load_model(trained), reader, kept, torch.device("cpu")))
    found = Vectors.read(out / "xvector.scp")
    assert found.keys == sorted(kept)
    for key, vector in zip(found.keys, found.x_ND, strict=True):
        assert np.linalg.norm(vector - expected[key]) < 1e-5 * np.linalg.norm(expected[key])
    assert (out / "dropped.txt").read_text().splitlines() == [
        "spk00-14 14 voiced frames, the network needs 15",
        "spk03-9 9 voiced frames, the network needs 15",
    ]
    assert (out / "utt2spk").read_text().splitlines() == [f"{utt} {utt.split('-')[0]}" for utt in sorted(kept)]
    assert sorted(path.name for path in (out / "log").iterdir()) == ["extract.1.log", "extract.2.log"]


@pytest.mark.parametrize("loss", ["am", "aam"])
def test_a_resnet_is_trained_by_a_margin_loss_and_extracted(sets, tmp_path, monkeypatch, loss):
    """The layer on top gives the embeddings; the held-out loss falls, and their speakers are told apart."""
    model = TINY_RESNET % ", top_dim: 6"
    head = f"loss={{name: {loss}, margin: 0.2, scale: 10}}"
    run = small_run(tmp_path, model, head, "backends.plda.lda_dim=3", "training.epochs=8", FAST)
    train.train_run(run, *sets, ngpu=0, workers=0)
    curves = [line.split("\t") for line in (run.path / "curves.tsv").read_text().splitlines()]
    losses, eers = ([float(line[column]) for line in curves[1:]] for column in (3, 5))
    assert losses[-1] < 0.8 * losses[0]
    assert eers[-1] < 0.35
    monkeypatch.setattr(sys, "argv", ["extract", "--nj", "1", "--ngpu", "0", str(run.path), str(sets[1])])
    extract.main()
    assert Vectors.read(run.embeddings("valid") / "xvector.scp").x_ND.shape[1] == 6


TINY_RESNET = "model={trunk: resnet1d, blocks: [1, 1, 1, 1], channels: [8, 8, 16, 16], embedding_dim: 12%s}"


@pytest.mark.parametrize(("above", "normalise"), [("", "null"), ("trunk.", "{variance: true}")])
def test_a_network_starts_from_anothers_and_has_a_layer_on_top(sets, tmp_path, above, normalise):
    """The weights of the trained one but for the top's; refused if it is not trained or is another network."""
    both = (f"normalise={normalise}", "backends.plda.lda_dim=3")
    first = small_run(tmp_path, TINY_RESNET % "", "training.epochs=1", FAST, *both)
    settings = (TINY_RESNET % ", top_dim: 6", "loss={name: am, margin: 0.1}", *both)
    plan = small_system(*settings, "training.epochs=1", "training.start_from=small", "training.optimiser.lr=1.0e-9")
    second = made_run(tmp_path, "margin", 1, plan)
    with pytest.raises(DataError, match=r"small/seed1: its network is not trained to the end"):
        train.train_run(second, *sets, ngpu=0, workers=0)
    train.train_run(first, *sets, ngpu=0, workers=0)
    train.train_run(second, *sets, ngpu=0, workers=0)
    before, after = (load_model(run).state_dict() for run in (first, second))
    assert after.keys() - before.keys() == {f"{above}top.weight", f"{above}top.bias"}
    assert all(
        torch.allclose(after[name], before[name], atol=1e-6)
        for name in before
        if "running" not in name and "num" not in name
    )
    record_of("train", first.path).unlink()
    with pytest.raises(DataError, match=r"small/seed1: its network is not trained to the end"):
        train.train_run(second, *sets, ngpu=0, workers=0)
    train.train_run(first, *sets, ngpu=0, workers=0)
    train.train_run(second, *sets, ngpu=0, workers=0)
    assert not (second.path / "checkpoints-before-1").exists()
    wider = small_system(TINY_RESNET % ", hidden_dim: 9, top_dim: 6", *settings[1:], "training.start_from=small")
    with pytest.raises(ConfigError, match=rf"the network of .*small/seed1 is another one \({above}emb"):
        train.train_run(made_run(tmp_path, "wider", 1, wider), *sets, ngpu=0, workers=0)


def test_a_network_is_trained_anew_when_it_starts_from_another_of_anothers(sets, tmp_path, capsys):
    """Which one is taken, the last, the best or a mean, is of that run's extraction, which its training has not."""
    plan = small_system("training.start_from=small", "training.epochs=1")
    first, second = small_run(tmp_path), made_run(tmp_path, "second", 1, plan)
    for run in (first, second, second):
        train.train_run(run, *sets, ngpu=0, workers=0)
    assert f"train {second.path}: unchanged, skipped" in capsys.readouterr().out
    small_run(tmp_path, "extraction.checkpoint=best", "extraction.crops={count: 3}")
    train.train_run(second, *sets, ngpu=0, workers=0)
    assert 'runs again (start_from.checkpoint is "best", was "last")' in capsys.readouterr().out


def out_of_memory(*_, **__):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate …\nmany lines")


def test_a_full_gpu_is_one_line_that_says_what_to_lower(sets, trained, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        patched.setattr("sv.training.task.train", out_of_memory)
        with pytest.raises(UserError, match=r"memory is full; .*/small/seed1: lower training\.batch_size \(steps/sug"):
            train.train_run(small_run(tmp_path), *sets, ngpu=0, workers=0)
    monkeypatch.setattr("sv.models.extraction.embeddings", out_of_memory)
    said = refused(run_command(monkeypatch, capsys, "extract", "--ngpu", 0, trained.path, sets[1]))
    assert f"{trained.path}: extract on the CPU (--ngpu 0), or see whether others use it too" in said


def test_crops_shorter_than_the_network_takes_are_refused(sets, trained, tmp_path, monkeypatch, capsys):
    shutil.copytree(trained.path, tmp_path / "small" / "seed1")
    run = small_run(tmp_path, "training.epochs=1", "extraction.crops={count: 3, length_s: 0.14}")
    said = refused(run_command(monkeypatch, capsys, "extract", "--ngpu", 0, run.path, sets[1]))
    assert f"{run.path}: extraction.crops.length_s: 0.14 s are 14 frames, the network needs 15" in said


def test_a_held_out_set_of_other_features_is_refused(sets, tmp_path):
    valid = shutil.copytree(sets[1], tmp_path / "valid")
    conf = valid / "feats" / "mfcc23_8k" / "feats.conf"
    conf.write_text(re.sub("--low-freq=.*", "--low-freq=77", conf.read_text()))
    with pytest.raises(DataError, match=r"valid/feats/mfcc23_8k was made with features\.low_freq = 77\.0, .*/train/"):
        train.train_run(small_run(tmp_path), sets[0], valid, ngpu=0, workers=0)


def test_a_training_ends_when_the_rate_is_at_its_least_and_is_then_left_alone(sets, tmp_path):
    """Long before its most epochs; what is recorded is what was trained."""
    plateau = "training.schedule={name: plateau, patience: 1, factor: 0.1, final_ratio: 0.5}"
    run = small_run(
        tmp_path, plateau, "training.epochs=60", "training.chunks_per_speaker=null", "training.chunks_per_recording=1"
    )
    train.train_run(run, *sets, ngpu=0, workers=0)
    epochs = read_checkpoint(run.checkpoint())["epoch"]
    assert 1 < epochs < 60
    assert counts_of("train", run.path)["epochs"] == epochs
    before = run.checkpoint().stat().st_mtime_ns
    record_of("train", run.path).unlink()
    train.train_run(run, *sets, ngpu=0, workers=0)
    assert run.checkpoint().stat().st_mtime_ns == before
    assert counts_of("train", run.path)["epochs"] == epochs


def test_extraction_without_a_checkpoint_is_one_line(sets, tmp_path, monkeypatch):
    run = small_run(tmp_path)
    with pytest.raises(DataError, match=r"its network is not trained to the end; stage 4 trains it$"):
        in_process(monkeypatch, extract, run.path, sets[1])
    assert not (run.path / "embeddings").exists()


def test_extraction_by_a_damaged_checkpoint_is_refused(sets, trained, tmp_path, monkeypatch):
    """By what its record says of it; and a job that finds it so names the reason, through the array, with its log."""
    run = Run.open(shutil.copytree(trained.path, tmp_path / "exp" / "small" / "seed1"))
    whole = run.checkpoint().read_bytes()
    run.checkpoint().write_bytes(whole[:1000])
    with pytest.raises(DataError, match=r"last\.pt is not what train wrote; run the stage that makes it again"):
        in_process(monkeypatch, extract, "--ngpu", 0, run.path, sets[1])
    Step("train", run.path, settings=settings_of("train", run.path)).done([run.checkpoint()])
    with pytest.raises(JobsFailed) as caught:
        in_process(monkeypatch, extract, "--ngpu", 0, run.path, sets[1])
    assert "job 1 of 1 failed: extract: " in str(caught.value)
    assert "last.pt: not a whole checkpoint" in str(caught.value)
    assert str(run.embeddings("valid") / "log" / "extract.1.log") in str(caught.value)
    assert not (run.embeddings("valid") / "xvector.scp").exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--train", "no-such", "--valid", "no-such", "RUN"], "train: no-such/feats/mfcc23_8k: no features here"),
        (["--train", "x", "--valid", "x", "--ngpu", "2", "RUN"], "train: --ngpu 2, but torch sees 0 GPUs here"),
        (["--train", "x", "--valid", "x", "no-such"], "train: no-such: not a run"),
        (["--train", "x", "RUN"], "train: the following arguments are required: --valid; see --help"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_1(tmp_path, arguments, problem, monkeypatch, capsys):
    run = small_run(tmp_path)
    monkeypatch.setattr("sys.argv", ["train", *[str(run.path) if a == "RUN" else a for a in arguments]])
    with pytest.raises(SystemExit) as caught:
        train.run(train.main, train.__file__)
    said = caught.value.code if isinstance(caught.value.code, str) else capsys.readouterr().err
    assert said.startswith(problem)
    assert "\n" not in said.strip()


@pytest.mark.parametrize("threads", [2], indirect=True)
def test_same_seed_trains_the_same_network_in_another_process(sets, tmp_path, threads):
    """Weights, batches and sums are a function of the seed, on several threads and with workers."""
    settings = ("training.epochs=1",)
    here = small_run(tmp_path / "here", *settings)
    train.train_run(here, *sets, ngpu=0, workers=0)
    there = Run.open(small_run(tmp_path / "there", *settings).path)
    process = started("train", "--ngpu", 0, "--workers", 2, "--train", sets[0], "--valid", sets[1], there.path)
    assert process.wait(timeout=120) == os.EX_OK
    assert here.checkpoint().read_bytes() == there.checkpoint().read_bytes()
