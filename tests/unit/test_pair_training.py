"""Training with losses over pairs: that it learns, resumes to the same bytes, and is that of one process in two."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import refused, run_command
from feature_sets import speakers_frames, write_features
from test_resume import killed_after, left_by
from trainings import small_run, write_sets

from sv.cli.train import train_run
from sv.errors import ConfigError
from sv.features.files import FeatureReader
from sv.models.build import build_head, build_model
from sv.training.checkpoint import read_checkpoint
from sv.training.held_out import HeldOutChunks, evaluate
from sv.training.loader import load_batch
from sv.training.precision import Precision

ROOT = Path(__file__).parents[2]
PAIRS = ("training.chunks_per_speaker=null", "training.groups={utterances: 2}", "training.batch_size=8")
LOSSES = {"ap": "loss={name: ap}", "ap+softmax": "loss={name: ap+softmax}"}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Ten speakers, four utterances of each to train on and two held out."""
    return write_sets(tmp_path_factory.mktemp("data"), speakers=10)


def trained(folder, sets, loss, *settings, workers=0):
    run = small_run(folder, LOSSES[loss], *PAIRS, *settings)
    train_run(run, *sets, ngpu=0, workers=workers)
    return run


def curves(run):
    header, *lines = (run.path / "curves.tsv").read_text().splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


@pytest.mark.parametrize(("loss", "at_least"), [("ap", 0.95), ("ap+softmax", 0.6)])
def test_speakers_are_told_apart(tmp_path, loss, at_least):
    """By the mean of their frames: from chance (1 in 8 prototypes, 1 in 10 speakers); held-out pairs err seldom."""
    for seed, (name, utterances) in enumerate({"train": 16, "valid": 4}.items()):
        frames = speakers_frames(10, utterances, (60, 120), seed)
        write_features(tmp_path / name, frames, seed=seed, spread=2.0)
    both = (tmp_path / "train", tmp_path / "valid")
    run = trained(tmp_path / "exp", both, loss, "training.epochs=12", "training.batch_size=16")
    first, last = curves(run)[0], curves(run)[-1]
    assert float(last["train_loss"]) < 0.5 * float(first["train_loss"])
    assert float(last["train_top1"]) > at_least
    assert float(last["held_out_eer"]) < 0.08


def test_with_no_classes_the_held_out_chunks_have_an_error_rate_only(sets, tmp_path):
    run = trained(tmp_path, sets, "ap", "training.epochs=3")
    assert {(line["held_out_loss"], line["held_out_top1"]) for line in curves(run)} == {("", "")}
    eers = [float(line["held_out_eer"]) for line in curves(run)]
    assert read_checkpoint(run.path / "checkpoints" / "best.pt")["epoch"] == eers.index(min(eers)) + 1
    assert set(read_checkpoint(run.checkpoint())["head"]) == {"scale", "offset"}


def test_with_classes_the_held_out_figures_are_the_classifiers(sets, tmp_path):
    """Chunk by chunk, of the softmax alone: no chunk has a pair there."""
    system = small_run(tmp_path, LOSSES["ap+softmax"], *PAIRS).system
    reader = FeatureReader.of_system(sets[1] / "feats" / system.features, system)
    utt2spk = {utt: utt.split("-")[0] for utt in reader.num_frames}
    speakers = sorted(set(utt2spk.values()))
    torch.manual_seed(0)
    model, head = build_model(system, reader.dim), build_head(system.loss, 8, 10, utterances=2)
    held = HeldOutChunks.of(reader, utt2spk, speakers, speakers, 40, 7, sets[1], head.classifier is not None)
    found = evaluate(model, head, held, Precision.of("fp32", torch.device("cpu")))
    model.eval()
    losses, right = [], []
    with torch.no_grad():
        for batch in held.batches:
            for x_TF, speaker in zip(*load_batch(batch, reader), strict=True):
                logits_S = head.softmax.linear(model(x_TF[None]))[0]
                losses.append(-logits_S.log_softmax(0)[speaker].item())
                right.append(int(logits_S.argmax()) == speaker)
    assert found.loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert found.top1 == pytest.approx(sum(right) / len(right))
    assert 0 <= found.eer <= 1


