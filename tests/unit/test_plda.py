"""PLDA: Kaldi's model and scores, likelihoods by integration and by joint Gaussians, EM on drawn data."""

import numpy as np
import pytest
from kaldi_text import PLDA as REFERENCE
from kaldi_text import read_groups, read_matrices, read_scores, read_vectors, training_set
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from sv.backends.files import read_plda
from sv.backends.plda import Plda, diagonalise, llr_factors, train_plda
from sv.data.vectors import Vectors
from sv.errors import DataError

RNG = np.random.default_rng(0)


def llr(*arguments):
    e_EK, t_TK = llr_factors(*arguments)
    return e_EK @ t_TK.T


def assert_same_model(ours, reference, tolerance):
    """Equal up to the directions' signs."""
    signs = np.sign((ours.transform_DD * reference.transform_DD).sum(1, keepdims=True))
    assert np.abs(ours.mean_D - reference.mean_D).max() < tolerance
    assert np.abs(signs * ours.transform_DD - reference.transform_DD).max() < tolerance
    assert np.abs(ours.psi_D - reference.psi_D).max() < tolerance


@pytest.mark.parametrize(("vectors", "model"), [("train", "plda"), ("train_lda_ln", "plda_lda_ln")])
def test_training_equals_kaldi(vectors, model):
    """ivector-compute-plda, 10 iterations; on raw vectors, and after mean, LDA and length normalisation."""
    ours = train_plda(*training_set(f"{vectors}.ark.txt"), iterations=10)
    assert_same_model(ours, read_plda(REFERENCE / f"{model}.bin"), 1e-5)
    assert_same_model(ours, Plda(*read_matrices(f"{model}.txt")), 1e-5)


@pytest.mark.parametrize(
    ("length_norm", "name"),
    [("model", "scores_plda_ln_true"), ("none", "scores_plda_ln_false"), ("simple", "scores_plda_simple_ln")],
)
@pytest.mark.parametrize("trained_by", ["kaldi", "us"])
def test_scores_equal_kaldi(length_norm, name, trained_by):
    """ivector-plda-scoring with num_utts: models are means of several vectors; within 1e-4 of scores up to 125."""
    plda = read_plda(REFERENCE / "plda.bin") if trained_by == "kaldi" else train_plda(*training_set())
    table = read_vectors("enroll.ark.txt")
    enrol = Vectors(list(table), np.stack(list(table.values())), np.ones(len(table), int))
    enrol = enrol.means(read_groups("enroll.spk2utt"))
    assert dict(zip(enrol.keys, enrol.num_utts_N, strict=True)) == {
        model: int(count) for model, count in map(str.split, (REFERENCE / "num_utts.txt").read_text().splitlines())
    }
    test = read_vectors("test.ark.txt")
    u_ED = plda.project(enrol.x_ND, enrol.num_utts_N, length_norm)
    v_TD = plda.project(np.stack(list(test.values())), length_norm=length_norm)
    scores_ET = llr(u_ED, v_TD, plda.psi_D, enrol.num_utts_N)
    pairs, kaldis_N = read_scores(f"{name}.txt")
    row, column = enrol.index(), {key: i for i, key in enumerate(test)}
    ours_N = np.array([scores_ET[row[e], column[t]] for e, t in pairs])
    assert len(pairs) == 750
    assert np.abs(ours_N - kaldis_N).max() < 1e-4


def test_llr_equals_integral_over_the_speaker():
    """One dimension: p(enrolment, test | one y) over p(enrolment) p(test), y integrated out numerically."""
    psi, mean, n = 1.7, 0.8, 3  # of n enrolment vectors only the mean matters; its variance is 1 / n

    def likelihood(*observed):
        """Integral over y of its prior times the densities of (value, variance) pairs."""
        return quad(
            lambda y: norm.pdf(y, 0, psi**0.5) * np.prod([norm.pdf(v, y, s**0.5) for v, s in observed]),
            -30,
            30,
            points=[0, 1],
            epsabs=1e-14,
        )[0]

    for test in (-1.0, 0.3, 2.5):
        enrolled, tested = (mean, 1 / n), (test, 1.0)
        expected = np.log(likelihood(enrolled, tested) / (likelihood(enrolled) * likelihood(tested)))
        found = llr(np.array([[mean]]), np.array([[test]]), np.array([psi]), np.array([n]))[0, 0]
        assert found == pytest.approx(expected, abs=1e-8)


