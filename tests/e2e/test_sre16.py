"""The sre16 recipe from end to end, on a tiny corpus of synthetic calls in the trees of LDC's corpora."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_run_sh import SMALL, SMALL_EMBEDDING, SMALL_IVECTOR

ROOT = Path(__file__).parents[2]
LISTS, SYSTEMS = ("pooled", "yue", "tgl"), ("ivector", "xvector")
OPTIONS = (
    *("--recipe", "sre16", "--budget", "short", "--set", "augment=null", *SMALL_EMBEDDING, *SMALL_IVECTOR, *SMALL),
    *("--set", "backends.adapted.lda_dim=4", "--set", "model.embedding_dim=8"),
)


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """A corpus of twelve training and eight test speakers."""
    folder = tmp_path_factory.mktemp("some calls") / "sre"
    sizes = ("--layout", "sre16", "--dev-speakers", "12", "--test-speakers", "8", "--sessions", "3", "--nj", "2")
    subprocess.run(
        [sys.executable, ROOT / "local" / "generate_mini.py", *sizes, folder],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    return folder


@pytest.fixture(scope="module")
def finished(run_sh, calls, tmp_path_factory):
    work = tmp_path_factory.mktemp("sre work")
    return run_sh("--data-root", f"mini={calls}", "--work", work, *OPTIONS), work


def test_all_stages_end_in_a_table_of_three_lists(finished):
    """A row a system, back end and list, each labelled synthetic and without the paper's figure."""
    result, work = finished
    assert result.returncode == 0, result.stdout + result.stderr
    rows = json.loads((work / "exp/sre16/report/results.json").read_text())
    assert {(row["system"], row["backend"], row["trials"]) for row in rows} == {
        (f"{system}+short", backend, trials)
        for system in SYSTEMS
        for backend in ("cosine", "plda", "adapted")
        for trials in LISTS
    }
    assert all(row["is_synthetic"] and row["published_eer"] is None for row in rows)
    pooled, yue, tgl = (next(row["num_listed"] for row in rows if row["trials"] == name) for name in LISTS)
    assert pooled == yue + tgl
    assert "](tsne_sre16_eval_test.png)" in (work / "exp/sre16/report/results.md").read_text()


def test_back_ends_learn_from_sre_and_adapt_to_the_unlabelled_calls(finished):
    """PLDA of SRE's speakers alone; all is said of in the log."""
    result, work = finished
    sre, others, trained, held_out = (
        {line.split()[1] for line in (work / f"data/sre16/{name}/utt2spk").read_text().splitlines()}
        for name in ("sre", "swbd", "swbd_sre_train", "swbd_sre_valid")
    )
    assert sre.isdisjoint(others)
    assert trained | held_out == sre | others
    assert trained.isdisjoint(held_out)
    assert len(held_out) == 2
    speakers = sre & trained
    unlabelled = len((work / "data/sre16/sre16_major/utt2spk").read_text().splitlines())
    for system in SYSTEMS:
        line = next(line for line in result.stdout.splitlines() if f"{system}+short/seed1/backend/adapted: " in line)
        assert f"embeddings of {len(speakers)} speakers" in line
        assert line.endswith(f"adapted to {unlabelled}")


def test_corpora_that_are_absent_are_told_and_too_few_are_one_line(run_sh, calls, tmp_path):
    roots = [f"{name}={calls / name}" for name in ("sre16", "sre16_dev", "sre10")]
    options = [word for root in roots for word in ("--data-root", root)]
    result = run_sh(
        "--recipe", "sre16", *options, "--work", tmp_path / "w", "--stop-stage", "0", "--set", "augment=null"
    )
    assert result.returncode == 1
    assert "without sre08, as no --data-root names it" in result.stdout
    assert result.stderr.splitlines()[0] == (
        "run.sh: sre16 trains on SRE and Switchboard; name a root or more of each with --data-root"
    )
    result = run_sh("--recipe", "sre16", *options[2:], "--work", tmp_path / "w", "--set", "augment=null")
    assert "sre16 needs the root of sre16; give it with --data-root sre16=DIR" in result.stderr


def test_a_broken_call_is_left_out_and_listed_if_asked(run_sh, calls, tmp_path):
    """A truncated call stands in dropped.txt, and preparation goes on."""
    tree = Path(shutil.copytree(calls, tmp_path / "broken"))
    call = sorted((tree / "sre10").rglob("*.sph"))[0]
    call.write_bytes(call.read_bytes()[:3000])
    result = run_sh(
        *("--recipe", "sre16", "--data-root", f"mini={tree}", "--work", tmp_path / "w", "--stop-stage", "0"),
        *("--set", "augment=null", "--drop-bad-audio"),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    dropped = "".join(path.read_text() for path in (tmp_path / "w/data/sre16").glob("*/dropped.txt"))
    assert call.name in dropped or call.stem in dropped
