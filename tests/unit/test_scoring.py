"""Scores of trial lists: joined by name, blocks and pairs alike, models of several utterances, score files."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from runs import made_run

import sv.scoring.trials
from sv.backends.backend import train_backend
from sv.backends.files import read_array
from sv.cli import score, train_backends
from sv.data.ark import ArkWriter
from sv.data.tables import read_table, write_table
from sv.data.trials import Trials
from sv.data.vectors import Vectors
from sv.errors import ConfigError, DataError
from sv.records import Step
from sv.scoring.trials import read_scores, score_trials, write_scores
from sv.systems.backends import CosineBackend, PldaBackend
from sv.systems.reading import find_systems, load_system

CONF = Path(__file__).parents[1] / "data" / "conf"
RNG = np.random.default_rng(0)
DIM = 6


def vectors(count, prefix="utt"):
    return Vectors([f"{prefix}{i:03d}" for i in range(count)], RNG.normal(size=(count, DIM)), np.ones(count, int))


def random_trials(count, models, tests, repeat=False):
    pairs = sorted(
        {(models.keys[i], tests.keys[j]) for i, j in RNG.integers(0, (len(models.keys), len(tests.keys)), (count, 2))}
    )
    pairs = [pairs[i] for i in RNG.permutation(len(pairs))] + (pairs[:3] if repeat else [])
    return Trials([e for e, _ in pairs], [t for _, t in pairs], RNG.random(len(pairs)) < 0.5)


@pytest.fixture(params=["cosine", "plda"])
def backend(request):
    speaker_N = np.repeat(np.arange(20), 5)
    x_ND = RNG.normal(size=(20, DIM))[speaker_N] * 2 + RNG.normal(size=(100, DIM))
    settings = {"cosine": CosineBackend(name="cosine"), "plda": PldaBackend(name="plda", lda_dim=4)}
    return train_backend(settings[request.param], x_ND, speaker_N)


def one_by_one(backend, enrol, test, trials):
    """Each trial on its own."""
    found = []
    for e, t in zip(trials.enrol, trials.test, strict=True):
        i, j = enrol.keys.index(e), test.keys.index(t)
        found.append(float(backend.scorer(enrol.take([i]), test.take([j])).pairs([0], [0])[0]))
    return found


@pytest.mark.parametrize("block", [1, 7, 40, 1 << 20])
@pytest.mark.parametrize("way", ["_by_blocks", "_by_pairs"])
def test_blocks_and_pairs_score_as_one_by_one(backend, monkeypatch, way, block):
    """Models of one to four utterances, trials in any order, some twice."""
    test = vectors(30)
    enrol = test.means({f"m{i:02d}": test.keys[i : i + 1 + i % 4] for i in range(20)})
    trials = random_trials(150, enrol, test, repeat=True)
    for name in ("_by_blocks", "_by_pairs"):
        monkeypatch.setattr(sv.scoring.trials, name, getattr(sv.scoring.trials, way))
    monkeypatch.setattr(sv.scoring.trials, "BLOCK_SCORES", block)
    monkeypatch.setattr(sv.scoring.trials, "BLOCK_PAIRS", block)
    expected = one_by_one(backend, enrol, test, trials)
    assert np.allclose(score_trials(backend, enrol, test, trials), expected, atol=1e-9)


def test_sparse_list_is_scored_by_pairs_and_dense_one_by_blocks(backend, monkeypatch):
    used = []
    for name in ("_by_blocks", "_by_pairs"):
        honest = getattr(sv.scoring.trials, name)
        monkeypatch.setattr(sv.scoring.trials, name, lambda *a, n=name, h=honest: used.append(n) or h(*a))
    many = vectors(400)
    score_trials(backend, many, many, Trials(many.keys, many.keys[::-1], None))
    few = vectors(5)
    score_trials(backend, few, few, random_trials(20, few, few))
    assert used == ["_by_pairs", "_by_blocks"]


def test_a_set_against_itself_by_few_pairs_is_one_side_and_scores_as_against_a_copy(backend, monkeypatch):
    """The utterances that a list names, of which some are models, some tests and some both."""
    both, honest = vectors(2000), type(backend).scorer
    trials = random_trials(200, both.take(np.arange(400, 1500)), both.take(np.arange(1300, 1900)))
    sides = []
    monkeypatch.setattr(type(backend), "scorer", lambda *given: sides.append(given[1:]) or honest(*given))
    expected = score_trials(backend, both, replace(both), trials)
    assert score_trials(backend, both, both, trials) == pytest.approx(expected, abs=1e-12)
    assert [one is other for one, other in sides] == [False, True]
    assert sorted(sides[1][0].keys) == sorted({*trials.enrol, *trials.test})


def test_ids_are_joined_by_name_whatever_the_order(backend):
    test = vectors(20)
    trials = random_trials(60, test, test)
    expected = score_trials(backend, test, test, trials)
    order = RNG.permutation(20)
    shuffled = Vectors([test.keys[i] for i in order], test.x_ND[order], test.num_utts_N[order])
    rows = RNG.permutation(len(trials))
    others = Trials([trials.enrol[i] for i in rows], [trials.test[i] for i in rows], trials.is_target[rows])
    assert np.allclose(score_trials(backend, shuffled, shuffled, others), expected[rows], atol=1e-12)


def test_model_is_the_mean_of_its_utterances_with_their_number():
    test = vectors(10)
    models = test.means({"b": ["utt003"], "a": ["utt001", "utt002", "utt005"]})
    assert models.keys == ["a", "b"]
    assert models.num_utts_N.tolist() == [3, 1]
    assert np.allclose(models.x_ND, [test.x_ND[[1, 2, 5]].mean(0), test.x_ND[3]])


def test_model_of_an_utterance_without_an_embedding_is_one_line():
    with pytest.raises(DataError, match=r"^2 enrolment utterances have no embedding: x, y; rerun stage 5$"):
        vectors(3).means({"a": ["utt001", "x"], "b": ["y"]})


def test_trial_without_an_embedding_is_one_line(backend):
    test = vectors(5)
    trials = Trials(["utt000", "utt001", "zz"], ["q", "utt002", "q"], None)
    with pytest.raises(DataError, match=r"^1 of 3 trials name a model without an embedding \(first: zz\)$"):
        score_trials(backend, test, test, trials)
    with pytest.raises(DataError, match=r"^1 of 2 trials name a test utterance without an embedding \(first: q\)$"):
        score_trials(backend, test, test, Trials(trials.enrol[:2], trials.test[:2], None))


def test_embeddings_of_two_sizes_are_one_line(backend):
    enrol, test = vectors(3), vectors(4, "test")
    with pytest.raises(DataError, match="the models' embeddings have 6 dimensions, the tests' 5; rerun stage 5"):
        score_trials(backend, enrol, replace(test, x_ND=test.x_ND[:, :5]), random_trials(9, enrol, test))


def test_score_that_is_no_number_is_one_line(backend):
    bad = Vectors(["a", "b"], np.array([[1.0] * DIM, [np.nan] * DIM]), np.ones(2, int))
    with pytest.raises(DataError, match=r"^the score of trial a b is not a number$"):
        score_trials(backend, bad, bad, Trials(["a", "a"], ["a", "b"], None))


# -- Score files ---------------------------------------------------------------------------------------------


TRIALS = Trials(["a", "a", "b"], ["x", "y", "x"], np.array([True, False, False]))


def test_scores_come_back(tmp_path):
    write_scores(tmp_path / "s", TRIALS, np.array([1.5, -2.0000004, 3e5]))
    assert (tmp_path / "s").read_text() == "a x 1.500000\na y -2.000000\nb x 300000.000000\n"
    assert read_scores(tmp_path / "s", TRIALS).tolist() == [1.5, -2.0, 3e5]


@pytest.mark.parametrize("text", ["b x 3\na y 2\na x 1\n", "a x 1\na y 2\nb x 3\nb z 4\n", "a\tx  1\na y 2\nb x 3"])
def test_scores_of_any_order_are_joined_by_both_ids(tmp_path, text):
    (tmp_path / "s").write_text(text)
    assert read_scores(tmp_path / "s", TRIALS).tolist() == [1, 2, 3]


def test_infinite_scores_are_scores(tmp_path):
    (tmp_path / "s").write_text("a x inf\na y -inf\nb x 0\n")
    assert read_scores(tmp_path / "s", TRIALS).tolist() == [np.inf, -np.inf, 0]


def test_what_a_list_repeats_is_found_once_and_pairs_of_a_file_in_order_are_not_made(tmp_path, monkeypatch):
    """By the second file there is nothing more to find out about the list."""
    trials = Trials(["a", "a", "b"], ["x", "y", "x"], None)
    for name, values in (("s", [1, 5, 2]), ("t", [3, 4, 9])):
        write_scores(tmp_path / name, trials, np.array(values))
    assert read_scores(tmp_path / "s", trials).tolist() == [1, 5, 2]
    monkeypatch.setattr(Trials, "pairs", lambda self: pytest.fail("pairs are made"))
    assert read_scores(tmp_path / "t", trials).tolist() == [3, 4, 9]


def test_trial_that_comes_twice_has_one_score(tmp_path):
    twice = Trials(["a", "a", "b"], ["x", "x", "x"], None)
    write_scores(tmp_path / "s", twice, np.array([1, 1, 2]))
    assert read_scores(tmp_path / "s", twice).tolist() == [1, 1, 2]
    write_scores(tmp_path / "s", twice, np.array([1, 5, 2]))
    with pytest.raises(DataError, match=r"s:2: a x has another score in an earlier line"):
        read_scores(tmp_path / "s", twice)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a x 1\na y\nb x 3\n", "s:2: 'a y' is not 'enrol test score'"),
        ("a x 1\na y two\nb x 3\n", "s:2: 'a y two' is not"),
        ("a x 1\na y nan\nb x 3\n", "s:2: the score of a y is not a number"),
        ("a x 1\nb x 3\n", r"s: 1 of 3 trials have no score \(first: a y\)"),
        ("", r"s: 3 of 3 trials have no score \(first: a x\)"),
    ],
)
def test_malformed_score_file_is_one_line(tmp_path, text, problem):
    (tmp_path / "s").write_text(text)
    with pytest.raises(DataError, match=problem) as caught:
        read_scores(tmp_path / "s", TRIALS)
    assert "\n" not in str(caught.value)


def test_missing_score_file_says_what_makes_it(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read \(No such file or directory\); score first \(stage 7\)"):
        read_scores(tmp_path / "s", TRIALS)


# -- The commands --------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with embeddings of a training and a test set, and its back ends; the working folder is tmp_path."""
    monkeypatch.chdir(tmp_path)
    small = find_systems(CONF)["small"]
    run = made_run("exp", "x", 1, load_system(small))
    for name, utts in {"train": 8, "test": 3}.items():
        folder = run.embeddings(name)
        with ArkWriter(folder / "xvector") as archive:
            for s in range(10):
                mean = np.random.default_rng([s, len(name)]).normal(size=DIM) * 3
                for u in range(utts):
                    archive.write(f"s{s}-{u}", RNG.normal(size=DIM) + mean)
        write_table(folder / "utt2spk", {f"s{s}-{u}": f"s{s}" for s in range(10) for u in range(utts)})
    command(monkeypatch, train_backends, "--train", "train", run.path)
    return run


