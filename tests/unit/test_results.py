"""The results table: figures of a list counted by hand, its text, and the report that a command leaves."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from runs import made_run

from sv.cli import calibrate, compare, report
from sv.data.datadir import DataDir
from sv.data.partitions import read_partitions, write_partitions
from sv.data.tables import write_table
from sv.data.trials import Trials, speakers_of
from sv.errors import DataError
from sv.metrics import cllr, eer_rocch
from sv.records import Step
from sv.report.figures import figures
from sv.report.tables import (
    Row,
    intervals_table,
    markdown_table,
    not_averaged,
    notes,
    table,
    text_table,
    too_small,
)
from sv.roc import Roc
from sv.scoring.trials import read_scores, write_scores
from sv.systems.reading import find_systems, load_system

SYSTEMS = find_systems(Path(__file__).parents[1] / "data" / "conf")


def hand_made():
    """Four targets at 1.5 3 4 5, four non-targets at 0 1 2 3.5; speakers a and b have utterances a-0 … b-3."""
    enrol = ["a-0", "a-0", "b-0", "b-0", "a-0", "a-0", "b-0", "b-0"]
    test = ["a-1", "a-2", "b-1", "b-2", "b-1", "b-2", "a-1", "a-2"]
    trials = Trials(enrol, test, np.array([True] * 4 + [False] * 4))
    return trials, np.array([1.5, 3, 4, 5, 0, 1, 2, 3.5])


def speaker_of(trials):
    return {utt: utt[0] for utt in [*trials.enrol, *trials.test]}


def row(**changes):
    figure = {
        "system": "xvector-small", "backend": "plda", "trials": "mini", "seed": 1,
        "eer": 0.0512, "intervals": {"eer": (0.0312, 0.1)}, "eer_nearest": 0.05, "min_dcf_05": 0.31, "min_dcf_01": 0.4,
        "min_cllr": 0.2, "num_listed": 1200, "num_trials": 1200, "num_targets": 100, "num_speakers": 24,
        "published_eer": None, "published_source": None,
    }  # fmt: skip
    return Row(**figure | changes)


def test_figures_of_a_hand_made_list():
    """The hull's corners are (miss, false alarm) = (0, 1/2) [t = 1.5] and (1/2, 0) [t = 4], with (1/4, 1/4) on the
    line between them; min DCF at .05 is a threshold of 4: misses 1/2, no false alarm, 19 times as dear."""
    trials, scores_N = hand_made()
    found, roc = figures(trials, scores_N, speaker_of(trials))
    assert found["eer"] == pytest.approx(0.25)
    assert found["eer_nearest"] == pytest.approx(0.25)
    assert found["min_dcf_05"] == found["min_dcf_01"] == pytest.approx(0.5)
    # PAV pools {1.5, 2, 3, 3.5} with two of each: LLR 0, one bit each; the other trials cost nothing.
    assert found["min_cllr"] == pytest.approx(0.5)
    assert (found["num_trials"], found["num_targets"], found["num_speakers"]) == (8, 4, 2)
    assert (roc.n_target, roc.n_nontarget) == (4, 4)
    low, high = found["intervals"]["eer"]
    assert 0 <= low <= 0.25 <= high <= 1


def test_no_interval_where_a_speaker_is_unknown():
    trials, scores_N = hand_made()
    speaker = speaker_of(trials)
    del speaker["b-2"]
    found, _ = figures(trials, scores_N, speaker)
    assert (found["intervals"], found["num_speakers"]) == ({}, 0)
    assert found["eer"] == pytest.approx(0.25)


def test_actual_costs_of_a_hand_made_list():
    """At .05 a score of log 19 = 2.94 is accepted: of the targets 1.5 is not, of the non-targets 3.5 is. At .01 (4.60)
    three targets are missed and at .005 (5.29) all four, with no false alarm. Cllr by its definition."""
    trials, llr_N = hand_made()
    found, _ = figures(trials, llr_N, {}, llr_N)
    assert found["act_dcf_05"] == pytest.approx(1 / 4 + 19 / 4)
    assert found["act_cprimary"] == pytest.approx((3 / 4 + 4 / 4) / 2)
    bits = [np.log2(1 + np.exp(-s)) for s in (1.5, 3, 4, 5)] + [np.log2(1 + np.exp(s)) for s in (0, 1, 2, 3.5)]
    assert found["cllr"] == pytest.approx(sum(bits) / 8)


def test_rates_are_shown_in_percent_with_what_is_not_known_as_a_dash():
    assert table([row(), row(intervals={}, published_eer=6.1, num_trials=1199)])[1:] == [
        ("xvector-small", "plda", "mini", "5.12", "3.12–10.00", "0.310", "0.400", "0.200", "1,200", "–"),
        ("xvector-small", "plda", "mini", "5.12", "–", "0.310", "0.400", "0.200", "1,199 of 1,200", "6.10"),
    ]


def test_text_table_is_lined_up():
    """Names to the left, figures to the right, whatever their widths."""
    header, rule, *lines = text_table([row(), row(system="x", trials="vox1_o", eer=0.123, published_eer=6.1)])
    assert set(rule) == {"-"}
    assert len(rule) == len(header)
    for column in ("back end", "trial list"):
        assert {line[header.index(column) - 1] for line in lines} == {" "}
        assert " " not in {line[header.index(column)] for line in lines}
    for column in ("EER %", "95 % interval", "minDCF.05", "min Cllr", "trials", "paper's EER %"):
        end = header.index(column) + len(column)
        assert " " not in {line[end - 1] for line in lines}
        assert {line[end : end + 1] for line in lines} <= {" ", ""}


def test_several_seeds_have_a_column():
    one, two = table([row(), row()]), table([row(), row(system="other", seed=2)])
    assert "seed" not in one[0]
    assert two[0][:3] == ("system", "seed", "back end")
    assert [line[1] for line in two[1:]] == ["1", "2"]


FIGURES = ("eer", "min_dcf_05", "min_dcf_01", "min_cllr", "act_dcf_05", "act_cprimary", "cllr")


def drawn_rows(*seeds, **common):
    """Rows whose figures are drawn."""
    rng = np.random.default_rng(3)
    drawn = [dict(zip(FIGURES, rng.uniform(0.01, 0.4, len(FIGURES)).tolist(), strict=True)) for _ in seeds]
    return [row(seed=seed, calibrated="alike", **figures, **common) for seed, figures in zip(seeds, drawn, strict=True)]


@pytest.mark.parametrize("num_seeds", [2, 3, 4])
def test_seeds_have_the_row_of_their_mean_and_deviation(num_seeds):
    """Of every figure, against numpy, with the paper's beside it and no interval; below it the seeds' rows as before.

    Rows of another back end, list, system or number of scored trials are none of it; these stand where they stood.
    """
    seeds = drawn_rows(*range(num_seeds), published_eer=6.1, published_min_dcf_05=0.4)
    others = [row(seed=7, backend="cosine"), row(seed=7, trials="other"), row(seed=7, system="x")]
    _, first, means, *lines = table([others[0], *seeds[:1], others[1], *seeds[1:], others[2]])
    values = np.array([[getattr(each, name) for name in FIGURES] for each in seeds])
    expected = [f"{m:.3f} ± {s:.3f}" for m, s in zip(values.mean(0), values.std(0, ddof=1), strict=True)]
    expected[0] = f"{100 * values[:, 0].mean():.2f} ± {100 * values[:, 0].std(ddof=1):.2f}"
    assert means == (
        *("xvector-small", f"{num_seeds} seeds", "plda", "mini", expected[0], "", *expected[1:]),
        *("1,200", "6.10", "0.400"),
    )
    assert [line[1] for line in [first, *lines]] == ["7", *map(str, range(num_seeds)), "7", "7"]
    assert [line[4] for line in lines[:num_seeds]] == [f"{100 * each.eer:.2f}" for each in seeds]
    assert {line[5] for line in lines[:num_seeds]} == {"3.12–10.00"}
    assert "standard deviation (N - 1)" in "\n".join(notes(seeds))
    assert "standard deviation" not in "\n".join(notes([seeds[0], *others]))


def test_means_of_equalised_figures_and_of_what_seeds_do_not_share():
    """– where one has another calibration, which is said, and where the paper's figure is not the same for all."""
    seeds = [row(seed=seed, **EQUALISED | {"equalised_eer": eer}) for seed, eer in ((1, 0.05), (2, 0.07))]
    header, means, *_ = table(seeds)
    assert means[header.index("eq. EER %")] == f"6.00 ± {np.std([5, 7], ddof=1):.2f}"
    assert means[header.index("eq. min Cprim")] == "0.713 ± 0.000"
    calibrated = [row(**CALIBRATED, published_eer=6.1), row(**CALIBRATED | {"calibrated": "otherwise"}, seed=2)]
    header, means, *_ = table(calibrated)
    assert {means[header.index(name)] for name in ("actDCF.05", "act Cprim", "Cllr", "paper's EER %")} == {"–"}
    assert "xvector-small: actual costs are not averaged, as its seeds are not calibrated alike." in notes(calibrated)


