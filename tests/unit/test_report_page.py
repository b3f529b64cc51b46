"""The page of a report: well-formed, self-contained, small; its drawings against lists counted by hand."""

import base64
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from runs import made_run
from scipy.special import ndtri

from sv.cli import report
from sv.data.datadir import DataDir
from sv.data.tables import write_lines, write_table
from sv.data.trials import Trials
from sv.metrics import act_dcf, eer_rocch, min_dcf
from sv.records import Step, record_of
from sv.report.behind import dropped_behind, steps_behind
from sv.report.det_svg import det_html
from sv.report.page import results_table
from sv.report.score_svg import BINS, LOG_ODDS, bayes_error, histogram
from sv.report.svg import Frame, clipped, round_ticks, simplified
from sv.report.tables import Row
from sv.report.training_svg import training_svgs
from sv.roc import Roc
from sv.scoring.trials import write_scores
from sv.systems.reading import find_systems, load_system
from sv.training.curves import HEADER

SYSTEMS = find_systems(Path(__file__).parents[1] / "data" / "conf")
HAND_MADE = Roc.from_scores([1.5, 3, 4, 5, 0, 1, 2, 3.5], [True] * 4 + [False] * 4)  # as in test_results


def points_of(element):
    return np.array([[float(v) for v in pair.split(",")] for pair in element.get("points").split()])


def normal_roc(n_target, n_nontarget, seed=0):
    rng = np.random.default_rng(seed)
    is_target = np.arange(n_target + n_nontarget) < n_target
    return Roc.from_scores(rng.normal(3.0 * is_target), is_target)


# -- Lines -----------------------------------------------------------------------------------------------------


def test_a_simplified_line_passes_all_points_closely():
    """Each of the points that were left out, against the nearest of all segments that stayed."""
    x = np.linspace(0, 10, 400)
    y = np.sin(x) * 30 + np.random.default_rng(0).normal(size=400)
    kept = simplified(x, y, 0.5)
    assert kept[0]
    assert kept[-1]
    assert kept.sum() < 400
    a, b = np.column_stack([x, y])[kept][:-1], np.column_stack([x, y])[kept][1:]
    for point in np.column_stack([x, y]):
        along = np.clip(((point - a) * (b - a)).sum(1) / ((b - a) ** 2).sum(1), 0, 1)
        assert np.hypot(*(a + along[:, None] * (b - a) - point).T).min() <= 0.5 + 1e-9
    assert simplified(x, 2 * x, 0.1).sum() == 2


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(-1, -1), (3, 3)], [(0, 0), (1, 1)]),  # in at a corner, out at the top
        ([(0.5, 0.2), (0.5, 5)], [(0.5, 0.2), (0.5, 1)]),  # upright
        ([(-1, 0.5), (0.5, 0.5), (1, 0.7)], [(0, 0.5), (0.5, 0.5), (1, 0.7)]),
        ([(-2, 0.5), (-1, 0.5)], []),
    ],
)
def test_a_clipped_curve_ends_where_it_crosses_the_limits(points, expected):
    found = np.column_stack(clipped(*np.array(points, dtype=float).T, (0, 2), (0, 1)))
    assert found == pytest.approx(np.array(expected, dtype=float).reshape(-1, 2))


def test_ticks_are_round_and_within():
    assert round_ticks(-1.2, 1.2) == [(-1.0, "−1"), (-0.5, "−0.5"), (0.0, "0"), (0.5, "0.5"), (1.0, "1")]
    assert [label for _, label in round_ticks(0.7, 20.3)] == ["5", "10", "15", "20"]


# -- Drawings --------------------------------------------------------------------------------------------------


def test_det_curve_of_a_hand_made_list_is_where_it_must_be():
    """Of the ROC's point (false alarm 1/4, miss 1/4), whose deviates are -0.674 both, and of the marked EER, 1/4 too.

    Where it is drawn follows from the ticks at 20 and 30 %, whose places the drawing itself tells.
    """
    root = ElementTree.fromstring(det_html({"x": [HAND_MADE]}, "1"))
    svg = root.find("div/svg")
    tick_at = {}
    for text in svg.findall("text"):
        if text.text in ("20", "30"):
            horizontal = text.get("text-anchor") != "end"
            tick_at[text.text, horizontal] = float(text.get("x")) if horizontal else float(text.get("y")) - 4

    def place(rate, horizontal):
        low, high = (tick_at[label, horizontal] for label in ("20", "30"))
        return low + (high - low) * (ndtri(rate) - ndtri(0.2)) / (ndtri(0.3) - ndtri(0.2))

    expected = place(0.25, True), place(0.25, False)
    group = svg.find("g")
    disk = group.find("circle")
    assert (float(disk.get("cx")), float(disk.get("cy"))) == pytest.approx(expected, abs=0.3)
    points = points_of(group.find("polyline"))
    assert np.abs(points - expected).max(axis=1).min() < 0.3
    assert "EER 25.00 %" in group.findtext("title")