def command(monkeypatch, module, *arguments):
    monkeypatch.setattr("sys.argv", [module.__name__, *map(str, arguments)])
    module.main()


def write_trials(tmp_path, enrol, test):
    pairs = [(e, t) for e in enrol for t in test]
    targets = np.array([e.split("-")[0] == t.split("-")[0] for e, t in pairs])
    Trials([e for e, _ in pairs], [t for _, t in pairs], targets).write(tmp_path / "trials_list")
    return tmp_path / "trials_list"


def test_score_command_scores_with_every_back_end(run, tmp_path, monkeypatch, capsys):
    """Files by back end, each with every trial; targets score higher than the rest."""
    path = write_trials(tmp_path, [f"s{s}-0" for s in range(10)], [f"s{s}-1" for s in range(10)])
    command(monkeypatch, score, "--enrol", "test", "--test", "test", run.path, path)
    said, trials = capsys.readouterr().out, Trials.read(path)
    for backend in ("cosine", "plda"):
        found = read_scores(run.scores("list", backend), trials)
        assert found[trials.is_target].mean() > found[~trials.is_target].mean() + found.std()
        assert f"exp/x/seed1/scores/list.{backend}: 100 trials\n" in said


def test_shuffled_files_give_the_same_scores(run, tmp_path, monkeypatch):
    """scp and trial list in another order: the same score for each trial."""
    path = write_trials(tmp_path, ["s1-0", "s2-0"], [f"s{s}-1" for s in range(10)])
    command(monkeypatch, score, "--enrol", "test", "--test", "test", run.path, path)
    before = {tuple(line.split()[:2]): line for line in run.scores("list", "plda").read_text().splitlines()}
    for file in (path, run.embeddings("test") / "xvector.scp"):
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(lines[i] for i in RNG.permutation(len(lines))))
    command(monkeypatch, score, "--enrol", "test", "--test", "test", run.path, path)
    after = run.scores("list", "plda").read_text().splitlines()
    assert {tuple(line.split()[:2]): line for line in after} == before
    assert [line.split()[:2] for line in after] == [line.split()[:2] for line in path.read_text().splitlines()]


