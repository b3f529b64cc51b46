"""Every system of the VoxSRC 2020 paper takes a step, embeds and scores: noise as speech, narrow networks."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from augment_corpora import write_musan, write_rirs
from commands import exit_code, refused, run_command
from data_dirs import write_data, write_lines
from kaldi_files import ROOT

from sv.data.vectors import Vectors
from sv.run import Run

pytestmark = pytest.mark.usefixtures("one_thread")

SYSTEMS = sorted(path.stem for path in (ROOT / "conf/systems/voxsrc2020").glob("*.yaml"))
WIDTHS = {
    "q_sap": {"channels": [8, 8, 8, 8], "embedding_dim": 6},
    "h_asp": {"channels": [8, 8, 8, 8], "embedding_dim": 6},
    "ecapa": {"channels": 16, "aggregated": 8, "bottleneck": 4, "attention_dim": 4, "embedding_dim": 6},
}
TRAINING = {"epochs": 1, "batch_size": 6, "groups": {"max_per_speaker": 2}, "chunk_s": [0.5, 0.5]}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two sets of six speakers with audio, measured; banks of noises and rooms; a budget of nearly nothing."""
    folder = tmp_path_factory.mktemp("voxsrc")
    for name, first in (("train", 0), ("valid", 2)):
        utts = {f"s{s}-{u}": 12000 + 700 * u for s in range(6) for u in range(first, first + 2)}
        write_data(folder / name, utts)
    write_lines(folder / "valid/trials_some", "s0-2 s0-3 target", "s0-2 s1-3 nontarget", "s2-3 s2-2 target")
    write_musan(folder / "musan_tree")
    write_rirs(folder / "rirs_tree")
    conf = folder / "conf"
    conf.mkdir()
    for name in ("features", "systems", "augment_online"):
        (conf / name).symlink_to(ROOT / "conf" / name)
    (conf / "budgets").mkdir()
    budget = {"models": WIDTHS, "training": TRAINING, "extraction": {"crops": {"count": 3, "length_s": 0.6}}}
    (conf / "budgets/tiny.yaml").write_text(yaml.safe_dump(budget))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("train", "valid"):
            assert exit_code(patch, "measure_audio", "--rate", 16000, folder / name) == 0
        for corpus in ("musan", "rirs"):
            prepare(corpus, folder / f"{corpus}_tree", folder / corpus)
        online = ("--conf", conf / "augment_online/voxsrc.yaml", "--rate", 16000)
        corpora = ("--musan", folder / "musan", "--rirs", folder / "rirs")
        assert exit_code(patch, "make_noise_bank", *online, *corpora, folder / "banks") == 0
    return folder


def prepare(corpus, tree, out):
    command = [sys.executable, ROOT / f"local/prepare_{corpus}.py", tree, out]
    subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, check=True, capture_output=True)


def test_there_are_all_of_them():
    """Q, QA, H, HA and EA 1 to 8, and FR-34."""
    wanted = {f"{family}{number}" for family in ("Q", "QA", "H", "HA", "EA") for number in range(1, 9)} | {"FR34"}
    assert wanted <= set(SYSTEMS)


def test_a_bank_that_is_gone_costs_no_checkpoint(world, tmp_path, monkeypatch, capsys):
    """Its training is refused, and with the bank back in its place it is as it was left."""
    made = run_command(
        monkeypatch, capsys, "configure", "--conf", world / "conf", "--exp", tmp_path, "--budget", "tiny", "QA1"
    )
    run, banks = Run.open(made[1].split("\t")[0]), shutil.copytree(world / "banks", tmp_path / "banks")
    train = ("train", "--ngpu", 0, "--train", world / "train", "--valid", world / "valid", "--banks", banks, run.path)
    assert run_command(monkeypatch, capsys, *train)[0] == 0
    files = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    (banks / "music.16000.index").rename(banks / "aside")
    assert "music.16000.index is missing; run stage 2" in refused(run_command(monkeypatch, capsys, *train))
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == files
    (banks / "aside").rename(banks / "music.16000.index")
    assert "unchanged, skipped" in run_command(monkeypatch, capsys, *train)[1]


@pytest.mark.parametrize("name", [name for name in SYSTEMS if not name.startswith("F") or name == "FR34"])
def test_takes_a_step_embeds_and_scores(world, tmp_path, monkeypatch, capsys, name):
    def do(command, *options):
        result = run_command(monkeypatch, capsys, command, *options)
        assert result[0] == 0, result[2]
        return result[1]

    line = do("configure", "--conf", world / "conf", "--exp", tmp_path, "--budget", "tiny", name)
    run = Run.open(line.split("\t")[0])
    sets = ("--train", world / "train", "--valid", world / "valid", "--banks", world / "banks")
    do("train", "--ngpu", 0, *sets, run.path)
    for data in ("train", "valid"):
        do("extract", "--ngpu", 0, run.path, world / data)
    embeddings = Vectors.read(run.embeddings("valid") / "xvector.scp", crops=True)
    assert len(embeddings.keys) == 12
    assert embeddings.own_crops().x_CD.shape == (36, 6)
    do("train_backends", "--train", "train", run.path)
    do("score", "--enrol", "valid", "--test", "valid", run.path, world / "valid/trials_some")
    scores = [float(each.split()[2]) for each in run.scores("some", "cosine").read_text().splitlines()]
    assert len(scores) == 3
    assert np.abs(scores).max() <= 1
