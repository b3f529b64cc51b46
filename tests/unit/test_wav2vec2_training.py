"""Trainings of wav2vec2 networks: in parts, by several processes, from weights, resumed; what they are judged by."""

import os
import subprocess
import sys
from dataclasses import asdict
from itertools import count

import numpy as np
import pytest
import torch
from commands import exit_code, refused, run_command
from data_dirs import write_data
from kaldi_files import ROOT
from runs import made_run

from sv.cli.train import train_run
from sv.errors import ConfigError
from sv.features.front_ends import read_feature_config
from sv.metrics import eer_rocch
from sv.models.wav2vec2 import Wav2Vec2
from sv.roc import Roc
from sv.source import Source
from sv.systems.reading import find_systems, load_system
from sv.training.checkpoint import load_model, read_checkpoint
from sv.training.memory import Measured
from sv.training.pairs import draw_pairs

pytestmark = pytest.mark.usefixtures("one_thread")

STILL = ("model.layer_drop=0", "model.dropout=0", "model.attention_dropout=0", "model.projection_dropout=0")
SMALL = (
    *("model.size=tiny", "model.pretrained=null", "model.mask_time.prob=0", "training.chunk_s=[0.3,0.3]"),
    *("training.epochs=2", "training.batch_size=12", "training.held_out_pairs=8", "training.optimiser.lr=1e-3"),
)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, first in (("train", 0), ("valid", 4)):
        write_data(folder / name, {f"s{s}-{u}": 6000 + 700 * u for s in range(6) for u in range(first, first + 4)})
        with pytest.MonkeyPatch.context() as patch:
            assert exit_code(patch, "measure_audio", "--rate", 16000, folder / name) == 0
    return folder / "train", folder / "valid"


def run_of(exp, system, *settings, seed=1):
    epoch = () if system == "w2v2-bce" else ("training.steps_per_epoch=3",)
    loaded = load_system(find_systems(ROOT / "conf")[system], sets=[*SMALL, *epoch, *settings])
    features = asdict(read_feature_config(ROOT / "conf/features/wave_16k.conf"))
    return made_run(exp, system, seed, loaded, {"features": features, "augment_online": None})


def trained(exp, sets, system, *settings):
    run = run_of(exp, system, *settings)
    train_run(run, *sets, 0, 0)
    return run


def curves(run):
    return [[float(cell) if cell else None for cell in line.split("\t")] for line in lines(run)]


def lines(run):
    return (run.path / "curves.tsv").read_text().splitlines()[1:]


def weights(run):
    return read_checkpoint(run.checkpoint())["model"]


@pytest.mark.parametrize("parts", [2, 5])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(sets, tmp_path, parts):
    """Nothing is drawn within the network and no statistics are of a batch; 5 parts of 12 are of 2 and of 3."""
    whole = trained(tmp_path / "whole", sets, "w2v2-ce", *STILL)
    in_parts = trained(tmp_path / "parts", sets, "w2v2-ce", *STILL, f"training.accumulate={parts}")
    for one, other in zip(curves(whole), curves(in_parts), strict=True):
        assert other == pytest.approx(one, rel=1e-4)
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(weights(in_parts)[name], tensor, atol=1e-4, rtol=1e-3)


def test_layers_that_are_computed_again_train_the_same_network(sets, tmp_path):
    once = trained(tmp_path / "once", sets, "w2v2-ce")
    again = trained(tmp_path / "again", sets, "w2v2-ce", "training.recompute=true")
    for one, other in zip(curves(once), curves(again), strict=True):
        assert other == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize("system", ["w2v2-ce", "w2v2-bce"])
def test_a_training_that_was_stopped_goes_on_to_the_same_bytes(sets, tmp_path, system):
    """In the middle of an epoch, with dropout, masks and layers left out, a rate and a momentum that cycle."""
    from sv.training.task import train_network

    settings = ("training.groups.max_per_speaker=4",) if system == "w2v2-bce" else ()
    settings += ("model.mask_time.prob=0.3", "model.layer_drop=0.3")
    through = trained(tmp_path / "through", sets, system, *settings)
    run = run_of(tmp_path / "stopped", system, *settings)
    asked = count()
    assert not train_network(run, "key", *sets, 0, 0, lambda: next(asked) >= 0)
    assert read_checkpoint(run.checkpoint())["step"] == 1
    assert train_network(run, "key", *sets, 0, 0, lambda: False)
    assert lines(run) == lines(through)
    stopped = weights(run)
    assert all(torch.equal(stopped[name], tensor) for name, tensor in weights(through).items())


@pytest.mark.parametrize("system", ["w2v2-ce", "w2v2-bce"])
def test_two_processes_train_a_network_that_leaves_layers_out(sets, tmp_path, system):
    """Some weights have no gradient in some steps; in parts, too."""
    settings = ("training.batch_size=24",) if system == "w2v2-bce" else ("training.accumulate=2",)
    run = run_of(tmp_path, system, "model.layer_drop=0.4", *settings)
    command = ("--ngpu", "0", "--processes", "2", "--train", sets[0], "--valid", sets[1], run.path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "sv.cli.train", *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(lines(run)) == 2


def test_pretrained_weights_are_what_training_begins_with(sets, tmp_path):
    """A file of torchaudio's layout; at a rate of nearly nothing it is what is left, and the head is new."""
    torch.manual_seed(5)
    other = Wav2Vec2(run_of(tmp_path / "other", "w2v2-ce").system.model)
    torch.save(other.net.state_dict(), tmp_path / "weights.pt")
    run = trained(tmp_path, sets, "w2v2-ce", f"model.pretrained={tmp_path}/weights.pt", "training.optimiser.lr=1e-12")
    found = load_model(run).trunk.net.state_dict()
    for name, tensor in other.net.state_dict().items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=1e-6)


