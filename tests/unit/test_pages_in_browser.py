"""The pages of a report and of an audit as a browser shows them: on a phone and a desk, light and dark, on paper.

What is asked of them is in page_faults.js.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from audio_files import noise, wav_bytes
from browser import Browser, why_not
from commands import exit_code
from data_dirs import write_lines as write_text
from kaldi_files import ROOT
from matplotlib.image import imsave
from runs import made_run

from sv.cli import calibrate, report
from sv.data.datadir import LABEL, DataDir
from sv.data.partitions import write_partitions
from sv.data.tables import write_lines, write_table
from sv.data.trials import Trials
from sv.html_page import document
from sv.records import Step, record_of
from sv.scoring.trials import write_scores
from sv.systems.reading import find_systems, load_system
from sv.training.curves import HEADER

SYSTEMS = find_systems(ROOT / "tests" / "data" / "conf")
FAULTS = Path(__file__).with_name("page_faults.js").read_text()
CHECKS = ("sideways", "unreadable", "overlapping", "faint", "links", "pictures")
WIDTHS = (420, 1100)
PAPER = 718  # pixels between the margins of A4
BACKENDS = ("cosine", "plda")

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"no browser: {why_not()}")


@pytest.fixture(scope="module")
def browser():
    with Browser() as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = tmp_path_factory.mktemp("a report")
        monkeypatch.chdir(folder)
        return {"report": folder / write_report(monkeypatch), "audit": folder / write_audit(monkeypatch)}


@pytest.fixture(params=["report", "audit"])
def opened(request, browser, pages):
    """The browser with one of the pages on a wide light screen, all that is folded shown."""
    return open_page(browser, pages[request.param])


def open_page(browser, path):
    browser.prefer()
    browser.resize(WIDTHS[-1])
    browser.open(path)
    browser.run(f"{FAULTS}; document.querySelectorAll('details').forEach(each => each.open = true)")
    return browser


def write_report(monkeypatch):
    """Every section: seeds, long names, training curves, calibrated scores, a paper's figure, a list of synthetic
    speech with partitions whose speakers are not known, a picture of embeddings, what was left out."""
    lists = {"vox1_o": make_list("test", "s", "s"), "calls": make_list("calls", "model", "t")}
    cal = make_list("cal", "c", "c")
    for name, folder in (("vox1_o", "test"), ("calls", "calls"), ("cal", "cal")):
        (lists | {"cal": cal})[name].write(f"data/{folder}/trials_{name}")
    Path("data/calls", LABEL).write_text("made by a test\n")
    cells = zip(lists["calls"].enrol, lists["calls"].test, strict=True)
    write_partitions(Path("data/calls/partitions"), [(e, t, "after" if t > "t06" else "before") for e, t in cells])
    feats = Path("data/train/feats/mfcc")
    Step("make_feats", feats).done([], utterances=90)
    rng = np.random.default_rng(0)
    runs = []
    names = {"a<b>&c": [1], "raw": [1], "w2v2-aam-first_cls+tiny_w2v2": [1, 2]}
    for name, seed in [(name, seed) for name, seeds in names.items() for seed in seeds]:
        run = made_run("exp", name, seed, load_system(SYSTEMS["published"]))
        epochs = [f"{n}\t{1 - 1e-4 * n}\t0.1\t{1 - 2e-4 * n}\t0.1\t{0.3 / n}\t0.1" for n in range(1, 9)]
        write_lines(run.path / "curves.tsv", [HEADER, *epochs])
        write_table(run.path / "dropped.txt", {"u1": "too short"})
        inputs = [record_of("make_feats", feats)]
        Step("train", run.path, inputs=inputs).done([], epochs=8, utterances=90_000, speakers=900)
        for backend in BACKENDS:
            for list_name, trials in (lists | {"cal": cal}).items():
                scores_N = rng.normal(2.0 * trials.is_target)
                # Those of "raw" are not calibrated, and their axis has long labels.
                write_scores(run.scores(list_name, backend), trials, 1 + 3e-6 * scores_N if name == "raw" else scores_N)
        runs.append(str(run.path))
    imsave("tsne.png", rng.random((40, 60)))
    tested = ["data/test/trials_vox1_o", "data/calls/trials_calls"]
    for run in [run for run in runs if "raw" not in run]:
        monkeypatch.setattr(sys, "argv", ["calibrate", "--calibration", "data/cal/trials_cal", run, *tested])
        calibrate.main()
    monkeypatch.setenv("SV_COMMAND", "./run.sh --systems 'a<b>&c' --set " + "training.epochs=8," * 40)
    asked = [word for path in tested for word in ("--trials", path)]
    options = ["--out", "report", "--title", "All of <it> & more", "--note", "A note.", "--tsne", "tsne.png"]
    monkeypatch.setattr(sys, "argv", ["report", *options, *asked, *runs])
    report.main()
    return "report/report.html"


def make_list(folder, enrolled, tested):
    """A set of 12 speakers and a list of it, all against all; models of another name than the set's are unknown."""
    utts = [f"{tested}{s:02d}-{u}" for s in range(12) for u in range(4)]
    DataDir({utt: utt.partition("-")[0] for utt in utts}).write(f"data/{folder}")
    pairs = [(f"{enrolled}{s:02d}-0", t) for s in range(12) for t in utts if not t.endswith("-0")]
    is_target = np.array([e[-4:-2] == t[-4:-2] for e, t in pairs])
    return Trials([e for e, _ in pairs], [t for _, t in pairs], is_target)


