"""`fuse` and what `ensemble` and `report` make of its weights: found again by hand, marked on their own list."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from commands import refused, run_command
from data_dirs import plain
from runs import made_run

from sv.data.tables import write_table
from sv.data.trials import Trials
from sv.metrics import eer_rocch, min_dcf
from sv.records import Step
from sv.roc import Roc
from sv.scoring.trials import read_scores, write_scores
from sv.scoring.weight_search import Tuned
from sv.systems.reading import find_systems, load_system, validate_system

SMALL = find_systems(Path(__file__).parents[1] / "data" / "conf")["small"]
NAMES = ("a", "b", "c")
VAL, TEST = "data/val/trials_val", "data/test/trials_test"


def trials_of(prefix):
    utts = [f"{prefix}{s}-{u}" for s in range(10) for u in range(4)]
    pairs = [(e, t) for e in utts if e.endswith("-0") for t in utts if not t.endswith("-0")]
    targets = np.array([e.split("-")[0] == t.split("-")[0] for e, t in pairs])
    return utts, Trials([e for e, _ in pairs], [t for _, t in pairs], targets)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Runs of three systems with scores of the lists `val` and `test`; the working folder is tmp_path."""
    monkeypatch.chdir(tmp_path)
    runs = [made_run("exp", name, 1, load_system(SMALL)) for name in NAMES]
    for name in ("val", "test"):
        utts, trials = trials_of(name[0])
        plain(utts).write(f"data/{name}")
        trials.write(f"data/{name}/trials_{name}")
        for number, run in enumerate(runs):
            rng = np.random.default_rng([number, len(name)])
            apart = (1.5, 2.5, 0.5)[number] * trials.is_target
            write_scores(run.scores(name, "plda"), trials, apart + rng.normal(size=len(trials)))
    return runs


def ensemble(name="f", **settings):
    block = {"members": dict.fromkeys(NAMES, 1), "backend": "plda", **settings}
    return made_run("exp", name, 1, validate_system({"ensemble": block}, name))


@pytest.fixture
def command(monkeypatch, capsys, runs):
    return lambda name, *options: run_command(monkeypatch, capsys, name, *options)


def scores(runs, name):
    trials = Trials.read(f"data/{name}/trials_{name}")
    return trials, np.stack([read_scores(run.scores(name, "plda"), trials) for run in runs])


def of_runs(*runs):
    return [word for run in runs for word in ("--of", run.path)]


@pytest.mark.parametrize(("metric", "figure"), [("eer", eer_rocch), ("min_dcf", lambda roc: min_dcf(roc, 0.05))])
def test_weights_are_searched_on_one_list_and_applied_to_others(command, runs, metric, figure):
    """The best of all, tried one by one; what is written of them; nothing done twice."""
    this = ensemble(search={"metric": metric})
    code, out, err = command("fuse", "--tune-on", VAL, this.path)
    assert (code, err) == (0, "")
    trials, scores_MN = scores(runs, "val")
    figures = {
        weights: figure(Roc.from_scores(np.array(weights) @ scores_MN, trials.is_target))
        for weights in itertools.product(range(4), repeat=3)
        if any(weights)
    }
    found = json.loads((this.path / "fusion/weights.json").read_text())
    assert found["figure"] == pytest.approx(min(figures.values()), abs=1e-12)
    weights = [found["weights"][f"../../{name}/seed1"] for name in NAMES]
    assert figures[tuple(weights)] == pytest.approx(found["figure"], abs=1e-12)
    assert (found["trials"], found["metric"], found["num_targets"], found["num_nontargets"]) == ("val", metric, 30, 270)
    assert (found["way"], found["tried"]) == ("exhaustive", 49)
    assert "on val, *tuned here*, of 49 weights (exhaustive)" in out
    assert f"b seed 1: {weights[1]}" in out
    assert command("fuse", "--tune-on", VAL, this.path)[1] == "fuse exp/f/seed1/fusion: unchanged, skipped\n"
    out = command("ensemble", this.path, VAL, TEST)[1]
    used = [str(weight) for weight in weights if weight]
    assert f"test.mean: 300 trials, each the mean of {len(used)} scores by weights {' '.join(used)}\n" in out
    trials, scores_MN = scores(runs, "test")
    assert read_scores(this.scores("test", "mean"), trials) == pytest.approx(
        np.average(scores_MN, axis=0, weights=weights), abs=1e-6
    )


