"""Training of the i-vector extractor by EM, as Kaldi's ivector-extractor-acc-stats and ivector-extractor-est.

One iteration is `e_step`, over all utterances, and `m_step`: projections M, covariances Sigma, and then a change of
the i-vectors' space after which their prior is again N(p e1, I) (minimum divergence, Kenny 2008; Kaldi's UpdatePrior).

Shapes as in `sv.backends.ivector`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sv.backends.gmm import cholesky
from sv.backends.ivector import Extractor, UtteranceStats, packed, unpacked
from sv.errors import DataError

_MAX_CONDITION = 1e4  # of the scaled quadratic term when M is solved for; Kaldi's SolverOptions
_MIN_COUNT = 100.0  # frames of a Gaussian, below which its parameters stay; Kaldi's --gaussian-min-count
_VARIANCE_FLOOR = 0.1  # of a covariance, relative to the average; Kaldi's --variance-floor-factor
_MIN_EIGENVALUE = 1e-7  # of the i-vectors' covariance; Kaldi's UpdatePrior
_MAX_BYTES = 1 << 29  # of matrices (S, S) handled at once


class Stats(Protocol):
    """What `StatsStream` and `KeptStats` are: statistics to go through, then the scatter of all frames."""

    def __iter__(self) -> Iterator[UtteranceStats]: ...

    @property
    def scatter_IDD(self) -> Tensor: ...


@dataclass(eq=False)
class Expectations:
    """What the M step needs of all utterances; E is the expectation over an utterance's vector x.

    n_I: sum of n. y_IDS: sum of f E(x)'. r_IK: sum of n E(x x'), packed. scatter_IDD: sum of posterior · o o' over
    frames o. num_utts, sum_S, scatter_SS: number of utterances, sums of E(x) and E(x x'). log_det: sum of the log
    determinants of the posterior precisions.
    """

    n_I: Tensor
    y_IDS: Tensor
    r_IK: Tensor
    scatter_IDD: Tensor
    num_utts: int
    sum_S: Tensor
    scatter_SS: Tensor
    log_det: float


def train_extractor(
    extractor: Extractor, stats: Stats, iterations: int = 5, log: Callable[[str], None] = lambda line: None
) -> Extractor:
    """EM from an initial extractor.

    >>> stream = StatsStream(utterances, ubm_posteriors(ubm), ubm.num_gauss, second_order=True)
    >>> extractor = train_extractor(Extractor.initial(ubm, dim=400, seed=0), stream)

    Args:
        extractor: `Extractor.initial`, on the device to compute on, which is that of the statistics.
        stats: of the training utterances; gone through once an iteration.
        iterations: Kaldi's recipes do 5.
        log: told the objective of each iteration.
    """
    for iteration in range(iterations):
        expectations = e_step(extractor, stats)
        value = objective(extractor, expectations)
        log(f"i-vector extractor  iteration {iteration + 1}/{iterations}  objective {value:.4f} a frame")
        extractor = m_step(extractor, expectations)
    return extractor


def e_step(extractor: Extractor, stats: Stats) -> Expectations:
    """Sums over utterances of their posteriors' moments; IvectorExtractorStats::CommitStatsForUtterance.

    Utterances come in blocks, and a block's sums are four products of matrices.
    """
    S, K = extractor.dim, extractor.dim * (extractor.dim + 1) // 2
    n_I, r_IK = (extractor.precisions_IDD.new_zeros(extractor.num_gauss, *shape) for shape in ((), (K,)))
    y_XS = torch.zeros_like(extractor.projections_IDS).flatten(0, 1)
    num_utts, sum_S, scatter_K, log_det = 0, y_XS.new_zeros(S), y_XS.new_zeros(K), 0.0
    step = max(1, _MAX_BYTES // (8 * 4 * S * S))
    for block in stats:
        for start in range(0, len(block.keys), step):
            n_UI, f_UID = block.n_UI[start : start + step], block.f_UID[start : start + step]
            mean_US, factor_USS = extractor.posterior(n_UI, f_UID)
            moment_UK = packed(torch.cholesky_inverse(factor_USS) + mean_US[:, :, None] * mean_US[:, None, :])
            n_I += n_UI.sum(0)
            y_XS.addmm_(f_UID.flatten(1).T, mean_US)
            r_IK.addmm_(n_UI.T, moment_UK)
            num_utts += len(n_UI)
            sum_S += mean_US.sum(0)
            scatter_K += moment_UK.sum(0)
            log_det += 2 * float(factor_USS.diagonal(dim1=1, dim2=2).log().sum())
    if num_utts == 0:
        raise DataError("no utterances to train the i-vector extractor on")
    scatter_SS = unpacked(scatter_K[None], S)[0]
    return Expectations(
        n_I, y_XS.view_as(extractor.projections_IDS), r_IK, stats.scatter_IDD, num_utts, sum_S, scatter_SS, log_det
    )


def objective(extractor: Extractor, e: Expectations) -> float:
    """What EM maximises, in nats a frame: the "auxf/frame" that ivector-extractor-est reports of the same sums.

    Kaldi sums GetAuxf over utterances; here it is written in the sums: of log w + log |2 pi Sigma|^-1/2, of the
    squared distances of frames to M x, and of the divergence of the vectors' posteriors from their prior.
    """
    S, p = extractor.dim, extractor.prior_offset
    factor_IDD = cholesky(extractor.precisions_IDD, "a precision of the extractor")
    log_det_I = 2 * factor_IDD.diagonal(dim1=1, dim2=2).log().sum(1)
    const_I = extractor.weights_I.log() + 0.5 * (log_det_I - extractor.feat_dim * math.log(2 * math.pi))
    twice_K = 2 - torch.eye(S).to(e.r_IK)[tuple(torch.tril_indices(S, S))]  # a triangle holds off-diagonals once
    acoustic = (
        (e.n_I * const_I).sum()
        - 0.5 * (e.scatter_IDD * extractor.precisions_IDD).sum()
        + (e.y_IDS * extractor.linear_IDS).sum()
        - 0.5 * (e.r_IK * extractor.quadratic_IK @ twice_K).sum()
    )
    distance = e.scatter_SS.trace() - 2 * p * e.sum_S[0] + e.num_utts * p * p
    prior = -0.5 * (distance - e.num_utts * S + e.log_det)
    return float((acoustic + prior) / e.n_I.sum())


def m_step(extractor: Extractor, e: Expectations) -> Extractor:
    """The extractor that the expectations give; IvectorExtractorStats::Update."""
    enough_I = e.n_I >= _MIN_COUNT
    if not enough_I.any():
        raise DataError(
            f"no Gaussian has {_MIN_COUNT:.0f} frames ({float(e.n_I.sum()):.0f} frames on {len(e.n_I)} Gaussians);"
            " train the i-vector extractor on more data, or with fewer Gaussians"
        )
    projections_IDS = projections(extractor, e, enough_I)
    new_IDD = covariances(projections_IDS, e, enough_I)
    precisions_IDD = extractor.precisions_IDD.clone()
    precisions_IDD[enough_I] = torch.cholesky_inverse(cholesky(new_IDD, "a covariance of the extractor"))
    updated = Extractor(extractor.weights_I, projections_IDS, precisions_IDD, extractor.prior_offset)
    return with_standard_prior(updated, e)


def projections(extractor: Extractor, e: Expectations, enough_I: Tensor) -> Tensor:
    """M_i = Y_i R_i^-1, (I, D, S), of the Gaussians with enough frames; the others keep theirs.

    As Kaldi's SolveQuadraticMatrixProblem with its diagonal preconditioner: R is scaled to a unit diagonal, and where
    its condition exceeds 1e4 its small eigenvalues are raised and only the step from the old M is solved for.
    """
    S = extractor.dim
    new_IDS = extractor.projections_IDS.clone()
    for which_B in enough_I.nonzero()[:, 0].split(max(1, _MAX_BYTES // (8 * 6 * S * S))):
        r_BSS = unpacked(e.r_IK[which_B], S)
        scale_B1S = r_BSS.diagonal(dim1=1, dim2=2).sqrt()[:, None]
        r_BSS = r_BSS / scale_B1S / scale_B1S.mT
        y_BDS, old_BDS = e.y_IDS[which_B] / scale_B1S, extractor.projections_IDS[which_B] * scale_B1S

        # No eigenvalue is below the floor where R less a bound of the floor is positive definite: a Cholesky
        # decomposition tells, at a fraction of what eigenvalues cost. The largest is at most |R²|^1/2, little more.
        bound_B = torch.linalg.matrix_norm(r_BSS @ r_BSS).sqrt() / _MAX_CONDITION
        _, bad_B = torch.linalg.cholesky_ex(r_BSS - torch.diag_embed(bound_B[:, None].expand(-1, S)))
        factor_BSS, _ = torch.linalg.cholesky_ex(r_BSS)
        solved_BDS = torch.cholesky_solve(y_BDS.mT, factor_BSS).mT
        for b in bad_B.nonzero()[:, 0].tolist():
            value_S, vector_SS = torch.linalg.eigh(r_BSS[b])
            value_S = value_S.clamp(min=float(value_S[-1]) / _MAX_CONDITION)
            step_DS = (y_BDS[b] - old_BDS[b] @ r_BSS[b]) @ (vector_SS / value_S @ vector_SS.T)
            solved_BDS[b] = old_BDS[b] + step_DS
        new_IDS[which_B] = solved_BDS / scale_B1S
    return new_IDS


def covariances(projections_IDS: Tensor, e: Expectations, enough_I: Tensor) -> Tensor:
    """Sigma of the Gaussians with enough frames, (B, D, D); IvectorExtractorStats::UpdateVariances.

    (scatter - Y M' - M Y' + M R M') / n, with eigenvalues floored at a tenth of the average covariance's.
    """
    S = projections_IDS.shape[2]
    m_BDS, y_BDS, n_B11 = projections_IDS[enough_I], e.y_IDS[enough_I], e.n_I[enough_I, None, None]
    cross_BDD = y_BDS @ m_BDS.mT
    sum_BDD = e.scatter_IDD[enough_I] - cross_BDD - cross_BDD.mT
    which_B, step = enough_I.nonzero()[:, 0], max(1, _MAX_BYTES // (8 * 2 * S * S))
    for start in range(0, len(which_B), step):
        part = slice(start, start + step)
        sum_BDD[part] += m_BDS[part] @ unpacked(e.r_IK[which_B[part]], S) @ m_BDS[part].mT
    floor_DD = _VARIANCE_FLOOR * sum_BDD.sum(0) / n_B11.sum()
    factor_DD = cholesky(floor_DD[None], "the average covariance of the extractor")[0]
    return _floored(_symmetric(sum_BDD) / n_B11, factor_DD)


def with_standard_prior(extractor: Extractor, e: Expectations) -> Extractor:
    """The same model in a space where the i-vectors' prior is N(p e1, I); IvectorExtractorStats::UpdatePrior.

    The i-vectors' covariance becomes I, their mean lies along the first dimension, and the others diagonalise the
    average of U_i, largest first, which fixes them but for their signs. As Kaldi's --diagonalize does, that leaves the
    first dimension out of account, so that in the new space the average is only nearly diagonal.
    """
    S = extractor.dim
    mean_S = e.sum_S / e.num_utts
    value_S, vector_SS = torch.linalg.eigh(e.scatter_SS / e.num_utts - torch.outer(mean_S, mean_S))
    whiten_SS = (vector_SS / value_S.clamp(min=_MIN_EIGENVALUE).sqrt()).T

    # A reflection I - 2 a a' takes the direction of the whitened mean to the first axis.
    a_S = torch.nn.functional.normalize(whiten_SS @ mean_S, dim=0)
    a_S[0] -= 1.0
    a_S = torch.nn.functional.normalize(a_S, dim=0)  # stays 0 where the mean is on that axis already
    to_SS = whiten_SS - 2 * torch.outer(a_S, a_S @ whiten_SS)

    if S > 1:
        weighted_IDS = extractor.linear_IDS * extractor.weights_I[:, None, None]
        average_SS = extractor.projections_IDS.flatten(0, 1).T @ weighted_IDS.flatten(0, 1)
        inverse_RR = torch.linalg.inv(to_SS[1:, 1:])
        _, rotation_RR = torch.linalg.eigh(_symmetric(inverse_RR.T @ average_SS[1:, 1:] @ inverse_RR))
        to_SS[1:] = rotation_RR.flip(1).T @ to_SS[1:].clone()

    moved_XS = torch.linalg.solve(to_SS, extractor.projections_IDS.flatten(0, 1), left=False)
    projections_IDS = moved_XS.view_as(extractor.projections_IDS)
    return Extractor(extractor.weights_I, projections_IDS, extractor.precisions_IDD, float(to_SS[0] @ mean_S))


def _floored(covariance_BDD: Tensor, factor_DD: Tensor) -> Tensor:
    """Covariances that exceed L L' in every direction; SpMatrix::ApplyFloor."""
    inverse_DD = torch.linalg.inv(factor_DD)
    value_BD, vector_BDD = torch.linalg.eigh(_symmetric(inverse_DD @ covariance_BDD @ inverse_DD.T))
    if bool((value_BD >= 1).all()):
        return covariance_BDD
    return _symmetric(factor_DD @ (vector_BDD * value_BD.clamp(min=1)[:, None]) @ vector_BDD.mT @ factor_DD.T)


def _symmetric(matrix_BDD: Tensor) -> Tensor:
    return (matrix_BDD + matrix_BDD.mT) / 2