def test_models_of_several_utterances_are_enrolled_by_their_mean(run, tmp_path, monkeypatch):
    write_table(tmp_path / "models", {"m1": "s1-0 s1-1", "m2": "s2-0"})
    path = write_trials(tmp_path, ["m1", "m2"], ["s1-2", "s2-2", "s3-2"])
    command(monkeypatch, score, "--enrol", "test", "--test", "test", "--models", tmp_path / "models", run.path, path)
    trials, test = Trials.read(path), Vectors.read(run.embeddings("test") / "xvector.scp")
    enrol = test.means({"m1": ["s1-0", "s1-1"], "m2": ["s2-0"]})
    train = Vectors.read(run.embeddings("train") / "xvector.scp")
    backend = train_backend(PldaBackend(name="plda", lda_dim=3), train.x_ND, np.repeat(np.arange(10), 8))
    expected = one_by_one(backend, enrol, test, trials)
    assert np.allclose(read_scores(run.scores("list", "plda"), trials), expected, atol=1e-6)


def test_missing_embedding_is_one_line_that_says_what_to_do(run, tmp_path, monkeypatch):
    path = write_trials(tmp_path, ["s1-0"], ["s1-1", "gone-1", "gone-2"])
    with pytest.raises(DataError) as caught:
        command(monkeypatch, score, "--enrol", "test", "--test", "test", run.path, path)
    assert str(caught.value) == (
        f"{path}: 2 of 3 trials name a test utterance without an embedding (first: gone-1);"
        " why stands in dropped.txt beside the embeddings; rerun stage 5, or leave such trials out with --allow-missing"
    )
    assert not run.scores("list", "plda").exists()


