"""Gaussian mixtures: likelihoods, Gaussian selection and pruned posteriors, as Kaldi's DiagGmm and FullGmm.

Parameters are float64 tensors. Likelihoods are computed on the device and in the precision of the frames they are
asked for, float32 as in Kaldi or float64; all of it is matrix products, alike on CPU and GPU.

Shapes: T frames, D dimensions, I Gaussians, G Gaussians selected for each frame, P pairs of a frame and a Gaussian,
N tiles of W pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sv.errors import DataError

_FRAMES_AT_ONCE = 8192
_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class DiagGmm:
    """A mixture with diagonal covariances.

    >>> gmm = DiagGmm(weights_I, means_ID, variances_ID)
    >>> log_likelihood_T = gmm.log_likelihoods(x_TD).logsumexp(1)
    """

    weights_I: Tensor
    means_ID: Tensor
    variances_ID: Tensor
    _cast: dict = field(default_factory=dict, init=False, repr=False)

    @property
    def num_gauss(self) -> int:
        return len(self.weights_I)

    @property
    def dim(self) -> int:
        return self.means_ID.shape[1]

    def log_likelihoods(self, x_TD: Tensor) -> Tensor:
        """log w_i N(x_t; m_i, v_i), in nats, (T, I); LogLikelihoods of Kaldi's diag-gmm.cc.

        Multiplied out it is c_i + x · (m / v) - x² · (1 / 2v): two products for all frames and Gaussians.
        """
        check_dim(x_TD, self.dim)
        const_I, linear_DI, quadratic_DI = self._terms(x_TD)
        return torch.addmm(const_I, x_TD, linear_DI).addmm_(x_TD.square(), quadratic_DI)

    def full(self) -> FullGmm:
        """The same mixture in full form; Kaldi's gmm-global-to-fgmm."""
        return FullGmm(self.weights_I, self.means_ID, torch.diag_embed(self.variances_ID))

    def _terms(self, like: Tensor) -> tuple[Tensor, ...]:
        if (key := (like.dtype, like.device)) not in self._cast:
            m_ID, v_ID = self.means_ID, self.variances_ID
            const_I = self.weights_I.log() - 0.5 * (self.dim * _LOG_2PI + (v_ID.log() + m_ID.square() / v_ID).sum(1))
            self._cast[key] = tuple(t.to(like) for t in (const_I, (m_ID / v_ID).T, (-0.5 / v_ID).T))
        return self._cast[key]


