"""Figures by conditions: against a list gone through trial by trial, and what directories tell of its sides."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from runs import made_run
from test_results import row

from sv.cli import report
from sv.data.datadir import DataDir
from sv.data.partitions import read_phone_numbers, write_partitions
from sv.data.tables import write_table
from sv.data.trials import Trials
from sv.errors import DataError
from sv.metrics import act_dcf, cllr, eer_rocch, min_cllr, min_dcf
from sv.records import Step
from sv.report import condition_figures
from sv.report.condition_figures import ALL, ByConditions
from sv.report.condition_html import conditions_html
from sv.report.condition_tables import columns_of, markdown, tables
from sv.report.conditions import divisions_of
from sv.report.sides import Side, Sides
from sv.roc import Roc
from sv.scoring.trials import write_scores
from sv.systems.reading import find_systems, load_system

SYSTEMS = find_systems(Path(__file__).parents[1] / "data" / "conf")
UNKNOWN = "not known"


@pytest.fixture(scope="module")
def drawn():
    """3,000 trials of 40 speakers' models and utterances, of some of which something is not known; scores; phones."""
    rng = np.random.default_rng(5)

    def side(name, num_utts):
        return Side(
            num_utts,
            None if rng.random() < 0.05 else float(rng.uniform(0.5, 50)),
            "" if name.startswith("s07") else "mf"[int(name[1:3]) % 2],
            () if rng.random() < 0.05 else tuple(rng.choice(["eng", "tgl", "yue"], num_utts).tolist()),
            () if rng.random() < 0.05 else tuple(f"{name[:3]}-{i}" for i in rng.integers(4, size=num_utts)),
        )

    speakers = [f"s{number:02d}" for number in range(40)]
    models = {f"{s}-m{i}": side(s, 1 + 2 * (i == 1)) for s in speakers for i in range(2)}
    tests = {f"{s}-t{i}": side(s, 1) for s in speakers for i in range(4)}
    del models["s03-m0"], tests["s04-t2"]  # nobody knows them
    ids = [f"{s}-m{i}" for s in speakers for i in range(2)], [f"{s}-t{i}" for s in speakers for i in range(4)]
    pairs = [(e, t) for e in ids[0] for t in ids[1]]
    pairs = [p for p in pairs if p[0][:3] == p[1][:3]] + [pairs[i] for i in rng.permutation(len(pairs))[:2700]]
    trials = Trials([e for e, _ in pairs], [t for _, t in pairs], np.array([e[:3] == t[:3] for e, t in pairs]))
    phones = [rng.choice(["same", "other", ""]) if is_target else "" for is_target in trials.is_target]
    return trials, models, tests, phones, rng.normal(1.5 * trials.is_target)


def condition(kind, model, test, phone):
    """The condition of one trial, said once more and otherwise."""
    duration = {
        range(2): "below 2 s", range(2, 5): "2–5 s", range(5, 10): "5–10 s", range(10, 20): "10–20 s",
        range(20, 40): "20–40 s", range(40, 99): "from 40 s",
    }  # fmt: skip
    one, other = model or Side(0, None, "", (), ()), test or Side(0, None, "", (), ())
    known = {
        "test duration": other.seconds is not None and next(n for r, n in duration.items() if int(other.seconds) in r),
        "enrolment duration": one.seconds is not None and next(n for r, n in duration.items() if int(one.seconds) in r),
        "enrolment": {0: None, 1: "1 utterance", 3: "3 utterances"}[one.num_utts],
        "gender": {"f": "female", "m": "male", "fm": "female and male"}.get(
            "".join(sorted({one.gender, other.gender})) if one.gender and other.gender else ""
        ),
        "test language": other.languages[0] if other.languages else None,
        "enrolment language": one.languages
        and other.languages
        and ("same" if set(one.languages) & set(other.languages) else "other"),
        "session": one.sessions and other.sessions and ("same" if other.sessions[0] in one.sessions else "other"),
        "phone number": phone,
    }
    return known[kind] or UNKNOWN


