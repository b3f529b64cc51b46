"""`sv.equalised` against means over partitions, threshold by threshold, and against the figures of plain lists."""

import doctest

import numpy as np
import pytest

import sv.equalised
from sv.data.partitions import read_partitions, write_partitions
from sv.data.trials import Trials
from sv.equalised import UNCOUNTED, equalised_roc, equalised_weights
from sv.errors import DataError
from sv.metrics import SRE16_PRIORS, act_cprimary, eer_rocch, min_cprimary
from sv.roc import Roc


def drawn(seed, num_trials=400):
    """A list with partitions of very different sizes and difficulty; scores are rounded, so there are ties."""
    rng = np.random.default_rng(seed)
    is_target_N = rng.random(num_trials) < 0.3
    cell_N = rng.choice(5, num_trials, p=[0.6, 0.2, 0.1, 0.06, 0.04])
    scores_N = np.round(rng.normal(np.where(is_target_N, 4.5, 0) + 0.7 * cell_N, 2), 1)
    phone_N = np.where(is_target_N, rng.choice(["-n", "-y"], num_trials), "")  # which halves the target trials' alone
    return scores_N, is_target_N, [f"{cell}{phone}" for cell, phone in zip(cell_N, phone_N, strict=True)]


def mean_rates(scores_N, is_target_N, cells, threshold):
    """Miss and false-alarm rate of every partition, counted trial by trial, and their means."""
    rates = {True: {}, False: {}}
    for score, target, cell in zip(scores_N, is_target_N, cells, strict=True):
        if cell != UNCOUNTED:
            wrong = (score < threshold) if target else (score >= threshold)
            rates[bool(target)].setdefault(cell, []).append(wrong)
    return [np.mean([np.mean(wrong) for wrong in rates[kind].values()]) for kind in (True, False)]


@pytest.mark.parametrize("seed", range(5))
def test_rates_are_means_over_partitions(seed):
    """At every threshold, with trials that do not count among them."""
    scores_N, is_target_N, cells = drawn(seed)
    cells = [UNCOUNTED if n % 17 == 0 else cell for n, cell in enumerate(cells)]
    roc = equalised_roc(scores_N, is_target_N, cells)
    assert len(roc.thresholds_P) > 100
    for threshold, miss, false_alarm in zip(roc.thresholds_P, roc.miss_P, roc.false_alarm_P, strict=True):
        expected = mean_rates(scores_N, is_target_N, cells, threshold)
        np.testing.assert_allclose((miss, false_alarm), expected, atol=1e-12)
    counted = {(kind, cell) for kind, cell in zip(is_target_N, cells, strict=True) if cell != UNCOUNTED}
    assert round(roc.n_target) == sum(kind for kind, _ in counted) > 5
    assert round(roc.n_target + roc.n_nontarget) == len(counted)


@pytest.mark.parametrize("seed", range(5))
def test_costs_are_those_of_the_mean_rates(seed):
    """Minimum over all scores as thresholds and "reject all"; actual at log((1 - p) / p); the mean of both priors."""
    trials = drawn(seed)
    roc = equalised_roc(*trials)
    least, actual = [], []
    for p in SRE16_PRIORS:

        def cost(threshold, p=p):
            miss, false_alarm = mean_rates(*trials, threshold)
            return miss + (1 - p) / p * false_alarm

        least.append(min(cost(threshold) for threshold in [*set(trials[0]), np.inf]))
        actual.append(cost(np.log((1 - p) / p)))
    assert min_cprimary(roc) == pytest.approx(np.mean(least))
    assert act_cprimary(roc) == pytest.approx(np.mean(actual))
    assert np.mean(actual) > np.mean(least) > 0.1


@pytest.mark.parametrize("seed", range(5))
def test_eer_is_the_worst_case_over_priors_of_the_mean_rates(seed):
    """That of the convex hull: max over p of min over thresholds of p miss + (1 - p) false alarm [Brümmer 2013]."""
    trials = drawn(seed)
    points = np.array([mean_rates(*trials, threshold) for threshold in [*sorted(set(trials[0])), np.inf]])
    p = np.linspace(0, 1, 20001)
    worst = (p[:, None] * points[:, 0] + (1 - p[:, None]) * points[:, 1]).min(1).max()
    assert eer_rocch(equalised_roc(*trials)) == pytest.approx(worst, abs=1e-4)


def test_one_partition_is_the_plain_list():
    scores_N, is_target_N, _ = drawn(0)
    roc, plain = equalised_roc(scores_N, is_target_N, ["all"] * len(scores_N)), Roc.from_scores(scores_N, is_target_N)
    for figure in (eer_rocch, min_cprimary, act_cprimary):
        assert figure(roc) == pytest.approx(figure(plain))


def test_a_partition_that_is_there_twice_changes_nothing():
    """Every trial of one partition repeated: plain figures move, equalised ones do not."""
    scores_N, is_target_N, cells = drawn(1)
    again = [n for n, cell in enumerate(cells) if cell[0] == "4"]
    rows = [*range(len(cells)), *again * 9]
    more = scores_N[rows], is_target_N[rows], [cells[n] for n in rows]
    assert min_cprimary(equalised_roc(*more)) == pytest.approx(
        min_cprimary(equalised_roc(scores_N, is_target_N, cells))
    )
    assert min_cprimary(Roc.from_scores(*more[:2])) != pytest.approx(
        min_cprimary(Roc.from_scores(scores_N, is_target_N))
    )


def test_the_example_in_the_docstring_holds():
    result = doctest.testmod(sv.equalised)
    assert result.attempted
    assert not result.failed


def test_numbers_that_differ_are_one_line():
    with pytest.raises(DataError, match="2 trials but 1 partitions"):
        equalised_weights(np.array([True, False]), ["a"])


def test_partitions_are_joined_by_both_ids(tmp_path):
    """Whatever the order of the file, which is sorted; a list may hold a part of it, and a trial twice."""
    write_partitions(
        tmp_path / "partitions", [("m2", "t1", "b"), ("m1", "t2", "a"), ("m1", "t1", "b"), ("m2", "t1", "b")]
    )
    assert (tmp_path / "partitions").read_text().splitlines() == ["m1 t1 b", "m1 t2 a", "m2 t1 b"]
    assert read_partitions(tmp_path / "partitions", Trials(["m2", "m1", "m2"], ["t1", "t2", "t1"], None)) == [
        "b",
        "a",
        "b",
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("m1 t1 a\nm1 t2\n", ":2: 'm1 t2' is not 'enrol test partition'"),
        ("m1 t1 a\nm1 t1 b\n", ":2: m1 t1 is in another partition in an earlier line"),
        ("m1 t2 a\n", "1 of 1 trials have no partition (first: m1 t1)"),
        (None, "partitions is missing"),
    ],
)
def test_a_malformed_file_is_named(tmp_path, lines, said):
    if lines is not None:
        (tmp_path / "partitions").write_text(lines)
    with pytest.raises(DataError) as caught:
        read_partitions(tmp_path / "partitions", Trials(["m1"], ["t1"], None))
    assert said in str(caught.value)
