"""`steps/compare.sh`: what it prints of runs, and its one line for a mistake."""

from pathlib import Path

import numpy as np
import pytest
from commands import refused, run_command
from data_dirs import write_lines
from runs import made_run

from sv.bootstrap import bootstrap_difference, of_hull
from sv.data.tables import write_table
from sv.data.trials import Trials
from sv.metrics import eer_rocch
from sv.resampled import Speakers
from sv.scoring.trials import write_scores
from sv.systems.reading import find_systems, load_system

CONF = Path(__file__).parents[1] / "data" / "conf"


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Three runs of a system with two back ends and their scores of a list: good, like it, and bad; and the list."""
    monkeypatch.chdir(tmp_path)
    utts = [f"s{s:02d}-{u}" for s in range(30) for u in range(3)]
    speakers = {utt: utt.split("-")[0] for utt in utts}
    write_table(tmp_path / "data/utt2spk", speakers)
    pairs = [(e, t) for i, e in enumerate(utts) for t in utts[i + 1 :]]
    is_target = np.array([speakers[e] == speakers[t] for e, t in pairs])
    trials = Trials([e for e, _ in pairs], [t for _, t in pairs], is_target)
    trials.write(tmp_path / "data/trials_list")
    rng = np.random.default_rng(0)
    shared = rng.normal(size=len(pairs))
    found = []
    for seed, gap in enumerate((3.0, 3.0, 1.0), 1):
        run = made_run("exp", "small", seed, load_system(find_systems(CONF)["small"]))
        for backend in run.system.backends:
            scores = gap * is_target + 0.8 * shared + 0.6 * rng.normal(size=len(pairs))
            write_scores(run.scores("list", backend), trials, scores)
        found.append(run)
    return found


def compare(monkeypatch, capsys, *options):
    return run_command(monkeypatch, capsys, "compare", "--trials", "data/trials_list", *options)


def test_differences_are_told_and_what_the_list_is_too_small_for(runs, monkeypatch, capsys):
    code, said, err = compare(monkeypatch, capsys, *(f"{run.path}:cosine" for run in runs))
    assert (code, err) == (0, "")
    lines = said.splitlines()
    assert lines[0] == "list: 4,005 trials (90 target) of 30 speakers; cosine"
    eer = [line.split() for line in lines[2:6]]
    assert eer[0][:2] == ["EER", "%"]
    assert [row[:3] for row in eer[1:]] == [["small", "seed", str(seed)] for seed in (1, 2, 3)]
    assert lines[4].endswith("not told apart")
    assert lines[5].endswith("the first is better")
    assert float(eer[3][4].replace("−", "-")) < 0
    assert "\n30 speakers are few: intervals over them are too narrow\n" in said
    few = "small seed 1 21, small seed 2 14, small seed 3 5"
    assert f"\nfewer than 30 false alarms at minDCF.05 ({few}), minDCF.01 (" in said


def test_figures_are_those_of_the_paired_bootstrap(runs, monkeypatch, capsys):
    """Of two back ends of one run."""
    run = runs[0]
    said = compare(monkeypatch, capsys, f"{run.path}:cosine", f"{run.path}:plda")[1]
    assert said.startswith("list: 4,005 trials (90 target) of 30 speakers; seed 1\n")
    scores = [[float(line.split()[2]) for line in run.scores("list", b).open()] for b in ("cosine", "plda")]
    trials = Trials.read("data/trials_list")
    sides = ([i.split("-")[0] for i in ids] for ids in (trials.enrol, trials.test))
    speakers = Speakers.of(*sides, trials.is_target)
    figure = {"eer": lambda roc: 100 * eer_rocch(roc)}
    systems = (of_hull(scores_N, trials.is_target, speakers, figure) for scores_N in scores)
    of = bootstrap_difference(*systems, speakers.count)["eer"]
    row = next(line for line in said.splitlines() if line.startswith("small plda")).replace("−", "-").split()
    figures = [float(word) for word in row[2:] if word[-1].isdigit()]
    assert figures[:4] == pytest.approx([of.other, of.difference, *of.interval], abs=6e-4)


def test_trials_that_a_run_left_out_are_left_out_for_all(runs, monkeypatch, capsys):
    run = runs[1]
    write_lines(run.dropped("list"), "s00-0 test utterance without an embedding")
    said = compare(monkeypatch, capsys, *(f"{each.path}:plda" for each in runs[:2]))[1]
    assert said.startswith("list: 3,916 trials (88 target)")


def test_mistakes_are_one_line(runs, monkeypatch, capsys):
    first, second, _ = runs

    def said(*words):
        return refused(compare(monkeypatch, capsys, *words))

    assert "name two runs or more" in said(f"{first.path}:plda")
    assert f"{first.path} has the back ends" in said(first.path, second.path)
    assert "has no back end pld; " in said(f"{first.path}:pld", f"{second.path}:plda")
    assert "small seed 1 plda: is named twice" in said(f"{first.path}:plda", f"{first.path}:plda")
    second.scores("list", "plda").unlink()
    assert "list.plda is missing; score the list with this run first" in said(
        f"{first.path}:plda", f"{second.path}:plda"
    )
    write_table("data/utt2spk", {"s00-0": "s00"})
    assert "89 ids have no speaker" in said(f"{first.path}:plda", f"{first.path}:cosine")