@pytest.mark.parametrize("loss", LOSSES)
def test_killed_and_resumed_with_other_workers_is_as_never_killed(sets, tmp_path, monkeypatch, loss):
    """Within an epoch: 20 groups in 5 batches of 4, killed after 8 steps of 15, a step of which is lost."""
    whole = trained(tmp_path / "whole", sets, loss, "training.epochs=3", workers=1)
    cut = small_run(tmp_path / "cut", LOSSES[loss], *PAIRS, "training.epochs=3")
    killed_after(monkeypatch, 8, 2, cut, sets)
    assert (read_checkpoint(cut.checkpoint())["epoch"], read_checkpoint(cut.checkpoint())["step"]) == (1, 2)
    train_run(cut, *sets, ngpu=0, workers=2)
    assert left_by(cut) == left_by(whole)


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("loss", ["ap+softmax", pytest.param("ap", marks=pytest.mark.slow)])
def test_two_processes_learn_what_one_learns(sets, tmp_path, loss):
    """Two groups of each batch in one, one in the other: curves and weights of one process, to float tolerance."""
    settings = (LOSSES[loss], *PAIRS, "training.epochs=2", "training.batch_size=6")
    runs = [small_run(tmp_path / str(count), *settings) for count in (1, 2)]
    for count, run in enumerate(runs, 1):
        words = [sys.executable, "-m", "sv.cli.train", "--ngpu", 0, "--processes", count]
        words += ["--train", sets[0], "--valid", sets[1], run.path]
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, env=environment(), timeout=300)
        assert done.returncode == 0, done.stderr
    for one, two in zip(*map(curves, runs), strict=True):
        for name, figure in one.items():
            assert two[name] == figure or float(two[name]) == pytest.approx(float(figure), rel=2e-3, abs=2e-3)
    one, two = (read_checkpoint(run.checkpoint()) for run in runs)
    for part in ("model", "head"):
        for name, tensor in one[part].items():
            torch.testing.assert_close(two[part][name], tensor, rtol=5e-2, atol=5e-3)


STEP = """
import json, os, torch
from sv.losses.prototypical import PrototypicalHead, PrototypicalSoftmaxHead
from sv.training.loop import Network
from sv.training.ranks import Ranks

class Plain(torch.nn.Linear):
    drops_layers = False
    embed = torch.nn.Linear.forward
    for_head = torch.nn.Identity.forward

ranks = Ranks.join(torch.device("cpu"))
found = []
for head in (PrototypicalHead(2), PrototypicalSoftmaxHead(4, 5)):
    torch.manual_seed(0)
    model = Plain(3, 4).double()
    for parameter in head.double().parameters():
        torch.nn.init.normal_(parameter, mean=1.0)
    x_BF, speaker_B = torch.randn(10, 3, dtype=torch.float64), torch.arange(5).repeat_interleave(2)
    mine = torch.arange(5).repeat_interleave(2) % ranks.count == ranks.index
    network = ranks.together(Network(model, head, None, ranks))
    loss, accuracy, _ = network(x_BF[mine], speaker_B[mine], 0.0, [6, 4] if ranks.count > 1 else [10])
    loss.backward()
    gradients = {name: p.grad.tolist() for part in (model, head) for name, p in part.named_parameters()}
    found.append([loss.item(), accuracy.item(), gradients])
print(json.dumps(found))
ranks.leave()
"""


