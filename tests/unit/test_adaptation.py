"""Adaptation: Kaldi's adapted and smoothed models and their scores; moments of what CORAL moves; CORAL+ by hand."""

import numpy as np
import pytest
from kaldi_text import PLDA as REFERENCE
from kaldi_text import read_matrices, read_scores, read_vectors

from sv.backends.adaptation import adapt_plda, coral, coral_plus, interpolated, smoothed
from sv.backends.files import read_plda
from sv.backends.plda import Plda, llr_factors
from sv.errors import DataError

RNG = np.random.default_rng(0)
PLDA = read_plda(REFERENCE / "plda.bin")


def in_domain():
    return np.stack(list(read_vectors("adapt.ark.txt").values()))


def covariances(plda):
    """W and B."""
    back_DD = np.linalg.inv(plda.transform_DD)
    return back_DD @ back_DD.T, back_DD @ np.diag(plda.psi_D) @ back_DD.T


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda: adapt_plda(PLDA, in_domain()), "plda_adapt_default.txt"),
        (lambda: adapt_plda(PLDA, in_domain(), 0.75, 0.25), "plda_adapt_75_25.txt"),
        (lambda: smoothed(PLDA, 0.1), "plda_smooth0.1.txt"),
    ],
    ids=["adapted", "adapted 75 25", "smoothed"],
)
def test_models_equal_kaldis(made, name):
    """Mean, both covariances and psi; the rows of the transform up to their signs."""
    ours, theirs = made(), Plda(*read_matrices(name))
    assert np.abs(ours.mean_D - theirs.mean_D).max() < 1e-5
    assert np.abs(ours.psi_D - theirs.psi_D).max() < 1e-4
    for a, b in zip(covariances(ours), covariances(theirs), strict=True):
        assert np.abs(a - b).max() < 1e-4
    signs = np.sign((ours.transform_DD * theirs.transform_DD).sum(1, keepdims=True))
    assert np.abs(signs * ours.transform_DD - theirs.transform_DD).max() < 1e-4


@pytest.mark.parametrize(("length_norm", "name"), [("model", "ln_true"), ("none", "ln_false")])
def test_scores_of_the_adapted_model_equal_kaldis(length_norm, name):
    pairs, theirs = read_scores(f"scores_plda_adapt_75_25_{name}.txt")
    plda = adapt_plda(PLDA, in_domain(), 0.75, 0.25)
    enrol, test = read_vectors("enroll_mean.ark.txt"), read_vectors("test.ark.txt")
    counts = dict(line.split() for line in (REFERENCE / "num_utts.txt").read_text().splitlines())
    num_utts_E = np.array([int(counts[key]) for key in enrol])
    u_ED = plda.project(np.stack(list(enrol.values())), num_utts_E, length_norm)
    v_TD = plda.project(np.stack(list(test.values())), length_norm=length_norm)
    e_EK, t_TK = llr_factors(u_ED, v_TD, plda.psi_D, num_utts_E)
    rows, columns = {key: i for i, key in enumerate(enrol)}, {key: i for i, key in enumerate(test)}
    ours = np.array([e_EK[rows[a]] @ t_TK[columns[b]] for a, b in pairs])
    assert np.abs(ours - theirs).max() < 1e-3


def test_vectors_as_the_model_expects_them_change_no_covariance():
    """Whitened so that mean and total covariance are the model's exactly."""
    within_DD, between_DD = covariances(PLDA)
    x_ND = RNG.normal(size=(500, len(PLDA.mean_D)))
    x_ND -= x_ND.mean(0)
    x_ND = x_ND @ np.linalg.inv(np.linalg.cholesky(x_ND.T @ x_ND / len(x_ND))).T
    x_ND = x_ND @ np.linalg.cholesky(within_DD + between_DD).T + PLDA.mean_D
    for a, b in zip(covariances(adapt_plda(PLDA, x_ND)), (within_DD, between_DD), strict=True):
        assert np.allclose(a, b, atol=1e-8)


def test_coral_gives_the_moments_of_the_other_domain():
    x_ND, y_MD = RNG.normal(size=(300, 4)) @ RNG.normal(size=(4, 4)), RNG.normal(size=(200, 4)) * [1, 2, 3, 4] + 5
    moved_ND = coral(x_ND, y_MD)
    assert np.allclose(moved_ND.mean(0), y_MD.mean(0))
    assert np.allclose(np.cov(moved_ND.T, bias=True), np.cov(y_MD.T, bias=True))


def test_coral_plus_by_hand():
    """Diagonal covariances: each is raised to `scale` of what CORAL would make of it, and none is lowered."""
    plda = Plda(np.zeros(2), np.diag([1.0, 0.5]), np.array([3.0, 1.0]))  # W = diag(1, 4), B = diag(3, 4)
    corners = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    out_ND, in_MD = corners * [2, 2], corners * [4, 1]  # CORAL: the first variance by 4, the second by 1/4
    within_DD, between_DD = covariances(coral_plus(plda, out_ND, in_MD, within_scale=0.5, between_scale=1.0))
    assert np.allclose(within_DD, np.diag([1 + 0.5 * 3, 4]))
    assert np.allclose(between_DD, np.diag([12, 4]))


def test_what_cannot_be_adapted_to_is_one_line():
    with pytest.raises(DataError, match="have 3 dimensions, the model 12"):
        adapt_plda(PLDA, np.zeros((5, 3)))
    with pytest.raises(DataError, match="1 vectors are too few"):
        adapt_plda(PLDA, np.zeros((1, 12)))
    with pytest.raises(DataError, match="singular; more vectors, or LDA first"):
        coral(RNG.normal(size=(5, 8)), RNG.normal(size=(50, 8)))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_interpolated_covariances_lie_between(weight):
    other = adapt_plda(PLDA, in_domain())
    found = interpolated(other, PLDA, weight)
    assert np.array_equal(found.mean_D, other.mean_D)
    for mixed, a, b in zip(covariances(found), covariances(other), covariances(PLDA), strict=True):
        assert np.allclose(mixed, weight * a + (1 - weight) * b, atol=1e-9)
