"""The bootstrap over speakers against the same thing done trial by trial, and its coverage."""

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from sv import bootstrap
from sv.errors import ConfigError, DataError
from sv.metrics import eer_rocch, min_cllr, min_dcf
from sv.resampled import Speakers
from sv.roc import Roc

FIGURES = {"eer": eer_rocch, "min_dcf": lambda roc: min_dcf(roc, 0.05), "min_cllr": min_cllr}


def bootstrap_ci(scores, is_target, enrol, test, statistics, **options):
    """Of a list's convex hull, which most figures here are of."""
    speakers = Speakers.of(enrol, test, np.asarray(is_target))
    return bootstrap.bootstrap_ci(bootstrap.of_hull(scores, is_target, speakers, statistics), speakers.count, **options)


def bootstrap_difference(one, other, is_target, enrol, test, statistics, **options):
    speakers = Speakers.of(enrol, test, np.asarray(is_target))
    systems = (bootstrap.of_hull(scores, is_target, speakers, statistics) for scores in (one, other))
    return bootstrap.bootstrap_difference(*systems, speakers.count, **options)


def trials_between(seed, n_speakers=12, eer=0.1, per_speaker=6, speaker_effect=0.5):
    """All pairs of speakers once or twice and some targets each; scores normal with the given EER at 0.

    Half of a score's variance (with speaker_effect = 0.5) is shared by a speaker's trials.
    """
    rng = np.random.default_rng(seed)
    a, b = np.nonzero(~np.eye(n_speakers, dtype=bool))
    enrol = np.concatenate([a, np.repeat(np.arange(n_speakers), per_speaker)])
    test = np.concatenate([b, np.repeat(np.arange(n_speakers), per_speaker)])
    is_target = enrol == test
    own, other = rng.normal(size=n_speakers), rng.normal(size=n_speakers)
    shared = np.where(is_target, own[enrol], (other[enrol] + other[test]) / np.sqrt(2))
    noise = rng.normal(size=len(enrol))
    scores = np.sqrt(speaker_effect) * shared + np.sqrt(1 - speaker_effect) * noise
    scores += np.where(is_target, 1, -1) * -ndtri(eer)
    names = np.array([f"spk{i:02d}" for i in range(n_speakers)])
    return scores, is_target, names[enrol].tolist(), names[test].tolist()


def test_replicates_equal_lists_with_the_trials_really_repeated():
    """Every draw, as a list of people, is made into trials by two loops; the figures must be the same."""
    scores, is_target, enrol, test = trials_between(0, n_speakers=6, per_speaker=3)
    scores = np.round(scores, 1)
    seen = {name: [] for name in FIGURES}
    keeping = {name: lambda roc, n=name: (seen[n].append(FIGURES[n](roc)), seen[n][-1])[1] for name in FIGURES}
    result = bootstrap_ci(scores, is_target, enrol, test, keeping, n_boot=30, seed=5)

    names = sorted({*enrol, *test})
    by_pair = {}
    for score, e, t in zip(scores, enrol, test, strict=True):
        by_pair.setdefault((e, t), []).append(score)
    expected = {name: [] for name in FIGURES}
    for i in range(30):
        people = [names[k] for k in np.random.default_rng([5, i]).integers(6, size=6)]
        trials = []
        for x, e in enumerate(people):
            for y, t in enumerate(people):
                if x == y or e != t:  # the person against itself, or people who are not copies of one
                    trials += [(score, x == y) for score in by_pair.get((e, t), [])]
        roc = Roc.from_scores([s for s, _ in trials], [label for _, label in trials])
        for name, figure in FIGURES.items():
            expected[name].append(figure(roc))
    assert (result.n_used, result.n_skipped, result.n_speakers) == (30, 0, 6)
    for name, figure in FIGURES.items():
        assert result.estimates[name] == seen[name].pop(0) == pytest.approx(figure(Roc.from_scores(scores, is_target)))
        assert seen[name] == pytest.approx(expected[name], abs=1e-12)


