"""`plot_embeddings`: the same utterances in every panel, what it says, what makes it run again, its one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import refused, run_command
from kaldi_files import ROOT
from runs import made_run

from sv.data.ark import ArkWriter
from sv.data.datadir import DataDir
from sv.records import Step
from sv.report.tsne import Panel
from sv.systems.reading import find_systems, load_system, validate_system

SYSTEM = load_system(find_systems(Path(__file__).parents[1] / "data" / "conf")["small"])
UTTS = [f"s{s}-{u}" for s in range(5) for u in range(6)]
OUT = Path("report/tsne_test.png")


def extract(run, utts=UTTS, seed=0, same=False):
    """Embeddings round a point a speaker, or all the same, as the step leaves them."""
    folder = run.embeddings("test")
    data = DataDir({utt: utt.partition("-")[0] for utt in utts})
    data.write(folder)
    with ArkWriter(folder / "xvector") as archive:
        for n, utt in enumerate(utts):
            noise = np.random.default_rng([seed, n]).normal(size=8)
            archive.write(utt, (np.ones(8) if same else 5 * np.eye(8)[int(utt[1])] + noise).astype(np.float32))
    Step("extract", folder).done([folder / f"xvector.{ending}" for ending in ("ark", "scp")])


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two runs with embeddings of five speakers' six utterances; the working folder is tmp_path."""
    monkeypatch.chdir(tmp_path)
    made = [made_run("exp", name, 1, SYSTEM) for name in "xy"]
    for seed, run in enumerate(made):
        extract(run, seed=seed)
    return made


@pytest.fixture
def command(monkeypatch, capsys, runs):
    def call(*more, of=None):
        paths = [run.path for run in of or runs]
        return run_command(monkeypatch, capsys, "plot_embeddings", "--set", "test", "--out", OUT, *more, *paths)

    return call


@pytest.fixture
def drawn(monkeypatch):
    """What was given to the plotting, as (panels, speakers, title), in place of a picture."""
    calls = []

    def plot(panels, speaker_N, title, path):
        calls.append((panels, speaker_N, title))
        path.write_bytes(b"")

    monkeypatch.setattr("sv.report.tsne.plot_tsne", plot)
    return calls


def test_picture_says_what_it_shows(command, drawn):
    code, out, err = command("--speakers", 3, "--utterances", 4)
    assert (code, err) == (0, "")
    assert out == f"{OUT}: test, 3 speakers, 4 utterances each; t-SNE, perplexity 3.67\n"
    ((panels, speaker_N, title),) = drawn
    assert [panel.title for panel in panels] == ["x (cosine)", "y (cosine)"]
    assert title == "test, 3 speakers, 4 utterances each\nt-SNE, perplexity 3.67"
    assert len(set(speaker_N)) == 3
    assert all(isinstance(panel, Panel) and panel.y_N2.shape == (12, 2) for panel in panels)
    assert not np.array_equal(panels[0].y_N2, panels[1].y_N2)


def test_panels_show_the_utterances_that_all_runs_have(command, drawn, runs):
    """Those of s0 are not embedded by the second run, which has but three of s1's."""
    extract(runs[1], [utt for utt in UTTS if utt[:2] != "s0" and utt not in ("s1-0", "s1-1", "s1-2")])
    out = command()[1]
    assert "4 speakers, 3 to 6 utterances each" in out
    assert "(10 were asked for)" in out
    assert sorted(drawn[0][1]) == ["s1"] * 3 + ["s2"] * 6 + ["s3"] * 6 + ["s4"] * 6


def test_synthetic_speech_is_labelled_unasked(command, drawn, runs):
    (runs[0].embeddings("test") / "SYNTHETIC.txt").write_text("made by a test\n")
    command()
    assert drawn[0][2].endswith(", synthetic speech")


def test_seeds_and_distances_stand_over_the_panels(command, drawn, runs):
    """A seed where there are several; Euclidean where no back end scores by cosine."""
    plda = SYSTEM.model_copy(update={"backends": {"plda": SYSTEM.backends["plda"]}})
    other = made_run("exp", "x", 2, plda)
    extract(other)
    command(of=[runs[0], other])
    assert [panel.title for panel in drawn[0][0]] == ["x seed 1 (cosine)", "x seed 2 (euclidean)"]


