"""Scores of utterances that are matrices of crops: twins that go pair by pair of crops, and whole commands."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from commands import run_command
from embedding_sets import of_crops, unnamed, write_set
from runs import made_run

import sv.backends.cosine
import sv.backends.euclidean
import sv.data.vectors
import sv.scoring.trials
from sv.backends.backend import train_backend
from sv.data.tables import write_table
from sv.data.trials import Trials
from sv.data.vectors import Vectors
from sv.scoring.trials import read_scores, score_trials
from sv.systems.backends import ClassifierBackend, CosineBackend, EuclideanBackend, PldaBackend
from sv.systems.reading import find_systems, load_system, validate_system

RNG = np.random.default_rng(0)
DIM = 6
TRAIN_ND, SPEAKER_N = RNG.normal(size=(100, DIM)) + 1, np.repeat(np.arange(20), 5)
SIZES = {"alike": lambda row: 10, "unlike": lambda row: 1 + row % 4}  # crops an utterance
SETTINGS = {
    "plain": {"centre": None},
    "centred": {"centre": "train"},
    "adapted": {"centre": "adapt", "whiten": True},
    "LDA": {"centre": "train", "lda_dim": 3},
}
KINDS = {"cosine": CosineBackend, "euclidean": EuclideanBackend}


def utterances(count, sizes):
    """Crops around a point of the utterance's own, single precision as archives have them."""
    points_ND = RNG.normal(size=(count, 1, DIM)) + 1
    return {
        f"utt{row:02d}": (point_1D + RNG.normal(size=(SIZES[sizes](row), DIM)) / 2).astype(np.float32)
        for row, point_1D in enumerate(points_ND)
    }


def trained(kind, **settings):
    return train_backend(KINDS[kind](name=kind, **settings), TRAIN_ND, SPEAKER_N, RNG.normal(size=(50, DIM)) - 1)


def similarity(kind, one_D, two_D):
    """Of two crops."""
    one_D, two_D = (x_D / np.linalg.norm(x_D) for x_D in (one_D, two_D))
    return one_D @ two_D if kind == "cosine" else -np.sqrt(np.sum((one_D - two_D) ** 2))


def pair_by_pair(kind, backend, models, utts, trials):
    """The mean over every crop of the model's utterances and every one of the test utterance."""
    projected = {key: backend.projection(x_CD.astype(np.float64)) for key, x_CD in utts.items()}
    return [
        np.mean([
            similarity(kind, one_D, two_D)
            for utt in models[enrol]
            for one_D, two_D in itertools.product(projected[utt], projected[test])
        ])
        for enrol, test in zip(trials.enrol, trials.test, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize("way", ["_by_blocks", "_by_pairs"])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_score_is_the_mean_over_all_pairs_of_crops(monkeypatch, kind, name, sizes, way):
    """By blocks and by pairs, of tiles that do not come out even, and of models of one utterance to three."""
    for other in ("_by_blocks", "_by_pairs"):
        monkeypatch.setattr(sv.scoring.trials, other, getattr(sv.scoring.trials, way))
    for constant, tile in (("TILE_MODELS", 2), ("TILE_TESTS", 3), ("TILE_PAIRS", 4)):
        monkeypatch.setattr(sv.backends.euclidean, constant, tile)
    monkeypatch.setattr(sv.scoring.trials, "BLOCK_SCORES", 40)
    utts = utterances(8, sizes)
    keys = sorted(utts)
    models = {f"m{row}": keys[row : row + 1 + row % 3] for row in range(5)}
    chosen = RNG.permutation(list(itertools.product(models, keys)))[:30].tolist()
    trials = Trials([enrol for enrol, _ in chosen], [test for _, test in chosen], None)
    backend, vectors = trained(kind, **SETTINGS[name]), of_crops(utts)
    expected = pair_by_pair(kind, backend, models, utts, trials)
    # Crops are kept in single precision once they are projected; the distance of a crop to itself is 1e-8.
    exact = {"cosine": 1e-12, "euclidean": 1e-8 if name == "plain" else 1e-6}[kind]
    assert score_trials(backend, vectors.means(models), vectors, trials) == pytest.approx(expected, abs=exact)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_crops_that_stay_in_the_archive_score_the_same_to_the_last_bit(tmp_path, monkeypatch, kind, name, dense):
    """Of a set against itself and against another, by a list of every pair and by one of few."""
    monkeypatch.setattr(sv.backends.cosine, "BLOCK_UTTERANCES", 3)
    monkeypatch.setattr(sv.backends.euclidean, "TILE_PAIRS", 4)
    utts = utterances(60, "unlike")
    keys = sorted(utts)
    pairs = list(itertools.product(keys, keys)) if dense else list(zip(keys, keys[::-1], strict=True))
    trials = Trials([enrol for enrol, _ in pairs], [test for _, test in pairs], None)
    backend, scp = trained(kind, **SETTINGS[name]), write_set(tmp_path, utts)
    here = Vectors.read(scp, crops=True)
    monkeypatch.setattr(sv.data.vectors, "CROPS_IN_MEMORY", 0)
    there = Vectors.read(scp, crops=True)
    expected = score_trials(backend, here, here, trials)
    for sides in ((there, there), (there, here), (here, there)):
        np.testing.assert_array_equal(score_trials(backend, *sides, trials), expected)


def test_distance_of_crops_that_are_all_but_the_same_is_exact_to_the_sixth_digit():
    """2 - 2 cos is then the difference of numbers that are alike."""
    x_D = RNG.normal(size=DIM)
    utts = {"a": x_D[None].astype(np.float32), "b": (x_D + 1e-5 * RNG.normal(size=DIM))[None].astype(np.float32)}
    backend, vectors = trained("euclidean"), of_crops(utts)
    trials = Trials(["a", "a"], ["a", "b"], None)
    expected = pair_by_pair("euclidean", backend, {"a": ["a"]}, utts, trials)
    assert score_trials(backend, vectors, vectors, trials) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_score_as_matrices_of_one_crop(kind):
    """And a set of vectors may be tested against one of crops."""
    utts = utterances(4, "alike")
    single = {key: x_CD[:1] for key, x_CD in utts.items()}
    trials = Trials(sorted(utts) * 2, sorted(utts) + sorted(utts)[::-1], None)
    backend, crops, one = trained(kind), of_crops(utts), of_crops(single)
    vectors = Vectors(one.keys, one.x_ND, one.num_utts_N)
    for test in (vectors, crops):
        expected = score_trials(backend, one, test, trials)
        assert score_trials(backend, vectors, test, trials) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        PldaBackend(name="plda", lda_dim=4),
        ClassifierBackend(name="classifier", hidden_dims=(8,), embedding_dim=4, steps=3),
    ],
)
def test_back_ends_that_know_nothing_of_crops_score_the_means(settings):
    backend, crops = train_backend(settings, TRAIN_ND, SPEAKER_N), of_crops(utterances(5, "unlike"))
    trials = Trials(crops.keys, crops.keys[::-1], None)
    means = unnamed(crops.x_ND)
    expected = backend.scorer(means, means).block(0, 5)[np.arange(5), np.arange(5)[::-1]]
    assert score_trials(backend, crops, crops, trials) == pytest.approx(expected, abs=1e-12)


