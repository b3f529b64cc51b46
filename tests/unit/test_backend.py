"""Back ends: what they learn, what they write, and the scores that their factors make."""

import tracemalloc

import numpy as np
import pytest
from embedding_sets import unnamed
from kaldi_text import training_set

from sv.backends.adaptation import adapt_plda, coral, coral_plus, interpolated, smoothed
from sv.backends.backend import load_backend, train_backend
from sv.backends.clustering import clusters
from sv.backends.lda import lda, normalise_length, transform
from sv.backends.plda import llr_factors, train_plda
from sv.backends.projected_plda import ProjectedPlda
from sv.errors import DataError
from sv.systems.backends import (
    ClassifierBackend,
    Clusters,
    Coral,
    CoralPlus,
    CosineBackend,
    EuclideanBackend,
    KaldiAdaptation,
    PldaBackend,
)

X_ND, SPEAKER_N = training_set()
RNG = np.random.default_rng(0)
SETTINGS = {
    "centred cosine": CosineBackend(name="cosine"),
    "cosine": CosineBackend(name="cosine", centre=None),
    "cosine after LDA": CosineBackend(name="cosine", lda_dim=8),
    "cosine, whitened": CosineBackend(name="cosine", whiten=True, centre="adapt"),
    "euclidean": EuclideanBackend(name="euclidean"),
    "euclidean after LDA": EuclideanBackend(name="euclidean", centre="train", lda_dim=8),
    "plda": PldaBackend(name="plda", lda_dim=8),
    "plda, all else": PldaBackend(
        name="plda",
        lda_dim=8,
        total_covariance_factor=0.2,
        length_norm=False,
        plda_length_norm="simple",
        smoothing=0.1,
        centre="adapt",
    ),
    **{
        f"plda, {adapt.name}": PldaBackend(name="plda", lda_dim=8, centre="adapt", adapt=adapt)
        for adapt in (
            KaldiAdaptation(name="kaldi"),
            Coral(name="coral"),
            CoralPlus(name="coral+"),
            Clusters(name="clusters", num_speakers=9),
        )
    },
    "classifier": ClassifierBackend(name="classifier", hidden_dims=(9, 7), embedding_dim=6, steps=3),
    "classifier, all else": ClassifierBackend(
        name="classifier",
        lda_dim=8,
        length_norm=False,
        hidden_dims=(9,),
        embedding_dim=6,
        dropout=0.5,
        steps=3,
        centre="adapt",
    ),
}
ADAPT_MD = RNG.normal(size=(60, 12)) * np.linspace(1, 4, 12) + 2


def trained(name):
    return train_backend(SETTINGS[name], X_ND, SPEAKER_N, ADAPT_MD)


def scores(backend, enrol_ED, num_utts_E, test_TD):
    return backend.scorer(unnamed(enrol_ED, num_utts_E), unnamed(test_TD)).block(0, len(enrol_ED))


def some_vectors(models=5, tests=7):
    return RNG.normal(size=(models, 12)) * 2 + 1, np.array([1, 3, 1, 2, 3])[:models], RNG.normal(size=(tests, 12)) * 2


@pytest.mark.parametrize("name", SETTINGS)
def test_saved_back_end_scores_the_same(tmp_path, name):
    vectors = some_vectors()
    backend = trained(name)
    backend.save(tmp_path)
    assert np.array_equal(scores(load_backend(SETTINGS[name], tmp_path), *vectors), scores(backend, *vectors))


@pytest.mark.parametrize("name", SETTINGS)
def test_training_twice_writes_the_same_bytes(tmp_path, name):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        trained(name).save(tmp_path / folder)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    settings = SETTINGS[name]
    transforms = ["transform.mat"] * bool(settings.lda_dim or settings.whiten)
    layers = [f"layer{n + 1}.mat" for n in range(len(getattr(settings, "hidden_dims", ())) + 1)]
    own = {"cosine": [], "euclidean": [], "plda": ["plda"], "classifier": layers}[settings.name]
    assert files == sorted([*["mean.vec"] * bool(settings.centre), *own, *transforms])
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