@dataclass(frozen=True, eq=False)
class FullGmm:
    """A mixture with full covariances."""

    weights_I: Tensor
    means_ID: Tensor
    covariances_IDD: Tensor
    _cast: dict = field(default_factory=dict, init=False, repr=False)

    @property
    def num_gauss(self) -> int:
        return len(self.weights_I)

    @property
    def dim(self) -> int:
        return self.means_ID.shape[1]

    def log_likelihoods(self, x_TD: Tensor, index_TG: Tensor | None = None) -> Tensor:
        """log w_i N(x_t; m_i, S_i), in nats, of the Gaussians that `index_TG` selects, (T, G); default all, (T, I).

        LogLikelihoodsPreselect of Kaldi's full-gmm.cc. With S_i = L L', the quadratic form is |L^-1 x - L^-1 m|²;
        pairs are sorted by Gaussian, so that one batched product whitens them tile by tile.
        """
        check_dim(x_TD, self.dim)
        if index_TG is None:
            index_TG = torch.arange(self.num_gauss, device=x_TD.device).expand(len(x_TD), -1)
        const_I, bias_ID, whiten_IDD = self._terms(x_TD)
        found_TG = torch.empty(index_TG.shape, dtype=x_TD.dtype, device=x_TD.device)
        G = index_TG.shape[1]
        step = max(1, _pairs_at_once(self.num_gauss) // G)
        for start in range(0, len(x_TD), step):
            x_BD, gauss_P = x_TD[start : start + step], index_TG[start : start + step].reshape(-1)
            tiles = Tiles.of(gauss_P, self.num_gauss)
            x_NWD = x_BD[tiles.pair_NW // G]
            whitened_NWD = torch.baddbmm(bias_ID[tiles.gauss_N, None], x_NWD, whiten_IDD[tiles.gauss_N].mT)
            value_NW = const_I[tiles.gauss_N, None] - 0.5 * torch.linalg.vector_norm(whitened_NWD, dim=2).square_()
            # Where a tile is not full its last pair stands several times, each time with the same value.
            found_TG[start : start + step].view(-1)[tiles.pair_NW.view(-1)] = value_NW.view(-1)
        return found_TG

    def diagonal(self) -> DiagGmm:
        """The mixture without its covariances' off-diagonals; Kaldi's fgmm-global-to-gmm."""
        return DiagGmm(self.weights_I, self.means_ID, self.covariances_IDD.diagonal(dim1=1, dim2=2))

    def _terms(self, like: Tensor) -> tuple[Tensor, ...]:
        if (key := (like.dtype, like.device)) not in self._cast:
            factor_IDD = cholesky(self.covariances_IDD, "a covariance of the full GMM")
            whiten_IDD = torch.linalg.solve_triangular(factor_IDD, torch.eye(self.dim).to(factor_IDD), upper=False)
            log_det_I = 2 * factor_IDD.diagonal(dim1=1, dim2=2).log().sum(1)
            const_I = self.weights_I.log() - 0.5 * (self.dim * _LOG_2PI + log_det_I)
            bias_ID = -(whiten_IDD @ self.means_ID[:, :, None])[:, :, 0]
            self._cast[key] = tuple(t.to(like) for t in (const_I, bias_ID, whiten_IDD))
        return self._cast[key]


@dataclass(frozen=True, eq=False)
class Tiles:
    """Pairs sorted by Gaussian and cut into tiles of one Gaussian each, for batched products over a ragged sort.

    pair_NW: indices of pairs, int64; the last pair of a Gaussian fills its last tile up.
    gauss_N: each tile's Gaussian, ascending.
    tiles_I: number of each Gaussian's tiles.
    full_NW: False where a pair only fills up.
    """

    pair_NW: Tensor
    gauss_N: Tensor
    tiles_I: Tensor
    full_NW: Tensor

    @classmethod
    def of(cls, gauss_P: Tensor, num_gauss: int) -> Tiles:
        """Tiles of about a quarter of a Gaussian's pairs, so that few places are filled up."""
        device = gauss_P.device
        order_P, count_I = sort_by(gauss_P, num_gauss)
        width = min(256, max(8, len(gauss_P) // (4 * num_gauss)))
        tiles_I = (count_I + width - 1) // width
        gauss_N = torch.repeat_interleave(torch.arange(num_gauss, device=device), tiles_I)
        number_N = torch.arange(len(gauss_N), device=device) - (tiles_I.cumsum(0) - tiles_I)[gauss_N]
        end_I = count_I.cumsum(0)
        first_N1 = ((end_I - count_I)[gauss_N] + number_N * width)[:, None]
        place_NW, last_N1 = first_N1 + torch.arange(width, device=device), end_I[gauss_N, None] - 1
        return cls(order_P[torch.minimum(place_NW, last_N1)], gauss_N, tiles_I, place_NW <= last_N1)

    def sums(self, value_NX: Tensor) -> Tensor:
        """Sums (I, …) of what tiles have (N, …); an order of additions that is always the same, also on a GPU."""
        return torch.segment_reduce(value_NX.flatten(1), "sum", lengths=self.tiles_I, axis=0).view(
            len(self.tiles_I), *value_NX.shape[1:]
        )


def sort_by(key_P: Tensor, num_keys: int) -> tuple[Tensor, Tensor]:
    """The order (P,) that sorts keys 0 … num_keys - 1, stable, and how often each occurs (num_keys,), int64."""
    if key_P.device.type != "cpu":
        return key_P.argsort(stable=True), torch.bincount(key_P, minlength=num_keys)
    # NumPy sorts 16 bits a hundred times faster than torch sorts 64, and 32 thirty times.
    key_P = key_P.numpy().astype(np.uint16 if num_keys <= 1 << 16 else np.int32)
    order_P, count_I = np.argsort(key_P, kind="stable"), np.bincount(key_P, minlength=num_keys)
    return torch.from_numpy(order_P), torch.from_numpy(count_I)


@dataclass(frozen=True, eq=False)
class Posteriors:
    """The Gaussians that frames belong to, as pairs in order of the frames: frame, Gaussian (int64) and weight."""

    frame_P: Tensor
    gauss_P: Tensor
    weight_P: Tensor

    def pairs(self, start: int, stop: int) -> Posteriors:
        """Some of the pairs."""
        return Posteriors(self.frame_P[start:stop], self.gauss_P[start:stop], self.weight_P[start:stop])

    def scaled(self, factor: float) -> Posteriors:
        """All weights times `factor`; Kaldi's scale-post, against the correlation of neighbouring frames."""
        return Posteriors(self.frame_P, self.gauss_P, self.weight_P * factor)


def select(diag: DiagGmm, x_TD: Tensor, num_gselect: int) -> Tensor:
    """The `num_gselect` likeliest Gaussians of each frame, int64 (T, G); Kaldi's gmm-gselect."""
    return diag.log_likelihoods(x_TD).topk(min(num_gselect, diag.num_gauss), sorted=False).indices


def normalised(log_TI: Tensor) -> Tensor:
    """exp(log_TI) over its sums of rows; none is below e^-60 of its row's largest, and log_TI is changed.

    Smaller ones say nothing, but as subnormal numbers they would make this and the products that follow ten times
    slower.
    """
    return log_TI.clamp_(min=log_TI.amax(1, keepdim=True) - 60).softmax(1)


def full_posteriors(
    x_TD: Tensor, diag: DiagGmm, full: FullGmm, num_gselect: int = 20, min_post: float = 0.025
) -> Posteriors:
    """Posteriors under `full` of the Gaussians that `diag` selects, as Kaldi's gmm-gselect and
    fgmm-global-gselect-to-post: those below `min_post` go (never a frame's largest), the others sum to one again.

    Args:
        x_TD: frames; their precision and device are those of the computation.
        diag: `full.diagonal()`, or another mixture of the same Gaussians.
        num_gselect: Gaussians looked at for each frame.
        min_post: pruning threshold, 0 for none.
    """
    if (diag.num_gauss, diag.dim) != (full.num_gauss, full.dim):
        raise DataError(
            f"the diagonal UBM has {diag.num_gauss} Gaussians of {diag.dim} dimensions, the full one"
            f" {full.num_gauss} of {full.dim}"
        )
    parts, start = [], 0
    for x_BD in x_TD.split(_FRAMES_AT_ONCE):
        index_BG = select(diag, x_BD, num_gselect)
        post_BG = normalised(full.log_likelihoods(x_BD, index_BG))
        keep_BG = (post_BG >= min_post).scatter_(1, post_BG.argmax(1, keepdim=True), True)
        post_BG = post_BG * keep_BG
        post_BG /= post_BG.sum(1, keepdim=True)
        frame_P, slot_P = keep_BG.nonzero(as_tuple=True)
        parts.append((frame_P + start, index_BG[frame_P, slot_P], post_BG[frame_P, slot_P]))
        start += len(x_BD)
    return Posteriors(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def second_order_statistics(x_TD: Tensor, posteriors: Posteriors, num_gauss: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over frames of each Gaussian's weight, weight · x and weight · x x': float64 (I,), (I, D), (I, D, D)."""
    D, wide = x_TD.shape[1], torch.float64
    n_I = torch.zeros(num_gauss, dtype=wide, device=x_TD.device)
    f_ID, s_IDD = n_I.new_zeros(num_gauss, D), n_I.new_zeros(num_gauss, D, D)
    step = 4 * _pairs_at_once(num_gauss)
    for start in range(0, len(posteriors.gauss_P), step):
        part = posteriors.pairs(start, start + step)
        tiles = Tiles.of(part.gauss_P, num_gauss)
        x_NWD = x_TD[part.frame_P[tiles.pair_NW]]
        weight_NW1 = (part.weight_P[tiles.pair_NW] * tiles.full_NW)[:, :, None]
        weighted_NWD = x_NWD * weight_NW1
        # These sums are in the frames' precision, those of all such parts in float64.
        n_I += tiles.sums(weight_NW1.sum(1))[:, 0]
        f_ID += tiles.sums(weighted_NWD.sum(1))
        s_IDD += tiles.sums(torch.bmm(weighted_NWD.mT, x_NWD))
    return n_I, f_ID, s_IDD


def cholesky(matrix_NDD: Tensor, what: str) -> Tensor:
    """Lower Cholesky factors; DataError, naming `what`, if one of the matrices is not positive definite."""
    factor_NDD, info_N = torch.linalg.cholesky_ex(matrix_NDD)
    if (bad_N := info_N.nonzero()).numel():
        raise DataError(f"{what} is not positive definite (number {int(bad_N[0, 0])} of {len(info_N)})")
    return factor_NDD


def check_dim(x_TD: Tensor, dim: int) -> None:
    """DataError if frames have another size than the model."""
    if x_TD.shape[1] != dim:
        raise DataError(
            f"features have {x_TD.shape[1]} dimensions, the GMM {dim}; compute both with the same configuration"
        )


def _pairs_at_once(num_gauss: int) -> int:
    """Pairs of a frame and a Gaussian to handle together: many to a Gaussian, few enough for a processor's cache."""
    return max(1 << 15, 64 * num_gauss)
