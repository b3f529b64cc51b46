"""The interval of every figure of a row against lists whose trials are really repeated, speaker by speaker."""

import numpy as np
import pytest

from sv.bootstrap import bootstrap_ci
from sv.data.trials import Trials
from sv.equalised import UNCOUNTED, equalised_roc
from sv.metrics import (
    SRE16_PRIORS,
    act_cprimary,
    act_dcf,
    cllr,
    eer_rocch,
    min_cllr,
    min_cprimary,
    min_dcf,
    min_dcf_point,
)
from sv.report.figures import figures, figures_over
from sv.report.too_few import too_few
from sv.roc import Roc


def drawn(seed, n_speakers=9, decimals=1):
    """A list, its scores and badly calibrated LLRs, its partitions and speakers.

    Speakers 0 to 5 and 6 to 8 are two groups whose trials are of other partitions, of very different sizes; targets
    are also of one of two phones; trials of speaker 0 with 1 do not count. A pair has none to three trials; a third of
    the scores are tied, and one speaker has no target trial.
    """
    rng = np.random.default_rng(seed)
    ids, scores, cells = [], [], []
    for a in range(n_speakers):
        for b in range(n_speakers):
            for _ in range(0 if a == b == 3 else rng.integers(1, 9) if a == b else rng.integers(4)):
                ids.append((f"s{a}-e{rng.integers(2)}", f"s{b}-t{rng.integers(9)}"))
                scores.append(rng.normal((2.5 if a == b else 0) + 0.4 * (a > 5)))
                group = f"{'f' if a > 5 else 'm'}{'f' if b > 5 else 'm'}"
                cells.append(UNCOUNTED if {a, b} == {0, 1} else group + (rng.choice(["-n", "-y"]) if a == b else ""))
    enrol, test = map(list, zip(*ids, strict=True))
    is_target = np.array([e[:2] == t[:2] for e, t in ids])
    scores_N = np.round(scores, decimals)
    speaker = {i: i[:2] for i in [*enrol, *test]}
    return Trials(enrol, test, is_target), scores_N, 2.2 * scores_N - 1.0, cells, speaker


def repeated(trials, cells, speaker, people):
    """The list of people drawn, trial by trial, by two loops: numbers of the trials in the list."""
    rows = []
    for x, one in enumerate(people):
        for y, other in enumerate(people):
            if x == y or one != other:  # the person against itself, or people who are not copies of one
                rows += [
                    i
                    for i, (e, t) in enumerate(zip(trials.enrol, trials.test, strict=True))
                    if (speaker[e], speaker[t]) == (one, other)
                ]
    return rows


def naive(scores_N, llr_N, is_target, cells):
    """Every figure by `sv.metrics`, of a list as it is."""
    roc, llr = Roc.from_scores(scores_N, is_target), Roc.from_scores(llr_N, is_target)
    return {
        "eer": eer_rocch(roc),
        "min_dcf_05": min_dcf(roc, 0.05),
        "min_dcf_01": min_dcf(roc, 0.01),
        "min_cllr": min_cllr(roc),
        "act_dcf_05": act_dcf(llr, 0.05),
        "act_cprimary": act_cprimary(llr),
        "cllr": cllr(llr),
        "equalised_eer": eer_rocch(equalised_roc(scores_N, is_target, cells)),
        "equalised_min_cprimary": min_cprimary(equalised_roc(scores_N, is_target, cells)),
        "equalised_act_cprimary": act_cprimary(equalised_roc(llr_N, is_target, cells)),
    }


@pytest.mark.parametrize("seed", range(3))
def test_replicates_of_every_figure_are_those_of_lists_with_the_trials_really_repeated(seed):
    """Of 25 draws; in some of them a partition has no trial, and it has no say there."""
    trials, scores_N, llr_N, cells, speaker = drawn(seed)
    figures_of, n_speakers = figures_over(trials, scores_N, speaker, llr_N, cells)
    names, lacking = sorted(set(speaker.values())), 0
    assert n_speakers == len(names)
    for i in range(25):
        people = [names[k] for k in np.random.default_rng([seed, i]).integers(len(names), size=len(names))]
        rows = repeated(trials, cells, speaker, people)
        here = [cells[row] for row in rows]
        found = figures_of(np.array([people.count(name) for name in names], dtype=float))
        assert found == pytest.approx(naive(scores_N[rows], llr_N[rows], trials.is_target[rows], here), abs=1e-12)
        lacking += len(set(here)) < len(set(cells))
    assert lacking > 0