def test_seeds_that_differ_are_not_averaged_and_it_is_said():
    """By their settings, by the trials that were scored; a seed that is there twice is taken once."""
    apart = "not averaged with seed 1: its training.epochs is 3, not 30"
    rows = [row(), row(seed=2, apart=apart), row(seed=3, num_trials=1199), row(seed=1, eer=0.2)]
    assert [line[1] for line in table(rows)[1:]] == ["1", "2", "3", "1"]
    said = [
        f"xvector-small seed 2 is {apart}.",
        "xvector-small seed 3 is not averaged with seed 1: 1,199 of its trials on mini are scored, not 1,200.",
    ]
    assert not_averaged(rows) == said
    assert set(said) < set(notes(rows))
    rows = [row(), row(seed=2, apart=apart), row(seed=3)]
    assert [line[1] for line in table(rows)[1:]] == ["2 seeds", "1", "3", "2"]


def test_seeds_stand_below_their_mean_in_a_terminal():
    """Point below point; where there is no mean nothing is moved."""
    header, _, means, *lines = text_table([*drawn_rows(1, 2, 3), row(system="x", seed=1, num_trials=1100)])
    ends = [means.index(" ±", begin) for begin in (header.index(name) - 9 for name in ("EER %", "minDCF.05", "Cllr"))]
    for line in lines:
        assert all(line[end - 1] != " " and line[end : end + 3] == "   " for end in ends[:2])
    assert all(line.endswith(("1,200", "1,100 of 1,200")) for line in lines)