def write_audit(monkeypatch):
    """A recording of most problems, one with a long name."""
    zeros = np.zeros(32000, np.int16)
    waves = {
        "a-clean": noise(32000, 1),
        "a-" + "very_long_name_of_an_utterance" * 3: noise(32000, 2) + np.int16(500),
        "a-short": noise(8000, 3),
        "b-again": noise(32000, 1),
        "b-clipped": np.clip(noise(32000, 5).astype(int) * 50, -32768, 32767).astype(np.int16),
        "b-stereo": np.repeat(noise(32000, 6), 2).reshape(-1, 2),
        "b-zeros": zeros,
    }
    Path("set/wav").mkdir(parents=True)
    for utt, wave in waves.items():
        Path(f"set/wav/{utt}.wav").write_bytes(wav_bytes(wave, channels=wave.ndim))
    write_text(Path("set/wav.scp"), *(f"{utt} {Path('set/wav', utt).absolute()}.wav" for utt in sorted(waves)))
    write_text(Path("set/utt2spk"), *(f"{utt} {utt[0]}" for utt in sorted(waves)))
    exit_code(monkeypatch, "audit", "--vad", ROOT / "conf/vad/energy.conf", "set", "audit")
    return "audit/audit.html"


# -- The pages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", CHECKS)
def test_pages_are_right_at_every_width_in_light_and_dark(opened, check):
    found = {}
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            opened.resize(width)
            opened.prefer(scheme)
            found[width, scheme] = opened.run(f"faults.{check}()")
    assert found == {key: [] for key in found}


def test_pages_say_nothing_on_the_console_and_ask_for_nothing(opened):
    """But for what they hold themselves."""
    assert opened.heard == []
    itself, *others = opened.asked
    assert itself.startswith("file:")
    assert [address for address in others if not address.startswith("data:")] == []
    assert opened.run("performance.getEntriesByType('resource').filter(each => !each.name.startsWith('data:'))") == []


def test_what_is_folded_opens_and_closes_by_a_click(opened):
    """Every summary; below it there is nothing while it is closed."""
    shown = (
        "Array.from(document.querySelectorAll('details'), each => each.open && each.lastElementChild.checkVisibility())"
    )
    count = len(opened.run(shown))
    assert count >= 3
    opened.run("document.querySelectorAll('details').forEach(each => each.open = false)")
    assert opened.run(shown) == [False] * count
    for i in range(count):
        opened.click(f"document.querySelectorAll('summary')[{i}]")
        assert opened.run(shown) == [j == i for j in range(count)]
        opened.click(f"document.querySelectorAll('summary')[{i}]")
    assert opened.run(shown) == [False] * count


def test_printed_pages_are_light_and_lose_nothing(opened):
    """Paper cannot be scrolled. The PDF has pages, letters and pictures."""
    opened.resize(PAPER)
    looks = []
    for scheme in ("light", "dark"):
        opened.prefer(scheme, media="print")
        assert opened.run("[...faults.sideways(), ...faults.scrolling(), ...faults.faint()]") == []
        looks.append(opened.run("['color', 'background-color'].map(what => getComputedStyle(document.body)[what])"))
    assert looks[0] == looks[1]
    opened.prefer()
    pdf = opened.pdf()
    assert pdf.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", pdf)) > 1
    assert b"/Type /Font" in pdf
    assert b"/Subtype /Image" in pdf