def test_every_curve_has_a_box_that_names_it():
    """Seeds share one; the keys differ between lists."""
    curves = {"a <1> / plda": [normal_roc(50, 500, seed) for seed in range(3)], "b": [normal_roc(50, 500, 9)]}
    root = ElementTree.fromstring(det_html(curves, "7"))
    boxes = {box.get("data-toggles") for box in root.iter("input")}
    groups = {group.get("data-curve"): group for group in root.iter("g")}
    assert boxes == set(groups) == {"7-0", "7-1"}
    assert [len(group.findall("polyline")) for group in groups.values()] == [3, 1]
    assert [span.text.strip() for span in root.findall(".//label/span")] == ["a <1> / plda", "b"]
    assert [len(group.findall("*[@class]")) for group in groups.values()] == [12, 4]  # with three marks a curve


def test_a_curve_of_many_trials_is_drawn_with_few_points():
    """And none of the ROC's points within the frame is farther from it than can be seen."""
    roc = normal_roc(30_000, 550_000)
    root = ElementTree.fromstring(det_html({"x": [roc]}, "1"))
    points = points_of(root.find(".//g/polyline"))
    assert 20 < len(points) < 800
    ticks = [t for t in root.findall("div/svg/text") if t.get("text-anchor") == "middle" and t.text in ("1", "10")]
    (x1, x10) = (float(t.get("x")) for t in ticks)
    x = x1 + (ndtri(roc.false_alarm_P) - ndtri(0.01)) / (ndtri(0.1) - ndtri(0.01)) * (x10 - x1)
    inside = (x > points[:, 0].min() + 1) & (x < points[:, 0].max() - 1)
    rows = {t.text: float(t.get("y")) - 4 for t in root.findall("div/svg/text") if t.get("text-anchor") == "end"}
    y = rows["1"] + (ndtri(roc.miss_P) - ndtri(0.01)) / (ndtri(0.1) - ndtri(0.01)) * (rows["10"] - rows["1"])
    a, b = points[:-1], points[1:]
    for point in np.column_stack([x, y])[inside][::2000]:
        along = np.clip(((point - a) * (b - a)).sum(1) / np.maximum(((b - a) ** 2).sum(1), 1e-9), 0, 1)
        assert np.hypot(*(a + along[:, None] * (b - a) - point).T).min() < 1.0


def stairs_of(path):
    """The corners of a histogram's outline."""
    return np.array([[float(v) for v in pair.split(",")] for pair in re.findall(r"[\d.]+,[\d.]+", path.get("d"))])


def test_histograms_have_the_shares_of_their_kind():
    """The area below the stairs of either kind is the same, and its bars are where the scores are."""
    rng = np.random.default_rng(1)
    is_target = np.arange(3000) < 1000
    scores = np.where(is_target, rng.uniform(2, 3, 3000), rng.uniform(0, 4, 3000))
    svg, said = histogram(Roc.from_scores(scores, is_target), is_calibrated=False)
    root = ElementTree.fromstring(svg)
    non, tar = (stairs_of(path) for path in root.findall("path"))
    areas = []
    for points in (non, tar):
        x, y = points.T
        areas.append(abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2)
    assert areas[0] == pytest.approx(areas[1], rel=0.02)
    left, right = non[:, 0].min(), non[:, 0].max()
    high = tar[tar[:, 1] < tar[:, 1].max() - 5, 0]
    assert high.min() == pytest.approx(left + (right - left) / 2, abs=(right - left) / BINS)
    assert high.max() == pytest.approx(left + (right - left) * 3 / 4, abs=2 * (right - left) / BINS)
    assert said.startswith("EER threshold 2.")


def test_thresholds_that_histograms_mark():
    """Of calibrated scores log 19, where one target (1.5) is missed and one non-target (3.5) let in; of others the
    score at which both rates are 1/4."""
    svg, said = histogram(HAND_MADE, is_calibrated=True)
    assert said == "Bayes threshold (prior 0.05) 2.94: misses 25.00 %, false alarms 25.00 %"
    assert ElementTree.fromstring(svg).find("line[@class='mark']") is not None
    assert histogram(HAND_MADE, is_calibrated=False)[1] == "EER threshold 3: misses 25.00 %, false alarms 25.00 %"