@pytest.mark.parametrize("centre", ["train", "adapt", None])
def test_cosine_is_that_of_the_angle_seen_from_the_mean(centre):
    """Pair by pair, by its definition."""
    enrol_ED, num_utts_E, test_TD = some_vectors()
    backend = train_backend(CosineBackend(name="cosine", centre=centre), X_ND, SPEAKER_N, ADAPT_MD)
    mean_D = {"train": X_ND.mean(0), "adapt": ADAPT_MD.mean(0), None: np.zeros(12)}[centre]
    expected = [
        [np.dot(e - mean_D, t - mean_D) / np.linalg.norm(e - mean_D) / np.linalg.norm(t - mean_D) for t in test_TD]
        for e in enrol_ED
    ]
    assert np.allclose(scores(backend, enrol_ED, num_utts_E, test_TD), expected)


def test_centring_takes_away_what_all_vectors_share():
    """A shift of training, enrolment and test vectors changes centred cosines not at all, others much."""
    enrol_ED, num_utts_E, test_TD = some_vectors()
    found = {}
    for centre in ("train", None):
        settings = CosineBackend(name="cosine", centre=centre)
        before = scores(train_backend(settings, X_ND, SPEAKER_N), enrol_ED, num_utts_E, test_TD)
        after = scores(train_backend(settings, X_ND + 9, SPEAKER_N), enrol_ED + 9, num_utts_E, test_TD + 9)
        found[centre] = np.abs(after - before).max()
    assert found["train"] < 1e-9
    assert found[None] > 0.3


def test_cosine_with_the_mean_itself_is_zero():
    """The angle of a zero vector is not defined; its score must still be a number."""
    backend = trained("centred cosine")
    assert scores(backend, backend.projection.mean_D[None], np.ones(1), X_ND[:3]).tolist() == [[0, 0, 0]]


def test_plda_scores_are_the_chain_step_by_step():
    """Mean, LDA, length, PLDA; densities dimension by dimension, model by model [Ioffe 2006, eq. 6-7]."""
    enrol_ED, num_utts_E, test_TD = some_vectors()
    mean_D = X_ND.mean(0)
    matrix = lda(X_ND - mean_D, SPEAKER_N, 8)

    def chain(x_ND):
        return normalise_length(transform(matrix, x_ND - mean_D))

    plda = train_plda(chain(X_ND), SPEAKER_N, 10)
    u_EK, v_TK = plda.project(chain(enrol_ED), num_utts_E), plda.project(chain(test_TD))

    def log_normal(x, mean, variance):
        return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance).sum()

    psi = plda.psi_D
    expected = [
        [log_normal(v, n * psi / (n * psi + 1) * u, 1 + psi / (n * psi + 1)) - log_normal(v, 0, 1 + psi) for v in v_TK]
        for u, n in zip(u_EK, num_utts_E, strict=True)
    ]
    found = scores(train_backend(SETTINGS["plda"], X_ND, SPEAKER_N), enrol_ED, num_utts_E, test_TD)
    assert np.allclose(found, expected, atol=1e-9)


def test_all_else_is_the_chain_step_by_step():
    """Another mean, LDA's mixed covariance, no length before the model, lengths of sqrt(D) in it, smoothing."""
    enrol_ED, num_utts_E, test_TD = some_vectors()
    matrix = lda(X_ND - X_ND.mean(0), SPEAKER_N, 8, 0.2)
    plda = smoothed(train_plda(transform(matrix, X_ND - X_ND.mean(0)), SPEAKER_N), 0.1)

    def chain(x_ND):
        return plda.project(transform(matrix, x_ND - ADAPT_MD.mean(0)), length_norm="simple")

    e_EK, t_TK = llr_factors(chain(enrol_ED), chain(test_TD), plda.psi_D, num_utts_E)
    assert np.allclose(scores(trained("plda, all else"), enrol_ED, num_utts_E, test_TD), e_EK @ t_TK.T, atol=1e-9)


