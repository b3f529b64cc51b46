"""The i-vector extractor: statistics of utterances, and the i-vectors that they give, as Kaldi's ivector-extract.

The model (Kenny 2005; Dehak et al. 2011; in the form of Kaldi's ivector-extractor.h): an utterance has a vector x,
drawn from N(p e1, I), and under it Gaussian i of the UBM has the mean M_i x and the covariance Sigma_i. The prior's
offset p along the first dimension stands for the speaker-independent mean, so that M_i needs no column beside it;
i-vectors are handed out less that offset.

Linear algebra is float64, batched over utterances and Gaussians, on the device of the extractor.

Shapes: U utterances, T frames of all of them, D feature dimensions, I Gaussians, S i-vector dimensions,
K = S (S + 1) / 2 numbers of a lower triangle, row after row.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sv.backends.gmm import DiagGmm, FullGmm, Posteriors, cholesky, full_posteriors, second_order_statistics, sort_by
from sv.backends.utterances import Utterances, blocks, require_rereadable
from sv.errors import DataError

PRIOR_OFFSET = 100.0  # of a new extractor, as in Kaldi; training finds its own
_MAX_BYTES = 1 << 29  # of matrices (S, S) handled at once


@dataclass(frozen=True, eq=False)
class Extractor:
    """What turns an utterance's statistics into its i-vector.

    >>> extractor = Extractor.initial(ubm, dim=150, seed=0)
    >>> ivectors_US = extractor.ivectors(stats.n_UI, stats.f_UID)

    weights_I: mixture weights of the UBM; no i-vector depends on them, the training objective does.
    projections_IDS: M, from i-vectors to means.
    precisions_IDD: the inverses of Sigma.
    prior_offset: of the i-vector's prior mean, along its first dimension.
    """

    weights_I: Tensor
    projections_IDS: Tensor
    precisions_IDD: Tensor
    prior_offset: float

    @classmethod
    def initial(cls, ubm: FullGmm, dim: int, seed: int) -> Extractor:
        """Where training starts: the UBM's means, and M drawn from N(0, 1); Kaldi's ivector-extractor-init."""
        if dim < 1:
            raise DataError(f"i-vectors of {dim} dimensions; they need one or more")
        drawn = torch.randn(
            ubm.num_gauss, ubm.dim, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
        )
        projections_IDS = drawn.to(ubm.means_ID.device)
        projections_IDS[:, :, 0] = ubm.means_ID / PRIOR_OFFSET
        factor_IDD = cholesky(ubm.covariances_IDD, "a covariance of the full GMM")
        return cls(ubm.weights_I, projections_IDS, torch.cholesky_inverse(factor_IDD), PRIOR_OFFSET)

    @property
    def num_gauss(self) -> int:
        return len(self.weights_I)

    @property
    def feat_dim(self) -> int:
        return self.projections_IDS.shape[1]

    @property
    def dim(self) -> int:
        return self.projections_IDS.shape[2]

    def to(self, device: torch.device | str) -> Extractor:
        """The same extractor on another device."""
        tensors = (self.weights_I, self.projections_IDS, self.precisions_IDD)
        return Extractor(*(t.to(device) for t in tensors), self.prior_offset)

    @cached_property
    def linear_IDS(self) -> Tensor:
        """Sigma_i^-1 M_i."""
        return self.precisions_IDD @ self.projections_IDS

    @cached_property
    def quadratic_IK(self) -> Tensor:
        """Lower triangles of U_i = M_i' Sigma_i^-1 M_i; packed, as they are the largest thing of all and symmetric."""
        rows, columns = torch.tril_indices(self.dim, self.dim, device=self.weights_I.device)
        packed_IK = torch.empty(self.num_gauss, len(rows), dtype=torch.float64, device=self.weights_I.device)
        step = max(1, _MAX_BYTES // (8 * self.dim**2))
        for start in range(0, self.num_gauss, step):
            full_BSS = self.projections_IDS[start : start + step].mT @ self.linear_IDS[start : start + step]
            packed_IK[start : start + step] = full_BSS[:, rows, columns]
        return packed_IK

    def posterior(self, n_UI: Tensor, f_UID: Tensor) -> tuple[Tensor, Tensor]:
        """Means (U, S), offset included, and Cholesky factors (U, S, S) of the precisions of the utterances' vectors.

        Kaldi's GetIvectorDistribution [Kenny 2005, prop. 1]: precision I + sum_i n_i U_i, and mean
        precision^-1 (p e1 + sum_i M_i' Sigma_i^-1 f_i).

        Args:
            n_UI: sums of posteriors.
            f_UID: sums of posterior · x.
        """
        if f_UID.shape[1:] != (self.num_gauss, self.feat_dim):
            raise DataError(
                f"statistics of {f_UID.shape[1]} Gaussians of {f_UID.shape[2]} dimensions, the extractor has"
                f" {self.num_gauss} of {self.feat_dim}"
            )
        linear_US = f_UID.flatten(1) @ self.linear_IDS.flatten(0, 1)
        linear_US[:, 0] += self.prior_offset
        precision_USS = unpacked(n_UI @ self.quadratic_IK, self.dim)
        precision_USS.diagonal(dim1=1, dim2=2).add_(1.0)
        factor_USS = cholesky(precision_USS, "the precision of an i-vector")
        return torch.cholesky_solve(linear_US[:, :, None], factor_USS)[:, :, 0], factor_USS

    def ivectors(self, n_UI: Tensor, f_UID: Tensor, acoustic_weight: float = 1.0, max_count: float = 0.0) -> Tensor:
        """The i-vectors of utterances, less the prior's offset, (U, S); Kaldi's ivector-extract.

        Args:
            n_UI: sums of posteriors.
            f_UID: sums of posterior · x.
            acoustic_weight: factor on the statistics; below 1 the prior counts for more (--acoustic-weight).
            max_count: statistics of more frames than this, after the factor, count as so many; 0 for no limit
                (--max-count).
        """
        scale_U = torch.full_like(n_UI[:, 0], acoustic_weight)
        if max_count > 0:
            scale_U *= (max_count / (acoustic_weight * n_UI.sum(1))).clamp_(max=1.0)
        mean_US, _ = self.posterior(n_UI * scale_U[:, None], f_UID * scale_U[:, None, None])
        mean_US[:, 0] -= self.prior_offset
        return mean_US


@dataclass(frozen=True, eq=False)
class UtteranceStats:
    """Statistics of some utterances: their keys, sums of posteriors n, and of posterior · x, float64."""

    keys: list[str]
    n_UI: Tensor
    f_UID: Tensor


def utterance_statistics(
    keys: list[str], lengths: list[int], x_TD: Tensor, posteriors: Posteriors, num_gauss: int
) -> UtteranceStats:
    """Statistics of zeroth and first order of each utterance; IvectorExtractorUtteranceStats::AccStats.

    Args:
        keys, lengths: the utterances' names and numbers of frames.
        x_TD: their frames, one utterance after another.
        posteriors: of these frames.
    """
    U, wide = len(keys), torch.float64
    utt_T = torch.repeat_interleave(torch.arange(U), torch.tensor(lengths)).to(x_TD.device)
    place_P = utt_T[posteriors.frame_P] * num_gauss + posteriors.gauss_P
    order_P, count_X = sort_by(place_P, U * num_gauss)
    frame_P, weight_P1 = posteriors.frame_P[order_P], posteriors.weight_P[order_P, None].to(wide)
    sums = [
        torch.segment_reduce(value_PX, "sum", lengths=count_X, axis=0)
        for value_PX in (weight_P1, x_TD[frame_P].to(wide).mul_(weight_P1))
    ]
    n_UI1, f_UID = (sum_XY.view(U, num_gauss, -1) for sum_XY in sums)
    return UtteranceStats(keys, n_UI1[:, :, 0], f_UID)


class StatsStream:
    """Statistics of utterances, some at a time, in memory that does not grow with their number.

    >>> stream = StatsStream(utterances, ubm_posteriors(full, num_gselect=20), full.num_gauss)
    >>> for stats in stream:
    ...     ivectors_US = extractor.ivectors(stats.n_UI, stats.f_UID)

    Each pass reads the features again, and computes their posteriors again unless the first pass was let keep them on
    disk; `kept()` holds all statistics in memory, for a training set that is small enough.

    Args:
        utterances: pairs of key and float features (T, D); gone through once a pass.
        posteriors: what gives the posteriors of some frames (T, D).
        num_gauss: of the UBM.
        device, dtype: of the frames and so of the posteriors; float32 is Kaldi's.
        posteriors_file: where the first whole pass leaves the posteriors for later ones, 12 bytes a pair.
        second_order: also sum `scatter_IDD` in the first pass, which training needs.

    Raises DataError, naming the utterance, for one without frames, of another dimension or with a NaN.
    """

    def __init__(
        self,
        utterances: Utterances,
        posteriors: Callable[[Tensor], Posteriors],
        num_gauss: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        posteriors_file: str | os.PathLike[str] | None = None,
        second_order: bool = False,
    ) -> None:
        self._utterances, self._posteriors, self._num_gauss = utterances, posteriors, num_gauss
        self._device, self._dtype = torch.device(device), dtype
        self._file = Path(posteriors_file) if posteriors_file else None
        self._second_order, self._passes, self._scatter_IDD = second_order, 0, None

    def __iter__(self) -> Iterator[UtteranceStats]:
        first, scatter_IDD = self._passes == 0, None
        if not first:
            require_rereadable(self._utterances)
        with _PosteriorsFile(self._file, first) as file:
            for keys, lengths, x_TD in blocks(self._utterances, self._num_gauss, self._device, self._dtype):
                try:
                    posteriors = self._posteriors(x_TD) if first or file.path is None else file.read(x_TD)
                except DataError as error:
                    raise DataError(f"{keys[0]}: {error}") from None
                if first:
                    file.write(posteriors)
                    if self._second_order:
                        _, _, block_IDD = second_order_statistics(x_TD, posteriors, self._num_gauss)
                        scatter_IDD = block_IDD if scatter_IDD is None else scatter_IDD.add_(block_IDD)
                yield utterance_statistics(keys, lengths, x_TD, posteriors, self._num_gauss)
        if first:
            self._scatter_IDD = scatter_IDD
        self._passes += 1

    @property
    def scatter_IDD(self) -> Tensor:
        """Sum over all frames of posterior · x x', (I, D, D); the same in every pass, there after the first."""
        if self._scatter_IDD is None:
            raise ValueError("scatter_IDD is there after a whole pass with second_order=True")
        return self._scatter_IDD

    def kept(self) -> KeptStats:
        """One pass, its statistics held in memory: 8 I (D + 1) bytes an utterance."""
        blocks = list(self)
        return KeptStats(blocks, self._scatter_IDD)


@dataclass(frozen=True, eq=False)
class KeptStats:
    """All statistics in memory, as `StatsStream` gives them."""

    blocks: list[UtteranceStats]
    scatter_IDD: Tensor

    def __iter__(self) -> Iterator[UtteranceStats]:
        return iter(self.blocks)


def ubm_posteriors(
    full: FullGmm,
    diag: DiagGmm | None = None,
    num_gselect: int = 20,
    min_post: float = 0.025,
    posterior_scale: float = 1.0,
) -> Callable[[Tensor], Posteriors]:
    """What `StatsStream` takes: `full_posteriors` of a UBM, scaled as Kaldi's scale-post does.

    Args:
        full: the UBM.
        diag: what selects Gaussians; default its diagonal, as in Kaldi's recipes.
    """
    diag = diag or full.diagonal()
    return lambda x_TD: full_posteriors(x_TD, diag, full, num_gselect, min_post).scaled(posterior_scale)


def extract(
    extractor: Extractor, stats: Iterable[UtteranceStats], acoustic_weight: float = 1.0, max_count: float = 0.0
) -> Iterator[tuple[str, np.ndarray]]:
    """Key and i-vector, float64 (S,), of each utterance; the options are those of `Extractor.ivectors`."""
    for block in stats:
        ivectors_US = extractor.ivectors(block.n_UI, block.f_UID, acoustic_weight, max_count).cpu().numpy()
        yield from zip(block.keys, ivectors_US, strict=True)


def packed(matrix_USS: Tensor) -> Tensor:
    """Lower triangles, row after row, (U, K)."""
    rows, columns = torch.tril_indices(*matrix_USS.shape[1:], device=matrix_USS.device)
    return matrix_USS[:, rows, columns]


def unpacked(packed_UK: Tensor, dim: int) -> Tensor:
    """The symmetric matrices (U, dim, dim) of lower triangles."""
    rows, columns = torch.tril_indices(dim, dim, device=packed_UK.device)
    place_SS = torch.empty(dim, dim, dtype=torch.int64, device=packed_UK.device)
    place_SS[rows, columns] = place_SS[columns, rows] = torch.arange(len(rows), device=packed_UK.device)
    return packed_UK.index_select(1, place_SS.view(-1)).view(-1, dim, dim)


class _PosteriorsFile:
    """Posteriors of one block after another, on disk; without a path nothing is written."""

    def __init__(self, path: Path | None, writing: bool) -> None:
        self.path, self._writing, self._file = path, writing, None

    def __enter__(self) -> _PosteriorsFile:
        if self.path:
            self._file = open(self.path, "wb" if self._writing else "rb")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def write(self, posteriors: Posteriors) -> None:
        if self._file:
            columns = zip((posteriors.frame_P, posteriors.gauss_P, posteriors.weight_P), "iif", strict=True)
            for tensor, kind in columns:
                np.save(self._file, tensor.cpu().numpy().astype(f"<{kind}4"))

    def read(self, like: Tensor) -> Posteriors:
        """The next block's, on the device and in the precision of `like`."""
        frame_P, gauss_P, weight_P = (torch.from_numpy(np.load(self._file)).to(like.device) for _ in range(3))
        return Posteriors(frame_P.long(), gauss_P.long(), weight_P.to(like.dtype))
