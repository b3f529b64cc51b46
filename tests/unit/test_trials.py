"""`sv.data.trials`: reading, writing, what is left without some ids, and what is refused."""

import doctest
from pathlib import Path

import numpy as np
import pytest

import sv.data.trials
from sv.data.trials import Trials, list_name, trial_files
from sv.errors import DataError

LINES = ["m1 t1 target", "m1 t2 nontarget", "m2 t1 nontarget", "m2 t2 target", "m1 t1 target"]


@pytest.fixture
def trials(tmp_path):
    (tmp_path / "trials_x").write_text("\n".join(LINES) + "\n")
    return Trials.read(tmp_path / "trials_x")


def test_lists_are_read_in_their_order(trials):
    """A trial that comes twice counts twice."""
    assert list(zip(trials.enrol, trials.test, trials.is_target.tolist(), strict=True)) == [
        (enrol, test, label == "target") for enrol, test, label in map(str.split, LINES)
    ]
    assert (len(trials), trials.num_targets) == (5, 3)


def test_what_is_written_is_read(trials, tmp_path):
    """With labels and without, byte by byte."""
    trials.write(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "trials_x").read_bytes()
    Trials(trials.enrol, trials.test, None).write(tmp_path / "unlabelled")
    unlabelled = Trials.read(tmp_path / "unlabelled")
    assert unlabelled.is_target is None
    assert (unlabelled.enrol, unlabelled.num_targets) == (trials.enrol, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a b target\na target\na b c d\n", ":3: 'a b c d' is not 'enrol test target|nontarget'"),
        ("a b target\n\n", ":2: '' is not"),
        ("a b Target\n", ":1: 'a b Target' is not"),
        ("1 a b\n", ":1: '1 a b' is not"),
        ("a b target\na c\n", "1 of 2 lines are labelled; all or none must be"),
        ("a b target\nc d target\na b nontarget\n", "trial a b is a target in one line and a non-target in another"),
        ("", "holds no trials"),
    ],
)
def test_malformed_lists_are_refused(tmp_path, text, said):
    (tmp_path / "trials_x").write_text(text)
    with pytest.raises(DataError) as caught:
        Trials.read(tmp_path / "trials_x")
    assert said in str(caught.value)
    assert "trials_x" in str(caught.value)


def test_trials_with_known_ids_remain(trials):
    """Each line by itself against the two sets; the ids that are not in them come back with the reason."""
    rest, dropped = trials.with_ids({"m1"}, {"t1", "t2", "t3"})
    expected = [line for line in LINES if line.startswith("m1")]
    labels = np.where(rest.is_target, "target", "nontarget")
    assert [" ".join(line) for line in zip(rest.enrol, rest.test, labels, strict=True)] == expected
    assert dropped == {"m2": "model without an embedding"}
    with pytest.raises(DataError, match="no trial is left"):
        trials.with_ids(set(), {"t1"})


def test_unknown_ids_are_counted_and_named(trials):
    """By trials, not by ids."""
    trials.require({"m1", "m2"}, {"t1", "t2"}, "an embedding")
    with pytest.raises(DataError, match=r"3 of 5 trials name a model without an embedding \(first: m1\)"):
        trials.require({"m2"}, {"t1", "t2"}, "an embedding")
    with pytest.raises(DataError, match=r"2 of 5 trials name a test utterance without an embedding \(first: t2\)"):
        trials.require({"m1", "m2"}, {"t1"}, "an embedding")


def test_lists_of_a_directory_are_found_by_name(tmp_path):
    """trials_NAME, and Kaldi's plain trials; nothing else that begins so."""
    for name in ("trials_o", "trials_o_cleaned", "trials", "trials.bak", "trialset", "utt2spk"):
        (tmp_path / name).write_text("")
    found = {name: path.name for name, path in trial_files(tmp_path).items()}
    assert found == {"o": "trials_o", "o_cleaned": "trials_o_cleaned", "trials": "trials"}


def test_a_trial_that_comes_twice_is_known():
    """By both ids."""
    assert Trials(["a", "b", "a"], ["x", "x", "x"], None).has_repeats
    assert not Trials(["a", "b", "a"], ["x", "x", "y"], None).has_repeats


def test_a_list_has_the_name_of_its_file():
    assert [list_name(Path("x", name)) for name in ("trials_vox1_o", "trials")] == ["vox1_o", "trials"]


def test_examples_run():
    result = doctest.testmod(sv.data.trials)
    assert result.attempted > 0
    assert result.failed == 0
