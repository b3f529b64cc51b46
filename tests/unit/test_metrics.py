"""EER, detection costs and Cllr against reference tools, brute force and their properties."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from sv.errors import ConfigError, DataError
from sv.metrics import (
    act_cprimary,
    act_dcf,
    act_dcf_point,
    cllr,
    eer_kaldi,
    eer_nearest,
    eer_rocch,
    min_cllr,
    min_cprimary,
    min_dcf,
    min_dcf_point,
    pav_llr,
    rocch,
)
from sv.roc import Roc

REFERENCE = Path(__file__).parent.parent / "data" / "metrics"
LISTS = ("gauss", "ties", "few_targets", "separable")
RANKING = {
    "eer_rocch": eer_rocch,
    "eer_nearest": eer_nearest,
    "eer_kaldi": eer_kaldi,
    "min_dcf": lambda roc: min_dcf(roc, 0.05),
    "min_cprimary": min_cprimary,
    "min_cllr": min_cllr,
}


def reference_list(name):
    """Scores (N,) and labels (N,) of a reference list, joined by key, in the order of the score file."""
    is_target = {}
    for line in (REFERENCE / f"{name}.trials").read_text().splitlines():
        enrol, test, label = line.split()
        is_target[enrol, test] = label == "target"
    lines = [line.split() for line in (REFERENCE / f"{name}.scores").read_text().splitlines()]
    return np.array([float(score) for *_, score in lines]), np.array([is_target[e, t] for e, t, _ in lines])


def kaldi_reference(name):
    """{"kaldi_eer_pct": ..., "kaldi_min_dcf_p0.01": ..., ...} of a list."""
    for line in (REFERENCE / "kaldi.txt").read_text().splitlines():
        first, *fields = line.split()
        if first == name:
            return dict(zip(fields[::2], map(float, fields[1::2]), strict=True))
    raise KeyError(name)


def random_trials(seed, n=60, decimals=1):
    """A small list with many ties, both kinds present."""
    rng = np.random.default_rng(seed)
    is_target = rng.random(n) < rng.uniform(0.1, 0.6)
    is_target[:2] = True, False
    return np.round(rng.normal(is_target * rng.uniform(0, 3), 1), decimals), is_target


# -- Brute force: every threshold, in plain Python, exact fractions -------------------------------------------


def slow_points(scores, is_target):
    """(miss, false alarm) as fractions at every distinct score and above all of them."""
    tar, non = scores[is_target].tolist(), scores[~is_target].tolist()
    return [
        (Fraction(sum(s < t for s in tar), len(tar)), Fraction(sum(s >= t for s in non), len(non)))
        for t in [*sorted(set(scores.tolist())), np.inf]
    ]


def slow_eer_hull(scores, is_target):
    """The lowest crossing of the diagonal by a segment between any two points: the hull is made of these."""
    best, points = Fraction(1), slow_points(scores, is_target)
    for m1, f1 in points:
        for m2, f2 in points:
            g1, g2 = f1 - m1, f2 - m2
            if g1 >= 0 >= g2:
                best = min(best, m1 if g1 == g2 else m1 + (m2 - m1) * g1 / (g1 - g2))
    return float(best)


def slow_eer_kaldi(scores, is_target):
    """The loop of compute-eer, over sorted lists."""
    tar, non = sorted(scores[is_target]), sorted(scores[~is_target])
    for k in range(len(tar)):
        above = non[len(non) - 1 - len(non) * k // len(tar)]
        if k == len(tar) - 1 or above < tar[k]:
            return k / len(tar)
    raise AssertionError


def slow_min_dcf(scores, is_target, p, c_miss=1.0, c_fa=1.0):
    costs = [c_miss * p * float(m) + c_fa * (1 - p) * float(f) for m, f in slow_points(scores, is_target)]
    return min(costs) / min(c_miss * p, c_fa * (1 - p))


def slow_min_cllr(scores, is_target):
    """Pool adjacent violators over distinct scores, one pool at a time, then the definition of Cllr."""
    pools = []  # [targets, non-targets]
    for t in sorted(set(scores.tolist())):
        pools.append([int(np.sum(is_target[scores == t])), int(np.sum(~is_target[scores == t]))])
        while len(pools) > 1 and pools[-2][0] * sum(pools[-1]) >= pools[-1][0] * sum(pools[-2]):
            tar, non = pools.pop()
            pools[-1][0] += tar
            pools[-1][1] += non
    n_tar, n_non = int(is_target.sum()), int((~is_target).sum())
    bits = 0.0
    for tar, non in pools:
        if tar and non:  # a pure pool costs nothing
            ratio = (tar / n_tar) / (non / n_non)
            bits += tar / n_tar * np.log2(1 + 1 / ratio) + non / n_non * np.log2(1 + ratio)
    return bits / 2


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize(
    ("fast", "slow"), [(eer_rocch, slow_eer_hull), (eer_kaldi, slow_eer_kaldi), (min_cllr, slow_min_cllr)]
)
def test_figure_equals_brute_force(fast, slow, seed):
    """Lists of 60 with many ties (one decimal) and with none (nine)."""
    for decimals in (1, 9):
        scores, is_target = random_trials(seed, decimals=decimals)
        assert fast(Roc.from_scores(scores, is_target)) == pytest.approx(slow(scores, is_target), abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_min_dcf_equals_brute_force_for_any_costs(seed):
    scores, is_target = random_trials(seed)
    roc = Roc.from_scores(scores, is_target)
    for p, c_miss, c_fa in ((0.01, 1, 1), (0.5, 1, 1), (0.9, 1, 1), (0.01, 10, 1), (0.3, 1, 7)):
        assert min_dcf(roc, p, c_miss, c_fa) == pytest.approx(slow_min_dcf(scores, is_target, p, c_miss, c_fa))


@pytest.mark.parametrize("seed", range(10))
def test_eer_nearest_equals_scikit_learn_route(seed):
    """The definition as the VoxSRC trainer has it, on scikit-learn's curve."""
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    for decimals in (1, 9):
        scores, is_target = random_trials(seed, n=200, decimals=decimals)
        fpr, tpr, _ = sklearn_metrics.roc_curve(is_target, scores)
        fnr, fpr = (1 - tpr) * 100, fpr * 100
        i = np.argmin(np.abs(fnr - fpr))
        assert eer_nearest(Roc.from_scores(scores, is_target)) == max(fnr[i], fpr[i]) / 100