@pytest.mark.parametrize(
    "trials",
    [
        ([1.0, 0.0], [True, False]),
        ([0.0, 0.0], [True, False]),
        ([np.inf, -np.inf, 0.0, 0.0], [True, False, True, False]),
        ([np.inf, -np.inf], [True, False]),
    ],
)
def test_degenerate_lists_are_drawn(trials):
    roc = Roc.from_scores(*trials)
    for text in (det_html({"x": [roc]}, "1"), *(histogram(roc, c)[0] for c in (False, True)), bayes_error(roc)[0]):
        ElementTree.fromstring(text)
        assert "nan" not in text
        assert not re.search(r'"[^"]*\binf\b', text)


def test_bayes_error_curves_are_the_actual_and_the_least_cost():
    """At the ends of the priors and at .5, read off the drawing."""
    roc = normal_roc(300, 3000)
    svg, said = bayes_error(roc)
    root = ElementTree.fromstring(svg)
    curves = {line.get("class"): points_of(line) for line in root.findall("polyline")}
    at = {text.text: float(text.get("y")) - 4 for text in root.findall("text") if text.get("text-anchor") == "end"}
    for name, cost in (("line own", act_dcf), ("line held-out", min_dcf)):
        x, y = curves[name].T
        shown = (y - at["0"]) / (at["1"] - at["0"])
        for log_odds in (*LOG_ODDS, 0.0):
            where = x[0] + (x[-1] - x[0]) * (log_odds - LOG_ODDS[0]) / (LOG_ODDS[1] - LOG_ODDS[0])
            expected = min(cost(roc, 1 / (1 + np.exp(-log_odds))), 1.2)
            assert np.interp(where, x, shown) == pytest.approx(expected, abs=0.01)
    assert said == f"At prior 0.05: actual {act_dcf(roc, 0.05):.3f}, least {min_dcf(roc, 0.05):.3f}"


def test_training_curves():
    """Losses stand between the ticks that they lie between; what was not measured is left out."""
    lines = [HEADER, "1\t4\t0.1\t5\t0.1\t\t0.1", "2\t3\t0.2\t4.5\t0.1\t\t0.1", "3\t2\t0.3\t4.5\t0.2\t\t0.1"]
    (loss,) = training_svgs(lines)
    root = ElementTree.fromstring(loss)
    own, held_out = (points_of(line) for line in root.findall("polyline"))
    assert len(own) == len(held_out) == 3
    assert (np.diff(own[:, 0]) > 0).all()
    at = {text.text: float(text.get("y")) - 4 for text in root.findall("text") if text.get("text-anchor") == "end"}
    assert own[-1, 1] == pytest.approx(at["2"], abs=0.2)
    assert held_out[-1, 1] == pytest.approx((at["4"] + at["5"]) / 2, abs=0.2)
    lines[1:] = [re.sub("\t\t", "\t0.25\t", line) for line in lines[1:]]
    assert len(training_svgs(lines)) == 2
    assert len(training_svgs(lines[:2])) == 2  # of one epoch


def test_frame_places_its_corners():
    frame = Frame((0, 2), (10, 20), 100, 80, left=10, right=10, top=20, bottom=20)
    assert [tuple(map(float, frame.at(*corner))) for corner in ((0, 10), (2, 20))] == [(10, 60), (90, 20)]
    assert frame.mark(3, "beyond") == ""


def test_labels_of_an_axis_stay_within_the_drawing_and_apart():
    """At both ends, where letters of 7 would reach beyond it, and between them, where one has no room."""
    frame = Frame((0, 10), (0, 1), 200, 80, left=4, right=4)
    ticks = [(0, "0.0000"), (5, "5"), (5.5, "5.5"), (10, "10.000")]
    texts = ElementTree.fromstring(f"<g>{frame.axes(ticks, (), '')}</g>").findall("text")[:-1]
    assert [text.text for text in texts] == ["0.0000", "5", "10.000"]
    widths = [7 * len(text.text) for text in texts]
    shift = {"start": 0, "middle": 0.5, "end": 1}
    begins = [
        float(text.get("x")) - shift[text.get("text-anchor")] * width for text, width in zip(texts, widths, strict=True)
    ]
    ends = np.add(begins, widths)
    assert begins[0] >= 0
    assert ends[-1] <= 200
    assert (ends[:-1] < begins[1:]).all()


# -- The table -------------------------------------------------------------------------------------------------