CALIBRATED = {"act_dcf_05": 0.325, "act_cprimary": 0.51, "cllr": 0.21, "calibrated": "on the list cal at prior 0.05"}


def test_actual_costs_have_columns_where_there_are_any():
    """Of calibrated rows; – for the others."""
    assert "Cllr" not in table([row(), row()])[0]
    header, one, two = table([row(**CALIBRATED), row(published_eer=6.1)])
    assert header[-5:-1] == ("actDCF.05", "act Cprim", "Cllr", "trials")
    assert one[-5:] == ("0.325", "0.510", "0.210", "1,200", "–")
    assert two[-5:] == ("–", "–", "–", "1,200", "6.10")
    widest = text_table([row(**CALIBRATED, system="xvector-small+short", trials="vox1_o_cleaned")])
    assert max(map(len, widest)) <= 140


def test_notes_say_what_calibrated():
    """Once where it is the same for all, else with the systems; nothing where nothing is calibrated."""
    assert "alibrated" not in "\n".join(notes([row()]))
    said = "\n".join(notes([row(**CALIBRATED), row(**CALIBRATED, backend="cosine"), row(system="x")]))
    assert said.count("of calibrated scores only") == 1
    assert said.count("Calibrated by logistic regression on the list cal at prior 0.05.\n") == 1
    said = "\n".join(notes([row(**CALIBRATED), row(**CALIBRATED | {"calibrated": "otherwise"}, system="x")]))
    assert "prior 0.05, xvector-small.\nCalibrated by logistic regression otherwise, x.\n" in said


EQUALISED = {"equalised_eer": 0.0612, "equalised_min_cprimary": 0.713, "num_partitions": (16, 8)}


def test_equalised_figures_have_columns_where_there_are_any():
    """Of lists with partitions; the actual cost where something is calibrated; a note says what they are."""
    assert "eq." not in " ".join([*table([row(**CALIBRATED)])[0], *notes([row(**CALIBRATED)])])
    header, one, two = table([row(**EQUALISED, trials="pooled"), row()])
    assert header[-3:] == ("eq. EER %", "eq. min Cprim", "trials")
    assert (one[-3:], two[-3:]) == (("6.12", "0.713", "1,200"), ("–", "–", "1,200"))
    header, one, two = table([row(**EQUALISED, **CALIBRATED, equalised_act_cprimary=0.75), row(**EQUALISED)])
    assert header[-4:] == ("eq. EER %", "eq. min Cprim", "eq. act Cprim", "trials")
    assert (one[-2], two[-2]) == ("0.750", "–")
    said = "\n".join(notes([row(**EQUALISED, trials="pooled"), row()]))
    assert said.count("every partition has the same say") == 1
    assert "pooled: 16 partitions of target and 8 of non-target trials." in said


def test_papers_have_a_column_where_there_is_one():
    assert "paper's EER %" not in table([row(), row()])[0]
    assert table([row(), row(published_eer=6.1)])[0][-1] == "paper's EER %"
    header, one, two = table([row(), row(published_eer=6.1, published_min_dcf_05=0.31)])
    assert header[-2:] == ("paper's EER %", "paper's minDCF.05")
    assert (one[-2:], two[-2:]) == (("–", "–"), ("6.10", "0.310"))


def test_markdown_has_the_same_cells_in_as_many_columns():
    rows = [row(), row(seed=2, system="x")]
    lines = markdown_table(table(rows))
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    assert [cells[0], *cells[2:]] == table(rows)
    assert cells[1] == ("---",) * 4 + ("---:",) * 6


INTERVALS = {"eer": (0.0312, 0.1), "min_dcf_05": (0.2, 0.45), "min_dcf_01": (0.3, 1.0), "min_cllr": (0.15, 0.25)}


def test_every_figure_of_a_run_has_its_interval_in_a_second_table():
    """In its unit, marked where errors are too few; no line of means, nor of a list without speakers."""
    known = row(intervals=INTERVALS, errors={"eer": (30, 31), "min_dcf_05": (50, 29), "min_dcf_01": (29, 50)})
    assert intervals_table([known, row(seed=2, intervals=INTERVALS), row(system="y", intervals={})]) == [
        ("system", "seed", "back end", "trial list", "EER %", "minDCF.05", "minDCF.01", "min Cllr"),
        ("xvector-small", "1", "plda", "mini", "3.12–10.00", "0.200–0.450†", "0.300–1.000†", "0.150–0.250"),
        ("xvector-small", "2", "plda", "mini", "3.12–10.00", "0.200–0.450", "0.300–1.000", "0.150–0.250"),
    ]
    assert intervals_table([row(intervals={})]) == []
    (_, line) = intervals_table([row(calibrated="so", num_partitions=(2, 3), intervals={**INTERVALS, "cllr": (0, 1)})])
    assert line[-6:] == ("–", "–", "0.000–1.000", "–", "–", "–")