def test_every_condition_has_its_trials_and_their_figures(drawn):
    """Each kind's trials are told apart one by one; sessions and phone numbers share all non-target trials."""
    trials, models, tests, phones, scores_N = drawn
    llr_N = 2 * scores_N - 1.5
    speaker = {i: i[:3] for i in [*trials.enrol, *trials.test]}
    found = ByConditions(trials, divisions_of(trials, models, tests, phones), speaker).figures(
        range(len(trials)), scores_N, llr_N
    )
    kinds = dict.fromkeys(each.kind for each in found[1:])
    assert list(kinds) == [
        *("test duration", "enrolment duration", "enrolment", "gender", "test language", "enrolment language"),
        *("session", "phone number"),
    ]
    expected = {}
    for i, (e, t) in enumerate(trials.pairs()):
        for kind in kinds:
            if kind not in ("session", "phone number") or trials.is_target[i]:
                name = condition(kind, models.get(e), tests.get(t), phones[i])
                expected.setdefault((kind, name), []).append(i)
    nontargets = np.flatnonzero(~trials.is_target).tolist()
    assert {(each.kind, each.condition) for each in found[1:]} == set(expected)
    shown = 0
    for each in found[1:]:
        shared = nontargets if each.kind in ("session", "phone number") else []
        chosen = np.array(sorted([*expected[each.kind, each.condition], *shared]))
        is_target = trials.is_target[chosen]
        assert (each.num_targets, each.num_nontargets) == (is_target.sum(), (~is_target).sum())
        assert each.num_speakers == len({trials.enrol[i][:3] for i in chosen[is_target]})
        if each.why:
            assert {each.eer, each.eer_interval, each.min_dcf_05, each.act_dcf_05, each.min_cllr, each.cllr} == {None}
            continue
        shown += 1
        roc, calibrated = (Roc.from_scores(x[chosen], is_target) for x in (scores_N, llr_N))
        assert (each.eer, each.min_dcf_05, each.min_cllr) == (eer_rocch(roc), min_dcf(roc, 0.05), min_cllr(roc))
        assert (each.act_dcf_05, each.cllr) == (act_dcf(calibrated, 0.05), cllr(calibrated))
        low, high = each.eer_interval
        assert low < each.eer < high
    assert shown > 15
    roc = Roc.from_scores(scores_N, trials.is_target)
    assert (found[0].kind, found[0].eer, found[0].eer_interval) == (ALL, eer_rocch(roc), None)
    mixed = next(each for each in found if each.condition == "female and male")
    assert (mixed.num_targets, mixed.eer) == (0, None)
    assert "fewer than 30" in mixed.why


def test_trials_that_were_not_scored_count_nowhere(drawn):
    """The figures of a run that left trials out are those of the list without them."""
    trials, models, tests, phones, scores_N = drawn
    kept = [i for i, test in enumerate(trials.test) if test not in ("s05-t1", "s06-t0", "s11-t3")]
    rest = Trials([trials.enrol[i] for i in kept], [trials.test[i] for i in kept], trials.is_target[kept])
    whole = ByConditions(trials, divisions_of(trials, models, tests, phones), {})
    alone = ByConditions(rest, divisions_of(rest, models, tests, [phones[i] for i in kept]), {})
    assert whole.figures(kept, scores_N[kept]) == alone.figures(range(len(rest)), scores_N[kept])
    assert len(rest) < len(trials)


def test_what_holds_for_all_trials_or_for_none_is_not_shown(drawn):
    """Of sides alike, and of sides of which nothing is known; the row of all trials goes with the others."""
    trials, _, _, _, scores_N = drawn
    every = np.arange(len(trials))
    for side in (Side(1, 3.0, "f", ("eng",), ("x",)), Side(1, None, "", (), ())):
        alike = dict.fromkeys([*trials.enrol, *trials.test], side)
        divisions = divisions_of(trials, alike, alike, [""] * len(trials))
        assert divisions == []
        assert ByConditions(trials, divisions, {}).figures(every, scores_N) == []
        assert tables({"x": [[]]}) == []
        assert conditions_html([]) == ""
    assert divisions_of(trials, {}, {}, [""] * len(trials)) == []