def test_mean_cosine_and_mean_distance_are_the_authors_two_scores():
    """By hand: crops at 0 and 90 degrees against one at 60."""
    utts = {"a": np.array([[1, 0], [0, 3]], np.float32), "b": np.array([[1, np.sqrt(3)]], np.float32)}
    trials = Trials(["a"], ["b"], None)
    for kind, expected in (("cosine", (0.5 + np.sqrt(3) / 2) / 2), ("euclidean", -(1 + 2 * np.sin(np.pi / 12)) / 2)):
        settings = KINDS[kind](name=kind, centre=None)
        backend = train_backend(settings, np.eye(2), np.arange(2))
        assert score_trials(backend, of_crops(utts), of_crops(utts), trials) == pytest.approx([expected], abs=1e-7)


def test_commands_train_and_score_on_matrices(tmp_path, monkeypatch, capsys):
    """Back ends learn of means; cosine and distance are of the crops, PLDA of the means."""
    monkeypatch.chdir(tmp_path)
    backends = {
        "cos": {"name": "cosine", "centre": None},
        "dist": {"name": "euclidean"},
        "plda": {"name": "plda", "lda_dim": 3},
    }
    small = load_system(find_systems(Path(__file__).parents[1] / "data" / "conf")["small"]).model_dump(mode="json")
    run = made_run("exp", "x", 1, validate_system({**small, "backends": backends}, "x"))
    train = {f"s{s}-{u}": RNG.normal(size=(3, DIM)) + s for s in range(6) for u in range(5)}
    utts = utterances(6, "alike")
    write_set(run.embeddings("train"), train)
    write_table(run.embeddings("train") / "utt2spk", {utt: utt.split("-")[0] for utt in train})
    write_set(run.embeddings("test"), utts)
    trials = Trials(sorted(utts), sorted(utts)[::-1], np.arange(6) < 3)
    trials.write("trials_list")
    assert run_command(monkeypatch, capsys, "train_backends", "--train", "train", run.path)[0] == 0
    options = ("--enrol", "test", "--test", "test", run.path, "trials_list")
    assert run_command(monkeypatch, capsys, "score", *options)[0] == 0
    models = {utt: [utt] for utt in utts}
    for name, kind in (("cos", "cosine"), ("dist", "euclidean")):
        expected = pair_by_pair(kind, trained(kind, centre=None), models, utts, trials)
        assert read_scores(run.scores("list", name), trials) == pytest.approx(expected, abs=2e-6)
    means = Vectors.read(run.embeddings("train") / "xvector.scp")
    plda = train_backend(PldaBackend(name="plda", lda_dim=3), means.x_ND, np.repeat(np.arange(6), 5))
    test = Vectors.read(run.embeddings("test") / "xvector.scp")
    assert read_scores(run.scores("list", "plda"), trials) == pytest.approx(
        score_trials(plda, test, test, trials), abs=2e-6
    )
