"""Back ends: what they learn, what they write, and the scores that their factors make."""

import numpy as np
import pytest
from kaldi_text import training_set

from sv.backends.backend import Cosine, LdaPlda, load_backend, train_backend
from sv.backends.lda import lda, normalise_length, transform
from sv.backends.plda import train_plda
from sv.errors import DataError
from sv.system import CosineBackend, PldaBackend

X_ND, SPEAKER_N = training_set()
RNG = np.random.default_rng(0)
SETTINGS = {
    "centred cosine": CosineBackend(name="cosine"),
    "cosine": CosineBackend(name="cosine", centre=False),
    "plda": PldaBackend(name="plda", lda_dim=8),
}


def scores(backend, enrol_ED, num_utts_E, test_TD):
    e_EK, t_TK = backend.factors(enrol_ED, num_utts_E, test_TD)
    return e_EK @ t_TK.T


def some_vectors(models=5, tests=7):
    return RNG.normal(size=(models, 12)) * 2 + 1, np.array([1, 3, 1, 2, 3])[:models], RNG.normal(size=(tests, 12)) * 2


@pytest.mark.parametrize("name", SETTINGS)
def test_saved_back_end_scores_the_same(tmp_path, name):
    vectors = some_vectors()
    backend = train_backend(SETTINGS[name], X_ND, SPEAKER_N)
    backend.save(tmp_path)
    assert np.array_equal(scores(load_backend(SETTINGS[name], tmp_path), *vectors), scores(backend, *vectors))


@pytest.mark.parametrize("name", SETTINGS)
def test_training_twice_writes_the_same_bytes(tmp_path, name):
    for folder in ("a", "b"):
        train_backend(SETTINGS[name], X_ND, SPEAKER_N).save(tmp_path / folder)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == (["mean.vec"] if "cosine" in name else ["mean.vec", "plda", "transform.mat"])
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


@pytest.mark.parametrize("centre", [True, False])
def test_cosine_is_that_of_the_angle_seen_from_the_mean(centre):
    """Pair by pair, by its definition."""
    enrol_ED, num_utts_E, test_TD = some_vectors()
    backend = Cosine.train(X_ND, CosineBackend(name="cosine", centre=centre))
    mean_D = X_ND.mean(0) if centre else np.zeros(12)
    expected = [
        [np.dot(e - mean_D, t - mean_D) / np.linalg.norm(e - mean_D) / np.linalg.norm(t - mean_D) for t in test_TD]
        for e in enrol_ED
    ]
    assert np.allclose(scores(backend, enrol_ED, num_utts_E, test_TD), expected)


def test_centring_takes_away_what_all_vectors_share():
    """A shift of training, enrolment and test vectors changes centred cosines not at all, others much."""
    enrol_ED, num_utts_E, test_TD = some_vectors()
    found = {}
    for centre in (True, False):
        settings = CosineBackend(name="cosine", centre=centre)
        before = scores(Cosine.train(X_ND, settings), enrol_ED, num_utts_E, test_TD)
        after = scores(Cosine.train(X_ND + 9, settings), enrol_ED + 9, num_utts_E, test_TD + 9)
        found[centre] = np.abs(after - before).max()
    assert found[True] < 1e-9
    assert found[False] > 0.3


def test_cosine_with_the_mean_itself_is_zero():
    """The angle of a zero vector is not defined; its score must still be a number."""
    backend = Cosine.train(X_ND, CosineBackend(name="cosine"))
    assert scores(backend, backend.mean_D[None], np.ones(1), X_ND[:3]).tolist() == [[0, 0, 0]]


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


def test_plda_tells_the_reference_speakers_apart():
    """Trained on half of each speaker's vectors, tested on the rest, chance being 1 in 120."""
    first = np.unique(SPEAKER_N, return_index=True)[1]
    rest = np.setdiff1d(np.arange(len(X_ND)), first)
    backend = train_backend(SETTINGS["plda"], X_ND[rest], SPEAKER_N[rest])
    means = np.stack([X_ND[rest][SPEAKER_N[rest] == s].mean(0) for s in np.unique(SPEAKER_N[rest])])
    counts = np.bincount(SPEAKER_N[rest])
    best = scores(backend, means, counts[counts > 0], X_ND[first]).argmax(0)
    assert (best == np.arange(120)).mean() > 0.5


@pytest.mark.parametrize("name", SETTINGS)
def test_embeddings_of_another_size_are_one_line(name):
    backend = train_backend(SETTINGS[name], X_ND, SPEAKER_N)
    with pytest.raises(DataError, match="embeddings have 5 dimensions, the back end was trained on 12; rerun stage 6"):
        backend.factors(np.zeros((2, 5)), np.ones(2), np.zeros((3, 5)))


@pytest.mark.parametrize("name", SETTINGS)
def test_back_end_that_was_not_trained_is_one_line(tmp_path, name):
    with pytest.raises(DataError, match=r"mean\.vec: cannot be read .*; run the stage that makes it"):
        load_backend(SETTINGS[name], tmp_path)


def test_more_vectors_than_a_block_score_as_one_by_one():
    """Projection goes 2048 rows at a time."""
    backend = train_backend(SETTINGS["plda"], X_ND, SPEAKER_N)
    assert isinstance(backend, LdaPlda)
    tests = RNG.normal(size=(5000, 12))
    whole = scores(backend, X_ND[:1], np.ones(1), tests)[0]
    for i in (0, 2047, 2048, 4999):
        assert scores(backend, X_ND[:1], np.ones(1), tests[i : i + 1])[0, 0] == pytest.approx(whole[i], abs=1e-9)
