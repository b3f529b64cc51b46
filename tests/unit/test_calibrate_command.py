"""`calibrate`: what it leaves, what it says, what makes it run again, and its one line for a mistake."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import refused, run_command
from data_dirs import plain
from runs import made_run

import sv.data.trials
from sv.data.tables import write_table
from sv.data.trials import Trials, speakers_of
from sv.errors import ConfigError
from sv.metrics import cllr
from sv.records import Step
from sv.roc import Roc
from sv.scoring.calibration import Calibration
from sv.scoring.trials import read_scores, write_scores
from sv.systems.reading import find_systems, load_system

CONF = Path(__file__).parents[1] / "data" / "conf"


def trials_of(prefix, speakers=8):
    """Every pair of the first utterance of one speaker and the others of all."""
    utts = [f"{prefix}{s}-{u}" for s in range(speakers) for u in range(4)]
    pairs = [(e, t) for e in utts if e.endswith("-0") for t in utts if not t.endswith("-0")]
    return utts, Trials(
        [e for e, _ in pairs], [t for _, t in pairs], np.array([e.split("-")[0] == t.split("-")[0] for e, t in pairs])
    )


def write_list(prefix, name, seed, run, sign=1):
    """A set with a list, and its scores: normal, by 3 apart; returns the list's path."""
    utts, trials = trials_of(prefix)
    plain(utts).write(f"data/{name}")
    trials.write(f"data/{name}/trials_{name}")
    for number, backend in enumerate(run.system.backends):
        rng = np.random.default_rng([seed, number])
        write_scores(run.scores(name, backend), trials, sign * rng.normal(3.0 * trials.is_target) / 10)
    return f"data/{name}/trials_{name}"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run scored on two lists, `cal` and `test`, of eight speakers each; the working folder is tmp_path."""
    monkeypatch.chdir(tmp_path)
    run = made_run("exp", "x", 1, load_system(find_systems(CONF)["small"]))
    write_list("c", "cal", 0, run)
    write_list("t", "test", 1, run)
    return run


@pytest.fixture
def command(monkeypatch, capsys, run):
    def call(*more, trials=("data/test/trials_test",)):
        options = ("--calibration", "data/cal/trials_cal", *more, run.path, *trials)
        return run_command(monkeypatch, capsys, "calibrate", *options)

    return call


def test_calibrated_scores_are_the_lines_of_the_scores_as_ratios(command, run):
    """Of every back end: slope and offset are what `Calibration` learns, ids and order are those of the scores."""
    code, out, err = command()
    assert (code, err) == (0, "")
    cal, test = (Trials.read(f"data/{name}/trials_{name}") for name in ("cal", "test"))
    for backend in ("cosine", "plda"):
        expected = Calibration.learn(read_scores(run.scores("cal", backend), cal), cal.is_target, 0.05)
        assert Calibration.read(run.calibration(backend)) == expected
        raw, calibrated = (path("test", backend).read_text().splitlines() for path in (run.scores, run.calibrated))
        assert [line.split()[:2] for line in calibrated] == [line.split()[:2] for line in raw]
        llr_N = read_scores(run.calibrated("test", backend), test)
        assert np.allclose(llr_N, expected(read_scores(run.scores("test", backend), test)), atol=1e-6)
        assert f"{run.calibrated('test', backend)}: 192 log-likelihood ratios" in out
    assert "on the 192 trials that it was learnt from" in out
    assert out.count("warning: 8 speakers are few to learn a calibration from; 20 or more are wanted") == 2
    assert out.count("warning") == 2


def test_file_says_what_it_was_learnt_from(command, run):
    command("--prior", 0.01)
    stored = json.loads(run.calibration("plda").read_text())
    assert (stored["trials"], stored["prior"], stored["separable"]) == ("cal", 0.01, False)
    assert [stored[f"num_{what}"] for what in ("targets", "nontargets", "speakers")] == [24, 168, 8]
    trials = Trials.read("data/cal/trials_cal")
    scores_N = read_scores(run.scores("cal", "plda"), trials)
    after_N = stored["slope"] * scores_N + stored["offset"]
    assert stored["cllr_on_its_training_trials"] == {
        name: pytest.approx(cllr(Roc.from_scores(s_N, trials.is_target)))
        for name, s_N in (("cllr_before", scores_N), ("cllr_after", after_N))
    }


def test_what_has_not_changed_is_skipped_and_what_has_runs_again(command, run):
    """Scores of the list: it alone; of the calibration list, or another prior: learning, then all lists."""
    command()
    names = ["calibrate.cosine", "test.cosine.calibrated", "calibrate.plda", "test.plda.calibrated"]

    def again(out):
        return [line.split()[0].rstrip(":") for line in out.splitlines() if "runs again" in line]

    out = command()[1]
    assert [line.split()[0] for line in out.splitlines()] == names
    assert out.count("unchanged, skipped") == 4
    for name, expected in (("test", names[3:]), ("cal", names[2:])):
        path = run.scores(name, "plda")
        path.write_text(path.read_text().replace("0.1", "0.2"))
        assert again(command()[1]) == expected
    before = run.calibrated("test", "plda").read_bytes()
    assert again(command("--prior", 0.3)[1]) == names
    assert run.calibrated("test", "plda").read_bytes() != before


def test_speakers_of_a_list_are_looked_up_once_for_all_back_ends(command, monkeypatch):
    sets = []
    monkeypatch.setattr(
        sv.data.trials, "speakers_of", lambda folder: (sets.append(str(folder)), speakers_of(folder))[1]
    )
    assert command()[0] == 0
    assert sorted(sets) == ["data/cal", "data/test"]


def test_several_lists_are_calibrated_and_need_no_labels(command, run):
    """As one of an evaluation whose key is not published."""
    utts, trials = trials_of("u")
    plain(utts).write("data/blind")
    Trials(trials.enrol, trials.test, None).write("data/blind/trials_blind")
    for backend in ("cosine", "plda"):
        write_scores(run.scores("blind", backend), trials, np.zeros(len(trials)))
    assert command(trials=("data/test/trials_test", "data/blind/trials_blind"))[0] == 0
    found = read_scores(run.calibrated("blind", "plda"), trials)
    assert np.allclose(found, Calibration.read(run.calibration("plda")).offset, atol=1e-6)


def test_trials_that_scoring_left_out_are_left_out(command, run):
    """Of either list: no score, and none is wanted."""
    for name in ("cal", "test"):
        gone = f"{name[0]}3-1"
        write_table(run.path / "scores" / f"{name}.dropped.txt", {gone: "test utterance without an embedding"})
        for backend in ("cosine", "plda"):
            path = run.scores(name, backend)
            path.write_text("".join(line for line in path.read_text().splitlines(True) if gone not in line))
    assert command()[0] == 0
    assert len(run.calibrated("test", "plda").read_text().splitlines()) == 192 - 8
    assert json.loads(run.calibration("plda").read_text())["num_targets"] == 23


def test_scores_that_are_lower_for_targets_are_warned_of(command, run):
    """The ratios are right all the same."""
    for prefix, name in (("c", "cal"), ("t", "test")):
        write_list(prefix, name, 0, run, sign=-1)
    code, out, _ = command()
    assert code == 0
    warned = (
        "warning: the slope is negative: lower scores are more like targets; is data/cal/trials_cal rightly labelled?"
    )
    assert out.count(warned) == 2
    trials = Trials.read("data/test/trials_test")
    llr_N = read_scores(run.calibrated("test", "plda"), trials)
    assert llr_N[trials.is_target].mean() > llr_N[~trials.is_target].mean()


def test_a_separable_list_is_warned_of(command, run):
    trials = Trials.read("data/cal/trials_cal")
    for backend in ("cosine", "plda"):
        write_scores(run.scores("cal", backend), trials, np.where(trials.is_target, 1.0, 0.0))
    code, out, _ = command()
    assert code == 0
    assert out.count("no trial of data/cal/trials_cal is on the wrong side") == 2
    assert json.loads(run.calibration("plda").read_text())["separable"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda run, cal, _: Trials(cal.enrol, cal.test, None).write("data/cal/trials_cal"),
            "its trials have no labels",
        ),
        (
            lambda run, cal, _: Trials(cal.enrol, cal.test, ~cal.is_target & False).write("data/cal/trials_cal"),
            "scores/cal.cosine: no target trial among 192",
        ),
        (lambda run, cal, _: run.scores("cal", "cosine").unlink(), "cal.cosine: cannot be read (No such file"),
        (lambda run, *_: run.scores("test", "cosine").unlink(), "test.cosine: cannot be read (No such file"),
        (
            lambda run, *lists: [
                write_scores(run.scores("cal", b), lists[0], np.ones(192)) for b in ("cosine", "plda")
            ],
            "all 192 scores are 1; there is nothing to calibrate",
        ),
        (
            lambda *_: write_table("data/test/utt2spk", {f"t{s}-{u}": f"c{s}" for s in range(8) for u in range(4)}),
            "data/test/trials_test: 8 of its speakers are in data/cal/trials_cal too (c0, c1, c2 …)",
        ),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_calibrated(command, run, spoil, said):
    spoil(run, *(Trials.read(f"data/{name}/trials_{name}") for name in ("cal", "test")))
    assert said in refused(command())
    assert not list(run.path.glob("scores/*.calibrated"))


def test_a_list_is_not_calibrated_by_itself(command, run):
    assert "8 of its speakers are in" in refused(command(trials=["data/cal/trials_cal"]))
    assert not (run.path / "calibration").exists()


def test_a_prior_that_is_none_is_refused(command):
    assert refused(command("--prior", 5)) == "calibrate: --prior lies between 0 and 1, not 5\n"


def test_a_dry_run_says_what_would_be_done(command, run, monkeypatch, tmp_path):
    (tmp_path / "dry").mkdir()
    monkeypatch.setenv("SV_DRY_RUN", str(tmp_path / "dry"))
    run.write()
    assert command()[1].splitlines()[:2] == [
        "calibrate.cosine exp/x/seed1/calibration: would run: not done yet",
        "test.cosine.calibrated exp/x/seed1/scores: would run: after calibrate.cosine",
    ]
    assert not (run.path / "calibration").exists()


def test_the_threshold_of_costs_and_what_it_does(command, run, monkeypatch, capsys):
    """Counted by hand on the list; the score is where the calibrated ratio is the threshold."""
    assert command()[0] == 0
    options = ("--prior", 0.01, "--c-miss", 10, "--c-fa", 2)
    code, said, _ = run_command(monkeypatch, capsys, "threshold", *options, run.path, "data/test/trials_test")
    assert code == 0
    at = np.log(2 * 0.99 / (10 * 0.01))
    assert f"log-likelihood ratio is {at:.4f} or more" in said
    trials = Trials.read("data/test/trials_test")
    lines = said.splitlines()[1:]
    for backend, (scores, errors) in zip(("cosine", "plda"), zip(lines[::2], lines[1::2], strict=True), strict=True):
        from_score = float(scores.removeprefix(f"{backend}: scores from "))
        raw_N = read_scores(run.scores("test", backend), trials)
        assert Calibration.read(run.calibration(backend))(np.array([from_score]))[0] == pytest.approx(at, abs=1e-4)
        misses = 100 * (raw_N < from_score)[trials.is_target].mean()
        accepted = 100 * (raw_N >= from_score)[~trials.is_target].mean()
        assert f"misses {misses:.2f} % of 24, accepts {accepted:.2f} % of 168 impostors" in errors


def test_without_calibration_or_with_costs_that_are_none_there_is_no_threshold(run, command, monkeypatch, capsys):
    said = refused(run_command(monkeypatch, capsys, "threshold", run.path))
    assert "the scores of cosine are not calibrated, so there is no threshold; begin at stage 0 with --cal" in said
    assert command()[0] == 0
    assert "positive costs" in refused(run_command(monkeypatch, capsys, "threshold", "--c-fa", 0, run.path))


def test_a_calibration_of_scores_that_were_made_anew_has_no_threshold(run, command, monkeypatch, capsys):
    """Nor have scores that are no longer what their step left; the calibration list itself can be asked about."""
    for name in ("cal", "test"):
        for backend in ("cosine", "plda"):
            Step(f"{name}.{backend}", run.path / "scores").done([run.scores(name, backend)])
    assert command()[0] == 0
    lists = [f"data/{name}/trials_{name}" for name in ("cal", "test")]
    threshold = ("threshold", run.path, *lists)
    code, said, _ = run_command(monkeypatch, capsys, *threshold)
    assert (code, said.count(" impostors; cost ")) == (0, 4)
    with run.scores("test", "plda").open("a") as scores:
        scores.write("\n")
    assert "test.plda is not what" in refused(run_command(monkeypatch, capsys, *threshold))
    run.scores("cal", "cosine").write_text(run.scores("cal", "cosine").read_text().replace(".1", ".2"))
    Step("cal.cosine", run.path / "scores").done([run.scores("cal", "cosine")])
    said = refused(run_command(monkeypatch, capsys, *threshold))
    assert "cosine.json was learnt before " in said
    assert "exp/x/seed1/scores was made anew; score and calibrate again" in said


def test_measures_of_no_cohort_or_named_twice_are_refused():
    small = find_systems(CONF)["small"]
    for quality, says in (("[norm, cohort_mean]", "set normalise"), ("[norm, norm]", "named twice")):
        with pytest.raises(ConfigError, match=says):
            load_system(small, sets=[f"backends.cosine.quality={quality}"])