@pytest.mark.parametrize(
    ("n_speakers", "n_lists", "at_least"),
    [(24, 60, 0.75), pytest.param(200, 60, 0.84, marks=pytest.mark.slow)],
)
def test_interval_covers_the_true_eer_about_as_often_as_it_says(n_speakers, n_lists, at_least):
    """Simulated lists with a true EER of 10 %, 90 % intervals; few speakers cover less, as the docstring says."""
    covered = 0
    for seed in range(n_lists):
        trials = trials_between(seed, n_speakers)
        low, high = bootstrap_ci(*trials, {"eer": eer_rocch}, n_boot=200, level=0.9).intervals["eer"]
        covered += low <= 0.1 <= high
    assert at_least <= covered / n_lists < 1


def test_interval_of_a_figure_of_too_few_errors_covers_far_less():
    """The least cost at prior .01 of 552 non-target trials, of which 5 may be false alarms, against normals' own."""
    low, high, prior = ndtri(0.1), -ndtri(0.1), 0.01
    t = np.linspace(-8, 8, 20001)
    truth = (ndtr(t - high) + (1 - prior) / prior * ndtr(low - t)).min()
    covered = 0
    for seed in range(30):
        trials = trials_between(seed, 24)
        ends = bootstrap_ci(*trials, {"cost": lambda roc: min_dcf(roc, prior)}, n_boot=100, level=0.9)
        covered += ends.intervals["cost"][0] <= truth <= ends.intervals["cost"][1]
    assert 0 < covered / 30 < 0.6


def test_interval_is_wider_when_trials_of_a_speaker_are_alike():
    """Mean width over 8 lists of 24 speakers, nine tenths of the variance the speaker's against none."""

    def width(speaker_effect):
        widths = []
        for seed in range(8):
            trials = trials_between(seed, n_speakers=24, speaker_effect=speaker_effect)
            low, high = bootstrap_ci(*trials, {"eer": eer_rocch}, n_boot=200).intervals["eer"]
            widths.append(high - low)
        return np.mean(widths)

    assert width(0.9) > 1.5 * width(0.0)


def test_plain_percentiles_follow_when_replicates_lie_evenly_about_the_estimate():
    """A figure that is the replicate's number, estimate in the middle: 95 % leaves 25 of 1000 out at each side."""
    numbers = iter([499.5, *range(1000)])
    result = bootstrap_ci(*trials_between(4), {"number": lambda roc: next(numbers)}, n_boot=1000)
    assert result.estimates["number"] == 499.5
    assert result.intervals["number"] == (25, 974)


def test_interval_depends_on_the_seed_and_not_on_the_order_of_trials():
    scores, is_target, enrol, test = trials_between(2)
    order = np.random.default_rng(0).permutation(len(scores))
    shuffled = (
        scores[order],
        is_target[order],
        [enrol[i] for i in order],
        [test[i] for i in order],
    )
    first = bootstrap_ci(scores, is_target, enrol, test, FIGURES, n_boot=50, seed=1)
    again = bootstrap_ci(*shuffled, FIGURES, n_boot=50, seed=1)
    other = bootstrap_ci(scores, is_target, enrol, test, FIGURES, n_boot=50, seed=2)
    assert first.intervals == again.intervals
    assert first.intervals["eer"] != other.intervals["eer"]


def test_more_figures_do_not_change_the_draws_and_more_level_widens():
    trials = trials_between(3)
    alone = bootstrap_ci(*trials, {"eer": eer_rocch}, n_boot=100).intervals["eer"]
    assert bootstrap_ci(*trials, FIGURES, n_boot=100).intervals["eer"] == alone
    low, high = bootstrap_ci(*trials, {"eer": eer_rocch}, n_boot=100, level=0.5).intervals["eer"]
    assert alone[0] < low < high < alone[1]


def test_draws_without_a_kind_of_trial_are_left_out_and_counted():
    """Of two speakers, half of the draws are one speaker twice, without a non-target trial."""
    trials = ([2.0, 1.0, 0.0], [True, True, False], ["a", "b", "a"], ["a", "b", "b"])
    result = bootstrap_ci(*trials, {"eer": eer_rocch}, n_boot=200)
    assert result.n_used + result.n_skipped == 200
    assert 70 <= result.n_skipped <= 130  # binomial, four standard deviations
    assert result.intervals["eer"] == (0, 0)