def test_allow_missing_leaves_them_out_and_lists_them(run, tmp_path, monkeypatch, capsys):
    """Test utterances, and models with any utterance missing, by name and reason; nothing else is left out."""
    write_table(tmp_path / "models", {"m1": "s1-0 s1-1", "m2": "s2-0 gone-0", "m3": "gone-9"})
    path = write_trials(tmp_path, ["m1", "m2"], ["s1-2", "gone-1"])
    options = ("--enrol", "test", "--test", "test", "--models", tmp_path / "models", run.path, path)
    command(monkeypatch, score, "--allow-missing", *options)
    assert [line.split()[:2] for line in run.scores("list", "plda").read_text().splitlines()] == [["m1", "s1-2"]]
    assert read_table(run.path / "scores" / "list.dropped.txt") == {
        "gone-1": "test utterance without an embedding",
        "m2": "model without an embedding of gone-0",
    }
    assert "1 trials, 2 ids without an embedding: list.dropped.txt" in capsys.readouterr().out
    write_table(tmp_path / "models", {"m1": "s1-0", "m2": "s2-0"})
    write_trials(tmp_path, ["m1", "m2"], ["s1-2"])
    command(monkeypatch, score, *options)
    assert not (run.path / "scores" / "list.dropped.txt").exists()