def test_a_run_of_weight_0_has_no_say_in_which_trials_are_left(command, runs):
    """Nor in what normalises the others' scores; the mean is said to be of those that have a weight."""
    this = ensemble(search={"metric": "eer"}, normalise="nontargets")
    searched = Step("fuse", this.weights().parent)
    weights = {f"../../{name}/seed1": weight for name, weight in zip(NAMES, (2, 0, 1), strict=True)}
    Tuned(weights, "eer", 0.1, 49, "exhaustive", "val", "", 30, 270).write(this.weights())
    searched.done([this.weights()])
    write_table(runs[1].dropped("test"), {"t3-1": "test utterance without an embedding"})
    write_scores(runs[1].scores("test", "plda"), *scores_of_none())
    out = command("ensemble", "--calibration", VAL, this.path, TEST)[1]
    assert "test.mean: 300 trials, each the mean of 2 scores by weights 2 1\n" in out
    assert not this.dropped("test").exists()
    val, (a_N, _, c_N) = scores(runs, "val")
    trials, (x_N, _, z_N) = scores(runs, "test")
    a_K, c_K = a_N[~val.is_target], c_N[~val.is_target]
    expected = 2 / 3 * (x_N - a_K.mean()) / a_K.std() + 1 / 3 * (z_N - c_K.mean()) / c_K.std()
    assert read_scores(this.scores("test", "mean"), trials) == pytest.approx(expected, abs=1e-6)


def test_given_weights_are_applied_to_each_run_of_a_member(command, runs):
    other = made_run("exp", "a", 2, load_system(SMALL))
    write_scores(other.scores("test", "plda"), *scores_of_none())
    this = ensemble(members={"a": 2, "b": 1}, weights={"a": 3, "b": 1})
    assert command("fuse", "--tune-on", VAL, this.path)[:2] == (0, "exp/f/seed1: its weights are not searched\n")
    assert "by weights 3 3 1\n" in command("ensemble", this.path, TEST)[1]
    trials, scores_MN = scores([runs[0], other, runs[1]], "test")
    assert read_scores(this.scores("test", "mean"), trials) == pytest.approx(
        (3 * scores_MN[0] + 3 * scores_MN[1] + scores_MN[2]) / 7, abs=1e-6
    )


def scores_of_none():
    trials = trials_of("t")[1]
    return trials, np.random.default_rng(9).normal(size=len(trials))


def test_any_runs_are_fused_by_hand(command, runs):
    """With a search, whose weights ensemble then applies, or with weights."""
    options = (*of_runs(*runs), "--backend", "plda")
    assert command("fuse", *options, "--metric", "eer", "--tune-on", VAL, "else/f/seed1")[0] == 0
    searched = ensemble(search={"metric": "eer"})
    command("fuse", "--tune-on", VAL, searched.path)
    found = [json.loads((path / "fusion/weights.json").read_text()) for path in (Path("else/f/seed1"), searched.path)]
    assert list(found[0]["weights"].values()) == list(found[1]["weights"].values())
    assert command("ensemble", "else/f/seed1", TEST)[0] == 0
    assert command("ensemble", *options, "--weights", "3,1,2", "else/g/seed1", TEST)[0] == 0
    trials, scores_MN = scores(runs, "test")
    assert read_scores(Path("else/g/seed1/scores/test.mean"), trials) == pytest.approx(
        np.average(scores_MN, axis=0, weights=[3, 1, 2]), abs=1e-6
    )


def test_weights_of_normalised_scores_are_searched_among_normalised_scores(command, runs):
    """A system whose scores are a hundred times as wide does as well as before."""
    utts, cal = trials_of("c")
    plain(utts).write("data/cal")
    cal.write("data/cal/trials_cal")
    for number, run in enumerate(runs):
        write_scores(run.scores("cal", "plda"), cal, np.random.default_rng(number).normal(size=len(cal)))
    this = ensemble(search={"metric": "eer"}, normalise="nontargets")
    options = ("--calibration", "data/cal/trials_cal", "--tune-on", VAL, this.path)
    found = []
    for scale in (1, 100):
        for name in ("cal", "val"):
            trials = Trials.read(f"data/{name}/trials_{name}")
            path = runs[0].scores(name, "plda")
            write_scores(path, trials, scale * read_scores(path, trials))
        assert command("fuse", *options)[0] == 0
        found.append(json.loads(this.weights().read_text()))
    assert found[0]["weights"] == found[1]["weights"]
    assert found[0]["figure"] == pytest.approx(found[1]["figure"], abs=1e-3)


def test_other_weights_make_other_scores(command, runs):
    """A changed validation score changes weights, and these the other list."""
    this = ensemble(search={"metric": "eer"})
    command("fuse", "--tune-on", VAL, this.path)
    command("ensemble", this.path, TEST)
    assert "unchanged, skipped" in command("ensemble", this.path, TEST)[1]
    trials = Trials.read(VAL)
    write_scores(runs[2].scores("val", "plda"), trials, 9.0 * trials.is_target)
    assert "runs again" in command("fuse", "--tune-on", VAL, this.path)[1]
    assert json.loads(this.weights().read_text())["weights"] == {
        f"../../{name}/seed1": int(name == "c") for name in NAMES
    }
    assert "test.mean exp/f/seed1/scores: runs again" in command("ensemble", this.path, TEST)[1]
    trials, scores_MN = scores(runs, "test")
    assert read_scores(this.scores("test", "mean"), trials) == pytest.approx(scores_MN[2], abs=1e-6)