def test_intervals_are_about_the_figures_of_the_row():
    """The list itself, each speaker once, has the row's figures; the intervals are those of `bootstrap_ci`."""
    trials, scores_N, llr_N, cells, speaker = drawn(3)
    found, _ = figures(trials, scores_N, speaker, llr_N, cells)
    boot = bootstrap_ci(*figures_over(trials, scores_N, speaker, llr_N, cells))
    assert boot.estimates == pytest.approx({name: found[name] for name in boot.estimates}, abs=1e-12)
    assert boot.estimates.keys() == naive(scores_N, llr_N, trials.is_target, cells).keys()
    assert found["intervals"] == boot.intervals
    for name, (low, high) in boot.intervals.items():
        assert low <= found[name] <= high, name
    assert found["num_speakers"] == 9


def test_what_a_list_has_not_has_no_interval():
    """Without calibration no actual cost, without partitions no equalised figure; the others' are the same."""
    trials, scores_N, llr_N, cells, speaker = drawn(4)
    whole, plain = (figures(trials, scores_N, speaker, *rest)[0]["intervals"] for rest in ((llr_N, cells), ()))
    assert set(plain) == {"eer", "min_dcf_05", "min_dcf_01", "min_cllr"}
    assert {name: whole[name] for name in plain} == plain
    assert set(figures(trials, scores_N, speaker, None, cells)[0]["intervals"]) == {
        *plain, "equalised_eer", "equalised_min_cprimary"
    }  # fmt: skip


def test_systems_have_the_same_draws():
    """A system whose scores are another's, stretched, has its intervals, though its trials come in another order."""
    trials, scores_N, _, _, speaker = drawn(5)
    order = np.random.default_rng(0).permutation(len(trials))
    other = Trials([trials.enrol[i] for i in order], [trials.test[i] for i in order], trials.is_target[order])
    one, two = figures(trials, scores_N, speaker)[0], figures(other, np.exp(scores_N)[order], speaker)[0]
    for name, interval in one["intervals"].items():
        assert two["intervals"][name] == pytest.approx(interval, abs=1e-12)


def test_an_infinite_cost_is_infinite_where_its_speaker_is_drawn():
    trials, scores_N, llr_N, _, speaker = drawn(6)
    worst = int(np.flatnonzero(trials.is_target)[0])
    llr_N[worst] = -np.inf
    figures_of, n_speakers = figures_over(trials, scores_N, speaker, llr_N)
    copies_S = np.ones(n_speakers)
    assert figures_of(copies_S)["cllr"] == np.inf
    copies_S[int(speaker[trials.enrol[worst]][1])] = 0
    rest = [n for n, ids in enumerate(zip(trials.enrol, trials.test, strict=True)) if "s0" not in {i[:2] for i in ids}]
    assert worst not in rest
    expected = cllr(Roc.from_scores(llr_N[rest], trials.is_target[rest]))
    assert figures_of(copies_S)["cllr"] == pytest.approx(expected)


def test_a_draw_without_counted_trials_of_a_kind_is_left_out():
    """Only speakers 6 and 7 have trials in partitions; a draw has none of theirs if one of them is not in it."""
    trials, scores_N, _, _, speaker = drawn(7)
    sides = [[speaker[i] for i in ids] for ids in (trials.enrol, trials.test)]
    cells = ["all" if {*pair} <= {"s6", "s7"} else UNCOUNTED for pair in zip(*sides, strict=True)]
    figures_of, n_speakers = figures_over(trials, scores_N, speaker, None, cells)
    copies_S = np.ones(n_speakers)
    assert figures_of(copies_S) is not None
    copies_S[6] = 0
    assert figures_of(copies_S) is None


# -- What a list is too small for ------------------------------------------------------------------------------