def test_the_mark_is_explained_where_it_is():
    few = {"min_dcf_05": (50, 29)}
    assert not any(note.startswith("†") for note in notes([row(intervals=INTERVALS), row(intervals={}, errors=few)]))
    assert any(note.startswith("†") for note in notes([row(intervals=INTERVALS, errors=few)]))


def test_what_lists_are_too_small_for_is_told_by_list():
    """Of each the runs by name, with seeds where there are several; of runs that scored parts of one the smallest."""
    few, enough = {"eer": (12, 300)}, {"num_speakers": 60, "num_trials": 4000}
    rows = [
        row(errors=few, **enough),
        row(seed=2, errors={"eer": (31, 300)}, **enough | {"num_speakers": 49}),
        row(trials="other", errors=few, **enough),
    ]
    assert too_small(rows) == [
        "mini: 49 speakers are few: intervals over them are too narrow.",
        "mini: fewer than 30 misses at EER (xvector-small 1 plda 12).",
        "other: fewer than 30 misses at EER (xvector-small 1 plda 12).",
    ]
    assert too_small([row(**enough)]) == []


def test_notes_say_what_holds_for_the_table():
    said = "\n".join(notes([row(), row(seed=2, published_eer=6.1, published_source="Someone, Table 1")]))
    assert "convex hull" in said
    assert "mini: 24 speakers." in said
    assert "The paper's EER, not ours: Someone, Table 1." in said
    assert said.endswith("Seeds 1, 2.")
    assert "–" not in "\n".join(notes([row()])[1:])
    assert "speakers are not known" in "\n".join(notes([row(intervals={}, num_speakers=0)]))


# -- The command ---------------------------------------------------------------------------------------------


def command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["report", *map(str, arguments)])
    report.main()


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """Two seeds of a run, scored by two back ends on a list of 12 speakers; the working folder is tmp_path."""
    monkeypatch.chdir(tmp_path)
    utts = [f"s{s:02d}-{u}" for s in range(12) for u in range(4)]
    DataDir({utt: utt[:3] for utt in utts}).write("data/test")
    pairs = [(e, t) for e in utts if e.endswith("-0") for t in utts if not t.endswith("-0")]
    trials = Trials([e for e, _ in pairs], [t for _, t in pairs], np.array([e[:3] == t[:3] for e, t in pairs]))
    trials.write("data/test/trials_vox1_o")
    rng = np.random.default_rng(0)
    runs = []
    for seed in (1, 2):
        runs.append(made_run("exp", "published", seed, load_system(SYSTEMS["published"])))
        for backend in ("cosine", "plda"):
            write_scores(runs[-1].scores("vox1_o", backend), trials, rng.normal(2.0 * trials.is_target))
    return runs, trials


def test_report_leaves_table_figures_and_curves(scored, monkeypatch, capsys):
    runs, _ = scored
    command(
        monkeypatch, "--out", "report", "--title", "Title", "--note", "A note.",
        "--trials", "data/test/trials_vox1_o", *(this.path for this in runs),
    )  # fmt: skip
    rows = json.loads(Path("report/results.json").read_text())
    assert [(r["system"], r["seed"], r["backend"]) for r in rows] == [
        ("published", seed, backend) for seed in (1, 2) for backend in ("cosine", "plda")
    ]
    assert [r["published_eer"] for r in rows] == [None, 6.1, None, 6.1]  # its figure is for PLDA
    assert {(r["num_trials"], r["num_targets"], r["num_speakers"]) for r in rows} == {(432, 36, 12)}
    text = Path("report/results.md").read_text()
    assert text.startswith("# Title\n\n**A note.**\n\n| system | seed |")
    assert "![DET curves](det_vox1_o.png)" in text
    said = capsys.readouterr().out
    for r in rows:
        assert f"{100 * r['eer']:.2f}" in text
        assert f"{100 * r['eer']:.2f}" in said
    assert said.startswith("A note.\n\nsystem ")
    assert "ynthetic" not in said + text
    assert "\n\n95 % intervals over speakers:\n\n| system | seed |" in text
    for r in rows:
        low, high = r["intervals"]["min_cllr"]
        assert f"{low:.3f}–{high:.3f}" in text
        assert r["errors"]["min_dcf_05"][1] < 30
    for line in ("12 speakers are few", "396 non-target trials are too few for costs at target prior .05, .01"):
        assert f"\nvox1_o: {line}" in text
        assert f"\nvox1_o: {line}" in said
    assert "page:  report/report.html\ntable: report/results.md\nDET:   report/det_vox1_o.png\n" in said
    assert sorted(path.name for path in Path("report").iterdir()) == [
        *(".done", "conditions.json", "det_vox1_o.png", "report.html", "results.json", "results.md")
    ]


