"""`ensemble`: mean scores of runs by trial, what makes them run again, and the one line for a mistake."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from commands import refused, run_command
from data_dirs import plain
from runs import made_run

from sv import members
from sv.data.tables import read_table, write_table
from sv.data.trials import Trials
from sv.run import Run
from sv.scoring.trials import read_scores, write_scores
from sv.systems.reading import find_systems, load_system, validate_system

SMALL = find_systems(Path(__file__).parents[1] / "data" / "conf")["small"]
MEMBERS = {"a": 2, "b": 1}


def trials_of(prefix, speakers=6):
    """The first utterance of every speaker against two others of all."""
    utts = [f"{prefix}{s}-{u}" for s in range(speakers) for u in range(3)]
    pairs = [(e, t) for e in utts if e.endswith("-0") for t in utts if not t.endswith("-0")]
    return utts, Trials(
        [e for e, _ in pairs], [t for _, t in pairs], np.array([e.split("-")[0] == t.split("-")[0] for e, t in pairs])
    )


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two runs of system a and one of b, with scores of the lists `cal` and `test`; the working folder is tmp_path."""
    monkeypatch.chdir(tmp_path)
    runs = [made_run("exp", name, seed, load_system(SMALL)) for name, seed in (("a", 3), ("a", 4), ("b", 3))]
    for name in ("cal", "test"):
        utts, trials = trials_of(name[0])
        plain(utts).write(f"data/{name}")
        trials.write(f"data/{name}/trials_{name}")
        for number, run in enumerate(runs):
            rng = np.random.default_rng([number, len(name)])
            order = rng.permutation(len(trials))  # every run has its own
            shuffled = Trials(*([ids[i] for i in order] for ids in (trials.enrol, trials.test)), None)
            write_scores(run.scores(name, "plda"), shuffled, (number + 1) * rng.normal(size=len(trials)) + number)
    return runs


def ensemble(**settings):
    block = {"members": MEMBERS, "backend": "plda", **settings}
    return made_run("exp", "e", 3, validate_system({"ensemble": block}, "e"))


@pytest.fixture
def command(monkeypatch, capsys, runs):
    return lambda *options: run_command(monkeypatch, capsys, "ensemble", *options)


def line_by_line(paths):
    """Trial -> the scores that the files give it."""
    scores = {}
    for path in paths:
        for line in path.read_text().splitlines():
            enrol, test, score = line.split()
            scores.setdefault((enrol, test), []).append(float(score))
    return scores


LISTS = ("data/test/trials_test",)
TWO = ("--of", "exp/a/seed3", "--of", "exp/b/seed3")


def test_scores_are_means_by_trial_whatever_the_lines_order(command, runs):
    """In the list's own order; of the seeds from the ensemble's own on."""
    code, out, err = command(ensemble().path, *LISTS)
    assert (code, err) == (0, "")
    assert "exp/e/seed3/scores/test.mean: 72 trials, each the mean of 3 scores\n" in out
    expected = line_by_line(run.scores("test", "plda") for run in runs)
    found = line_by_line([Path("exp/e/seed3/scores/test.mean")])
    trials = Trials.read(LISTS[0])
    assert list(found) == list(zip(trials.enrol, trials.test, strict=True))
    assert all(len(scores) == 3 for scores in expected.values())
    assert {pair: score for pair, (score,) in found.items()} == pytest.approx(
        {pair: sum(scores) / 3 for pair, scores in expected.items()}, abs=1e-6
    )


def test_normalised_scores_are_of_deviations_from_the_calibration_lists_nontargets(command, runs):
    """Of both lists, the calibration list being averaged as well."""
    this, cal = ensemble(normalise="nontargets"), Trials.read("data/cal/trials_cal")
    assert command("--calibration", "data/cal/trials_cal", this.path, *LISTS)[0] == 0
    for name in ("cal", "test"):
        trials, means = Trials.read(f"data/{name}/trials_{name}"), np.zeros(72)
        for run in runs:
            nontarget_K = read_scores(run.scores("cal", "plda"), cal)[~cal.is_target]
            means += (read_scores(run.scores(name, "plda"), trials) - nontarget_K.mean()) / nontarget_K.std() / 3
        assert np.allclose(read_scores(this.scores(name, "mean"), trials), means, atol=1e-6)