@pytest.mark.parametrize("seed", range(5))
def test_eer_rocch_equals_crossing_of_the_whole_hull(seed):
    """On 3000 trials, against the hull whose edges are the pools of PAV."""
    rng = np.random.default_rng(seed)
    is_target = rng.random(3000) < 0.2
    roc = Roc.from_scores(rng.normal(is_target * 1.5), is_target)
    llr = pav_llr(roc)
    edges = [0, *np.flatnonzero(llr[1:] != llr[:-1]) + 1, -1]
    gap = roc.false_alarm_P[edges] - roc.miss_P[edges]
    assert eer_rocch(roc) == pytest.approx(np.interp(0, -gap, roc.miss_P[edges]), abs=1e-12)


# -- Reference tools -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
def test_eer_equals_the_reference_tools(name):
    roc = Roc.from_scores(*reference_list(name))
    official = json.loads((REFERENCE / "official_voxceleb_trainer.json").read_text())[name]
    assert 100 * eer_nearest(roc) == pytest.approx(official["nearest_point_eer_pct"], abs=1e-12)
    # Kaldi prints four digits of a percentage in single precision.
    assert 100 * eer_kaldi(roc) == pytest.approx(kaldi_reference(name)["kaldi_eer_pct"], abs=5.1e-3)


def dcf_trial_by_trial(scores, is_target, p):
    """Reject one trial after the other in order of score, tied ones in the order of the list."""
    is_target = is_target[np.argsort(scores, kind="stable")]
    miss, accepted = np.cumsum(is_target) / is_target.sum(), 1 - np.cumsum(~is_target) / (~is_target).sum()
    return np.min(p * miss + (1 - p) * accepted) / min(p, 1 - p)