def test_a_network_of_pairs_starts_from_one_with_embeddings(sets, tmp_path):
    """All but the layer on top is that of the other's best epoch, at a rate of nearly nothing also after training."""
    other = load_model(trained(tmp_path, sets, "w2v2-ce")).state_dict()
    settings = ("training.start_from=w2v2-ce", "training.optimiser.lr=1e-12", "training.groups.max_per_speaker=4")
    found = weights(trained(tmp_path, sets, "w2v2-bce", *settings))
    assert {name for name in found if name not in other} == {"trunk.top.weight", "trunk.top.bias"}
    for name, tensor in other.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=1e-6)


def test_other_pretrained_weights_are_another_training(sets, tmp_path, monkeypatch, capsys):
    """The file's content counts, not its name; one that does not fit is a line, before anything is touched."""
    net = Wav2Vec2(run_of(tmp_path / "other", "w2v2-ce").system.model).net
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    run = run_of(tmp_path, "w2v2-ce", f"model.pretrained={tmp_path}/weights.pt")
    command = ("train", "--ngpu", 0, "--train", sets[0], "--valid", sets[1], run.path)
    assert run_command(monkeypatch, capsys, *command)[0] == 0
    assert "unchanged, skipped" in run_command(monkeypatch, capsys, *command)[1]
    with torch.no_grad():
        net.encoder.feature_projection.projection.bias += 1
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    assert "runs again" in run_command(monkeypatch, capsys, *command)[1]
    torch.save({name: tensor for name, tensor in list(net.state_dict().items())[1:]}, tmp_path / "weights.pt")
    code, _, said = run_command(monkeypatch, capsys, *command)
    assert (code, said.count("\n")) == (1, 1)
    assert "1 tensors are missing" in said
    assert len(lines(run)) == 2


def test_a_network_that_begins_with_anothers_needs_no_pretrained_weights(sets, tmp_path):
    trained(tmp_path, sets, "w2v2-ce")
    settings = ("training.start_from=w2v2-ce", f"model.pretrained={tmp_path}/gone.pt")
    assert len(lines(trained(tmp_path, sets, "w2v2-ce-mean", *settings))) == 2


@pytest.mark.parametrize("system", ["w2v2-ce-mean", "w2v2-bce"])
def test_the_error_is_that_of_the_pairs_that_were_asked_for(sets, tmp_path, system):
    """The middles of the held-out recordings, paired by hand: 8 + 8 of 36 + 240, by the run's seed."""
    run = trained(tmp_path, sets, system)
    model, source = load_model(run).eval(), Source(run, sets[1])
    reader, prepare = source.reader(), source.prepare(torch.device("cpu"))
    utts = sorted(reader.num_frames)
    waves = [reader.chunk(utt, (reader.num_frames[utt] - 4800) // 2, 4800) for utt in utts]
    one_P, two_P, same_P = draw_pairs(np.array([int(utt[1]) for utt in utts]), 8, run.seed)
    assert len(same_P) == 16
    with torch.no_grad():
        e_N = model.embed(prepare(torch.from_numpy(np.stack(waves))))
        if system == "w2v2-bce":
            score_P = model.compare(e_N[one_P], e_N[two_P])
        else:
            score_P = torch.cosine_similarity(e_N[one_P] - e_N.mean(0), e_N[two_P] - e_N.mean(0))
    want = eer_rocch(Roc.from_scores(score_P.numpy().astype(float), same_P))
    assert min(row[5] for row in curves(run)) == pytest.approx(want, abs=1e-6)  # the best epoch's network is loaded


@pytest.mark.slow
def test_the_batch_size_for_the_memory_is_suggested(sets, tmp_path, monkeypatch, capsys):
    for system in ("w2v2-ce", "w2v2-bce"):
        run = run_of(tmp_path, system)
        command = ("suggest_batch_size", "--ngpu", 0, "--train", sets[0], "--measure", 60, 240, run.path)
        result = run_command(monkeypatch, capsys, *command)
        assert result[0] == 0, result[2]
        assert "training.batch_size=" in result[1]


def test_no_batch_is_suggested_that_the_pairs_loss_would_refuse(sets, tmp_path, monkeypatch, capsys):
    """Eleven chunks fit: two speakers, and it takes three."""
    sizes = {"few": Measured(4, 4800, 400, 1100, "cpu", 24), "more": Measured(12, 4800, 1200, 1100, "cpu", 24)}
    monkeypatch.setattr("sv.training.memory.measure", lambda *of: sizes["few" if of[-1] == 4 else "more"])
    options = ("--ngpu", 0, "--train", sets[0], "--measure", 4, 12, "--limit-gb", 1.1e-6)
    result = run_command(monkeypatch, capsys, "suggest_batch_size", *options, run_of(tmp_path, "w2v2-bce").path)
    assert "no three groups of 4 chunks fit into 0.00 GB" in refused(result)


def test_a_part_of_a_batch_with_one_speaker_is_refused(sets, tmp_path):
    """Six groups in two batches of three: the second part of one would have a single speaker."""
    run = run_of(tmp_path, "w2v2-bce", "training.batch_size=16", "training.accumulate=2")
    said = r"training.batch_size: the smallest batch has 3 speakers to be cut into 2 parts; the loss bce compares two"
    with pytest.raises(ConfigError, match=said):
        train_run(run, *sets, 0, 0)
