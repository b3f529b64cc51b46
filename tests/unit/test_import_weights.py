"""Public weights in a run of ours: from the file to the embeddings of recordings, which are the reference's."""

import dataclasses
import re

import numpy as np
import pytest
import soundfile
import torch
from commands import refused, run_command
from data_dirs import write_lines
from kaldi_files import ROOT
from model_reference import MODELS, WAVES, reference_state

from sv.data.ark import MatrixReader
from sv.data.tables import read_table
from sv.features.front_ends import read_feature_config
from sv.run import Run
from sv.systems.reading import find_systems, load_system

pytestmark = pytest.mark.usefixtures("one_thread")

SYSTEMS = find_systems(ROOT / "conf")
FRONT_END = dataclasses.asdict(read_feature_config(ROOT / "conf/features/melspec64_16k.conf"))


@pytest.fixture
def command(monkeypatch, capsys):
    return lambda *words: run_command(monkeypatch, capsys, *words)


@pytest.fixture
def weights(tmp_path):
    """The reference H/ASP as the authors' files name it, with a loss beside."""
    state = {f"__S__.{name}": tensor for name, tensor in reference_state("h_asp").items()}
    torch.save({**state, "__L__.weight": torch.zeros(3)}, tmp_path / "released.model")
    return tmp_path / "released.model"


def run_of(tmp_path, name, *sets):
    run = Run.plan(tmp_path / "exp", name, 1, load_system(SYSTEMS[name], sets=["extraction.crops=null", *sets]))
    run = dataclasses.replace(run, waveform={"features": FRONT_END, "augment_online": None})
    run.write()
    return run


def test_embeddings_of_recordings_are_the_references(tmp_path, command, weights):
    run, data = run_of(tmp_path, "H1"), tmp_path / "data"
    data.mkdir()
    for n, wave in enumerate(WAVES):
        soundfile.write(data / f"s{n}.wav", wave, 16000, "FLOAT")
    write_lines(data / "wav.scp", *(f"s{n} {data}/s{n}.wav" for n in (0, 1)))
    write_lines(data / "utt2spk", "s0 s0", "s1 s1")
    assert command("measure_audio", "--rate", 16000, data)[0] == 0
    said = command("import_weights", weights, run.path)
    assert said[0] == 0, said
    assert said[1].endswith("released.model; go on with ./run.sh --stage 5\n")
    assert "unchanged, skipped" in command("import_weights", weights, run.path)[1]
    assert command("extract", "--ngpu", 0, run.path, data)[0] == 0
    scp = read_table(run.embeddings("data") / "xvector.scp")
    found = np.stack([MatrixReader().read(scp[f"s{n}"]) for n in (0, 1)])
    wanted = np.loadtxt(MODELS / "h_asp.embedding.txt")
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("system", "sets", "says"),
    [
        ("Q1", [], "does not fit .*Q1/seed1: .* tensors"),
        ("H1", ["model.embedding_dim=256"], r"have other shapes: .*embedding.weight is \(512, "),
        ("H5", [], "tensors are missing: embedding_norm"),
    ],
)
def test_weights_of_another_network_are_one_line_and_nothing_is_written(tmp_path, command, weights, system, sets, says):
    run = run_of(tmp_path, system, *sets)
    line = refused(command("import_weights", weights, run.path))
    assert re.search(says, line), line
    assert not (run.path / "checkpoints").exists()


def test_a_file_that_is_no_state_dict_is_one_line(tmp_path, command):
    run = run_of(tmp_path, "H1")
    (tmp_path / "text").write_text("hello")
    assert "text: cannot be read as a state dict" in refused(command("import_weights", tmp_path / "text", run.path))
    assert "none: cannot be read" in refused(command("import_weights", tmp_path / "none", run.path))
    torch.save({"state_dict": {}}, tmp_path / "whole")
    assert "whole: not a state dict" in refused(command("import_weights", tmp_path / "whole", run.path))


def test_a_network_that_was_trained_here_stays(tmp_path, command, weights):
    run = run_of(tmp_path, "H1")
    run.checkpoint().parent.mkdir()
    run.checkpoint().write_bytes(b"weeks of work")
    assert "has a network of its own" in refused(command("import_weights", weights, run.path))
    assert run.checkpoint().read_bytes() == b"weeks of work"


def test_systems_whose_public_weights_are_not_known_are_refused(tmp_path, command, weights):
    run = Run.plan(tmp_path / "exp", "vox1-xvector", 1, load_system(SYSTEMS["vox1-xvector"]))
    run.write()
    assert "only the public networks of VoxSRC 2020" in refused(command("import_weights", weights, run.path))
