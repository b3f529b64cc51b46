"""LDA, whitening and length normalisation, as Kaldi's ivector-compute-lda, est-pca and ivector-normalize-length."""

from __future__ import annotations

import numpy as np

from sv.errors import DataError


def lda(x_ND: np.ndarray, speaker_N: np.ndarray, dim: int, total_covariance_factor: float = 0.0) -> np.ndarray:
    """The transform (dim, D + 1) to the directions that tell speakers apart best; its last column is the offset.

    In the projected space the within-class covariance (mixed with the total one by `total_covariance_factor`) is I
    and the between-class covariance is diagonal, largest first. Apply it with `transform`.

    Args:
        x_ND: vectors, float (N, D).
        speaker_N: the speaker's index of each, int (N,).
        dim: directions to keep, at most D.
    Raises:
        DataError: too few speakers or vectors for the size asked.
    """
    x_ND = np.asarray(x_ND, np.float64)
    N, D = x_ND.shape
    speakers, class_N, count_S = np.unique(speaker_N, return_inverse=True, return_counts=True)
    S = len(speakers)
    if not 0 < dim <= D:
        raise DataError(
            f"LDA to {dim} dimensions of vectors that have {D}; lower it, as by --set backends.plda.lda_dim={D}"
        )
    if S < 2:
        raise DataError(f"LDA needs two or more speakers, the training set has {S}")
    if dim > S - 1:
        raise DataError(
            f"LDA to {dim} dimensions needs {dim + 1} speakers, the training set has {S};"
            f" lower it, as by --set backends.plda.lda_dim={S - 1}"
        )
    if N <= D + S - 1:
        raise DataError(f"LDA of {D}-dimensional vectors needs more than {D + S - 1} of them, the training set has {N}")

    mean_D = x_ND.mean(0)
    centred_ND = x_ND - mean_D
    total_DD = centred_ND.T @ centred_ND / N
    mean_SD = np.zeros((S, D))
    np.add.at(mean_SD, class_N, centred_ND)
    mean_SD /= count_S[:, None]
    between_DD = (mean_SD * count_S[:, None]).T @ mean_SD / N
    within_DD = total_DD - between_DD
    mix_DD = total_covariance_factor * total_DD + (1 - total_covariance_factor) * within_DD

    values_D, vectors_DD = np.linalg.eigh(mix_DD)
    if values_D[0] <= values_D[-1] * 1e-12:
        raise DataError(f"LDA: the within-speaker covariance of {N} vectors of {D} dimensions is singular")
    whiten_DD = vectors_DD / np.sqrt(values_D) @ vectors_DD.T
    _, rotation_DD = np.linalg.eigh(whiten_DD @ between_DD @ whiten_DD)
    projection_KD = rotation_DD[:, ::-1][:, :dim].T @ whiten_DD
    return np.hstack([projection_KD, -(projection_KD @ mean_D)[:, None]])


def whitening(x_ND: np.ndarray) -> np.ndarray:
    """The transform (D, D + 1) to mean 0 and covariance I of these vectors; its last column is the offset.

    Directions are the covariance's, of largest variance first (Kaldi's est-pca --normalize-variance=true).

    Raises:
        DataError: too few vectors for a covariance of full rank.
    """
    x_ND = np.asarray(x_ND, np.float64)
    N, D = x_ND.shape
    mean_D = x_ND.mean(0)
    centred_ND = x_ND - mean_D
    values_D, vectors_DD = np.linalg.eigh(centred_ND.T @ centred_ND / N)
    if N <= D or values_D[0] <= values_D[-1] * 1e-12:
        raise DataError(f"whitening: the covariance of {N} vectors of {D} dimensions is singular")
    whiten_DD = (vectors_DD / np.sqrt(values_D)).T[::-1]
    return np.hstack([whiten_DD, -(whiten_DD @ mean_D)[:, None]])


def transform(matrix_KD1: np.ndarray, x_ND: np.ndarray) -> np.ndarray:
    """Apply an affine transform (K, D + 1) to vectors (N, D); DataError if the dimensions do not fit."""
    if x_ND.shape[1] != matrix_KD1.shape[1] - 1:
        raise DataError(f"vectors have {x_ND.shape[1]} dimensions, the transform takes {matrix_KD1.shape[1] - 1}")
    y_NK = x_ND @ matrix_KD1[:, :-1].T
    y_NK += matrix_KD1[:, -1]
    return y_NK


def normalise_length(x_ND: np.ndarray) -> np.ndarray:
    """Scale each vector to length sqrt(D), Kaldi's convention, so that components have unit variance on average."""
    length_N1 = np.linalg.norm(x_ND, axis=1, keepdims=True)
    return x_ND * (np.sqrt(x_ND.shape[1]) / np.maximum(length_N1, np.finfo(np.float64).tiny))