def test_picture_of_embeddings_is_shown_if_it_is_there(scored, monkeypatch, capsys):
    """By its path from the report; one that comes, changes or goes makes the report run again."""
    picture = Path("report/tsne_test.png")
    arguments = ("--out", "report", "--tsne", picture, "--trials", "data/test/trials_vox1_o", scored[0][0].path)
    for content in (None, b"one", b"other", None):
        if content:
            picture.write_bytes(content)
        else:
            picture.unlink(missing_ok=True)
        command(monkeypatch, *arguments)
        assert "unchanged" not in capsys.readouterr().out
        shown = "![t-SNE of embeddings](tsne_test.png)" in Path("report/results.md").read_text()
        command(monkeypatch, *arguments)
        out = capsys.readouterr().out
        assert "unchanged, skipped" in out
        assert shown == (f"t-SNE: {picture}" in out) == (content is not None)


def test_synthetic_speech_is_labelled_unasked(scored, monkeypatch, capsys):
    """In table, DET title and results.json of the list that lies by SYNTHETIC.txt, not of the other; the note stays."""
    (run, _), trials = scored
    DataDir.read("data/test").write("data/made")
    Path("data/made/SYNTHETIC.txt").write_text("made by a test\n")
    trials.write("data/made/trials_made")
    for backend in ("cosine", "plda"):
        write_scores(run.scores("made", backend), trials, np.random.default_rng(1).normal(2.0 * trials.is_target))
    titles = []
    monkeypatch.setattr("sv.report.trial_list.plot_det", lambda _, title, path: (titles.append(title), path.touch()))
    lists = ("--trials", "data/test/trials_vox1_o", "--trials", "data/made/trials_made")
    command(monkeypatch, "--out", "report", "--note", "A note.", *lists, run.path)
    said = "Synthetic speech, not of real speakers: made."
    assert capsys.readouterr().out.startswith(f"{said}\nA note.\n\nsystem ")
    assert f"\n\n**{said}**\n\n**A note.**\n\n| system" in Path("report/results.md").read_text()
    assert titles == ["vox1_o, 432 trials\nA note.", "made, 432 trials, synthetic speech\nA note."]
    rows = json.loads(Path("report/results.json").read_text())
    assert [(r["trials"], r["is_synthetic"]) for r in rows] == [("vox1_o", False)] * 2 + [("made", True)] * 2


def test_a_papers_figure_never_stands_beside_synthetic_speech(scored, monkeypatch):
    """Though list and size are the published ones' names."""
    Path("data/test/SYNTHETIC.txt").write_text("made by a test\n")
    for run in scored[0]:
        command(monkeypatch, "--out", "report", "--trials", "data/test/trials_vox1_o", run.path)
        rows = json.loads(Path("report/results.json").read_text())
        assert [row["published_eer"] for row in rows] == [None, None]


def test_seeds_that_are_averaged_share_a_name_in_the_plot(scored, monkeypatch, capsys):
    """Their curves are under it, a back end of another setting has a curve a seed."""
    (_, second), trials = scored
    backends = dict(second.system.backends)
    backends["plda"] = backends["plda"].model_copy(update={"lda_dim": 5})
    made_run("exp", "published", 2, second.system.model_copy(update={"backends": backends}))
    drawn = {}
    monkeypatch.setattr("sv.report.trial_list.plot_det", lambda curves, _, path: (drawn.update(curves), path.touch()))
    command(monkeypatch, "--out", "report", "--trials", "data/test/trials_vox1_o", *(this.path for this in scored[0]))
    counts = {name: len(rocs) for name, rocs in drawn.items()}
    why = "published seed 2 is not averaged with seed 1: its backends.plda.lda_dim is 5, not "
    assert f"\n\n{why}" in capsys.readouterr().out
    assert f"\n\n{why}" in Path("report/results.md").read_text()
    assert counts == {"published, 2 seeds / cosine": 2, "published seed 1 / plda": 1, "published seed 2 / plda": 1}
    for roc, this in zip(drawn["published, 2 seeds / cosine"], scored[0], strict=True):
        assert eer_rocch(roc) == eer_rocch(
            Roc.from_scores(read_scores(this.scores("vox1_o", "cosine"), trials), trials.is_target)
        )


def test_runs_of_one_name_and_seed_have_a_curve_each(scored, monkeypatch):
    """Of two places: told apart by their paths, and a change of what the second's paper reports is a change."""
    (run, _), _ = scored
    shutil.copytree("exp", "there/exp")
    there = Path("there") / run.path
    drawn = {}
    monkeypatch.setattr("sv.report.trial_list.plot_det", lambda curves, _, path: (drawn.update(curves), path.touch()))
    options = ("--out", "report", "--trials", "data/test/trials_vox1_o", run.path, there)
    command(monkeypatch, *options)
    assert list(drawn) == [f"published ({path}) / {b}" for path in (run.path, there) for b in ("cosine", "plda")]
    for path in (run.path, there):
        config = path / "config.yaml"
        config.write_text(config.read_text().replace("6.1", "7.1"))
        drawn.clear()
        command(monkeypatch, *options)
        assert len(drawn) == 4