def test_few_trials_or_speakers_have_counts_and_no_figure(drawn, monkeypatch):
    """And a long list, or one with an unknown speaker, no interval."""
    trials, models, tests, phones, scores_N = drawn
    divisions = divisions_of(trials, models, tests, phones)
    speaker = {i: i[:3] for i in [*trials.enrol, *trials.test]}

    def why(**changes):
        for name, value in changes.items():
            monkeypatch.setattr(condition_figures, name, value)
        by = ByConditions(trials, divisions, speaker).figures(range(len(trials)), scores_N)
        return {(each.kind, each.condition): each for each in by}

    asked = "gender", "female"
    before = why()[asked]
    assert before.eer_interval is not None
    assert before.num_speakers == 19  # of 20 women one's gender is not known
    assert why(MOST_TRIALS=len(trials) - 1)[asked].eer_interval is None
    assert why(LEAST_SPEAKERS=19)[asked].eer == before.eer
    fewer = why(LEAST_SPEAKERS=20)[asked]
    assert (fewer.eer, fewer.why) == (None, "fewer than 20 speakers in target trials")
    assert fewer.num_targets == before.num_targets
    assert why(LEAST_TRIALS=before.num_targets + 1)[asked].eer is None
    del speaker["s00-m0"]
    unknown = why(LEAST_TRIALS=30, MOST_TRIALS=10**6)[asked]
    assert (unknown.num_speakers, unknown.eer_interval, unknown.eer) == (None, None, before.eer)


# -- What the directories know ---------------------------------------------------------------------------------


@pytest.fixture
def known(tmp_path):
    """A set of two speakers and a model of three utterances."""
    utts = {"a-1": "a", "a-2": "a", "a-3": "a", "b-1": "b", "b-2": "b"}
    told = {
        "spk2gender": {"a": "F", "b": "m"},
        "utt2lang": dict.fromkeys(utts, "eng") | {"a-3": "yue"},
        "utt2sess": {utt: f"call{utt[-1]}" for utt in utts},
    }
    DataDir(utts, tables=told).write(tmp_path)
    write_table(tmp_path / "models", {"m1": "a-1 a-2 a-3", "m2": "b-1 a-1", "m3": "a-1 zzz"})
    return tmp_path


def test_a_model_has_what_its_utterances_have(known):
    """One of two speakers has no gender, one with an utterance that is not there is not known at all."""
    sides = Sides(known)
    found = sides.models(["m1", "m2", "m3", "b-2"])
    assert found == {
        "m1": Side(3, None, "f", ("eng", "eng", "yue"), ("call1", "call2", "call3")),
        "m2": Side(2, None, "", ("eng", "eng"), ("call1", "call1")),
        "b-2": Side(1, None, "m", ("eng",), ("call2",)),
    }
    assert sides.utterances(["a-3", "m1"]) == {"a-3": Side(1, None, "f", ("yue",), ("call3",))}


def test_lengths_are_those_of_the_best_source(known):
    """Frames, then samples, then utt2dur; a model has its utterances' together, or none if one's is not known."""

    def seconds():
        sides = Sides(known)
        return sides.utterances(["a-1"])["a-1"].seconds, sides.models(["m1"])["m1"].seconds

    feats = known / "feats/mfcc23_8k"
    feats.mkdir(parents=True)
    (feats / "feats.conf").write_text("--sample-frequency=8000\n--frame-shift=20\n")
    write_table(feats / "utt2num_frames", {"a-1": 100, "a-2": 50, "a-3": 25})
    assert seconds() == (2.0, 3.5)
    write_table(feats / "utt2num_frames", {"a-1": 100, "a-2": 50})
    assert seconds() == (2.0, None)
    write_table(known / "utt2num_samples", {"a-1": 8000, "a-2": 4000, "a-3": 2000})
    Step("measure_audio", known, settings={"rate": 16000}).done([])
    assert seconds() == (0.5, 0.875)
    write_table(known / "utt2dur", {"a-1": "7.25", "a-2": "1", "a-3": "1"})
    assert seconds() == (7.25, 9.25)
    write_table(known / "utt2dur", {"a-1": "long"})
    with pytest.raises(DataError, match=r"utt2dur: a length is not a number .*'long'"):
        Sides(known)


def test_phone_numbers_are_joined_by_both_ids(tmp_path):
    trials = Trials(["m1", "m2", "m1"], ["u", "u", "v"], None)
    assert read_phone_numbers(tmp_path / "phone_numbers", trials) == ["", "", ""]
    write_partitions(tmp_path / "phone_numbers", [("m1", "v", "same"), ("m2", "u", "other"), ("m2", "v", "same")])
    assert read_phone_numbers(tmp_path / "phone_numbers", trials) == ["", "other", "same"]