def score_dropped(monkeypatch, run, path, *options):
    command(monkeypatch, score, "--allow-dropped", "--enrol", "test", "--test", "test", *options, run.path, path)


@pytest.mark.parametrize("where", ["data", "features", "embeddings"])
def test_allow_dropped_leaves_out_what_a_dropped_txt_names(run, tmp_path, monkeypatch, where):
    """The set's, its features', its embeddings'; the reason there is kept."""
    data = tmp_path / "data" / "test"
    record = {"data": data, "features": data / "feats" / run.system.features, "embeddings": run.embeddings("test")}
    write_table(record[where] / "dropped.txt", {"gone-1": "truncated", "s9-9": "not in the list"})
    path = write_trials(data, ["s1-0"], ["s1-1", "gone-1"])
    score_dropped(monkeypatch, run, path)
    assert [line.split()[:2] for line in run.scores("list", "plda").read_text().splitlines()] == [["s1-0", "s1-1"]]
    assert read_table(run.path / "scores" / "list.dropped.txt") == {"gone-1": "truncated"}


def test_allow_dropped_knows_the_enrolment_set_too(run, tmp_path, monkeypatch):
    """A set of its own beside that of the list."""
    write_table(tmp_path / "data" / "enrol" / "dropped.txt", {"gone-0": "truncated"})
    write_table(run.embeddings("enrol") / "xvector.scp", read_table(run.embeddings("test") / "xvector.scp"))
    path = write_trials(tmp_path / "data" / "test", ["s1-0", "gone-0"], ["s1-1"])
    command(monkeypatch, score, "--allow-dropped", "--enrol", "enrol", "--test", "test", run.path, path)
    assert [line.split()[:2] for line in run.scores("list", "plda").read_text().splitlines()] == [["s1-0", "s1-1"]]


@pytest.mark.parametrize(("enrol", "test"), [(["s1-0"], ["s1-1", "gone-1", "gone-2"]), (["s1-0", "gone-2"], ["s1-1"])])
def test_allow_dropped_refuses_an_id_that_no_dropped_txt_names(run, tmp_path, monkeypatch, enrol, test):
    """As a misspelt one; nothing is written."""
    write_table(tmp_path / "data" / "test" / "dropped.txt", {"gone-1": "truncated"})
    path = write_trials(tmp_path / "data" / "test", enrol, test)
    with pytest.raises(DataError, match=r"without an embedding \(first: gone-2\)"):
        score_dropped(monkeypatch, run, path)
    assert not (run.path / "scores").exists()


def test_allow_dropped_leaves_out_models_of_dropped_utterances_only(run, tmp_path, monkeypatch):
    """A model with one of them goes; one of an utterance that nobody knows is an error, used or not."""
    write_table(tmp_path / "data" / "test" / "dropped.txt", {"gone-0": "truncated"})
    path = write_trials(tmp_path / "data" / "test", ["m1", "m2"], ["s1-2"])
    write_table(tmp_path / "models", {"m1": "s1-0 s1-1", "m2": "s2-0 gone-0"})
    score_dropped(monkeypatch, run, path, "--models", tmp_path / "models")
    assert [line.split()[:2] for line in run.scores("list", "plda").read_text().splitlines()] == [["m1", "s1-2"]]
    assert read_table(run.path / "scores" / "list.dropped.txt") == {"m2": "model without an embedding of gone-0"}
    write_table(tmp_path / "models", {"m1": "s1-0 s1-1", "m2": "s2-0 gone-0", "m3": "s3-0 gone-7"})
    with pytest.raises(DataError, match="1 enrolment utterances have no embedding: gone-7"):
        score_dropped(monkeypatch, run, path, "--models", tmp_path / "models")


