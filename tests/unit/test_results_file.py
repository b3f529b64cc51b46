"""`write_results`: a recipe's RESULTS.md keeps its words, and its figures are those of reports."""

import pytest
from commands import refused, run_command
from kaldi_files import ROOT

from sv.records import Step
from sv.report.tables import EER_DEFINITION, FEW_DEFINITION, INTERVALS, MEAN_DEFINITION

TABLE = "| system | EER % |\n| --- | ---: |\n| {} | {} |"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(here, monkeypatch, capsys):
    return lambda *options: run_command(monkeypatch, capsys, "write_results", *options)


def report(folder, system, eer, definition=EER_DEFINITION):
    """A report's folder, as stage 9 leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    made = "Made by `./run.sh --data-root a=/home/me/corpora/a --work /scratch/x --set k=1/2` at commit abc."
    parts = [
        "# title",
        "**Synthetic.**",
        TABLE.format(system, eer),
        INTERVALS,
        "| of all |",
        FEW_DEFINITION,
        definition,
        "Seed 1.",
        made,
    ]
    parts += ["## list, by conditions", TABLE.format("z", 9), "![DET curves](det.png)"]
    (folder / "results.md").write_text("\n\n".join(parts) + "\n")
    Step("report", folder).done([folder / "results.md"])
    return folder


def test_figures_stand_in_their_places_and_words_stay(here, write):
    """In a file with words around a place; a report without one gets a section; what figures mean is said once."""
    file = here / "RESULTS.md"
    file.write_text("# Results\n\nBefore.\n\n<!-- results: one -->\n<!-- end of one -->\n\nAfter.\n")
    one, two = report(here / "a b/one", "x", "1.25"), report(here / "two", "y", "2.50", MEAN_DEFINITION)
    assert write(file, f"one={one}")[:2] == (0, f"{file}: written\n")
    assert write(file, f"two={two}")[0] == 0
    text = file.read_text()
    order = ["# Results", "Before.", "| x | 1.25 |", "After.", "## two", "| y | 2.50 |"]
    places = [text.index(part) for part in order]
    assert places[:4] == sorted(places[:4])
    assert places[4:] == sorted(places[4:])
    assert "![" not in text
    assert "# title" not in text
    assert text.count(EER_DEFINITION) == text.count(MEAN_DEFINITION) == 1
    assert text.count("**Synthetic.**") == 2
    assert not any(part in text for part in ("by conditions", INTERVALS, "| of all |", FEW_DEFINITION))
    assert text.count("Made by `./run.sh --data-root a=…/a --work …/x --set k=1/2` at commit abc.") == 2
    assert write(file, f"one={one}", f"two={two}")[1] == f"{file}: unchanged\n"
    assert write("--check", file)[:2] == (0, f"{file}: as it was written\n")


def test_a_report_made_anew_takes_the_place_of_the_old_one(here, write):
    file = here / "RESULTS.md"
    assert write(file, f"one={report(here / 'r', 'x', '1.25')}", f"two={report(here / 'two', 'y', '2.50')}")[0] == 0
    file.write_text(file.read_text().replace("## one", "## Of one\n\nWords."))
    assert write(file, f"one={report(here / 'r', 'x', '0.75')}")[0] == 0
    text = file.read_text()
    assert ("1.25" in text, "0.75" in text, "2.50" in text, "Words." in text) == (False, True, True, True)
    assert text.count(EER_DEFINITION) == 1


def test_figures_that_were_changed_by_hand_are_told(here, write):
    file = here / "RESULTS.md"
    assert write(file, f"one={report(here / 'r', 'x', '1.25')}")[0] == 0
    file.write_text(file.read_text().replace("1.25", "1.15"))
    assert refused(write("--check", file)) == f"write_results: {file}: changed by hand: one\n"
    assert "the figures of one were changed by hand" in refused(write(file, "two=" + str(report(here / "t", "y", "2"))))
    assert "1.15" in file.read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "no report is named"),
        (("one",), "reports are NAME=FOLDER"),
        (("one=r", "one=r"), "given once"),
        (("definitions=r",), "not definitions"),
        (("one=none",), "none/results.md is missing; make the report first (stage 9)"),
        (("one=damaged",), "write_results: damaged/results.md is not what report wrote"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(here, write, options, said):
    report(here / "r", "x", "1")
    (report(here / "damaged", "x", "1") / "results.md").write_text("another")
    assert said in refused(write("RESULTS.md", *options))
    assert not (here / "RESULTS.md").exists()


@pytest.mark.parametrize("text", ["<!-- results: one -->\n", "<!-- results: one -->\n<!-- end of one -->\n" * 2])
def test_a_place_that_does_not_end_or_is_there_twice_is_told(here, write, text):
    (here / "RESULTS.md").write_text(text)
    assert "does not end, or is there twice" in refused(write("--check", "RESULTS.md"))


@pytest.mark.parametrize("file", sorted(ROOT.glob("recipes/*/RESULTS.md")), ids=lambda file: file.parent.name)
def test_no_figure_of_this_project_was_changed_by_hand(write, file):
    assert write("--check", file)[0] == 0
