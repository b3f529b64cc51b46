"""Training of the UBM by EM, diagonal and then full, as Kaldi's sid/train_diag_ubm.sh and train_full_ubm.sh.

Shapes as in `sv.backends.gmm`. Utterances are pairs of key and features (T, D), gone through once an iteration, in
memory that does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sv.backends.gmm import DiagGmm, FullGmm, full_posteriors, normalised, second_order_statistics
from sv.backends.utterances import Utterances, blocks, require_rereadable
from sv.errors import DataError

_MIN_FRAMES_PER_GAUSSIAN = 10  # Kaldi's gmm-global-init-from-feats stops below it
_SPLIT_BY = 0.1  # deviations between a mean and its halves'; Kaldi's in gmm-global-init-from-feats
_FRAMES_AT_ONCE = 8192

Log = Callable[[str], None]


@dataclass(frozen=True)
class Floors:
    """What an update leaves no smaller: Kaldi's options and defaults.

    min_weight, min_count: a Gaussian of less weight, or fewer frames, is not updated, and is removed by the last
    update. min_variance: of a dimension, or a covariance's eigenvalue. max_condition: of a full covariance.
    """

    min_count: float
    min_weight: float = 1e-4
    min_variance: float = 1e-3
    max_condition: float = 1e4


DIAG_FLOORS = Floors(min_count=10.0)
FULL_FLOORS = Floors(min_count=100.0)


def train_diag_ubm(
    utterances: Utterances,
    num_gauss: int,
    seed: int,
    num_frames: int = 500_000,
    init_iterations: int = 20,
    iterations: int = 4,
    subsample: int = 5,
    device: torch.device | str = "cpu",
    log: Log = lambda line: None,
) -> DiagGmm:
    """A diagonal mixture of (about) `num_gauss`, as Kaldi's sid/train_diag_ubm.sh.

    First on a random subset of frames in memory (gmm-global-init-from-feats): half the Gaussians start at frames,
    with the global variance, and the rest come by splitting; then on all frames (gmm-global-est). Where Kaldi limits
    a frame to its 30 likeliest Gaussians, for speed, all are used here.

    Args:
        num_gauss: Gaussians wanted; the last update removes those with too few frames.
        seed: of the frames drawn and of the splits.
        num_frames: drawn for the first phase, at most.
        init_iterations, iterations: of the two phases.
        subsample: the second phase takes each `subsample`-th frame of an utterance.
    Raises:
        DataError: fewer than 10 frames for each Gaussian, or a bad utterance (see `StatsStream`).
    """
    require_rereadable(utterances)
    x_TD = torch.from_numpy(random_frames(utterances, num_frames, seed)).to(device)
    gmm = initial_gmm(x_TD, num_gauss, init_iterations, seed, log)
    every = _Subsampled(utterances, subsample)
    for iteration in range(iterations):
        sums, log_likelihood, total = None, 0.0, 0
        for _, _, x_BD in blocks(every, gmm.num_gauss, torch.device(device), torch.float32):
            *found, value = diag_statistics(gmm, x_BD)
            sums = _added(sums, found)
            log_likelihood, total = log_likelihood + value, total + len(x_BD)
        log(
            f"diagonal UBM  iteration {iteration + 1}/{iterations}  log-likelihood {log_likelihood / total:.4f} a frame"
        )
        gmm = updated_diag(gmm, *sums, remove=iteration == iterations - 1)
    return gmm


def train_full_ubm(
    utterances: Utterances,
    diag: DiagGmm,
    iterations: int = 4,
    num_gselect: int = 20,
    subsample: int = 5,
    device: torch.device | str = "cpu",
    log: Log = lambda line: None,
) -> FullGmm:
    """A full mixture from a diagonal one, as Kaldi's sid/train_full_ubm.sh.

    Args:
        diag: where training starts, and what selects `num_gselect` Gaussians for a frame in every iteration.
        subsample: takes each `subsample`-th frame of an utterance.
    """
    require_rereadable(utterances)
    full, every = diag.full(), _Subsampled(utterances, subsample)
    for iteration in range(iterations):
        sums, total = None, 0
        for _, _, x_BD in blocks(every, full.num_gauss, torch.device(device), torch.float32):
            posteriors = full_posteriors(x_BD, diag, full, num_gselect, min_post=0.0)
            sums = _added(sums, second_order_statistics(x_BD, posteriors, full.num_gauss))
            total += len(x_BD)
        if sums is None:
            raise DataError("no utterances to train the full UBM on")
        log(f"full UBM  iteration {iteration + 1}/{iterations}  {total} frames")
        full = updated_full(full, *sums, remove=iteration == iterations - 1)
    return full


def random_frames(utterances: Utterances, num_frames: int, seed: int) -> np.ndarray:
    """`num_frames` frames drawn without replacement, or all if there are fewer, in their order, float32 (T, D).

    Every frame draws a number, and those with the smallest stay: what is drawn depends on the frames' order alone,
    and what is held is never more than one block above `num_frames`.
    """
    rng = np.random.default_rng(seed)
    drawn_T, x_TD, highest = np.zeros(0), None, 1.0
    for _, _, block_BD in blocks(utterances, 1, torch.device("cpu"), torch.float32):
        drawn_B = rng.random(len(block_BD))
        keep_B = drawn_B < highest
        drawn_T = np.concatenate([drawn_T, drawn_B[keep_B]])
        kept_BD = block_BD.numpy()[keep_B]
        x_TD = kept_BD if x_TD is None else np.concatenate([x_TD, kept_BD])
        if len(drawn_T) > num_frames:
            smallest_T = np.sort(np.argpartition(drawn_T, num_frames)[:num_frames])
            drawn_T, x_TD = drawn_T[smallest_T], x_TD[smallest_T]
            highest = drawn_T.max()
    if x_TD is None:
        raise DataError("no utterances to train the UBM on")
    return x_TD


def initial_gmm(
    x_TD: Tensor, num_gauss: int, iterations: int, seed: int, log: Log = lambda line: None, floors: Floors = DIAG_FLOORS
) -> DiagGmm:
    """EM in memory from random frames; Kaldi's gmm-global-init-from-feats.

    Begins with half the Gaussians and splits those of most weight, some after every iteration, so that all are there
    halfway through; Gaussians that lose their frames are removed and replaced in the same way.
    """
    T = len(x_TD)
    if num_gauss < 1 or num_gauss * _MIN_FRAMES_PER_GAUSSIAN > T:
        raise DataError(
            f"a UBM of {num_gauss} Gaussians needs {max(num_gauss, 1) * _MIN_FRAMES_PER_GAUSSIAN} frames or more, the"
            f" training set has {T}; lower the number of Gaussians"
        )
    generator = torch.Generator().manual_seed(seed)
    mean_D = sum(x_BD.double().sum(0) for x_BD in x_TD.split(_FRAMES_AT_ONCE)) / T
    variance_D = sum((x_BD.double() - mean_D).square().sum(0) for x_BD in x_TD.split(_FRAMES_AT_ONCE)) / T
    if bool((variance_D <= 0).any()):
        raise DataError(
            f"the features' dimension {int(variance_D.argmin())} is constant; a UBM cannot be trained on it"
        )
    num_start = max(1, num_gauss // 2)
    start_I = torch.randperm(T, generator=generator)[:num_start].to(x_TD.device)
    weights_I = torch.full((num_start,), 1 / num_start, dtype=torch.float64, device=x_TD.device)
    gmm = DiagGmm(weights_I, x_TD[start_I].double(), variance_D.repeat(num_start, 1))
    target, more = num_start, max(1, (num_gauss - num_start) // max(1, iterations // 2))
    for iteration in range(iterations):
        n_I, f_ID, s_ID, log_likelihood = diag_statistics(gmm, x_TD)
        log(
            f"UBM start  iteration {iteration + 1}/{iterations}  {gmm.num_gauss} Gaussians"
            f"  log-likelihood {log_likelihood / T:.4f} a frame"
        )
        gmm = updated_diag(gmm, n_I, f_ID, s_ID, remove=True, floors=floors)
        target = min(num_gauss, target + more)
        gmm = split(gmm, target, generator)
    return gmm


def split(gmm: DiagGmm, num_gauss: int, generator: torch.Generator) -> DiagGmm:
    """Split the Gaussian of most weight in two, until there are `num_gauss`; DiagGmm::Split.

    The halves' means are a tenth of a deviation, times a draw from N(0, 1), to either side of the old one.
    """
    w_I, m_ID, v_ID = (t.cpu().clone() for t in (gmm.weights_I, gmm.means_ID, gmm.variances_ID))
    more = num_gauss - gmm.num_gauss
    if more <= 0:
        return gmm
    grown = [torch.cat([t, t.new_zeros(more, *t.shape[1:])]) for t in (w_I, m_ID, v_ID)]
    w_I, m_ID, v_ID = grown
    for new in range(gmm.num_gauss, num_gauss):
        old = int(w_I[:new].argmax())
        w_I[old] /= 2
        w_I[new], v_ID[new] = w_I[old], v_ID[old]
        shift_D = _SPLIT_BY * torch.randn(gmm.dim, generator=generator, dtype=torch.float64) * v_ID[old].sqrt()
        m_ID[new] = m_ID[old] + shift_D
        m_ID[old] -= shift_D
    return DiagGmm(*(t.to(gmm.weights_I.device) for t in grown))


def diag_statistics(gmm: DiagGmm, x_TD: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
    """Sums over frames of posteriors, posterior · x and posterior · x², float64, and the log-likelihood, in nats.

    AccumDiagGmm::AccumulateFromDiag: all Gaussians of a block of frames in one product each.
    """
    D, log_likelihood = gmm.dim, 0.0
    n_I, both_IX = torch.zeros_like(gmm.weights_I), gmm.means_ID.new_zeros(gmm.num_gauss, 2 * D)
    for x_BD in x_TD.split(_FRAMES_AT_ONCE):
        found_BI = gmm.log_likelihoods(x_BD)
        post_BI = normalised(found_BI)
        # log p(x) = log (w_i p(x | i)) - log p(i | x) for any i; for the likeliest, both are far from underflow.
        log_likelihood += float((found_BI.amax(1) - post_BI.amax(1).log()).double().sum())
        n_I += post_BI.sum(0).double()
        both_IX += (post_BI.T @ torch.cat([x_BD, x_BD.square()], 1)).double()
    return n_I, both_IX[:, :D], both_IX[:, D:], log_likelihood


def updated_diag(
    gmm: DiagGmm, n_I: Tensor, f_ID: Tensor, s_ID: Tensor, remove: bool, floors: Floors = DIAG_FLOORS
) -> DiagGmm:
    """The M step; MleDiagGmmUpdate.

    Args:
        n_I, f_ID, s_ID: what `diag_statistics` gives.
        remove: remove the Gaussians with too few frames, and make the weights sum to one again.
    """
    enough_I, weights_I = _enough(gmm.weights_I, n_I, floors)
    mean_ID = f_ID / n_I[:, None]
    variance_ID = (s_ID / n_I[:, None] - mean_ID.square()).clamp(min=floors.min_variance)
    mean_ID = torch.where(enough_I[:, None], mean_ID, gmm.means_ID)
    variance_ID = torch.where(enough_I[:, None], variance_ID, gmm.variances_ID)
    keep_I, weights_I = _kept(enough_I, weights_I, remove)
    return DiagGmm(weights_I, mean_ID[keep_I], variance_ID[keep_I])


def updated_full(
    gmm: FullGmm, n_I: Tensor, f_ID: Tensor, s_IDD: Tensor, remove: bool, floors: Floors = FULL_FLOORS
) -> FullGmm:
    """The M step; MleFullGmmUpdate.

    A covariance's eigenvalues are floored at `min_variance`, and at its largest one over `max_condition`.

    Args:
        n_I, f_ID, s_IDD: what `second_order_statistics` gives.
        remove: remove the Gaussians with too few frames, and make the weights sum to one again.
    """
    enough_I, weights_I = _enough(gmm.weights_I, n_I, floors)
    mean_BD = f_ID[enough_I] / n_I[enough_I, None]
    covariance_BDD = s_IDD[enough_I] / n_I[enough_I, None, None] - mean_BD[:, :, None] * mean_BD[:, None]
    value_BD, vector_BDD = torch.linalg.eigh((covariance_BDD + covariance_BDD.mT) / 2)
    floor_B1 = (value_BD.abs().amax(1, keepdim=True) / floors.max_condition).clamp(min=floors.min_variance)
    floored_BDD = (vector_BDD * value_BD.maximum(floor_B1)[:, None]) @ vector_BDD.mT
    means_ID, covariances_IDD = gmm.means_ID.clone(), gmm.covariances_IDD.clone()
    means_ID[enough_I], covariances_IDD[enough_I] = mean_BD, (floored_BDD + floored_BDD.mT) / 2
    keep_I, weights_I = _kept(enough_I, weights_I, remove)
    return FullGmm(weights_I, means_ID[keep_I], covariances_IDD[keep_I])


class _Subsampled:
    """Every `step`-th frame of utterances, of each the first too; Kaldi's subsample-feats."""

    def __init__(self, utterances: Utterances, step: int) -> None:
        self._utterances, self._step = utterances, step

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        for key, x_TD in self._utterances:
            yield key, x_TD[:: self._step]


def _added(sums: Sequence[Tensor] | None, found: Sequence[Tensor]) -> Sequence[Tensor]:
    return found if sums is None else [a.add_(b) for a, b in zip(sums, found, strict=True)]


def _enough(weights_I: Tensor, n_I: Tensor, floors: Floors) -> tuple[Tensor, Tensor]:
    """Which Gaussians have frames enough, and all new weights; of the others, at least `min_weight`."""
    share_I = n_I / n_I.sum()
    enough_I = (n_I > floors.min_count) & (share_I > floors.min_weight)
    return enough_I, torch.where(enough_I, share_I, share_I.clamp(min=floors.min_weight)).to(weights_I)


def _kept(enough_I: Tensor, weights_I: Tensor, remove: bool) -> tuple[Tensor, Tensor]:
    """Which Gaussians stay, never none, and their weights."""
    if not remove or bool(enough_I.all()):
        return torch.ones_like(enough_I), weights_I
    keep_I = enough_I.clone()
    if not keep_I.any():
        keep_I[-1] = True
    return keep_I, weights_I[keep_I] / weights_I[keep_I].sum()
