"""Scores in their two forms: the bytes, one form at a time, readers that take either, commands of stages 7 to 9."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import run_command
from data_dirs import plain
from embedding_sets import write_set
from runs import made_run

from sv.data.tables import write_table
from sv.data.trials import Trials
from sv.errors import DataError
from sv.records import Step, counts_of
from sv.scoring.score_files import bring_into_form, is_compressed, score_file
from sv.scoring.trials import read_scores, write_scores
from sv.systems.reading import find_systems, load_system, validate_system

SMALL = find_systems(Path(__file__).parents[1] / "data" / "conf")["small"]
TRIALS = Trials(["a", "a", "b"], ["x", "y", "x"], np.array([True, False, False]))
SCORES_N = np.array([1.5, -2.25, 0.125])
TEXT = b"a x 1.500000\na y -2.250000\nb x 0.125000\n"


def test_compressed_scores_are_the_plain_text_and_have_the_same_bytes_at_any_time_and_place(tmp_path, monkeypatch):
    files = []
    for now, folder in ((1e9, "one"), (2e9, "two")):
        monkeypatch.setattr("time.time", lambda now=now: now)
        files.append(write_scores(tmp_path / folder / "s", TRIALS, SCORES_N, compress=True))
    assert [file.name for file in files] == ["s.gz", "s.gz"]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert gzip.decompress(files[0].read_bytes()) == TEXT
    assert read_scores(tmp_path / "one" / "s", TRIALS).tolist() == SCORES_N.tolist()


def test_writing_in_one_form_takes_the_other_away(tmp_path):
    for compress in (False, True, False):
        file = write_scores(tmp_path / "s", TRIALS, SCORES_N + compress, compress)
        assert list(tmp_path.iterdir()) == [file] == [score_file(tmp_path / "s")]
        assert is_compressed(tmp_path / "s") == compress
        assert read_scores(tmp_path / "s", TRIALS).tolist() == (SCORES_N + compress).tolist()


def test_a_full_disk_leaves_no_half_of_a_compressed_file(tmp_path):
    """A list that ends in an error while it is written."""
    with pytest.raises(ValueError, match="zip"):
        write_scores(tmp_path / "s", TRIALS, SCORES_N[:2], compress=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("harm", [lambda b: b[:-9], lambda b: b"a x 1\n", lambda b: b[:12] + b"\xff\xff" + b[14:]])
def test_a_damaged_compressed_file_is_one_line(tmp_path, harm):
    file = write_scores(tmp_path / "s", TRIALS, SCORES_N, compress=True)
    file.write_bytes(harm(file.read_bytes()))
    with pytest.raises(
        DataError, match=r"^.*/s\.gz: not a whole gzip file \(.*\); remove it and score again"
    ) as caught:
        read_scores(tmp_path / "s", TRIALS)
    assert "\n" not in str(caught.value)


def test_missing_scores_are_named_without_the_suffix(tmp_path):
    with pytest.raises(DataError, match=r"/s: cannot be read \(No such file or directory\); score first \(stage 7\)$"):
        read_scores(tmp_path / "s", TRIALS)


def test_form_changes_alone_where_the_scores_hold(tmp_path, monkeypatch):
    """There and back to the same bytes; the record names the file that is there and keeps its counts."""
    path, dropped = tmp_path / "s", tmp_path / "s.dropped.txt"
    dropped.write_text("x short\n")

    def step():
        return Step("s", tmp_path, settings={"a": 1})

    step().done([write_scores(path, TRIALS, SCORES_N), dropped], trials=3, dropped=1)
    for compress in (True, True, False, False):
        assert step().skip()
        bring_into_form(step(), path, compress, [dropped])
        assert (is_compressed(path), path.exists()) == (compress, not compress)
        assert step().skip()
        assert step().not_as_written() == []
        assert counts_of("s", tmp_path) == {"trials": 3, "dropped": 1}
    assert path.read_bytes() == TEXT
    monkeypatch.setenv("SV_DRY_RUN", str(tmp_path))
    bring_into_form(step(), path, True, [dropped])
    assert not is_compressed(path)


# -- From stage 7 to stage 9 ---------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Two runs with embeddings of a training set and of two tested ones, an ensemble of both, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    runs = [made_run("exp", name, 1, load_system(SMALL)) for name in ("x", "y")]
    made_run("exp", "e", 1, validate_system({"ensemble": {"members": {"x": 1, "y": 1}, "backend": "plda"}}, "e"))
    for name, prefix in (("train", "t"), ("cal", "c"), ("test", "s")):
        utts = [f"{prefix}{s}-{u}" for s in range(10) for u in range(4)]
        pairs = [(e, t) for e in utts if e.endswith("-0") for t in utts if not t.endswith("-0")]
        plain(utts).write(f"data/{name}")
        is_target = np.array([e.split("-")[0] == t.split("-")[0] for e, t in pairs])
        Trials([e for e, _ in pairs], [t for _, t in pairs], is_target).write(f"data/{name}/trials_{name}")
        for run in runs:
            mean = {utt[:2]: rng.normal(size=6) for utt in utts}
            write_set(run.embeddings(name), {utt: mean[utt[:2]] + rng.normal(size=6) for utt in utts})
            write_table(run.embeddings(name) / "utt2spk", {utt: utt[:2] for utt in utts})

    def call(*words):
        code, out, err = run_command(monkeypatch, capsys, *words)
        assert (code, err) == (0, "")
        return out

    for run in runs:
        call("train_backends", "--train", "train", run.path)
    return call


CALIBRATION = ("--calibration", "data/cal/trials_cal")


def stages_7_to_9(command, *options):
    """What was said, and the rows of the table."""
    out = ""
    for run in ("exp/x/seed1", "exp/y/seed1"):
        for name in ("cal", "test"):
            sets = ("--enrol", name, "--test", name, run, f"data/{name}/trials_{name}")
            out += command("score", *options, *sets)
    out += command("ensemble", *CALIBRATION, "exp/e/seed1", "data/test/trials_test")
    runs = ("exp/x/seed1", "exp/y/seed1", "exp/e/seed1")
    for run in runs:
        out += command("calibrate", *CALIBRATION, run, "data/test/trials_test")
    out += command("report", "--out", "report", "--trials", "data/test/trials_test", *runs)
    return out, json.loads(Path("report/results.json").read_text())


def score_files():
    """By their names without the suffix: their text."""
    files = sorted(file for file in Path("exp").glob("*/seed1/scores/*") if file.is_file())
    packed = [file.suffix == ".gz" for file in files]
    assert len(set(packed)) == 1, files
    read = {file: gzip.decompress(file.read_bytes()) if packed[0] else file.read_bytes() for file in files}
    return packed[0], {str(file).removesuffix(".gz"): text for file, text in read.items()}


def test_both_forms_give_the_same_scores_calibration_and_table(command):
    """Two members, their mean, all calibrated; then the other form over it, and back: no file of the first is left."""
    _, rows = stages_7_to_9(command)
    packed, plain_files = score_files()
    assert not packed
    assert len(plain_files) == 2 * 2 * 2 + 2 + 2 * 2 + 1  # of two runs by two back ends, of their mean; calibrated
    assert {row["backend"] for row in rows} == {"cosine", "plda", "mean of 2"}
    learnt = Path("exp/x/seed1/calibration/plda.json").read_bytes()
    for options in (("--compress",), ()):
        out, again = stages_7_to_9(command, *options)
        assert out.count("the same scores, ") == 8
        assert again == rows
        packed, files = score_files()
        assert packed == bool(options)
        assert files == plain_files
        assert Path("exp/x/seed1/calibration/plda.json").read_bytes() == learnt
        out, again = stages_7_to_9(command, *options)
        assert "runs again" not in out
        assert "the same scores" not in out


def test_compressed_from_the_start_is_the_same_and_its_record_holds(command):
    first, rows = stages_7_to_9(command, "--compress")
    assert "/scores/test.plda.gz: 300 trials\n" in first
    assert "/scores/test.mean.gz: 300 trials, each the mean of 2 scores\n" in first
    packed, files = score_files()
    assert packed
    shutil.rmtree("report")
    for folder in Path("exp").glob("*/seed1"):
        shutil.rmtree(folder / "scores")
        shutil.rmtree(folder / "calibration")
    _, again = stages_7_to_9(command)
    assert again == rows
    assert score_files() == (False, files)


def test_an_ensemble_of_both_forms_is_plain(command):
    for run, options in (("exp/x/seed1", ["--compress"]), ("exp/y/seed1", [])):
        sets = ("--enrol", "test", "--test", "test", run, "data/test/trials_test")
        command("score", *options, *sets)
    out = command("ensemble", "exp/e/seed1", "data/test/trials_test")
    assert "exp/e/seed1/scores/test.mean: 300 trials" in out


def test_weights_are_searched_on_either_form(command):
    found = []
    for options in ((), ("--compress",)):
        stages_7_to_9(command, *options)
        of = ("--of", "exp/x/seed1", "--of", "exp/y/seed1", "--backend", "plda", "--metric", "eer")
        command("fuse", *of, "--tune-on", "data/test/trials_test", "exp/f/seed1")
        found.append(Path("exp/f/seed1/fusion/weights.json").read_bytes())
    assert found[0] == found[1]
