"""LDA and length normalisation against Kaldi's files, and against what they must bring about."""

import numpy as np
import pytest
from kaldi_text import PLDA, read_matrices, read_vectors, training_set

from sv.backends.files import read_array
from sv.backends.lda import lda, normalise_length, transform, whitening
from sv.errors import DataError

RNG = np.random.default_rng(0)


def two_covariances(speakers=40, per_speaker=10, dim=6):
    """Vectors with a full within-speaker covariance and speakers along a few directions."""
    speaker_N = np.repeat(np.arange(speakers), per_speaker)
    mixing_DD = RNG.normal(size=(dim, dim))
    x_ND = RNG.normal(size=(speakers, dim))[speaker_N] * np.arange(1, dim + 1)
    return x_ND + RNG.normal(size=(len(speaker_N), dim)) @ mixing_DD + 5, speaker_N


def covariances(x_ND, speaker_N):
    """Within and between, by the definition, speaker by speaker."""
    mean_D = x_ND.mean(0)
    groups = [x_ND[speaker_N == speaker] for speaker in np.unique(speaker_N)]
    within = sum((g - g.mean(0)).T @ (g - g.mean(0)) for g in groups) / len(x_ND)
    between = sum(len(g) * np.outer(g.mean(0) - mean_D, g.mean(0) - mean_D) for g in groups) / len(x_ND)
    return within, between


def test_lda_equals_kaldi():
    """ivector-compute-lda --dim=8 --total-covariance-factor=0; a direction's sign is arbitrary."""
    ours, kaldis = lda(*training_set(), dim=8), read_matrices("lda.mat.txt")[0]
    signs = np.sign((ours * kaldis).sum(1, keepdims=True))
    assert np.abs(signs * ours - kaldis).max() < 5e-6  # seven digits are printed, the largest is 11.7


def test_kaldis_binary_matrix_is_its_text():
    assert np.allclose(read_array(PLDA / "lda.mat"), read_matrices("lda.mat.txt")[0], rtol=1e-6)


def test_kaldis_transform_gives_kaldis_vectors():
    """Minus the global mean, lda.mat (estimated before that), length: train_lda_ln.ark.txt."""
    x_ND, _ = training_set()
    ours = normalise_length(transform(read_array(PLDA / "lda.mat"), x_ND - x_ND.mean(0)))
    assert np.abs(ours - training_set("train_lda_ln.ark.txt")[0]).max() < 5e-6


def test_projection_whitens_within_speakers_and_sorts_between():
    """Covariances of the projected vectors, by their definition."""
    x_ND, speaker_N = two_covariances()
    within, between = covariances(transform(lda(x_ND, speaker_N, 4), x_ND), speaker_N)
    assert np.allclose(within, np.eye(4), atol=1e-9)
    assert np.allclose(between, np.diag(np.diag(between)), atol=1e-9)
    assert (np.diff(np.diag(between)) < 0).all()


def test_first_direction_tells_speakers_apart_best():
    """No other direction has a larger ratio of the two variances: 2000 are tried."""
    x_ND, speaker_N = two_covariances()
    within, between = covariances(x_ND, speaker_N)

    def ratio(w_D):
        return (w_D @ between @ w_D) / (w_D @ within @ w_D)

    best = ratio(lda(x_ND, speaker_N, 1)[0, :-1])
    assert all(ratio(w_D) < best for w_D in RNG.normal(size=(2000, 6)))


def test_total_covariance_factor_mixes_the_covariances():
    x_ND, speaker_N = two_covariances()
    within, between = covariances(transform(lda(x_ND, speaker_N, 6, total_covariance_factor=0.3), x_ND), speaker_N)
    assert np.allclose(0.3 * (within + between) + 0.7 * within, np.eye(6), atol=1e-9)


def test_projected_training_vectors_have_zero_mean():
    x_ND, speaker_N = two_covariances()
    assert np.allclose(transform(lda(x_ND, speaker_N, 3), x_ND).mean(0), 0, atol=1e-12)


