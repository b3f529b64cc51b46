"""PLDA models and vectors of one domain brought to another, of which there are vectors but no speaker labels.

Shapes: N vectors, D dimensions. W and B are the within- and between-speaker covariances of a model.
"""

from __future__ import annotations

import numpy as np

from sv.backends.plda import Plda, diagonalise
from sv.errors import DataError


def adapt_plda(
    plda: Plda, x_ND: np.ndarray, within_scale: float = 0.3, between_scale: float = 0.7, mean_diff_scale: float = 1.0
) -> Plda:
    """Move a model to unlabelled vectors of another domain (Kaldi's ivector-adapt-plda, PldaUnsupervisedAdaptor).

    In the space where the model expects a total covariance of I, directions in which the new domain varies more get
    the excess, `within_scale` of it as within- and `between_scale` as between-speaker variance. None gets less.

    Args:
        plda: the model.
        x_ND: vectors of the new domain, treated as those that the model was trained on.
        within_scale, between_scale: parts of the excess; Kaldi's defaults. Their sum need not be 1.
        mean_diff_scale: how much of the two means' difference counts as variance of the new domain.
    Raises:
        DataError: fewer than two vectors, or of another dimension.
    """
    mean_D, covariance_DD = _moments(x_ND, len(plda.mean_D))
    step_D = mean_D - plda.mean_D
    covariance_DD += mean_diff_scale * np.outer(step_D, step_D)
    # To where the model's W + B is I: its W is diagonal there, and its B is the rest.
    whiten_DD = plda.transform_DD / np.sqrt(1 + plda.psi_D)[:, None]
    within_D = 1 / (1 + plda.psi_D)
    variance_D, rotation_DD = np.linalg.eigh(_symmetric(whiten_DD @ covariance_DD @ whiten_DD.T))
    excess_D = np.maximum(variance_D - 1, 0)
    back_DD = np.linalg.inv(rotation_DD.T @ whiten_DD)
    adapted = (
        back_DD @ (rotation_DD.T @ np.diag(model_D) @ rotation_DD + scale * np.diag(excess_D)) @ back_DD.T
        for model_D, scale in ((within_D, within_scale), (1 - within_D, between_scale))
    )
    return diagonalise(mean_D, *map(_symmetric, adapted))


def smoothed(plda: Plda, factor: float) -> Plda:
    """The model with `factor` times B added to W (Kaldi's Plda::SmoothWithinClassCovariance).

    Args:
        factor: 0 to 1; a little guards against a W that few speakers made too small.
    """
    within_D = 1 + factor * plda.psi_D
    return Plda(plda.mean_D, plda.transform_DD / np.sqrt(within_D)[:, None], plda.psi_D / within_D)


def interpolated(in_domain: Plda, out_of_domain: Plda, weight: float) -> Plda:
    """The in-domain model's mean, and of both covariances `weight` of its own and the rest of the other's.

    Garcia-Romero, McCree, Shum, Brümmer & Vaquero 2014, "Unsupervised domain adaptation for i-vector speaker
    recognition", whose in-domain model is of clusters.
    """
    (within_DD, between_DD), (other_within_DD, other_between_DD) = map(_covariances, (in_domain, out_of_domain))
    return diagonalise(
        in_domain.mean_D,
        weight * within_DD + (1 - weight) * other_within_DD,
        weight * between_DD + (1 - weight) * other_between_DD,
    )


def coral(x_ND: np.ndarray, in_domain_MD: np.ndarray) -> np.ndarray:
    """Vectors with the mean and covariance of another domain's (Sun, Feng & Saenko 2016, Algorithm 1).

    With labels of the vectors, a back end trained on the result suits the other domain.

    Args:
        x_ND: out-of-domain vectors.
        in_domain_MD: of the domain to go to.
    Raises:
        DataError: other dimensions, or too few vectors for a covariance of full rank.
    """
    mean_D, covariance_DD = _moments(x_ND)
    wanted_D, wanted_DD = _moments(in_domain_MD, x_ND.shape[1])
    return (x_ND - mean_D) @ (_root(covariance_DD, -0.5) @ _root(wanted_DD, 0.5)) + wanted_D