DRAWN = """Object.fromEntries(Array.from(document.querySelectorAll('[data-curve]'), group => [group.dataset.curve,
  [...group.querySelectorAll('polyline, circle, path, rect')].filter(each => each.getClientRects().length).length]))"""


def test_a_box_hides_its_curve_and_its_points_and_shows_them_again(browser, pages):
    """And no other; that of two seeds hides both curves."""
    open_page(browser, pages["report"])
    before = browser.run(DRAWN)
    assert before == {f"{where}-{i}": 4 if i < 4 else 8 for where in (1, 2) for i in range(6)}
    for key in before:
        box = f"document.querySelector('[data-toggles=\"{key}\"]')"
        browser.click(box)
        assert browser.run(DRAWN) == before | {key: 0}
        browser.click(box)
        assert browser.run(DRAWN) == before


def test_buttons_hide_and_show_all_curves_of_a_list(browser, pages):
    open_page(browser, pages["report"])
    before = browser.run(DRAWN)
    browser.click("document.querySelector('[data-none=\"2\"]')")
    assert browser.run(DRAWN) == {key: 0 if key.startswith("2-") else count for key, count in before.items()}
    browser.click("document.querySelector('[data-all=\"2\"]')")
    assert browser.run(DRAWN) == before
    assert browser.run("document.querySelectorAll('[data-toggles]:not(:checked)').length") == 0


# -- What is asked of them finds what is wrong ---------------------------------------------------------------------

SVG = '<svg viewBox="0 0 100 20" style="width: 400px" role="img" aria-label="x">{}</svg>'
PLANTED = {
    "sideways": ['<div style="width: 2000px">wide</div>', '<div style="margin-left: -50px">out at the left</div>'],
    "unreadable": [
        '<p style="overflow: hidden; width: 2em; white-space: nowrap">too much</p>',
        '<p style="font-size: 5px">small</p>',
        '<p style="font-size: 0">nothing</p>',
        SVG.format('<text x="95" y="12">cut</text>'),
        SVG.replace("400px", "40px").format('<text x="5" y="12">small</text>'),
    ],
    "overlapping": [SVG.format('<text x="5" y="12">one</text><text x="20" y="14">two</text>')],
    "faint": [
        '<p style="color: #999; background: #fff">pale</p>',
        '<p style="opacity: .4">pale</p>',
        '<p style="color: rgb(0 0 0 / .3); background: #fff">pale</p>',
        SVG.format('<text x="5" y="12" style="fill: #888">pale</text>'),
        '<style>.x::before { content: "pale"; color: #999; }</style><p class="x">dark</p>',
    ],
    "links": ['<a href="#lost">x</a>', '<a href="https://example.org/">x</a>', '<p id="a">x</p><p id="a">y</p>'],
    "pictures": [
        '<img alt="not there" src="data:image/png;base64,AAAA"/>',
        '<img src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"/>',
        '<svg viewBox="0 0 9 9" width="9"><path d="M0,0H9"/></svg>',
    ],
    "scrolling": ['<div style="overflow-x: auto"><p style="width: 2000px; max-width: none">wide</p></div>'],
}


@pytest.mark.parametrize(("check", "fault"), [(check, each) for check, faults in PLANTED.items() for each in faults])
def test_each_fault_is_found_by_its_check_alone(browser, tmp_path, check, fault):
    """On a page that is right without it."""
    path = tmp_path / "page.html"
    sound = "<h1>Right</h1>" + SVG.format('<text x="5" y="12">right</text>')
    for body, expected in ((sound, []), (sound + fault, [check])):
        path.write_text(document("Right", [body], ""))
        open_page(browser, path)
        found = {name: browser.run(f"faults.{name}()") for name in PLANTED}
        assert [name for name, said in found.items() if said and name != "sideways"] == [
            name for name in expected if name != "sideways"
        ]
        assert bool(found["sideways"]) == (check == "sideways" and bool(expected))


def test_errors_and_requests_are_heard(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(
        document("Noisy", ['<img alt="x" src="https://example.org/x.png"/>'], "", "console.error(1); no();")
    )
    browser.open(path)
    assert browser.asked == [path.as_uri(), "https://example.org/x.png"]
    said = "\n".join(browser.heard)
    assert "ERR_NAME_NOT_RESOLVED" in said
    assert "ReferenceError: no is not defined" in said
    assert "1" in browser.heard