def test_order_of_vectors_and_names_of_speakers_do_not_matter():
    x_ND, speaker_N = two_covariances()
    order = RNG.permutation(len(x_ND))
    other = lda(x_ND[order], 7 - 3 * speaker_N[order], 4)
    whole = lda(x_ND, speaker_N, 4)
    signs = np.sign((whole * other).sum(1, keepdims=True))
    assert np.allclose(whole, signs * other, atol=1e-9)


def test_speakers_with_one_vector_are_allowed():
    x_ND, speaker_N = two_covariances()
    lda(np.vstack([x_ND, x_ND[:3] + 1]), np.append(speaker_N, [100, 101, 102]), 4)


@pytest.mark.parametrize(
    ("size", "dim", "problem"),
    [
        ((40, 10), 7, "LDA to 7 dimensions of vectors that have 6; lower it, as by --set backends.plda.lda_dim=6"),
        (
            (4, 10),
            4,
            "LDA to 4 dimensions needs 5 speakers, the training set has 4;"
            " lower it, as by --set backends.plda.lda_dim=3",
        ),
        ((1, 10), 4, "LDA needs two or more speakers, the training set has 1"),
        ((5, 2), 2, "LDA of 6-dimensional vectors needs more than 10 of them, the training set has 10"),
    ],
)
def test_too_little_data_is_one_line(size, dim, problem):
    with pytest.raises(DataError) as caught:
        lda(*two_covariances(*size), dim)
    assert str(caught.value) == problem


def test_singular_covariance_is_one_line():
    x_ND, speaker_N = two_covariances()
    x_ND[:, 2] = x_ND[:, 1]
    with pytest.raises(
        DataError, match=r"^LDA: the within-speaker covariance of 400 vectors of 6 dimensions is singular$"
    ):
        lda(x_ND, speaker_N, 3)


def test_length_becomes_the_root_of_the_dimension():
    x_ND = RNG.normal(size=(20, 9)) * 50
    normal = normalise_length(x_ND)
    assert np.allclose(np.linalg.norm(normal, axis=1), 3)
    assert np.allclose(normal / np.linalg.norm(normal, axis=1)[:, None], x_ND / np.linalg.norm(x_ND, axis=1)[:, None])


def test_zero_vector_stays_zero():
    assert (normalise_length(np.zeros((1, 4))) == 0).all()


def test_transform_refuses_vectors_of_another_size():
    with pytest.raises(DataError, match="vectors have 3 dimensions, the transform takes 12"):
        transform(read_array(PLDA / "lda.mat"), np.zeros((2, 3)))


def test_reference_means_are_those_of_the_enrolment_vectors():
    """What the scoring tests start from is consistent in itself."""
    means, vectors = read_vectors("enroll_mean.ark.txt"), read_vectors("enroll.ark.txt")
    assert np.allclose(means["mod001"], (vectors["mod001-00"] + vectors["mod001-01"]) / 2, atol=1e-6)


def test_whitened_vectors_have_mean_0_and_covariance_1():
    x_ND, _ = two_covariances()
    y_ND = transform(whitening(x_ND), x_ND)
    assert np.abs(y_ND.mean(0)).max() < 1e-12
    assert np.abs(np.cov(y_ND.T, bias=True) - np.eye(6)).max() < 1e-9
    # Directions by falling variance: the first is the one along which the vectors vary most.
    matrix_DD = whitening(x_ND)[:, :-1]
    assert (np.diff(np.linalg.norm(matrix_DD, axis=1)) > 0).all()


@pytest.mark.parametrize(
    "x_ND", [RNG.normal(size=(6, 6)), np.ones((50, 6)), RNG.normal(size=(50, 6)) * [1, 1, 1, 1, 1, 0]]
)
def test_too_little_to_whiten_is_one_line(x_ND):
    with pytest.raises(
        DataError, match=f"whitening: the covariance of {len(x_ND)} vectors of 6 dimensions is singular"
    ):
        whitening(x_ND)