def test_calibration_scores_are_read_once_for_all_lists(command, runs, monkeypatch):
    """And once more where the calibration list is averaged itself."""
    Path("data/test/trials_more").symlink_to("trials_test")
    for run in runs:
        run.scores("more", "plda").write_bytes(run.scores("test", "plda").read_bytes())
    reads = Counter()
    monkeypatch.setattr(
        members, "read_scores", lambda path, trials: (reads.update([path]), read_scores(path, trials))[1]
    )
    options = ("--calibration", "data/cal/trials_cal", ensemble(normalise="nontargets").path)
    assert command(*options, *LISTS, "data/test/trials_more")[0] == 0
    assert [reads[run.scores("cal", "plda")] for run in runs] == [2, 2, 2]


def test_what_has_not_changed_is_skipped_and_a_changed_run_makes_it_again(command, runs):
    """A list of which a run has other scores; of the calibration list with normalised scores both."""
    plain_, normalised = (
        ensemble(),
        validate_system({"ensemble": {"members": MEMBERS, "backend": "plda", "normalise": "nontargets"}}, "n"),
    )
    normalised = made_run("exp", "n", 3, normalised)

    def again(this):
        out = command("--calibration", "data/cal/trials_cal", this.path, *LISTS)[1]
        return [line.split()[0] for line in out.splitlines() if "runs again" in line], out.count("unchanged, skipped")

    for this in (plain_, normalised):
        assert again(this) == ([], 0)
        assert again(this) == ([], 2)
    for name, of_normalised in (("test", ["test.mean"]), ("cal", ["cal.mean", "test.mean"])):
        path = runs[1].scores(name, "plda")
        path.write_text(path.read_text().replace(" 0.", " 1."))
        assert (again(plain_)[0], again(normalised)[0]) == ([f"{name}.mean"], of_normalised)


def test_trials_that_a_run_left_out_are_left_out_and_told(command, runs):
    """One test utterance of one run, one model of another: listed with their reasons."""
    for run, gone in zip(runs, ("t1-1", "t2-0"), strict=False):
        write_table(run.path / "scores" / "test.dropped.txt", {gone: f"{gone} has no embedding"})
        path = run.scores("test", "plda")
        path.write_text("".join(line for line in path.read_text().splitlines(True) if gone not in line))
    this = ensemble()
    assert "without those of 2 ids that a run left out: test.dropped.txt" in command(this.path, *LISTS)[1]
    assert read_table(this.dropped("test")) == {gone: f"{gone} has no embedding" for gone in ("t1-1", "t2-0")}
    assert len(this.scores("test", "mean").read_text().splitlines()) == 72 - 6 - 12 + 1
    assert not {"t1-1", "t2-0"} & set(this.scores("test", "mean").read_text().split())


