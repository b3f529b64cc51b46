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
    for row in rows:  # two languages, genders and sizes of models; phones of target trials
        assert row["num_partitions"] == ([16, 8] if row["trials"] == "pooled" else [8, 4])
        assert 0 <= row["equalised_eer"] <= 0.6
        assert row["equalised_act_cprimary"] >= row["equalised_min_cprimary"] - 1e-4
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


def test_the_development_part_calibrates(finished):
    """Its trials are of other people, and are in no table; the prior is that of the costs."""
    _, work = finished
    learnt = json.loads((work / "exp/sre16/xvector+short/seed1/calibration/plda.json").read_text())
    assert (learnt["trials"], learnt["prior"], learnt["num_speakers"]) == ("dev", 0.01, 8)
    assert "on the list dev (48 target and 48 non-target trials" in (work / "exp/sre16/report/results.md").read_text()


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


def test_normalised_scores_are_planned_where_the_development_part_is(run_sh, calls, tmp_path):
    """Its trials are the calibration list: of this run or of an earlier one; without, it is told before any work."""
    tree = Path(shutil.copytree(calls, tmp_path / "calls"))
    options = ("--recipe", "sre16", "--systems", "R28-ensemble", "--set", "augment=null", "--work", tmp_path / "w")
    options += ("--set", "ensemble.normalise=nontargets", "--data-root", f"mini={tree}", "--stop-stage", "0")
    assert run_sh(*options, "--dry-run").returncode == 0
    (tree / "sre16_dev/docs/sre16_dev_trial_key.tsv").unlink()
    refused = run_sh(*options)
    assert refused.returncode == 1
    assert "in a recipe that has trials of its own to calibrate on, name the root that they are in" in refused.stderr
    assert not (tmp_path / "w").exists()
    (tmp_path / "w/data/sre16/sre16_dev_test").mkdir(parents=True)
    (tmp_path / "w/data/sre16/sre16_dev_test/trials_dev").touch()
    assert run_sh(*options, "--dry-run").returncode == 0


@pytest.mark.slow
def test_broken_calls_and_absent_corpora_are_told_and_the_rest_goes_on(run_sh, calls, tmp_path):
    """In stage 0 each stands in its set's dropped.txt with the reason; trials of broken segments are left out of the
    scores if that is asked for, and counted in the table; without a development part nothing is calibrated."""
    tree, work = Path(shutil.copytree(calls, tmp_path / "broken")), tmp_path / "w"
    for absent in ("sre08", "sre08_train", "swbd_cellular1"):
        shutil.rmtree(tree / absent)
    shutil.rmtree(tree / "sre16_dev/docs")
    breaks = {
        "sre10/data/core/t00100.sph": (lambda whole: whole[:3000], "sre10", "truncated, has 988 of "),
        "swbd2_phase1/data/sw_10101.sph": (lambda _: b"", "swbd2_phase1_train", "the file is empty"),
        "swbd2_phase1/data/sw_10102.sph": (
            lambda whole: whole.replace(b"ulaw", b"mp99", 1),
            "swbd2_phase1_train",
            "coding",
        ),
        "sre16/data/test/t00030_sre16.sph": (lambda whole: whole[:9000], "sre16_eval_test", "truncated, has 7976 of "),
        "sre16/data/enrollment/e0010_sre16.sph": (lambda _: b"<html>", "sre16_eval_enroll", "cannot be decoded"),
    }
    for name, (broken, _, _) in breaks.items():
        (tree / name).write_bytes(broken((tree / name).read_bytes()))
    small = ("--set", "augment=null", "--set", "backends.plda.lda_dim=4", "--set", "backends.adapted.lda_dim=4")
    options = ("--recipe", "sre16", "--systems", "ivector", "--budget", "short", *small, *SMALL_IVECTOR)
    options += ("--nj", "2", "--ngpu", "0", "--data-root", f"mini={tree}", "--work", work)
    result = run_sh(*options, "--stop-stage", "0")
    assert result.returncode == 0, result.stdout + result.stderr
    for corpus in ("sre08", "swbd_cellular1", "swbd2_phase3"):
        assert f"data/sre16: without {corpus}, as no --data-root names it\n" in result.stdout
    assert "data/sre16: no development sets, as there is no docs/sre16_dev_enrollment.tsv in" in result.stdout
    for name, (_, where, reason) in breaks.items():
        dropped = (work / "data/sre16" / where / "dropped.txt").read_text()
        assert any(f"{tree / name}: " in line and reason in line for line in dropped.splitlines())
    assert "trials_pooled: 96 trials (48 target), 2 of them with a segment that is left out" in result.stdout

    result = run_sh(*options, "--stage", "1", "--drop-bad-audio")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "nothing is calibrated, as " in result.stdout
    rows = json.loads((work / "exp/sre16/report/results.json").read_text())
    # of model 1002 all twelve trials, of the broken test segment that of its speaker and that of another
    assert {(row["trials"], row["num_listed"] - row["num_trials"]) for row in rows} == {
        ("pooled", 14),
        ("tgl", 14),
        ("yue", 0),
    }
    assert all(row["calibrated"] is row["equalised_act_cprimary"] is None for row in rows)
    scores = (work / "exp/sre16/ivector+short/seed1/scores/pooled.dropped.txt").read_text()
    assert "1001_sre16-t00030_sre16 " in scores
    assert "1002_sre16 model without an embedding of 1002_sre16-e0010_sre16\n" in scores