def test_unchanged_report_has_the_same_bytes(scored, monkeypatch):
    """Date and time are nowhere in it."""
    for out in ("a", "b"):
        command(monkeypatch, "--out", out, "--trials", "data/test/trials_vox1_o", scored[0][0].path)
    for path in Path("a").glob("[!.]*"):
        assert path.read_bytes() == (Path("b") / path.name).read_bytes()


def test_other_runs_with_scores_are_shown_too(scored, monkeypatch, capsys):
    """Those below the folder that is named, behind those asked for; one without scores is not missed."""
    first, second = scored[0]
    made_run("exp", "third", 1, first.system)
    command(monkeypatch, "--out", "report", "--others", "exp", "--trials", "data/test/trials_vox1_o", second.path)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[2:8]]
    assert [line[2] for line in lines if line[1:2] == ["2"] and line[2] == "seeds"] == ["seeds", "seeds"]
    assert [(line[1], line[2]) for line in lines if line[2] != "seeds"] == [
        (seed, backend) for backend in ("cosine", "plda") for seed in "21"
    ]


def test_another_run_of_an_earlier_version_is_left_out_with_a_line(scored, monkeypatch, capsys):
    """Its configuration is no longer understood; the run that was asked for is reported all the same."""
    run = scored[0][0]
    old = made_run("exp", "old", 1, run.system)
    config = old.path / "config.yaml"
    config.write_text(config.read_text().replace("features:", "front_end:"))
    command(monkeypatch, "--out", "report", "--others", "exp", "--trials", "data/test/trials_vox1_o", run.path)
    assert "report: a run is left out, exp/old/seed1/config.yaml: unknown key" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["scores", "calibration", "training"])
@pytest.mark.parametrize("dry", [False, True])
def test_another_run_with_a_step_cut_short_is_left_out_with_a_line(scored, monkeypatch, capsys, tmp_path, what, dry):
    """Be it calibrated, as here, or not; asked for itself, it is refused with the same words."""
    (this, other), trials = scored
    for backend in ("cosine", "plda"):
        Step(f"vox1_o.{backend}", other.path / "scores").done([other.scores("vox1_o", backend)])
    Trials([f"c{i}" for i in trials.enrol], [f"c{i}" for i in trials.test], trials.is_target).write("data/trials_cal")
    Path("data/utt2spk").write_text("".join(f"c{utt} c{utt[:3]}\n" for utt in sorted({*trials.enrol, *trials.test})))
    for backend in ("cosine", "plda"):
        write_scores(other.scores("cal", backend), Trials.read("data/trials_cal"), read_scores(
            other.scores("vox1_o", backend), trials
        ))  # fmt: skip
    monkeypatch.setattr(
        "sys.argv", ["calibrate", "--calibration", "data/trials_cal", str(other.path), "data/test/trials_vox1_o"]
    )
    calibrate.main()
    began = {
        "scores": ("vox1_o.plda", other.path / "scores"),
        "calibration": ("calibrate.plda", other.path / "calibration"),
        "training": ("train", other.path),
    }[what]
    Step(*began).begin()
    lists = ("--out", "report", "--trials", "data/test/trials_vox1_o")
    with pytest.raises(DataError, match="was begun and has not ended"):
        command(monkeypatch, *lists, other.path)
    if dry:
        (tmp_path / "dry").mkdir()
        monkeypatch.setenv("SV_DRY_RUN", str(tmp_path / "dry"))
    capsys.readouterr()
    command(monkeypatch, *lists, "--others", "exp", this.path)
    out = capsys.readouterr().out
    assert f"report: a run is left out, {began[1]}: {began[0]} was begun and has not ended; run its stage again" in out
    if not dry:
        assert {row["seed"] for row in json.loads(Path("report/results.json").read_text())} == {this.seed}


def test_what_trained_and_made_it_stands_below_the_table(scored, monkeypatch):
    run = scored[0][0]
    Step("train", run.path).done([], epochs=16, utterances=1800, speakers=200)
    monkeypatch.setenv("SV_COMMAND", "./run.sh --seed 1")
    command(monkeypatch, "--out", "report", "--trials", "data/test/trials_vox1_o", run.path)
    text = Path("report/results.md").read_text()
    assert "published: 16 epochs on 1,800 utterances of 200 speakers." in text
    assert "Made by `./run.sh --seed 1`" in text


def test_a_public_network_is_never_shown_as_trained_here(scored, monkeypatch):
    """What `import_weights` records."""
    run = scored[0][0]
    Step("train", run.path, settings={"imported": "released.model"}).done([], parameters=7)
    command(monkeypatch, "--out", "report", "--trials", "data/test/trials_vox1_o", run.path)
    text = Path("report/results.md").read_text()
    assert "published: a public network's weights (released.model), not trained here." in text