@pytest.mark.parametrize(
    ("name", "p"), [(name, p) for name in LISTS for p in (0.05, 0.01) if (name, p) != ("ties", 0.01)]
)
def test_min_dcf_equals_the_reference_tools(name, p):
    """The list with ties at p = 0.01 is the next test's. Kaldi prints four decimals."""
    official = json.loads((REFERENCE / "official_voxceleb_trainer.json").read_text())[name]
    cost = min_dcf(Roc.from_scores(*reference_list(name)), p)
    assert cost == pytest.approx(official[f"min_dcf_p{p}_norm"], abs=1e-11)
    assert cost == pytest.approx(kaldi_reference(name)[f"kaldi_min_dcf_p{p}"], abs=5.1e-5)


def test_min_dcf_differs_from_the_tools_only_where_they_split_tied_trials():
    """They report 0.988, which accepts some of equal scores and not others; every real threshold costs more."""
    scores, is_target = reference_list("ties")
    assert dcf_trial_by_trial(scores, is_target, 0.01) == pytest.approx(0.988, abs=1e-12)
    assert kaldi_reference("ties")["kaldi_min_dcf_p0.01"] == 0.988
    ours = min_dcf(Roc.from_scores(scores, is_target), 0.01)
    assert ours == pytest.approx(slow_min_dcf(scores, is_target, 0.01)) == pytest.approx(0.990)
    order = np.random.default_rng(0).permutation(len(scores))
    assert min_dcf(Roc.from_scores(scores[order], is_target[order]), 0.01) == ours


# -- Properties ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(RANKING))
def test_ranking_figure_survives_a_monotone_transform(name):
    scores, is_target = random_trials(1, n=400, decimals=2)
    figure = RANKING[name]
    expected = figure(Roc.from_scores(scores, is_target))
    for transformed in (np.exp(scores), scores**3, np.where(scores == scores.max(), np.inf, scores)):
        assert figure(Roc.from_scores(transformed, is_target)) == expected


@pytest.mark.parametrize("seed", range(5))
def test_swapping_the_classes_and_the_sign_swaps_the_errors(seed):
    scores, is_target = random_trials(seed, n=200)
    roc, swapped = Roc.from_scores(scores, is_target), Roc.from_scores(-scores, ~is_target)
    assert eer_rocch(swapped) == pytest.approx(eer_rocch(roc))
    assert min_dcf(swapped, 0.95, 2, 3) == pytest.approx(min_dcf(roc, 0.05, 3, 2))
    assert min_cllr(swapped) == pytest.approx(min_cllr(roc))
    assert cllr(swapped) == pytest.approx(cllr(roc))


@pytest.mark.parametrize("name", [*RANKING, "cllr"])
def test_weight_counts_as_repeated_trials_and_zero_as_none(name):
    scores, is_target = random_trials(3, n=300)
    figure = {**RANKING, "cllr": cllr}[name]
    weights = np.random.default_rng(0).integers(0, 4, len(scores))
    repeated = Roc.from_scores(np.repeat(scores, weights), np.repeat(is_target, weights))
    assert figure(Roc.from_scores(scores, is_target, weights)) == pytest.approx(figure(repeated), abs=1e-12)


def test_equal_weights_of_partitions_average_their_error_rates():
    """With trials weighed by one over their number in a partition, rates are the mean over partitions (SRE16)."""
    scores, is_target = random_trials(4, n=300)
    part = np.random.default_rng(1).random(300) < 0.2
    weights = np.empty(300)
    rates = []
    for chosen in (part, ~part):
        for kind in (is_target, ~is_target):
            weights[chosen & kind] = 1 / np.sum(chosen & kind)
        rates.append(act_dcf_point(Roc.from_scores(scores[chosen], is_target[chosen]), 0.2))
    both = act_dcf_point(Roc.from_scores(scores, is_target, weights), 0.2)
    assert both.miss == pytest.approx(np.mean([rate.miss for rate in rates]))
    assert both.false_alarm == pytest.approx(np.mean([rate.false_alarm for rate in rates]))