@pytest.mark.parametrize(
    ("enrol", "test", "message"),
    [
        (["a", "a"], ["a", "a"], "two or more, this list has 1"),
        (["a", "b"], ["a", "b"], "1 of 2 trials disagree .*trial 1, non-target, b against b"),
        (["a", "a"], ["b", "b"], "1 of 2 trials disagree .*trial 0, target, a against b"),
        (["a"], ["a", "b"], "2 scores but 1 enrolment and 2 test speakers"),
    ],
)
def test_speakers_that_do_not_fit_the_trials_are_refused(enrol, test, message):
    with pytest.raises(DataError, match=message):
        bootstrap_ci([1.0, 0.0], [True, False], enrol, test, FIGURES)


def test_meaningless_options_are_refused():
    for options in ({"n_boot": 0}, {"level": 1.0}):
        with pytest.raises(ConfigError, match="bootstrap needs"):
            bootstrap_ci([1.0, 0.0], [True, False], ["a", "a"], ["a", "b"], FIGURES, **options)


def two_systems(seed, better_by=0.0, n_speakers=20):
    """Two systems on one list, that share what is hard; the first one's targets lie higher by so much."""
    scores, is_target, enrol, test = trials_between(seed, n_speakers)
    rng = np.random.default_rng([seed, 1])
    one, other = (scores + 0.3 * rng.normal(size=len(scores)) for _ in range(2))
    return one + better_by * is_target, other, is_target, enrol, test


def test_a_difference_is_that_of_the_figures_and_its_replicates_those_of_single_lists():
    """By keeping what each replicate of each system has; the interval is that of the differences."""
    one, other, *rest = two_systems(3)
    found = bootstrap_difference(one, other, *rest, FIGURES, n_boot=200, seed=4)
    kept = []
    for scores in (one, other):
        seen = {name: [] for name in FIGURES}
        keeping = {name: lambda roc, n=name, s=seen: (s[n].append(FIGURES[n](roc)), s[n][-1])[1] for name in FIGURES}
        bootstrap_ci(scores, *rest, keeping, n_boot=200, seed=4)
        kept.append({name: np.array(values) for name, values in seen.items()})
    for name, of in found.items():
        (first, *values_1), (second, *values_2) = kept[0][name], kept[1][name]
        assert (of.one, of.other, of.difference) == pytest.approx((first, second, first - second))
        differences = np.array(values_1) - np.array(values_2)
        assert all(np.isclose(differences, end, atol=1e-12).any() for end in of.interval)
        inside = np.mean((differences >= of.interval[0] - 1e-12) & (differences <= of.interval[1] + 1e-12))
        assert 0.85 < inside <= 1  # bias-corrected, so not .95 of these


def test_a_system_does_not_differ_from_itself():
    one, _, *rest = two_systems(0)
    for of in bootstrap_difference(one, one, *rest, FIGURES, n_boot=50).values():
        assert (of.difference, of.interval, of.p) == (0, (0, 0), 1)


def test_a_p_value_agrees_with_its_interval():
    """Below .05 where the 95 % interval leaves out 0, above where it does not; the other way round but for the sign."""
    for seed, better_by in enumerate((0, 0.1, 0.2, 0.4, 1)):
        one, other, *rest = two_systems(seed, better_by)
        found = bootstrap_difference(one, other, *rest, {"eer": eer_rocch}, n_boot=400)["eer"]
        back = bootstrap_difference(other, one, *rest, {"eer": eer_rocch}, n_boot=400)["eer"]
        low, high = found.interval
        assert (found.p < 0.045) <= (low > 0 or high < 0) <= (found.p < 0.055)
        assert back.difference == -found.difference
        assert back.p == pytest.approx(found.p, abs=0.02)
    assert found.p < 0.01


def test_systems_that_are_as_good_differ_seldom():
    """Of 100 pairs without a difference some five have p < .05, 20 speakers being few; pairing narrows intervals."""
    told, widths = 0, []
    for seed in range(100):
        one, other, *rest = two_systems(seed)
        of = bootstrap_difference(one, other, *rest, {"eer": eer_rocch}, n_boot=100)["eer"]
        told += of.p < 0.05
        if seed < 5:
            low, high = bootstrap_ci(one, *rest, {"eer": eer_rocch}, n_boot=100).intervals["eer"]
            widths.append((of.interval[1] - of.interval[0], high - low))
    assert told <= 14
    assert all(paired < 0.8 * alone for paired, alone in widths)