def test_a_list_without_labels_is_told_beside_others(scored, monkeypatch, capsys):
    """A challenge's: it is scored, and nobody here knows how well."""
    (run, _), trials = scored
    Trials(trials.enrol, trials.test, None).write(Path("data/test/trials_challenge"))
    lists = ("--trials", "data/test/trials_challenge", "--trials", "data/test/trials_vox1_o")
    command(monkeypatch, "--out", "report", *lists, run.path)
    told = "report: data/test/trials_challenge has no labels; its scores are in RUN/scores/challenge.BACKEND"
    assert told in capsys.readouterr().out
    assert {row["trials"] for row in json.loads(Path("report/results.json").read_text())} == {"vox1_o"}


def test_finished_report_is_printed_again(scored, monkeypatch, capsys):
    arguments = ("--out", "report", "--trials", "data/test/trials_vox1_o", scored[0][0].path)
    command(monkeypatch, *arguments)
    first = capsys.readouterr().out
    command(monkeypatch, *arguments)
    assert capsys.readouterr().out == "report report: unchanged, skipped\n" + first


def test_trials_that_scoring_left_out_are_counted(scored, monkeypatch, capsys):
    """`score --allow-missing` dropped a test utterance, which is in 12 trials."""
    (run, _), trials = scored
    write_table(run.path / "scores" / "vox1_o.dropped.txt", {"s00-1": "test utterance without an embedding"})
    rest, _ = trials.with_ids(set(trials.enrol), set(trials.test) - {"s00-1"})
    for backend in ("cosine", "plda"):
        write_scores(run.scores("vox1_o", backend), rest, np.random.default_rng(1).normal(2.0 * rest.is_target))
    command(monkeypatch, "--out", "report", "--trials", "data/test/trials_vox1_o", run.path)
    assert "420 of 432" in capsys.readouterr().out


def test_lists_with_partitions_have_equalised_figures(scored, monkeypatch, capsys):
    """Joined by both ids, also where scoring left trials out; means over the partitions, counted one by one."""
    (run, other), trials = scored
    cell_of = {(e, t): f"{t[1]}-{t[-1]}" for e, t in zip(trials.enrol, trials.test, strict=True)}
    write_partitions(Path("data/test/partitions"), [(*pair, cell) for pair, cell in cell_of.items()])
    rest, _ = trials.with_ids(set(trials.enrol), set(trials.test) - {"s00-1", "s11-2"})
    write_table(other.path / "scores" / "vox1_o.dropped.txt", dict.fromkeys(("s00-1", "s11-2"), "no embedding"))
    for backend in ("cosine", "plda"):
        text = other.scores("vox1_o", backend).read_text().splitlines(keepends=True)
        kept = [line for line in text if line.split()[1] not in ("s00-1", "s11-2")]
        other.scores("vox1_o", backend).write_text("".join(kept))
    reads = []
    monkeypatch.setattr("sv.report.trial_list.read_partitions", lambda *a: (reads.append(a), read_partitions(*a))[1])
    command(monkeypatch, "--out", "report", "--trials", "data/test/trials_vox1_o", run.path, other.path)
    assert len(reads) == 1
    rows = json.loads(Path("report/results.json").read_text())
    for found, this, listed in zip(rows[::2], (run, other), (trials, rest), strict=True):
        scores_N = read_scores(this.scores("vox1_o", "cosine"), listed)
        cells = np.array([cell_of[pair] for pair in zip(listed.enrol, listed.test, strict=True)])
        costs = []
        for p in (0.01, 0.005):
            rates = [
                [
                    np.mean([np.mean(wrong_N[chosen_N & (cells == cell)]) for cell in set(cells)])
                    for wrong_N, chosen_N in (
                        (scores_N < threshold, listed.is_target), (scores_N >= threshold, ~listed.is_target),
                    )
                ]
                for threshold in [*scores_N, np.inf]
            ]  # fmt: skip
            costs.append(min(miss + (1 - p) / p * false_alarm for miss, false_alarm in rates))
        assert found["equalised_min_cprimary"] == pytest.approx(np.mean(costs))
        assert found["num_partitions"] == [6, 6]
        assert found["equalised_act_cprimary"] is None
    assert "every partition has the same say" in Path("report/results.md").read_text()
    assert f"{rows[0]['equalised_min_cprimary']:.3f}" in capsys.readouterr().out
    write_partitions(Path("data/test/partitions"), [(*pair, cell) for pair, cell in list(cell_of.items())[1:]])
    with pytest.raises(DataError, match="data/test/partitions: 1 of 432 trials have no partition"):
        command(monkeypatch, "--out", "report", "--trials", "data/test/trials_vox1_o", run.path)


def test_models_are_their_utterances_speakers(scored, monkeypatch):
    """With `models` beside the trials there is an interval over speakers; of unknown utterances there is none."""
    write_table("data/test/models", {"m1": "s01-0 s01-1", "m2": "elsewhere-0"})
    speaker = speakers_of(Path("data/test"))
    assert speaker["m1"] == speaker["s01-2"] == "s01"
    assert "m2" not in speaker


