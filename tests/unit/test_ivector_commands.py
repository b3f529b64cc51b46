"""`train_ivector` and `extract` of an i-vector system as a user starts them: what they leave, resume and refuse."""

import numpy as np
import pytest
from commands import refused, run_command
from feature_sets import write_features
from runs import made_run
from trainings import small_run, write_sets

from sv.backends.kaldi_gmm import read_extractor, read_full_gmm
from sv.data.tables import read_table, write_table
from sv.data.vectors import Vectors
from sv.records import record_of
from sv.systems.reading import validate_system

SYSTEM = {
    "features": "mfcc23_8k",
    "vad": "energy",
    "deltas": {"order": 1, "window": 2},
    "cmn": None,
    "ivector": {"num_gaussians": 4, "dim": 5, "iterations": 2, "num_gselect": 4},
    "backends": {"cosine": {"name": "cosine"}},
}


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("data"))


@pytest.fixture
def command(monkeypatch, capsys):
    return lambda *words: run_command(monkeypatch, capsys, *words)


def ivector_run(exp, **changes):
    tree = {**SYSTEM, "ivector": {**SYSTEM["ivector"], **changes}}
    return made_run(exp, "ivector", 1, validate_system(tree, "test"))


def train(command, run, sets):
    return command("train_ivector", "--ngpu", 0, "--train", sets[0], run.path)


def left_by(run):
    return {name: (run.path / name).read_bytes() for name in ("final.dubm", "final.ubm", "final.ie")}


def test_models_are_left_and_vectors_extracted(command, sets, tmp_path):
    """Two jobs; the same bytes when trained again; embeddings of another set, one too silent listed."""
    run = ivector_run(tmp_path / "exp")
    assert train(command, run, sets)[0] == 0
    assert (read_full_gmm(run.path / "final.ubm").dim, read_extractor(run.path / "final.ie").dim) == (8, 5)
    again = ivector_run(tmp_path / "again")
    train(command, again, sets)
    assert left_by(again) == left_by(run)
    folder = write_features(tmp_path / "test", {"a-1": 80, "a-2": 60, "b-1": 90})
    table = folder / "utt2num_voiced"
    write_table(table, read_table(table) | {"b-1": "0"})
    assert command("extract", "--nj", 2, "--ngpu", 0, run.path, tmp_path / "test")[0] == 0
    vectors = Vectors.read(run.embeddings("test") / "xvector.scp")
    assert vectors.keys == ["a-1", "a-2"]
    assert vectors.x_ND.shape == (2, 5)
    assert np.isfinite(vectors.x_ND).all()
    dropped = (run.embeddings("test") / "dropped.txt").read_text()
    assert dropped == "b-1 0 voiced frames, an i-vector needs 1\n"


def test_what_is_finished_is_not_trained_again(command, sets, tmp_path):
    """All of it; after another size of the extractor, the UBM; after other Gaussians, nothing."""
    run = ivector_run(tmp_path)
    train(command, run, sets)
    steps = ("train_diag_ubm", "train_full_ubm", "train")
    assert train(command, run, sets)[1] == "".join(f"{step} {run.path}: unchanged, skipped\n" for step in steps)
    said = train(command, ivector_run(tmp_path, dim=4), sets)[1]
    assert "runs again (system.ivector.dim is 4, was 5)" in said
    assert f"train_diag_ubm {run.path}: unchanged, skipped" in said
    assert f"train_full_ubm {run.path}: unchanged, skipped" in said
    said = train(command, ivector_run(tmp_path, dim=4, num_gaussians=3), sets)[1]
    assert f"train_diag_ubm {run.path}: runs again (system.ivector.num_gaussians is 3, was 4)" in said
    assert "train_full_ubm" in said


@pytest.mark.parametrize("own", [True, False])
def test_a_ubm_of_its_own_set_knows_nothing_of_the_training_sets_copies(command, sets, tmp_path, own):
    """Another augmentation is another training set; only a UBM of that set is trained anew."""
    said = []
    for augment in (None, "kaldi"):
        run = made_run(tmp_path, "ivector", 1, validate_system(SYSTEM | {"augment": augment}, "test"))
        ubm = ("--ubm", sets[1]) if own else ()
        said.append(command("train_ivector", "--ngpu", 0, "--train", sets[0], *ubm, run.path)[1])
    why = 'runs again (system.augment is "kaldi", was not set)'
    assert [f"{step} {run.path}: {why}" in said[1] for step in ("train_diag_ubm", "train")] == [not own, True]
    assert (f"train_full_ubm {run.path}: unchanged, skipped" in said[1]) == own


def test_cut_short_after_the_ubm_it_goes_on_there(command, sets, tmp_path, monkeypatch):
    whole = ivector_run(tmp_path / "whole")
    train(command, whole, sets)
    cut = ivector_run(tmp_path / "cut")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("sv.backends.ivector_training.m_step", killed)
        assert train(command, cut, sets)[0] == 130
    assert not record_of("train", cut.path).exists()
    said = train(command, cut, sets)[1]
    assert f"train_full_ubm {cut.path}: unchanged, skipped" in said
    assert left_by(cut) == left_by(whole)
    assert not list(cut.path.glob(".posteriors*"))


def test_cut_short_in_a_forced_run_it_goes_on(command, sets, tmp_path, monkeypatch):
    """In the full UBM: the extractor's record of before says that the UBM was begun, which must not end the rerun."""
    run = ivector_run(tmp_path)
    train(command, run, sets)
    whole = left_by(run)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setenv("SV_FORCE", "1")
        patched.setattr("sv.backends.ubm_training.train_full_ubm", killed)
        assert train(command, run, sets)[0] == 130
    assert train(command, run, sets)[0] == 0
    assert left_by(run) == whole


@pytest.mark.parametrize("name", ["final.dubm", "final.ubm", "final.ie"])
@pytest.mark.parametrize("damage", ["flipped", "gone"])
def test_damaged_models_are_named_and_trained_again(command, sets, tmp_path, name, damage):
    run = ivector_run(tmp_path)
    train(command, run, sets)
    whole = left_by(run)
    if damage == "gone":
        (run.path / name).unlink()
    else:
        (run.path / name).write_bytes(whole[name][:-9] + b"x" + whole[name][-8:])
    code, said, _ = train(command, run, sets)
    assert code == 0
    assert f"{name} is {'missing' if damage == 'gone' else 'not what was written'}" in said
    assert left_by(run) == whole


def test_mistakes_are_one_line(command, sets, tmp_path):
    network = small_run(tmp_path)
    assert "small is no i-vector system; steps/train.sh trains networks" in refused(train(command, network, sets))
    many = ivector_run(tmp_path, num_gaussians=1000)
    assert "a UBM of 1000 Gaussians needs 10000 frames" in refused(train(command, many, sets))
    untrained = command("extract", "--ngpu", 0, many.path, sets[1])
    assert "not trained to the end; stage 3 trains it" in refused(untrained)


def test_the_ubm_may_be_of_another_set(command, sets, tmp_path):
    """Its models are those that this set alone would have; the extractor is then of the training set."""
    run, other = ivector_run(tmp_path / "exp"), ivector_run(tmp_path / "other")
    command("train_ivector", "--ngpu", 0, "--train", sets[0], "--ubm", sets[1], run.path)
    train(command, other, sets[::-1])
    ours, theirs = left_by(run), left_by(other)
    assert [ours[name] == theirs[name] for name in ("final.dubm", "final.ubm", "final.ie")] == [True, True, False]
    whole = ivector_run(tmp_path / "whole")
    train(command, whole, sets)
    assert left_by(whole)["final.ubm"] != ours["final.ubm"]