def counted(scores_N, is_target, threshold):
    return int((scores_N[is_target] < threshold).sum()), int((scores_N[~is_target] >= threshold).sum())


def test_errors_are_those_at_the_figures_thresholds():
    """Counted trial by trial: at the threshold of least cost, found by trying all, and at Bayes thresholds."""
    trials, scores_N, llr_N, cells, _ = drawn(8)
    is_target, found = trials.is_target, figures(trials, scores_N, {}, llr_N, cells)[0]
    errors, num_targets = found["errors"], trials.num_targets
    for name, p in (("min_dcf_05", 0.05), ("min_dcf_01", 0.01)):
        costs = {
            t: misses / num_targets + (1 - p) / p * false_alarms / (len(trials) - num_targets)
            for t in [*np.unique(scores_N), np.inf]
            for misses, false_alarms in [counted(scores_N, is_target, t)]
        }
        assert errors[name] == counted(scores_N, is_target, min(costs, key=costs.get))
    assert errors["act_dcf_05"] == counted(llr_N, is_target, np.log(19))
    both = [counted(llr_N, is_target, np.log((1 - p) / p)) for p in SRE16_PRIORS]
    assert errors["act_cprimary"] == tuple(map(min, zip(*both, strict=True)))
    there = np.array([cell != UNCOUNTED for cell in cells])
    both = [counted(llr_N[there], is_target[there], np.log((1 - p) / p)) for p in SRE16_PRIORS]
    assert errors["equalised_act_cprimary"] == tuple(map(min, zip(*both, strict=True)))
    rate = found["eer"]
    assert errors["eer"] == (round(rate * num_targets), round(rate * (len(trials) - num_targets)))
    assert not {"min_cllr", "cllr"} & errors.keys()


ENOUGH = {"eer": (40, 90), "min_dcf_05": (30, 30), "min_dcf_01": (80, 31)}


def test_a_list_that_is_large_enough_is_not_warned_of():
    """Of non-targets 2970 are enough at prior .01: 2970 / 99 = 30."""
    assert too_few(30, 2970, 50, [("x", ENOUGH)]) == []
    assert too_few(30, 2970, 0, [("x", ENOUGH)]) == []  # speakers that are not known


@pytest.mark.parametrize(
    ("numbers", "errors", "said"),
    [
        ((30, 2970, 49), {}, "49 speakers are few"),
        ((29, 2970, 50), {"eer": (3, 300)}, "29 target trials are too few for any figure"),
        ((30, 2969, 50), {}, "2,969 non-target trials are too few for costs at target prior .01:"),
        ((30, 500, 50), {}, "500 non-target trials are too few for costs at target prior .05, .01:"),
        ((30, 2970, 50), {"eer": (29, 300)}, "fewer than 30 misses at EER (x 29)"),
        ((30, 2970, 50), {"min_dcf_05": (80, 2)}, "fewer than 30 false alarms at minDCF.05 (x 2)"),
    ],
)
def test_what_a_list_is_too_small_for_is_one_line(numbers, errors, said):
    (line,) = too_few(*numbers, [("x", ENOUGH | errors)])
    assert line.startswith(said)


def test_many_rows_of_few_errors_are_told_by_their_number():
    few = [(f"x{n}", {"eer": (n, 300)}) for n in range(5)]
    assert too_few(100, 3000, 60, [*few, ("good", ENOUGH)]) == ["fewer than 30 misses at EER (5 of 6 rows, 0 to 4)"]
    assert too_few(100, 3000, 60, few) == ["fewer than 30 misses at EER (all 5 rows, 0 to 4)"]


def test_no_useful_threshold_has_more_false_alarms_than_the_rule_says():
    """Of lists of 2,969 non-targets, however good the system, the least cost at prior .01 has fewer than 30."""
    for gap in (0.0, 0.5, 1.0, 2.0, 3.0):
        rng = np.random.default_rng(int(10 * gap))
        is_target = np.arange(5000) >= 2969
        scores_N = rng.normal(gap * is_target)
        point = min_dcf_point(Roc.from_scores(scores_N, is_target), 0.01)
        assert counted(scores_N, is_target, point.threshold)[1] < 30
