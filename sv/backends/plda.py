"""Two-covariance PLDA: training by EM and scoring, as Kaldi's ivector-compute-plda and ivector-plda-scoring.

The model (Ioffe 2006; Brümmer & de Villiers 2010): a speaker's vector is y ~ N(mean, B), and a recording's is
x ~ N(y, W). Shapes: N training vectors, S speakers, D dimensions, E models, T test vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sv.errors import DataError
from sv.systems.backends import LengthNorm

Factors = tuple[np.ndarray, np.ndarray]  # of models (E, K) and of test vectors (T, K); a score is an inner product


@dataclass(frozen=True)
class Plda:
    """A trained model: where `transform_DD` (x - mean) has within-speaker covariance I and between-speaker diag(psi).

    >>> plda = train_plda(x_ND, speaker_N, iterations=10)
    >>> u_ED = plda.project(enrol_ED, num_utts_E)
    >>> v_TD = plda.project(test_TD)
    >>> e_EK, t_TK = llr_factors(u_ED, v_TD, plda.psi_D, num_utts_E)
    >>> scores_ET = e_EK @ t_TK.T
    """

    mean_D: np.ndarray
    transform_DD: np.ndarray
    psi_D: np.ndarray

    def project(
        self, x_ND: np.ndarray, num_utts_N: np.ndarray | None = None, length_norm: LengthNorm = "model"
    ) -> np.ndarray:
        """Vectors (N, D) in the model's space, with one of the three length normalisations of Kaldi's scoring.

        Args:
            x_ND: vectors, or means of `num_utts_N` vectors each.
            num_utts_N: int (N,); default 1.
            length_norm: "model" scales a vector to the length that the model expects of it, as its covariance
                there is psi + I / n (Kaldi's default); "simple" scales to sqrt(D); "none" leaves it.
        """
        if x_ND.shape[1] != len(self.mean_D):
            raise DataError(f"vectors have {x_ND.shape[1]} dimensions, the PLDA model {len(self.mean_D)}")
        u_ND = x_ND @ self.transform_DD.T
        u_ND -= self.transform_DD @ self.mean_D
        if length_norm == "none":
            return u_ND
        n_M, which_N = _distinct(num_utts_N, len(u_ND))
        # Lengths in terms of the variance expected of each dimension, (M, D).
        variance_MD = self.psi_D + 1 / n_M[:, None] if length_norm == "model" else np.ones((1, len(self.psi_D)))
        square_NM = np.square(u_ND) @ (1 / variance_MD).T
        square_N = square_NM[np.arange(len(u_ND)), which_N if length_norm == "model" else 0]
        # A vector at the mean has no length to normalise: it stays there.
        u_ND *= np.sqrt(u_ND.shape[1] / np.maximum(square_N, np.finfo(np.float64).tiny))[:, None]
        return u_ND


def train_plda(x_ND: np.ndarray, speaker_N: np.ndarray, iterations: int = 10) -> Plda:
    """Estimate the model by EM, starting from W = B = I (Kaldi's plda.cc).

    Speakers with one vector take part: they say nothing of W and something of B.

    Args:
        x_ND: training vectors, float (N, D).
        speaker_N: the speaker's index of each, int (N,).
    Raises:
        DataError: fewer than two speakers, every speaker with a single vector, or a singular W.
    """
    x_ND = np.asarray(x_ND, np.float64)
    N, D = x_ND.shape
    _, class_N, n_S = np.unique(speaker_N, return_inverse=True, return_counts=True)
    S = len(n_S)
    if S < 2 or n_S.max() < 2:
        raise DataError(f"PLDA needs two speakers or more and one with several recordings; there are {N} of {S}")
    mean_SD = np.zeros((S, D))
    np.add.at(mean_SD, class_N, x_ND)
    mean_SD /= n_S[:, None]
    mean_D = mean_SD.mean(0)  # every speaker counts the same
    offset_ND = x_ND - mean_SD[class_N]
    scatter_DD = offset_ND.T @ offset_ND
    m_SD = mean_SD - mean_D

    within_DD, between_DD = np.eye(D), np.eye(D)
    for _ in range(iterations):
        # E step. A speaker's y, given the mean m of n vectors, is N(w, V) about the global mean:
        # V = (B^-1 + n W^-1)^-1 and w = V n W^-1 m. Speakers with the same n share V.
        within_inv_DD, between_inv_DD = np.linalg.inv(within_DD), np.linalg.inv(between_DD)
        within_stats_DD, between_stats_DD = scatter_DD.copy(), np.zeros((D, D))
        for n in np.unique(n_S):
            m_KD = m_SD[n_S == n]
            V_DD = np.linalg.inv(between_inv_DD + n * within_inv_DD)
            w_KD = m_KD @ (n * within_inv_DD @ V_DD)
            rest_KD = m_KD - w_KD
            between_stats_DD += len(m_KD) * V_DD + w_KD.T @ w_KD
            within_stats_DD += n * (len(m_KD) * V_DD + rest_KD.T @ rest_KD)
        # M step: the scatter around speaker means has N - S degrees of freedom, the rest S.
        within_DD, between_DD = _symmetric(within_stats_DD / N), _symmetric(between_stats_DD / S)
    return diagonalise(mean_D, within_DD, between_DD)


def diagonalise(mean_D: np.ndarray, within_DD: np.ndarray, between_DD: np.ndarray) -> Plda:
    """The model of a mean and two covariances; DataError if the within-speaker one is not positive definite."""
    try:
        whiten_DD = np.linalg.inv(np.linalg.cholesky(within_DD))
    except np.linalg.LinAlgError:
        raise DataError("PLDA: the within-speaker covariance is singular; reduce the dimension by LDA first") from None
    psi_D, rotation_DD = np.linalg.eigh(_symmetric(whiten_DD @ between_DD @ whiten_DD.T))
    order = np.argsort(-psi_D)
    return Plda(mean_D, rotation_DD[:, order].T @ whiten_DD, np.maximum(psi_D[order], 0.0))


def llr_factors(u_ED: np.ndarray, v_TD: np.ndarray, psi_D: np.ndarray, num_utts_E: np.ndarray | None = None) -> Factors:
    """Log-likelihood ratios, in nats, of every model against every test vector, as factors: `e_EK @ t_TK.T`.

    In the model's space [Ioffe 2006, eq. 6-7] a model of n vectors with mean u predicts a test vector of the same
    speaker as N(m, s), m = n psi / (n psi + 1) u, s = 1 + psi / (n psi + 1), and of any other as N(0, 1 + psi).
    Multiplied out, over dimensions:

        LLR = sum(m/s v)  -  1/2 sum(m^2/s + log s - log(1 + psi))  -  1/2 sum((1/s - 1/(1 + psi)) v^2)

    Only the last sum is of the test vector and of n: there is a factor for each of the n that occur.

    Args:
        u_ED: projected (means of) enrolment vectors.
        v_TD: projected test vectors.
        psi_D: between-speaker variances.
        num_utts_E: vectors behind each mean, int (E,); default 1.
    """
    n_M, which_E = _distinct(num_utts_E, len(u_ED))
    gain_MD = n_M[:, None] * psi_D / (n_M[:, None] * psi_D + 1)
    s_MD = 1 + psi_D / (n_M[:, None] * psi_D + 1)
    rows_E = np.arange(len(u_ED))
    of_model_E = -0.5 * (np.square(u_ED) @ (np.square(gain_MD) / s_MD).T)[rows_E, which_E]
    of_model_E -= 0.5 * (np.log(s_MD) - np.log(1 + psi_D)).sum(1)[which_E]
    of_test_TM = -0.5 * np.square(v_TD) @ (1 / s_MD - 1 / (1 + psi_D)).T
    e_EK = np.hstack([(gain_MD / s_MD)[which_E] * u_ED, of_model_E[:, None], np.eye(len(n_M))[which_E]])
    t_TK = np.hstack([v_TD, np.ones((len(v_TD), 1)), of_test_TM])
    return e_EK, t_TK


def _distinct(num_utts_N: np.ndarray | None, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of vectors that occur, float (M,), and which of them each model has, int (N,)."""
    if num_utts_N is None:
        return np.ones(1), np.zeros(size, int)
    return np.unique(np.asarray(num_utts_N, float), return_inverse=True)


def _symmetric(matrix_DD: np.ndarray) -> np.ndarray:
    return (matrix_DD + matrix_DD.T) / 2