# -- Tables ----------------------------------------------------------------------------------------------------


def found_by(drawn, shift=0.0, calibrated=True):
    trials, models, tests, phones, scores_N = drawn
    speaker = {i: i[:3] for i in [*trials.enrol, *trials.test]}
    scores_N = scores_N + shift * np.sin(np.arange(len(trials)))
    by = ByConditions(trials, divisions_of(trials, models, tests, phones), speaker)
    return by.figures(range(len(trials)), scores_N, 2 * scores_N - 1.5 if calibrated else None)


def test_cells_are_figures_of_runs_and_means_of_seeds(drawn):
    """With the interval of the one, and the standard deviation of the others; – where there is nothing to show."""
    seeds, single = [found_by(drawn), found_by(drawn, 0.5)], found_by(drawn, calibrated=False)
    rows = [row(seed=1, calibrated="so"), row(system="x"), row(seed=2, calibrated="so")]
    columns = columns_of(["seeds", "x <1>"], rows, [seeds[0], single, seeds[1]])
    made = tables(columns)
    assert [table.figure for table in made] == ["EER %", "minDCF.05 / actDCF.05", "min Cllr / Cllr"]
    assert made[0].header == ["kind", "condition", "speakers", "targets", "non-targets", "seeds", "x <1>"]
    at = next(i for i, each in enumerate(single) if each.condition == "male")
    eers = np.array([found[at].eer for found in seeds])
    low, high = single[at].eer_interval
    count = single[at]
    assert made[0].lines[at] == [
        *("gender", "male", "20", f"{count.num_targets:,}", f"{count.num_nontargets:,}"),
        f"{100 * eers.mean():.2f} ± {100 * eers.std(ddof=1):.2f}",
        f"{100 * count.eer:.2f} ({100 * low:.2f}–{100 * high:.2f})",
    ]
    assert made[1].lines[at][-1] == f"{count.min_dcf_05:.3f} / –"
    least, actual = (np.mean([getattr(found[at], name) for found in seeds]) for name in ("min_cllr", "cllr"))
    assert made[2].lines[at][-2].startswith(f"{least:.3f} ± ")
    assert f" / {actual:.3f} ± " in made[2].lines[at][-2]
    mixed = next(line for line in made[0].lines if line[1] == "female and male")
    assert (mixed[2:4], mixed[5:]) == (["0", "0"], ["–", "–"])
    apart = columns_of(
        ["seeds", "x"], [rows[0], rows[1], row(seed=2, calibrated="otherwise")], list(columns["seeds"] * 2)[:3]
    )
    assert {each.cllr for found in apart["seeds"] for each in found} == {None}
    lines = markdown(made)[1].splitlines()
    assert [cell.strip() for cell in lines[at + 2].strip("|").split("|")] == made[0].lines[at]
    assert tables({"x": [single]})[1].figure == "minDCF.05"


def test_runs_that_scored_different_trials_have_counts_from_to(drawn):
    trials, models, tests, phones, scores_N = drawn
    by = ByConditions(trials, divisions_of(trials, models, tests, phones), {})
    kept = range(len(trials) - 500)
    made = tables({"x": [by.figures(range(len(trials)), scores_N)], "y": [by.figures(kept, scores_N[: len(kept)])]})
    targets, nontargets = (
        (int(is_target[: len(kept)].sum()), int(is_target.sum())) for is_target in (trials.is_target, ~trials.is_target)
    )
    assert made[0].lines[0][2:5] == ["–", *(f"{least:,}–{most:,}" for least, most in (targets, nontargets))]


def test_page_has_a_row_a_condition_and_names_are_escaped(drawn):
    made = tables({"x <1>": [found_by(drawn)]})
    root = ElementTree.fromstring(f"<div>{conditions_html(made)}</div>")
    assert [each.text for each in root.findall("details/summary")] == [table.figure for table in made]
    assert [each.get("open") for each in root.findall("details")] == ["open", None, None]
    for table, shown in zip(made, root.findall(".//table"), strict=True):
        rows = [each for each in shown.findall("tbody/tr") if each.get("class") != "kind"]
        assert [each.find("th").text for each in rows] == [line[1] for line in table.lines]
        kinds = ["".join(each.itertext()) for each in shown.findall("tbody/tr[@class='kind']")]
        assert kinds == list(dict.fromkeys(line[0] for line in table.lines[1:]))
        assert [each.findall("td")[-1].text for each in rows] == [line[-1].partition(" (")[0] for line in table.lines]
        assert shown.findall("thead/tr/th")[-1].text == "x <1>"