def test_llr_equals_joint_gaussian_of_all_vectors():
    """All n + 1 vectors at once, in the space of the vectors, with full covariances: no means, no diagonal."""
    D = 4
    within_DD, between_DD = (a @ a.T + 0.1 * np.eye(D) for a in RNG.normal(size=(2, D, D)))
    mean_D = RNG.normal(size=D)
    plda = diagonalise(mean_D, within_DD, between_DD)
    models, tests = [RNG.normal(size=(n, D)) * 2 for n in (1, 2, 5, 2)], RNG.normal(size=(3, D)) * 2

    def log_density(vectors, same):
        k = len(vectors)
        shared = np.ones((k, k)) if same else np.eye(k)
        covariance = np.kron(shared, between_DD) + np.kron(np.eye(k), within_DD)
        return multivariate_normal.logpdf(vectors.ravel(), np.tile(mean_D, k), covariance)

    expected = [
        [log_density(np.vstack([m, t]), True) - log_density(m, True) - log_density(t[None], True) for t in tests]
        for m in models
    ]
    num_utts = np.array([len(m) for m in models])
    means = np.stack([m.mean(0) for m in models])
    found = llr(plda.project(means, num_utts, "none"), plda.project(tests, length_norm="none"), plda.psi_D, num_utts)
    assert np.allclose(found, expected, atol=1e-9)


def test_model_diagonalises_both_covariances():
    within_DD, between_DD = (a @ a.T + 0.1 * np.eye(5) for a in RNG.normal(size=(2, 5, 5)))
    plda = diagonalise(np.zeros(5), within_DD, between_DD)
    assert np.allclose(plda.transform_DD @ within_DD @ plda.transform_DD.T, np.eye(5), atol=1e-10)
    assert np.allclose(plda.transform_DD @ between_DD @ plda.transform_DD.T, np.diag(plda.psi_D), atol=1e-10)
    assert (np.diff(plda.psi_D) <= 0).all()


def drawn(speakers, per_speaker, within_DD, between_DD, mean_D):
    """Vectors of the two-covariance model; `per_speaker` is the most that a speaker has."""
    D = len(mean_D)
    speaker_N = np.repeat(np.arange(speakers), RNG.integers(1, per_speaker + 1, speakers))
    y_SD = mean_D + RNG.normal(size=(speakers, D)) @ np.linalg.cholesky(between_DD).T
    return y_SD[speaker_N] + RNG.normal(size=(len(speaker_N), D)) @ np.linalg.cholesky(within_DD).T, speaker_N


def test_em_finds_the_parameters_that_data_were_drawn_with():
    """6000 speakers of 1 to 12 vectors: covariances within 5 % of their size."""
    within_DD, between_DD = (a @ a.T + 0.2 * np.eye(3) for a in RNG.normal(size=(2, 3, 3)))
    x_ND, speaker_N = drawn(6000, 12, within_DD, between_DD, np.array([1.0, -2.0, 3.0]))
    plda = train_plda(x_ND, speaker_N, iterations=20)
    inverse_DD = np.linalg.inv(plda.transform_DD)
    assert np.linalg.norm(inverse_DD @ inverse_DD.T - within_DD) < 0.05 * np.linalg.norm(within_DD)
    found_DD = inverse_DD * plda.psi_D @ inverse_DD.T
    assert np.linalg.norm(found_DD - between_DD) < 0.05 * np.linalg.norm(between_DD)
    assert np.abs(plda.mean_D - [1, -2, 3]).max() < 0.1