def test_eer_definitions_agree_with_many_targets_and_hull_is_lowest():
    rng = np.random.default_rng(0)
    is_target = rng.random(100_000) < 0.5
    roc = Roc.from_scores(rng.normal(is_target * 2.0), is_target)
    assert eer_rocch(roc) == pytest.approx(0.158655, abs=3e-3)  # Phi(-1); three standard errors
    assert eer_nearest(roc) == pytest.approx(eer_rocch(roc), abs=1e-3)
    assert eer_kaldi(roc) == pytest.approx(eer_rocch(roc), abs=1e-3)
    for seed in range(20):
        roc = Roc.from_scores(*random_trials(seed))
        assert eer_rocch(roc) <= min(eer_nearest(roc), eer_kaldi(roc)) + 1e-12


@pytest.mark.parametrize("name", list(RANKING))
def test_separable_scores_cost_nothing(name):
    assert RANKING[name](Roc.from_scores([1.0, 2.0, 3.0, -np.inf], [False, True, True, False])) == 0


@pytest.mark.parametrize(("name", "worst"), [("eer_rocch", 0.5), ("min_dcf", 1), ("min_cprimary", 1), ("min_cllr", 1)])
def test_scores_that_say_nothing_or_the_opposite_cost_as_much_as_no_scores(name, worst):
    for scores in ([0.0] * 4, [3.0, 2.0, 1.0, 0.0]):
        assert RANKING[name](Roc.from_scores(scores, [0, 0, 1, 1])) == pytest.approx(worst)


def test_a_single_target_is_enough():
    """Ranked third of five. Kaldi has no step below 1/1, and no corner of the ROC is nearer than (1/2, 1)."""
    roc = Roc.from_scores([5.0, 4.0, 3.0, 2.0, 1.0], [False, False, True, False, False])
    assert eer_rocch(roc) == pytest.approx(1 / 3)
    assert eer_nearest(roc) == 1
    assert eer_kaldi(roc) == 0
    assert min_dcf(roc, 0.01) == 1


def test_threshold_of_min_dcf_gives_its_cost_when_scores_at_it_are_accepted():
    scores, is_target = random_trials(7, n=300)
    point = min_dcf_point(Roc.from_scores(scores, is_target), 0.3)
    miss = np.mean(scores[is_target] < point.threshold)
    false_alarm = np.mean(scores[~is_target] >= point.threshold)
    assert (point.miss, point.false_alarm) == (miss, false_alarm)
    assert point.cost == pytest.approx((0.3 * miss + 0.7 * false_alarm) / 0.3)


# -- Log-likelihood ratios -------------------------------------------------------------------------------------


def test_act_dcf_counts_the_errors_at_the_bayes_threshold():
    scores, is_target = random_trials(8, n=500)
    roc = Roc.from_scores(scores, is_target)
    for p, c_miss, c_fa in ((0.3, 1, 1), (0.01, 10, 1), (0.6, 1, 3)):
        accepted = scores >= np.log(c_fa * (1 - p) / (c_miss * p))
        cost = c_miss * p * np.mean(~accepted[is_target]) + c_fa * (1 - p) * np.mean(accepted[~is_target])
        assert act_dcf(roc, p, c_miss, c_fa) == pytest.approx(cost / min(c_miss * p, c_fa * (1 - p)))


def test_act_dcf_accepts_a_score_at_the_threshold_itself():
    assert act_dcf(Roc.from_scores([0.0, -1.0], [True, False]), 0.5) == 0
    assert act_dcf(Roc.from_scores([np.inf, -np.inf], [True, False]), 0.01) == 0


def test_cprimary_is_the_mean_over_the_priors_of_sre16():
    roc = Roc.from_scores(*random_trials(9, n=500))
    assert min_cprimary(roc) == pytest.approx((min_dcf(roc, 0.01) + min_dcf(roc, 0.005)) / 2)
    assert act_cprimary(roc) == pytest.approx((act_dcf(roc, 0.01) + act_dcf(roc, 0.005)) / 2)


def test_cllr_equals_its_definition():
    scores, is_target = random_trials(10, n=300)
    tar, non = scores[is_target], scores[~is_target]
    expected = (np.mean(np.log2(1 + np.exp(-tar))) + np.mean(np.log2(1 + np.exp(non)))) / 2
    assert cllr(Roc.from_scores(scores, is_target)) == pytest.approx(expected)