def row(**changes):
    figures = {
        "system": "x", "backend": "plda", "trials": "mini", "seed": 1, "eer": 0.05, "intervals": {},
        "eer_nearest": 0.05, "min_dcf_05": 0.3, "min_dcf_01": 0.4, "min_cllr": 0.2, "num_listed": 8, "num_trials": 8,
        "num_targets": 4, "num_speakers": 2, "published_eer": None, "published_source": None,
    }  # fmt: skip
    return Row(**figures | changes)


def test_the_papers_columns_are_apart():
    """By the words over them and their class; the source is named below; our columns are not among them."""
    html = results_table([row(published_eer=6.1, published_source="A & B, Table <1>"), row(system="y")])
    root = ElementTree.fromstring(f"<div>{html}</div>")
    ours, papers = (head for head in root.findall(".//thead/tr[1]/th"))
    assert (ours.text, papers.text, papers.get("class")) == ("ours", "the paper's, not ours", "paper")
    cells = ["".join(cell.itertext()) for cell in root.findall(".//td[@class='paper']")]
    assert cells == ["6.10", "–"]
    assert root.findtext("p") == "The paper's: A & B, Table <1>."
    assert "paper" not in results_table([row()])


def test_every_figure_has_its_interval_below_it():
    """In place of the column of the EER's; of means there is none, and a mark is on what has too few errors."""
    known = {"intervals": {"eer": (0.04, 0.1), "min_dcf_05": (0.25, 1.5)}, "errors": {"min_dcf_05": (3, 40)}}
    root = ElementTree.fromstring(f"<div>{results_table([row(**known), row(seed=2)])}</div>")
    heads = [head.text for head in root.findall(".//thead/tr[2]/th")]
    assert heads[4:] == ["EER %", "minDCF.05", "minDCF.01", "min Cllr", "trials"]
    below = [["".join(each.itertext()) for each in line.iter("small")] for line in root.findall(".//tbody/tr")]
    assert below == [["± 0.00", "± 0.000", "± 0.000", "± 0.000"], ["4.00–10.00", ".250–1.500†"], []]


def test_means_stand_out_and_what_was_tuned_here_is_marked():
    html = results_table([row(), row(seed=2), row(system="y", tuned_for="EER")])
    root = ElementTree.fromstring(f"<div>{html}</div>")
    assert [tr.get("class") for tr in root.findall(".//tbody/tr")] == ["mean", None, None, None]
    assert [em.text for em in root.iter("em")] == ["tuned here"]


# -- The command -----------------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write the page of a run with training curves, records, dropped utterances and calibrated scores; its text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SV_COMMAND", "./run.sh --systems '<x> & y'")
    utts = [f"s{s:02d}-{u}" for s in range(12) for u in range(4)]
    DataDir({utt: utt[:3] for utt in utts}).write("data/test")
    pairs = [(e, t) for e in utts if e.endswith("-0") for t in utts if not t.endswith("-0")]
    trials = Trials([e for e, _ in pairs], [t for _, t in pairs], np.array([e[:3] == t[:3] for e, t in pairs]))
    trials.write("data/test/trials_vox1_o")
    rng = np.random.default_rng(0)
    run = made_run("exp", "a<b>&c", 1, load_system(SYSTEMS["published"]))
    write_lines(run.path / "curves.tsv", [HEADER, "1\t4\t0.1\t5\t0.1\t0.3\t0.1", "2\t3\t0.2\t4\t0.1\t0.2\t0.1"])
    write_table(run.path / "dropped.txt", {"u1": "too short", "u2": "too <short>"})
    feats = Path("data/train/feats/mfcc")
    Step("make_feats", feats).done([], utterances=90)
    Step("train", run.path, inputs=[record_of("make_feats", feats)]).done([], epochs=2, utterances=90, speakers=9)
    for backend in ("cosine", "plda"):
        write_scores(run.scores("vox1_o", backend), trials, rng.normal(2.0 * trials.is_target))

    def write(*options):
        arguments = ("--out", "report", "--trials", "data/test/trials_vox1_o", *options, run.path)
        monkeypatch.setattr("sys.argv", ["report", *map(str, arguments)])
        report.main()
        return Path("report/report.html").read_text()

    return write, run