# -- The command -----------------------------------------------------------------------------------------------


def test_report_has_conditions_where_the_set_knows_some(tmp_path, monkeypatch, capsys):
    """In JSON, Markdown and page, from the set's tables and its models' set; a table that changes makes them anew."""
    monkeypatch.chdir(tmp_path)
    speakers = [f"s{number:02d}" for number in range(16)]
    gender = {s: "mf"[number % 2] for number, s in enumerate(speakers)}
    enrolled = [f"{s}-e{i}" for s in speakers for i in range(3)]
    tested = [f"{s}-t{i}" for s in speakers for i in range(4)]
    for name, utts in (("enrol", enrolled), ("test", tested)):
        told = {"spk2gender": gender, "utt2dur": {utt: f"{3 + 3 * (utt[-1] == '2')}" for utt in utts}}
        DataDir({utt: utt[:3] for utt in utts}, tables=told).write(f"data/{name}")
    write_table(
        "data/enrol/models",
        {f"m{s}": " ".join(f"{s}-e{i}" for i in range(1 + 2 * (s < "s08"))) for s in speakers},
    )
    pairs = [(f"m{s}", t) for s in speakers for t in tested]
    trials = Trials([e for e, _ in pairs], [t for _, t in pairs], np.array([e[1:] == t[:3] for e, t in pairs]))
    trials.write("data/test/trials_pooled")
    phones = [(e, t, "same" if t.endswith("0") else "other") for e, t in pairs if e[1:] == t[:3]]
    write_partitions(Path("data/test/phone_numbers"), phones)
    run = made_run("exp", "published", 1, load_system(SYSTEMS["published"]))
    rng = np.random.default_rng(0)
    for backend in ("cosine", "plda"):
        write_scores(run.scores("pooled", backend), trials, rng.normal(2.0 * trials.is_target))

    def command():
        arguments = ("--out", "report", "--enrol", "data/enrol", "--trials", "data/test/trials_pooled", str(run.path))
        monkeypatch.setattr("sys.argv", ["report", *arguments])
        report.main()
        return capsys.readouterr().out

    assert "by conditions: in both, and report/conditions.json\n" in command()
    rows = json.loads(Path("report/conditions.json").read_text())
    conditions = {}
    for each in rows:
        assert (each["system"], each["trials"], each["seed"]) == ("published", "pooled", 1)
        conditions.setdefault(each["kind"], {})[each["condition"], each["backend"]] = each
    assert list(conditions) == [
        "all trials",
        "test duration",
        "enrolment duration",
        "enrolment",
        "gender",
        "phone number",
    ]
    (all_cosine,) = (each for (_, name), each in conditions["all trials"].items() if name == "cosine")
    assert all_cosine["eer"] == json.loads(Path("report/results.json").read_text())[0]["eer"]
    assert {name for name, _ in conditions["enrolment duration"]} == {"2–5 s", "10–20 s"}  # 3 s, and 3 + 3 + 6
    assert {name for name, _ in conditions["test duration"]} == {"2–5 s", "5–10 s"}
    same = conditions["phone number"]["same", "plda"]
    assert (same["num_targets"], same["num_nontargets"], same["eer"]) == (16, 960, None)
    other = conditions["phone number"]["other", "plda"]
    assert (other["num_targets"], other["num_nontargets"]) == (48, 960)
    text, page = Path("report/results.md").read_text(), Path("report/report.html").read_text()
    assert "## pooled, by conditions\n\n**EER %**\n\n| kind | condition |" in text
    assert f"{100 * other['eer']:.2f} (" in text
    assert "By conditions" in "".join(ElementTree.fromstring(page).itertext())
    assert "unchanged, skipped" in command()
    write_table("data/test/utt2lang", {utt: "tgl" if utt < "s08" else "yue" for utt in tested})
    assert "unchanged" not in command()
    kinds = {each["kind"] for each in json.loads(Path("report/conditions.json").read_text())}
    assert "test language" in kinds
    assert "enrolment language" not in kinds