def test_cllr_of_zeros_is_one_bit_and_of_certain_right_scores_nothing():
    assert cllr(Roc.from_scores([0.0, 0.0], [True, False])) == pytest.approx(1)
    assert cllr(Roc.from_scores([np.inf, -np.inf], [True, False])) == 0
    assert cllr(Roc.from_scores([-np.inf, 0.0], [True, False])) == np.inf


def test_large_scores_do_not_overflow_cllr():
    assert cllr(Roc.from_scores([1e4, -1e4, 1e4], [True, False, False])) == pytest.approx(1e4 / np.log(2) / 4)


def test_min_cllr_is_cllr_of_the_pav_scores_and_below_that_of_any_scaling():
    scores, is_target = random_trials(11, n=400, decimals=9)
    scores[is_target] = np.clip(scores[is_target], -1, None)
    roc = Roc.from_scores(scores, is_target)
    mapped = pav_llr(roc)[np.searchsorted(roc.thresholds_P[:-1], scores)]
    assert min_cllr(roc) == pytest.approx(cllr(Roc.from_scores(mapped, is_target)))
    assert min_cllr(roc) <= min(cllr(Roc.from_scores(a * scores + b, is_target)) for a in (0.5, 1, 2) for b in (-1, 0))


@pytest.mark.parametrize("seed", range(4))
def test_figures_of_the_hull_are_those_of_the_roc(seed):
    """Of ties and weights too; its edges turn one way, and no point of the ROC lies below."""
    rng = np.random.default_rng(seed)
    is_target = rng.random(300) < 0.3
    scores = np.round(rng.normal(1.5 * is_target), 1 + seed % 2)
    roc = Roc.from_scores(scores, is_target, rng.integers(0, 4, 300) / (1 + seed % 2))
    hull = rocch(roc)
    assert len(hull.thresholds_P) < len(roc.thresholds_P) / 2
    assert (hull.n_target, hull.n_nontarget) == (roc.n_target, roc.n_nontarget)
    for figure in (eer_rocch, min_cllr, min_cprimary, lambda roc: min_dcf(roc, 0.3)):
        assert figure(hull) == pytest.approx(figure(roc), abs=1e-12)
    across_E, up_E = np.diff(hull.false_alarms_P), np.diff(hull.missed_P)
    assert (across_E[:-1] * up_E[1:] < across_E[1:] * up_E[:-1]).all()
    on_hull_P = np.interp(roc.false_alarm_P, hull.false_alarm_P[::-1], hull.miss_P[::-1])
    assert (roc.miss_P >= on_hull_P - 1e-12).all()


# -- What is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "labels", "weights", "message"),
    [
        ([1.0, np.nan, np.nan], [1, 0, 1], None, "2 of 3 scores are NaN"),
        ([1.0, 2.0], [True], None, "one each a trial"),
        ([1.0, 2.0], [True, True], None, "no non-target trial among 2"),
        ([1.0, 2.0], [False, False], None, "no target trial among 2"),
        ([], [], None, "no target trial among 0"),
        ([1.0, 2.0], ["target", "nontarget"], None, "true or false"),
        ([1.0, 2.0], [1, 2], None, "true or false"),
        ([1.0, 2.0], [1, 0], [1.0], "2 scores but 1 weights"),
        ([1.0, 2.0], [1, 0], [1.0, -1.0], "1 of 2 trial weights"),
        ([1.0, 2.0], [1, 0], [1.0, 0.0], "no non-target trial"),
    ],
)
def test_bad_trials_are_refused_in_one_line(scores, labels, weights, message):
    with pytest.raises(DataError, match=message) as error:
        Roc.from_scores(scores, labels, weights)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("p", "c_miss"), [(0, 1), (1, 1), (0.01, 0)])
def test_meaningless_costs_are_refused(p, c_miss):
    with pytest.raises(ConfigError, match="a prior between 0 and 1"):
        min_dcf(Roc.from_scores([1.0, 0.0], [1, 0]), p, c_miss)


def test_kaldi_eer_of_fractional_weights_is_refused():
    with pytest.raises(ValueError, match="eer_rocch"):
        eer_kaldi(Roc.from_scores([1.0, 0.0], [1, 0], [0.5, 1]))