def test_the_page_is_well_formed_and_asks_for_nothing(written):
    """As XML, which is stricter than HTML; the picture of embeddings is in it, and names are escaped."""
    write, _ = written
    Path("tsne.png").write_bytes(b"\x89PNG picture")
    text = write("--title", "Title <1> & more", "--note", "A <note>.", "--tsne", "tsne.png")
    root = ElementTree.fromstring(text)
    assert root.findtext("head/title") == "Title <1> & more"
    said = "".join(root.itertext())
    for part in ("A <note>.", "a<b>&c / plda", "./run.sh --systems '<x> & y'", "convex hull"):
        assert part in said
    assert not re.search(r"https?://|url\(|@import|<link|<iframe", text)
    links = [value for each in root.iter() for name, value in each.items() if name in ("src", "href", "srcset")]
    assert links == ["data:image/png;base64," + base64.b64encode(b"\x89PNG picture").decode()]
    assert "prefers-color-scheme: dark" in text
    assert "SYNTHETIC" not in said
    assert len(text) < 200_000


def test_the_page_has_all_that_was_promised(written):
    """In this order; the paper's figure is there; every drawing of every row is."""
    write, run = written
    root = ElementTree.fromstring(write())
    headings = [each.text for each in root.findall(".//h2")]
    assert headings == ["Results", "vox1_o", "Training", "Data", "Times", "Left out", "Configurations", "Made by"]
    section = dict(zip(headings, root.findall(".//section"), strict=True))
    texts = {name: "".join(each.itertext()) for name, each in section.items()}
    for r in json.loads(Path("report/results.json").read_text()):
        assert f"{100 * r['eer']:.2f}" in texts["Results"]
        assert f"EER {100 * r['eer']:.2f} %" in texts["vox1_o"]
    assert "6.10" in texts["Results"]
    (limits,) = section["Results"].findall("div[@class='limits']")
    assert limits.findtext("ul/li").startswith("vox1_o: ")
    assert len(section["vox1_o"].findall(".//figure")) == 2
    assert len(section["Training"].findall(".//figure/svg")) == 2
    assert "data/train/feats/mfcc90 utterances" in texts["Data"]
    assert "make_feats" in texts["Times"]
    assert re.search(r"exp/a<b>&c/seed1/dropped\.txt2$", texts["Left out"])
    assert (run.path / "config.yaml").read_text() in texts["Configurations"]


def test_a_synthetic_list_is_labelled(written):
    """Beside the title, above the table and at the list itself."""
    Path("data/test/SYNTHETIC.txt").write_text("made by a test\n")
    root = ElementTree.fromstring(written[0]())
    assert root.findtext(".//h1/span") == "SYNTHETIC"
    assert "Synthetic speech, not of real speakers: vox1_o." in "".join(root.find(".//header").itertext())
    assert root.findall(".//section")[1].findtext("p/span") == "SYNTHETIC"


def test_what_the_page_shows_makes_it_new(written, capsys):
    """A configuration, and a list of what was left out; else it stays."""
    write, run = written
    first = write()
    assert write() == first
    assert "unchanged, skipped" in capsys.readouterr().out
    write_table(run.path / "dropped.txt", {"u1": "too short"})
    assert "a&lt;b&gt;&amp;c/seed1/dropped.txt</code></td><td>1</td>" in write()
    config = run.path / "config.yaml"
    config.write_text(config.read_text().replace("    epochs: ", "    epochs: 1"))
    assert config.read_text() in "".join(ElementTree.fromstring(write()).itertext())
    assert "runs again" in capsys.readouterr().out


def test_steps_are_found_by_their_records_each_after_its_inputs(tmp_path):
    """Two that share one; a record that is not there is left out, as is a begun step."""
    feats, one, two = (tmp_path / name for name in ("set/feats/x", "one", "two"))
    Step("make", feats).done([], utterances=3)
    for folder in (one, two):
        Step("use", folder, inputs=[record_of("make", feats), record_of("gone", feats)]).done([])
    Step("begun", two).begin()
    found = steps_behind([record_of(name, folder) for name, folder in (("use", one), ("use", two), ("begun", two))])
    assert [(made.name, made.folder) for made in found.values()] == [("make", feats), ("use", one), ("use", two)]
    assert found[record_of("make", feats)].counts == {"utterances": 3}
    assert dropped_behind(found.values()) == []
    for path in (tmp_path / "set/dropped.txt", two / "vox.dropped.txt", tmp_path / "dropped.txt"):
        write_table(path, {"u": "why"})
    assert dropped_behind(found.values()) == [tmp_path / "set/dropped.txt", two / "vox.dropped.txt"]


def test_the_page_of_a_large_list_is_small():
    """Its drawings of a row, of 580,000 trials."""
    roc = normal_roc(30_000, 550_000)
    drawn = det_html({"x": [roc]}, "1") + histogram(roc, True)[0] + bayes_error(roc)[0]
    assert len(drawn) < 30_000
    assert f"EER {100 * eer_rocch(roc):.2f} %" in drawn