def coral_plus(
    plda: Plda,
    x_ND: np.ndarray,
    in_domain_MD: np.ndarray,
    within_scale: float = 0.8,
    between_scale: float = 0.8,
) -> Plda:
    """Adapt the two covariances of a model as CORAL moves vectors, where that makes them larger.

    CORAL+ (Lee, Wang & Koshinaka 2019, Algorithm 1): each covariance is compared with its CORAL image S; where S
    has more variance, `scale` of the excess is added.

    Args:
        plda: the model, trained on `x_ND`.
        x_ND: out-of-domain vectors.
        in_domain_MD: of the domain to go to.
        within_scale, between_scale: beta and gamma of the paper.
    Raises:
        DataError: other dimensions, or too few vectors for a covariance of full rank.
    """
    _, covariance_DD = _moments(x_ND, len(plda.mean_D))
    mean_D, wanted_DD = _moments(in_domain_MD, len(plda.mean_D))
    move_DD = _root(wanted_DD, 0.5) @ _root(covariance_DD, -0.5)
    within_DD, between_DD = _covariances(plda)
    return diagonalise(
        mean_D,
        _raised(within_DD, move_DD @ within_DD @ move_DD.T, within_scale),
        _raised(between_DD, move_DD @ between_DD @ move_DD.T, between_scale),
    )


def _raised(covariance_DD: np.ndarray, image_DD: np.ndarray, scale: float) -> np.ndarray:
    """A covariance with `scale` of what its image has more, in the directions that diagonalise both."""
    # With image = L L^T: E holds the eigenvalues of L^-1 covariance L^-T, the ratio of the two in each direction.
    root_DD = np.linalg.cholesky(_symmetric(image_DD) + np.eye(len(image_DD)) * np.trace(image_DD) * 1e-12)
    inverse_DD = np.linalg.inv(root_DD)
    ratio_D, rotation_DD = np.linalg.eigh(_symmetric(inverse_DD @ covariance_DD @ inverse_DD.T))
    directions_DD = root_DD @ rotation_DD
    return _symmetric(covariance_DD + scale * directions_DD @ np.diag(np.maximum(1 - ratio_D, 0)) @ directions_DD.T)


def _covariances(plda: Plda) -> tuple[np.ndarray, np.ndarray]:
    """W and B."""
    back_DD = np.linalg.inv(plda.transform_DD)
    return _symmetric(back_DD @ back_DD.T), _symmetric(back_DD * plda.psi_D @ back_DD.T)


def _moments(x_ND: np.ndarray, dim: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance (over N, not N - 1)."""
    x_ND = np.asarray(x_ND, np.float64)
    if dim is not None and x_ND.shape[1] != dim:
        raise DataError(f"vectors to adapt to have {x_ND.shape[1]} dimensions, the model {dim}")
    if len(x_ND) < 2:
        raise DataError(f"{len(x_ND)} vectors are too few to adapt to")
    mean_D = x_ND.mean(0)
    offset_ND = x_ND - mean_D
    return mean_D, offset_ND.T @ offset_ND / len(x_ND)


def _root(covariance_DD: np.ndarray, power: float) -> np.ndarray:
    """A symmetric power of a covariance; DataError if it is singular."""
    values_D, vectors_DD = np.linalg.eigh(covariance_DD)
    if values_D[0] <= 1e-12 * values_D[-1]:
        raise DataError(f"a covariance of {len(values_D)} dimensions is singular; more vectors, or LDA first")
    return (vectors_DD * values_D**power) @ vectors_DD.T


def _symmetric(matrix_DD: np.ndarray) -> np.ndarray:
    return (matrix_DD + matrix_DD.T) / 2