def test_models_may_be_of_another_set(scored, monkeypatch):
    """Their utterances, speakers and names are looked up there; tests stay where the trials are."""
    write_table("data/enrol/utt2spk", {"s99-0": "s99"})
    write_table("data/enrol/models", {"m1": "s99-0"})
    speaker = speakers_of(Path("data/test"), Path("data/enrol"))
    assert (speaker["m1"], speaker["s01-2"]) == ("s99", "s01")


@pytest.mark.parametrize("what", ["scores", "labels"])
def test_report_of_nothing_to_report_is_one_line(scored, monkeypatch, what):
    run, trials = scored[0][0], scored[1]
    if what == "scores":
        run.scores("vox1_o", "plda").unlink()
    else:
        Trials(trials.enrol, trials.test, None).write("data/test/trials_vox1_o")
    with pytest.raises(DataError, match={"scores": "score first", "labels": "no labels"}[what]):
        command(monkeypatch, "--out", "report", "--trials", "data/test/trials_vox1_o", run.path)
    assert not Path("report/results.md").exists()


def test_actual_costs_are_of_calibrated_scores_that_belong_to_the_scores(scored, monkeypatch, capsys):
    """Of one back end; the EER stays that of the scores. Of scores that were made anew since, there are none."""
    (run, _), trials = scored
    for backend in ("cosine", "plda"):
        write_scores(run.scores("cal", backend), trials, np.random.default_rng(2).normal(2.0 * trials.is_target))
    Trials([f"c{i}" for i in trials.enrol], [f"c{i}" for i in trials.test], trials.is_target).write("data/trials_cal")
    Path("data/utt2spk").write_text(
        "".join(f"{i} {i[:4]}\n" for i in sorted(set(Trials.read("data/trials_cal").enrol)))
    )
    for backend in ("cosine", "plda"):
        text = run.scores("cal", backend).read_text()
        run.scores("cal", backend).write_text(
            "".join("c{} c{} {}\n".format(*line.split()) for line in text.splitlines())
        )
    monkeypatch.setattr(
        "sys.argv", ["calibrate", "--calibration", "data/trials_cal", str(run.path), "data/test/trials_vox1_o"]
    )
    calibrate.main()
    run.scores("vox1_o", "cosine").write_text(run.scores("vox1_o", "cosine").read_text().replace(".1", ".2"))
    command(monkeypatch, "--out", "report", "--trials", "data/test/trials_vox1_o", run.path)
    cosine, plda = json.loads(Path("report/results.json").read_text())
    assert [cosine[name] for name in ("act_dcf_05", "act_cprimary", "cllr", "calibrated")] == [None] * 4
    llr_N, raw_N = (read_scores(path("vox1_o", "plda"), trials) for path in (run.calibrated, run.scores))
    assert plda["cllr"] == pytest.approx(cllr(Roc.from_scores(llr_N, trials.is_target)))
    assert plda["eer"] == pytest.approx(eer_rocch(Roc.from_scores(raw_N, trials.is_target)))
    assert plda["calibrated"] == "on the list cal (36 target and 396 non-target trials of 12 speakers) at prior 0.05"
    assert f"{plda['act_dcf_05']:.3f}" in capsys.readouterr().out


def test_where_quality_measures_weigh_all_figures_are_of_calibrated_scores(scored, monkeypatch, capsys):
    """In the table, and where runs are compared; of the other back end the EER is that of the scores."""
    (run, _), trials = scored
    settings = ["backends.cosine.quality=[norm]"]
    run = made_run("exp", "published", 1, load_system(SYSTEMS["published"], sets=settings))
    rng = np.random.default_rng(3)
    for backend in ("cosine", "plda"):
        calibrated = run.calibrated("vox1_o", backend)
        write_scores(calibrated, trials, rng.normal(4.0 * trials.is_target))
        run.calibration(backend).parent.mkdir(exist_ok=True)
        learnt = {"num_targets": 1, "num_nontargets": 1, "num_speakers": 0, "trials": "cal", "prior": 0.05}
        run.calibration(backend).write_text(json.dumps(learnt))
        Step(calibrated.name, calibrated.parent).done([calibrated])
    command(monkeypatch, "--out", "report", "--trials", "data/test/trials_vox1_o", run.path)
    cosine, plda = json.loads(Path("report/results.json").read_text())
    for row, judged in ((cosine, run.calibrated("vox1_o", "cosine")), (plda, run.scores("vox1_o", "plda"))):
        assert row["eer"] == pytest.approx(eer_rocch(Roc.from_scores(read_scores(judged, trials), trials.is_target)))
    said = "cosine: all figures are of calibrated scores, in which norm weigh."
    assert Path("report/results.md").read_text().count(said) == 1
    capsys.readouterr()
    pair = (f"{run.path}:plda", f"{run.path}:cosine")
    monkeypatch.setattr("sys.argv", ["compare", "--trials", "data/test/trials_vox1_o", *pair])
    compare.main()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    eers = next(i for i, line in enumerate(lines) if line[:1] == ["EER"])
    for line, name, row in zip(lines[eers + 1 : eers + 3], ("plda", "cosine"), (plda, cosine), strict=True):
        assert line[line.index(name) + 1] == f"{100 * row['eer']:.3f}"