def test_no_trial_left_names_the_list(run, tmp_path, monkeypatch):
    path = write_trials(tmp_path, ["s1-0"], ["gone-1"])
    with pytest.raises(DataError, match=f"^{path}: no trial is left"):
        command(monkeypatch, score, "--allow-missing", "--enrol", "test", "--test", "test", run.path, path)


def test_too_little_training_data_names_run_and_back_end(run, monkeypatch):
    made_run("exp", "x", 1, run.system.model_copy(update={"backends": {"big": PldaBackend(name="plda", lda_dim=6)}}))
    write_table(run.embeddings("train") / "utt2spk", {f"s{s}-{u}": f"s{s // 4}" for s in range(10) for u in range(8)})
    with pytest.raises(DataError, match=r"^exp/x/seed1: back end big: LDA to 6 dimensions needs 7 speakers"):
        command(monkeypatch, train_backends, "--train", "train", run.path)


ADAPTED = {"old": PldaBackend(name="plda", lda_dim=3), "new": PldaBackend(name="plda", lda_dim=3, centre="adapt")}


def extracted(run, name, shift):
    """Leave embeddings and the record of their extraction."""
    folder = run.embeddings(name)
    step = Step("extract", folder, inputs=[], settings={})
    step.begin()
    with ArkWriter(folder / "xvector") as archive:
        for number in range(30):
            archive.write(f"new-{number}", RNG.normal(size=DIM) + shift)
    step.done([folder / "xvector.scp", folder / "xvector.ark"])


def test_back_ends_that_adapt_learn_from_another_set_and_others_do_not(run, monkeypatch, capsys):
    """Without labels, and trained again when that set's embeddings change."""
    run = made_run("exp", "x", 1, run.system.model_copy(update={"backends": ADAPTED}))
    with pytest.raises(
        ConfigError, match="back end new adapts to unlabelled embeddings; name their set with --adapt SET"
    ):
        command(monkeypatch, train_backends, "--train", "train", run.path)
    extracted(run, "new", 3)
    capsys.readouterr()
    command(monkeypatch, train_backends, "--train", "train", "--adapt", "new", run.path)
    said = capsys.readouterr().out
    assert "backend/new: 80 embeddings of 10 speakers, 0 with a single one, adapted to 30\n" in said
    assert "backend/old: 80 embeddings of 10 speakers, 0 with a single one\n" in said
    mean_D = Vectors.read(run.embeddings("new") / "xvector.scp").x_ND.mean(0)
    assert np.array_equal(read_array(run.backend("new") / "mean.vec"), mean_D)
    extracted(run, "new", 4)
    command(monkeypatch, train_backends, "--train", "train", "--adapt", "new", run.path)
    said = capsys.readouterr().out
    assert "backend/new: 80" in said
    assert "backend/old: 80" not in said


def test_back_ends_may_learn_from_the_speakers_of_another_set_alone(run, tmp_path, monkeypatch, capsys):
    """Whichever of their utterances are embedded; none is one line; another choice trains anew."""
    write_table(
        tmp_path / "data" / "some" / "utt2spk",
        {"s1-elsewhere": "s1", "s2-0": "s2", "s7-0": "s7", "s8-1": "s8", "s9-1": "s9"},
    )
    capsys.readouterr()
    command(monkeypatch, train_backends, "--train", "train", "--speakers-of", tmp_path / "data" / "some", run.path)
    assert "backend/cosine: 40 embeddings of 5 speakers" in capsys.readouterr().out
    vectors = Vectors.read(run.embeddings("train") / "xvector.scp")
    kept = [row for row, key in enumerate(vectors.keys) if key[:2] in ("s1", "s2", "s7", "s8", "s9")]
    assert np.allclose(read_array(run.backend("cosine") / "mean.vec"), vectors.x_ND[kept].mean(0))
    write_table(tmp_path / "data" / "none" / "utt2spk", {"x-1": "x"})
    with pytest.raises(DataError, match="no embedding is of the speakers asked for"):
        command(monkeypatch, train_backends, "--train", "train", "--speakers-of", tmp_path / "data" / "none", run.path)