def test_gradients_of_two_processes_are_those_of_one():
    """Three groups in one process and two in the other, float64: negatives are those of the whole batch in both."""

    def processes(count):
        place = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(22000 + os.getpid() % 20000), "WORLD_SIZE": str(count)}
        started = [
            subprocess.Popen(
                [sys.executable, "-c", STEP],
                env={**environment(), **(place if count > 1 else {}), **({"RANK": str(rank)} if count > 1 else {})},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(count)
        ]
        said = [process.communicate(timeout=100) for process in started]
        assert [process.returncode for process in started] == [0] * count, said
        return [json.loads(out) for out, _ in said]

    (alone,) = processes(1)
    for found in processes(2):
        for (loss, accuracy, gradients), (want, right, whole) in zip(found, alone, strict=True):
            assert (loss, accuracy) == (pytest.approx(want, rel=1e-12), pytest.approx(right))
            for name, gradient in whole.items():
                torch.testing.assert_close(torch.tensor(gradients[name]), torch.tensor(gradient))


def test_a_batch_of_more_speakers_than_there_are_is_one_line_before_training(sets, tmp_path, monkeypatch, capsys):
    run = small_run(tmp_path, LOSSES["ap"], *PAIRS, "training.batch_size=22")
    options = ("--ngpu", 0, "--workers", 0, "--train", sets[0], "--valid", sets[1], run.path)
    said = refused(run_command(monkeypatch, capsys, "train", *options))
    assert said == (
        "train: training.batch_size: 22 chunks are 11 different speakers with 2 utterances, and the training set has"
        " 10; lower it to 20\n"
    )
    assert not (run.path / "checkpoints").exists()


def test_what_an_epoch_leaves_out_is_told(tmp_path):
    """A speaker with one utterance, and one with ten groups, of which five have a place in five batches."""
    frames = speakers_frames(4, 4, (60, 120)) | {f"much-{u:02d}": 80 for u in range(20)} | {"once-00": 80}
    write_features(tmp_path / "train", frames)
    write_features(tmp_path / "valid", speakers_frames(4, 2, (60, 120)), seed=1)
    both = (tmp_path / "train", tmp_path / "valid")
    run = trained(tmp_path / "exp", both, "ap", "training.epochs=1", "training.batch_size=6")
    why = "its speaker has 1 utterances that are long enough, training.groups.utterances is 2"
    assert (run.path / "dropped.txt").read_text() == f"once-00 {why}\n"
    log = (run.path / "log" / "train.log").read_text()
    assert "(1 too short or of speakers with fewer than 2, 1 speakers with them: dropped.txt)" in log
    assert "5 steps an epoch (without 10 utterances: a speaker is in each once)" in log


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["training.chunks_per_speaker=6", "training.groups=null"], "training.groups.utterances: the loss ap compares"),
        (["training.groups.utterances=1"], "training.groups.utterances: the loss ap compares utterances of a speaker"),
        (["training.groups.distinct_speakers=false"], "training.groups.distinct_speakers: the loss ap is of distinct"),
        (["training.batch_size=4"], "training.batch_size: the loss ap compares speakers, 6 chunks or more are 3 of"),
        (["training.batch_size=9"], "training.batch_size: 9 chunks are not whole groups of 2"),
        (["training.groups.max_per_speaker=1"], "training.groups.max_per_speaker: 1 utterances are no group of 2"),
        (
            ["training.chunks_per_recording=1"],
            "training: one of chunks_per_speaker, chunks_per_recording, groups and",
        ),
        (["training.groups.of=2"], "unknown key training.groups.of; there is utterances, max_per_speaker, distinct_sp"),
        (["training.groups={}"], "training.groups.utterances is missing"),
        (
            ["backends.m={name: classifier, loss: {name: ap}}"],
            "backends.m.loss.name: 'ap' is not one of",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_one_line(tmp_path, settings, problem):
    with pytest.raises(ConfigError) as caught:
        small_run(tmp_path, LOSSES["ap"], *PAIRS, *settings)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_of_a_budget_each_system_takes_its_own_way_to_draw(tmp_path):
    from trainings import SMALL

    from sv.systems.reading import load_system

    overlay = tmp_path / "budget.yaml"
    overlay.write_text("training: {chunks_per_speaker: 3, chunks_per_recording: null, groups: {max_per_speaker: 4}}\n")
    pairs = load_system(SMALL, sets=[LOSSES["ap"], *PAIRS])
    (tmp_path / "pairs.yaml").write_text(json.dumps(pairs.model_dump(mode="json", exclude_none=True) | {"cmn": None}))
    of_groups, plain = load_system(tmp_path / "pairs.yaml", [overlay]).training, load_system(SMALL, [overlay]).training
    assert (of_groups.groups.utterances, of_groups.groups.max_per_speaker, of_groups.chunks_per_speaker) == (2, 4, None)
    assert (plain.groups, plain.chunks_per_speaker) == (None, 3)
    overlay.write_text("training: {chunks_per_speaker: 3, groups: null}\n")
    with pytest.raises(ConfigError, match="the loss ap compares"):
        load_system(tmp_path / "pairs.yaml", [overlay])
    overlay.write_text("training: {chunks_per_speaker: null, groups: {utterances: 1}}\n")
    assert load_system(SMALL, [overlay]).training.groups.utterances == 1