def test_each_adaptation_is_of_projected_vectors_of_length_sqrt_d():
    """Both sets seen from their own means, in the space of LDA; CORAL's before the length, the others' after it."""
    matrix = lda(X_ND - X_ND.mean(0), SPEAKER_N, 8)
    y_NK, new_MK = transform(matrix, X_ND - X_ND.mean(0)), transform(matrix, ADAPT_MD - ADAPT_MD.mean(0))
    unit_NK, unit_MK = normalise_length(y_NK), normalise_length(new_MK)
    plda = train_plda(unit_NK, SPEAKER_N)
    cluster_M = clusters(plda, unit_MK, 9)
    expected = {
        "kaldi": adapt_plda(plda, unit_MK, 0.75, 0.25),
        "coral": train_plda(normalise_length(coral(y_NK, new_MK)), SPEAKER_N),
        "coral+": coral_plus(plda, unit_NK, unit_MK),
        "clusters": interpolated(train_plda(unit_MK, cluster_M), plda, 0.5),
    }
    for method, model in expected.items():
        found = trained(f"plda, {method}").plda
        assert np.allclose(found.psi_D, model.psi_D, atol=1e-9), method
        assert np.allclose(found.transform_DD, model.transform_DD, atol=1e-9), method
        assert np.abs(found.psi_D - plda.psi_D).max() > 0.01, method


@pytest.mark.parametrize("name", [name for name, settings in SETTINGS.items() if settings.needs_adapt])
def test_back_ends_that_adapt_want_unlabelled_embeddings(name):
    with pytest.raises(DataError, match="needs unlabelled embeddings"):
        train_backend(SETTINGS[name], X_ND, SPEAKER_N)


def test_plda_tells_the_reference_speakers_apart():
    """Trained on half of each speaker's vectors, tested on the rest, chance being 1 in 120."""
    first = np.unique(SPEAKER_N, return_index=True)[1]
    rest = np.setdiff1d(np.arange(len(X_ND)), first)
    backend = train_backend(SETTINGS["plda"], X_ND[rest], SPEAKER_N[rest])
    means = np.stack([X_ND[rest][SPEAKER_N[rest] == s].mean(0) for s in np.unique(SPEAKER_N[rest])])
    counts = np.bincount(SPEAKER_N[rest])
    best = scores(backend, means, counts[counts > 0], X_ND[first]).argmax(0)
    assert (best == np.arange(120)).mean() > 0.5


LEARNING = [name for name, settings in SETTINGS.items() if settings.learns]


@pytest.mark.parametrize("name", LEARNING)
def test_embeddings_of_another_size_are_one_line(name):
    backend = trained(name)
    with pytest.raises(DataError, match="embeddings have 5 dimensions, the back end was trained on 12; rerun stage 6"):
        backend.scorer(unnamed(np.zeros((2, 5))), unnamed(np.zeros((3, 5))))


@pytest.mark.parametrize("name", LEARNING)
def test_back_end_that_was_not_trained_is_one_line(tmp_path, name):
    with pytest.raises(DataError, match=r"(mean\.vec|layer1\.mat): cannot be read .*; run the stage that makes it"):
        load_backend(SETTINGS[name], tmp_path)


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in LEARNING])
def test_what_learns_nothing_needs_no_training_embeddings(name, tmp_path):
    """The same scores, and no file, where none are given."""
    vectors = some_vectors()
    untaught = train_backend(SETTINGS[name], np.empty((0, 0)), np.empty(0, int), ADAPT_MD)
    untaught.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert np.array_equal(scores(untaught, *vectors), scores(trained(name), *vectors))


@pytest.mark.parametrize("settings", [CosineBackend(name="cosine"), CosineBackend(name="cosine", centre=None)])
def test_a_back_end_that_learns_a_mean_at_most_makes_no_copy_of_the_training_vectors(settings):
    x_ND, speaker_N = np.ones((4000, 256)), np.repeat(np.arange(40), 100)
    tracemalloc.start()
    train_backend(settings, x_ND, speaker_N)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.1 * x_ND.nbytes


def test_more_vectors_than_a_block_score_as_one_by_one():
    """Projection goes 2048 rows at a time."""
    backend = train_backend(SETTINGS["plda"], X_ND, SPEAKER_N)
    assert isinstance(backend, ProjectedPlda)
    tests = RNG.normal(size=(5000, 12))
    whole = scores(backend, X_ND[:1], np.ones(1), tests)[0]
    for i in (0, 2047, 2048, 4999):
        assert scores(backend, X_ND[:1], np.ones(1), tests[i : i + 1])[0, 0] == pytest.approx(whole[i], abs=1e-9)