def with_network(run, *sets):
    """The run, with tests/data/conf's classifier as a back end too."""
    return made_run("exp", "x", 1, load_system(find_systems(CONF)["small"], (), sets, [CONF / "backends/network.yaml"]))


def test_a_classifier_is_trained_and_scored_as_any_back_end(run, tmp_path, monkeypatch, capsys):
    """What it learnt in a line; nothing done twice; another setting trains it anew, and no old file stays."""
    trials = write_trials(tmp_path, [f"s{s}-0" for s in range(10)], [f"s{s}-1" for s in range(10)])
    run = with_network(run, "backends.network.hidden_dims=[8, 6]")
    with pytest.raises(DataError, match="run the stage that makes it"):
        command(monkeypatch, score, "--enrol", "test", "--test", "test", run.path, trials)
    command(monkeypatch, train_backends, "--train", "train", run.path)
    said = capsys.readouterr().out
    assert re.search(r"backend/network: classifier of 10 speakers, 20 steps in .* s; of the last 20: loss \d", said)
    assert "backend/network: 80 embeddings of 10 speakers, 0 with a single one" in said
    assert "backend/plda: unchanged, skipped" in said
    assert (run.backend("network") / "layer3.mat").exists()
    command(monkeypatch, score, "--enrol", "test", "--test", "test", run.path, trials)
    scores = run.scores("list", "network").read_text().splitlines()
    assert len(scores) == 100
    assert all(-1 <= float(line.split()[2]) <= 1 for line in scores)
    run = with_network(run)
    with pytest.raises(ConfigError, match=r"network was trained with hidden_dims = \[8, 6\], which is now \[8\]"):
        command(monkeypatch, score, "--enrol", "test", "--test", "test", run.path, trials)
    command(monkeypatch, train_backends, "--train", "train", run.path)
    files = sorted(path.name for path in run.backend("network").iterdir())
    assert files == [".done", "layer1.mat", "layer2.mat", "mean.vec"]


def test_a_classifier_learns_of_all_speakers_unless_told_otherwise(run, tmp_path, monkeypatch, capsys):
    """Where PLDA is trained on some; which they are is nothing to it."""
    table = tmp_path / "data" / "some" / "utt2spk"
    options = ("--train", "train", "--speakers-of", table.parent, run.path)
    run = with_network(run)
    for some, last in (("s0", "s5"), ("s0", "s6")):
        write_table(table, {f"{some}-0": some, "s1-0": "s1", "s2-0": "s2", "s3-0": "s3", f"{last}-0": last})
        capsys.readouterr()
        command(monkeypatch, train_backends, *options)
    said = capsys.readouterr().out
    assert "backend/network: unchanged, skipped" in said
    assert "backend/plda: 40 embeddings of 5 speakers" in said
    with_network(run, "backends.network.speakers=named")
    command(monkeypatch, train_backends, *options)
    assert "backend/network: 40 embeddings of 5 speakers" in capsys.readouterr().out


def test_a_classifier_that_fails_is_one_line_and_leaves_nothing(run, monkeypatch):
    run = with_network(run, "backends.network.optimiser={name: sgd, lr: 1.0e+30}")
    with pytest.raises(DataError, match=r"x/seed1: back end network: the loss is no longer a number \(step \d+\)"):
        command(monkeypatch, train_backends, "--train", "train", run.path)
    assert [path.name for path in run.backend("network").iterdir()] == [".done"]