def test_any_runs_make_an_ensemble_by_hand(command, runs):
    """In another folder; it is a run then, and a second time nothing is done."""
    folder, options = Path("else/where/seed7"), [word for run in runs[1:] for word in ("--of", run.path)]
    assert command(*options, "--backend", "plda", folder, *LISTS)[0] == 0
    this = Run.open(folder)
    assert (this.name, this.seed, [member.path.resolve() for member in this.members()]) == (
        "where", 7, [run.path.resolve() for run in runs[1:]]
    )  # fmt: skip
    expected = line_by_line(run.scores("test", "plda") for run in runs[1:])
    found = line_by_line([this.scores("test", "mean")])
    assert all(found[pair] == pytest.approx([sum(scores) / 2], abs=1e-6) for pair, scores in expected.items())
    assert command(folder, *LISTS)[1] == "test.mean else/where/seed7/scores: unchanged, skipped\n"
    said = refused(command(*options[:2], "--of", runs[0].path, "--backend", "plda", folder, *LISTS))
    assert said == "ensemble: else/where/seed7 is a run of something else; choose another folder, or remove it\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["exp/a/seed3"], "exp/a/seed3 is a network; name the runs of an ensemble with --of RUN"),
        (["--of", "exp/a/seed3", "x/seed1"], "--of: name the back end of the runs whose scores are averaged"),
        (["--of", "exp/a/seed3", "--backend", "plda", "x/seed1"], "--of: a mean is of two runs or more"),
        (
            ["--of", "exp/a/seed3", "--of", "exp/b/seed3", "--backend", "plda", "x"],
            "x: the ensemble's folder is called",
        ),
        (["--of", "exp/a/seed3", "--of", "exp/b/seed9", "--backend", "plda", "x/seed1"], "exp/b/seed9: not a run"),
        (
            ["--of", "exp/a/seed3", "--of", "exp/b/seed3", "--backend", "x", "x/seed1"],
            "has no back end x; it has cosine",
        ),
        (["--of", "exp/a/seed3", "--of", "exp/b/seed3", "--backend", "cosine", "x/seed1"], "score first (stage 7)"),
        (["--backend", "plda", "exp/e/seed3"], "--backend and --normalise are of an ensemble that is made of runs"),
        (["exp/nowhere/seed1"], "exp/nowhere/seed1: not a run"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_averaged(command, tmp_path, options, said):
    ensemble()
    assert said in refused(command(*options, *LISTS))
    assert not list(tmp_path.rglob("*.mean"))
    assert not Path("x").exists()


def test_scores_of_another_list_are_refused(command, runs):
    """Some of its trials have none, and no dropped.txt says why."""
    path = runs[2].scores("test", "plda")
    path.write_text("".join(path.read_text().splitlines(True)[1:]))
    assert "b/seed3/scores/test.plda: 1 of 72 trials have no score (first: " in refused(
        command(ensemble().path, *LISTS)
    )


def test_runs_without_a_common_trial_are_refused(command, runs):
    for run, speakers in zip(runs, (range(3), range(3, 6)), strict=False):
        gone = {f"t{s}-0": "model without an embedding" for s in speakers}
        write_table(run.path / "scores" / "test.dropped.txt", gone)
    assert "data/test/trials_test: no trial is left" in refused(command(ensemble().path, *LISTS))


def test_normalising_needs_a_labelled_list_of_other_speakers(command, runs):
    this = ensemble(normalise="nontargets")
    assert "normalised by the non-targets of --calibration" in refused(command(this.path, *LISTS))
    assert "6 of its speakers are in data/cal/trials_cal too" in refused(
        command("--calibration", "data/cal/trials_cal", this.path, "data/cal/../cal/trials_cal")
    )
    cal = Trials.read("data/cal/trials_cal")
    Trials(cal.enrol, cal.test, None).write("data/cal/trials_cal")
    assert "trials_cal: its trials have no labels" in refused(
        command("--calibration", "data/cal/trials_cal", this.path, *LISTS)
    )
    Trials(cal.enrol, cal.test, cal.is_target | True).write("data/cal/trials_cal")
    assert "trials_cal: no non-target trial" in refused(
        command("--calibration", "data/cal/trials_cal", this.path, *LISTS)
    )


def test_report_says_of_how_many_and_which_scores_the_mean_is(command, runs, monkeypatch, capsys):
    """And leaves out, with a line, an ensemble of which a run is gone."""
    this = ensemble(normalise="nontargets")
    command("--calibration", "data/cal/trials_cal", this.path, *LISTS)
    options = ("--out", "report", "--others", "exp", "--trials", *LISTS)
    assert run_command(monkeypatch, capsys, "report", *options, this.path)[0] == 0
    text = Path("report/results.md").read_text()
    assert "| e | 3 | mean of 3, normalised | test |" in text
    members = "a seed 3, a seed 4, b seed 3"
    assert f"e: mean of the plda scores by deviations from the calibration list's non-targets of {members}." in text
    (runs[2].path / "config.yaml").unlink()
    for run in runs[:2]:
        run.scores("test", "cosine").write_bytes(run.scores("test", "plda").read_bytes())
    code, out, _ = run_command(monkeypatch, capsys, "report", *options, runs[0].path)
    assert (code, "report: a run is left out, exp/b/seed3: not a run" in out) == (0, True)


def test_a_network_is_no_ensemble_and_an_ensemble_no_network(command, runs, monkeypatch, capsys):
    """Every command says what the run lacks."""
    this = ensemble()
    on = made_run("exp", "o", 3, validate_system({"embeddings_of": "a", "backends": {"b": {"name": "cosine"}}}, "o"))
    plain(["a-1"]).write("data/x")
    for name, run, options in (
        ("train", this, ("--train", "data/x", "--valid", "data/x", this.path)),
        ("extract", on, (on.path, "data/x")),
        ("train_backends", this, ("--train", "x", this.path)),
        ("score", this, ("--enrol", "x", "--test", "x", this.path, *LISTS)),
    ):
        said = refused(run_command(monkeypatch, capsys, name, *options))
        assert said.startswith(f"{name}: {run.path} is {run.system.kind.called}: it has no ")


def test_embeddings_of_another_system_are_in_its_folder(runs):
    system = validate_system({"embeddings_of": "a", "backends": {"b": {"name": "cosine"}}}, "o")
    on = made_run("exp", "o", 4, system)
    assert on.embeddings("test") == Path("exp/a/seed4/embeddings/test")
    assert on.trainings() == [runs[1].training()]
    assert on.backend("b") == Path("exp/o/seed4/backend/b")
    budget = made_run("exp", "a+short", 4, load_system(SMALL))
    assert made_run("exp", "o+short", 4, system).embeddings("test") == budget.path / "embeddings" / "test"
    assert ensemble().trainings() == [run.training() for run in runs]