def test_each_iteration_raises_the_likelihood():
    """That of the speaker means' offsets and the scatter around them, which EM maximises (mean fixed)."""
    x_ND, speaker_N = drawn(30, 6, np.eye(2), np.diag([4.0, 0.5]), np.zeros(2))

    def log_likelihood(plda):
        inverse_DD = np.linalg.inv(plda.transform_DD)
        within_DD, between_DD = inverse_DD @ inverse_DD.T, inverse_DD * plda.psi_D @ inverse_DD.T
        total = 0.0
        for speaker in range(30):
            vectors = x_ND[speaker_N == speaker]
            n = len(vectors)
            covariance = np.kron(np.ones((n, n)), between_DD) + np.kron(np.eye(n), within_DD)
            total += multivariate_normal.logpdf(vectors.ravel(), np.tile(plda.mean_D, n), covariance)
        return total

    values = [log_likelihood(train_plda(x_ND, speaker_N, iterations)) for iterations in range(8)]
    assert (np.diff(values) > 0).all()


def test_model_length_is_what_is_expected_of_it():
    """After "model" normalisation u' (psi + I/n)^-1 u is D, whatever n; the direction stays."""
    plda = Plda(np.ones(3), RNG.normal(size=(3, 3)), np.array([3.0, 1.0, 0.2]))
    x_ND, n_N = RNG.normal(size=(5, 3)), np.array([1, 2, 3, 10, 2])
    u_ND, raw_ND = plda.project(x_ND, n_N), plda.project(x_ND, n_N, "none")
    assert np.allclose((np.square(u_ND) / (plda.psi_D + 1 / n_N[:, None])).sum(1), 3)
    assert np.allclose(u_ND / np.linalg.norm(u_ND, axis=1)[:, None], raw_ND / np.linalg.norm(raw_ND, axis=1)[:, None])
    assert np.allclose(raw_ND, (x_ND - 1) @ plda.transform_DD.T)
    assert np.allclose(np.linalg.norm(plda.project(x_ND, n_N, "simple"), axis=1), 3**0.5)


@pytest.mark.parametrize("length_norm", ["none", "simple", "model"])
def test_a_vector_at_the_mean_stays_there(length_norm):
    """It has no length to normalise; its scores are numbers."""
    plda = Plda(np.zeros(3), RNG.normal(size=(3, 3)), np.array([3.0, 1.0, 0.2]))
    u_ND = plda.project(np.zeros((1, 3)), length_norm=length_norm)
    assert (u_ND == 0).all()
    assert np.isfinite(llr(u_ND, plda.project(RNG.normal(size=(4, 3))), plda.psi_D)).all()


def test_score_is_symmetric_for_single_vectors():
    u_ED, v_TD, psi_D = RNG.normal(size=(4, 3)), RNG.normal(size=(5, 3)), np.array([2.0, 1.0, 0.0])
    assert np.allclose(llr(u_ED, v_TD, psi_D), llr(v_TD, u_ED, psi_D).T)


@pytest.mark.parametrize(
    "speaker_N", [[0, 0, 0, 0], [0, 1, 2, 3]], ids=["one speaker", "every speaker with one vector"]
)
def test_data_that_say_nothing_of_a_covariance_are_one_line(speaker_N):
    with pytest.raises(DataError, match=r"^PLDA needs two speakers or more and one with several recordings; there are"):
        train_plda(RNG.normal(size=(4, 2)), np.array(speaker_N))


def test_singular_within_covariance_is_one_line():
    with pytest.raises(DataError, match=r"^PLDA: the within-speaker covariance is singular; reduce the dimension"):
        diagonalise(np.zeros(2), np.ones((2, 2)), np.eye(2))


def test_fewer_vectors_than_dimensions_still_give_finite_scores():
    """EM starts from identity covariances, so no covariance is singular after a few iterations."""
    plda = train_plda(RNG.normal(size=(6, 20)), np.array([0, 0, 1, 1, 2, 2]))
    u_ED = plda.project(RNG.normal(size=(3, 20)))
    assert np.isfinite(llr(u_ED, u_ED, plda.psi_D)).all()


def test_projection_refuses_vectors_of_another_size():
    with pytest.raises(DataError, match="vectors have 3 dimensions, the PLDA model 12"):
        read_plda(REFERENCE / "plda.bin").project(np.zeros((2, 3)))