def test_same_bytes_and_skipped_until_something_changes(command, runs):
    command()
    first = OUT.read_bytes()
    assert first[:4] == b"\x89PNG"
    assert command()[1] == f"{OUT.name} report: unchanged, skipped\n"
    OUT.unlink()
    assert "is missing" in command()[1]
    assert OUT.read_bytes() == first
    extract(runs[1], seed=7)
    for more, why in (
        ((), "exp/y/seed1/embeddings/test/extract has changed"),
        (("--seed", 1), "seed is 1"),
        (("--perplexity", 4), "perplexity is 4"),
    ):
        out = command(*more)[1]
        assert "runs again" in out
        assert why in out
        assert OUT.read_bytes() != first


def test_run_without_embeddings_is_left_out_with_a_line(command, drawn, runs):
    other = made_run("exp", "z", 1, SYSTEM)
    out = command(of=[*runs, other])[1]
    assert f"{other.path} is left out: it has no embeddings of test (stage 5)" in out
    assert len(drawn[0][0]) == 2


def test_a_network_that_compares_pairs_is_left_out_as_it_has_no_embeddings(command, runs):
    other = made_run("exp", "pairs", 1, load_system(find_systems(ROOT / "conf")["w2v2-bce"]))
    said = f"{other.path} is left out: its network compares pairs itself and has no embeddings\n"
    assert said in command(of=[*runs, other])[1]


def test_an_ensemble_is_left_out_as_it_has_no_embeddings(command, runs):
    block = {"members": {"x": 1, "y": 1}, "backend": "plda"}
    mean = made_run("exp", "mean", 1, validate_system({"ensemble": block}, "mean"))
    assert f"{mean.path} is left out: an ensemble has no embeddings\n" in command(of=[*runs, mean])[1]
    assert "none of the runs has embeddings of test; stage 5 makes those of a network or an" in refused(
        command(of=[mean])
    )


def test_dry_run_draws_nothing(command, runs, monkeypatch, tmp_path):
    (tmp_path / "dry").mkdir()
    monkeypatch.setenv("SV_DRY_RUN", str(tmp_path / "dry"))
    monkeypatch.setattr("sv.run._config", lambda path: path / "config.yaml")
    assert command()[1] == f"{OUT.name} report: would run: not done yet\n"
    assert not OUT.exists()


NOTHING = {
    "no embeddings": lambda run: (run.embeddings("test") / "xvector.scp").unlink(),
    "no two speakers": lambda run: extract(run, UTTS[:6]),
    "needs 4": lambda run: extract(run, ["s0-0", "s1-0", "s2-0"]),
    "are the same": lambda run: extract(run, same=True),
}


@pytest.mark.parametrize("what", NOTHING)
def test_nothing_to_draw_is_one_line_or_none_at_all(command, runs, what):
    """An error that leaves the old picture; with --allow-none a line, and a record of that there is no picture."""
    command()
    before = OUT.read_bytes()
    for run in runs:
        NOTHING[what](run)
    message = {"no embeddings": "none of the runs has embeddings of test; stage 5 makes those of a"}.get(what, what)
    assert message in refused(command())
    assert OUT.read_bytes() == before
    code, out, err = command("--allow-none")
    assert (code, err) == (0, "")
    assert message in out.splitlines()[-1]
    assert not OUT.exists()
    assert command("--allow-none")[1] == f"{OUT.name} report: unchanged, skipped\n"
    extract(runs[0])
    extract(runs[1], seed=1)
    command("--allow-none")
    assert OUT.read_bytes() == before


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--speakers", 1), "--speakers is a number from 2 to 70, not 1"),
        (("--utterances", 0), "--utterances is a number from 1"),
        (("--seed", -1), "--seed is a number from 0"),
        (("--perplexity", 12), "perplexity of 12 does not fit 30 embeddings; take one from 1 to 9.6"),
        (("--out", "x.pdf"), "ends in .png"),
    ],
)
def test_mistakes_are_one_line_before_any_work(command, option, message):
    assert message in refused(command(*option))
    assert not Path("report").exists()


def test_record_counts_what_is_shown(command):
    command()
    record = json.loads((OUT.parent / ".done" / f"{OUT.name}.json").read_text())["record"]
    assert record["counts"] == {"speakers": 5, "utterances": 30}