def test_report_marks_the_list_that_weights_were_tuned_on(command, runs):
    """By its name, or a copy by its bytes; not other lists."""
    this = ensemble(search={"metric": "eer"})
    command("fuse", "--tune-on", VAL, this.path)
    Path("data/val/trials_copy").write_bytes(Path(VAL).read_bytes())
    for run in runs:
        run.scores("copy", "plda").write_bytes(run.scores("val", "plda").read_bytes())
    command("ensemble", this.path, VAL, TEST, "data/val/trials_copy")
    lists = [word for path in (VAL, TEST, "data/val/trials_copy") for word in ("--trials", path)]
    assert command("report", "--out", "report", *lists, this.path)[0] == 0
    text = Path("report/results.md").read_text()
    assert "| f | weighted mean of 3 | val, *tuned here* |" in text
    assert "| f | weighted mean of 3 | copy, *tuned here* |" in text
    assert "| f | weighted mean of 3 | test |" in text
    assert (
        "*Tuned here*: the weights of f are those with the least EER on val; its figures on this list flatter" in text
    )
    assert (
        "; weights with the least EER on the list val (30 target and 270 non-target trials; exhaustive search, 49"
        in (text)
    )
    weight = json.loads(this.weights().read_text())["weights"]["../../b/seed1"]
    assert f"b seed 1 (weight {weight})" in text


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("fuse", ["exp/a/seed1"], "exp/a/seed1 is a network; name the runs of an ensemble with --of RUN"),
        ("fuse", ["--metric", "eer", "exp/f/seed1"], "--metric belongs to an ensemble that is made of runs"),
        ("fuse", ["--of", "exp/a/seed1", "--of", "exp/b/seed1", "--backend", "plda", "x/seed1"], "--metric belongs"),
        ("ensemble", ["exp/f/seed1"], "exp/f/seed1/fusion/weights.json is missing; search the weights first"),
        ("ensemble", ["--weights", "1,2,3", "exp/f/seed1"], "--weights are of an ensemble that is made of runs"),
        (
            "ensemble",
            ["--of", "exp/a/seed1", "--of", "exp/b/seed1", "--backend", "plda", "--weights", "3", "x/seed1"],
            "--weights 3: give each of the 2 runs a whole number from 1",
        ),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(command, name, options, said):
    ensemble(search={"metric": "eer"})
    lists = ["--tune-on", VAL] if name == "fuse" else []
    assert said in refused(command(name, *lists, *options, *([TEST] if name == "ensemble" else [])))
    assert not list(Path().rglob("weights.json"))
    assert not list(Path().rglob("*.mean"))
    assert not Path("x").exists()


def test_a_list_without_labels_or_scores_is_refused(command, runs):
    this = ensemble(search={"metric": "eer"})
    trials = Trials.read(VAL)
    Trials(trials.enrol, trials.test, None).write(VAL)
    assert "data/val/trials_val: its trials have no labels" in refused(command("fuse", "--tune-on", VAL, this.path))
    Trials(trials.enrol, trials.test, trials.is_target & False).write(VAL)
    assert "data/val/trials_val: no target trial among 300" in refused(command("fuse", "--tune-on", VAL, this.path))
    runs[1].scores("val", "plda").unlink()
    assert "score first (stage 7)" in refused(command("fuse", "--tune-on", VAL, this.path))
    assert not this.weights().exists()


def test_a_recipe_without_a_validation_list_is_told_so_before_any_work(monkeypatch, capsys, tmp_path):
    """And a system of given weights, or a recipe with one, is planned."""
    conf = tmp_path / "conf"
    small = SMALL.read_text()
    for name, text in (
        ("a", small),
        ("b", small),
        ("f", "ensemble: {members: {a: 1, b: 1}, backend: plda, search: {metric: eer}}"),
        ("g", "ensemble: {members: {a: 1, b: 1}, backend: plda, weights: {a: 3, b: 1}}"),
    ):
        (conf / "systems" / "x").mkdir(parents=True, exist_ok=True)
        (conf / "systems" / "x" / f"{name}.yaml").write_text(text)
    for part in ("features", "vad", "augment"):
        (conf / part).symlink_to(SMALL.parents[2] / part)
    options = ("--conf", conf, "--exp", tmp_path / "exp")
    said = refused(run_command(monkeypatch, capsys, "configure", *options, "f"))
    assert "system f: ensemble.search: this recipe has no validation list to search weights on" in said
    assert not (tmp_path / "exp").exists()
    for more in (["g"], ["--tune", "f"]):
        code, out, _ = run_command(monkeypatch, capsys, "configure", *options, *more)
        assert (code, out.splitlines()[-1].split("\t")[-1]) == (0, "ensemble,asked")


def test_what_a_run_left_out_of_the_list_is_left_out_of_the_search(command, runs):
    gone = "v3-0"
    write_table(runs[1].dropped("val"), {gone: "model without an embedding"})
    path = runs[1].scores("val", "plda")
    path.write_text("".join(line for line in path.read_text().splitlines(True) if gone not in line))
    this = ensemble(search={"metric": "eer"})
    assert command("fuse", "--tune-on", VAL, this.path)[0] == 0
    assert json.loads(this.weights().read_text())["num_targets"] == 27
