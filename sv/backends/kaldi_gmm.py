"""Kaldi's files of mixtures and i-vector extractors (final.dubm, final.ubm, final.ie), binary and text, both ways.

A file is a row of tokens and numbers. In binary it starts with `\\0B`; a token ends with a space, a number is its
size in bytes and its bytes, a vector or matrix as in `sv.data.kaldi_matrix`, and a symmetric matrix, `FP` or `DP`,
is its size and then the rows of its lower triangle. In text a token ends with white space and arrays are bracketed.

Shapes: I Gaussians, D feature dimensions, S i-vector dimensions.
"""

from __future__ import annotations

import math
import os
import struct
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch

from sv.backends.gmm import DiagGmm, FullGmm, cholesky
from sv.backends.ivector import Extractor
from sv.data.atomic import atomic_write
from sv.data.kaldi_matrix import ITEM_DTYPES, MAX_HEADER_BYTES, parse_header
from sv.errors import DataError


def read_diag_gmm(path: str | os.PathLike[str]) -> DiagGmm:
    """Read what gmm-global-est or `write_diag_gmm` wrote. DataError if it is missing, damaged or something else."""
    file = _open(path, "<DiagGMM>")
    weights_I = file.gmm_weights()
    file.expect("<MEANS_INVVARS>")
    linear_ID = file.matrix()
    file.expect("<INV_VARS>")
    precision_ID = file.matrix()
    file.expect("</DiagGMM>")
    file.agree(linear_ID.ndim == 2 and linear_ID.shape == precision_ID.shape and len(linear_ID) == len(weights_I))
    file.agree(bool((precision_ID > 0).all()), "an inverse variance is not positive")
    return DiagGmm(*map(torch.from_numpy, (weights_I, linear_ID / precision_ID, 1 / precision_ID)))


def write_diag_gmm(path: str | os.PathLike[str], gmm: DiagGmm, binary: bool = True) -> None:
    """Write a mixture as Kaldi's programs read it, float32 as theirs."""
    m_ID, v_ID, w_I = (t.cpu().numpy() for t in (gmm.means_ID, gmm.variances_ID, gmm.weights_I))
    const_I = _log(w_I) - 0.5 * (gmm.dim * math.log(2 * math.pi) + (np.log(v_ID) + m_ID**2 / v_ID).sum(1))
    file = _Writer(binary, "F")
    file.token("<DiagGMM>", line_end=True)
    file.gmm_weights(const_I, w_I)
    file.token("<MEANS_INVVARS>")
    file.array(m_ID / v_ID)
    file.token("<INV_VARS>")
    file.array(1 / v_ID)
    file.token("</DiagGMM>", line_end=True)
    file.save(path)


def read_full_gmm(path: str | os.PathLike[str]) -> FullGmm:
    """Read what fgmm-global-est or `write_full_gmm` wrote. DataError if it is missing, damaged or something else."""
    file = _open(path, "<FullGMM>")
    weights_I = file.gmm_weights()
    file.expect("<MEANS_INVCOVARS>")
    linear_ID = file.matrix()
    file.expect("<INV_COVARS>")
    precision_IDD = file.symmetric(len(weights_I))
    file.expect("</FullGMM>")
    file.agree(linear_ID.shape == precision_IDD.shape[:2])
    try:
        factor_IDD = cholesky(torch.from_numpy(precision_IDD), "an inverse covariance")
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    covariance_IDD = torch.cholesky_inverse(factor_IDD)
    means_ID = (covariance_IDD @ torch.from_numpy(linear_ID)[:, :, None])[:, :, 0]
    return FullGmm(torch.from_numpy(weights_I), means_ID, covariance_IDD)


def write_full_gmm(path: str | os.PathLike[str], gmm: FullGmm, binary: bool = True) -> None:
    """Write a mixture as Kaldi's programs read it, float32 as theirs."""
    factor_IDD = cholesky(gmm.covariances_IDD, "a covariance of the full GMM")
    precision_IDD = torch.cholesky_inverse(factor_IDD).cpu().numpy()
    w_I, m_ID = gmm.weights_I.cpu().numpy(), gmm.means_ID.cpu().numpy()
    linear_ID = (precision_IDD @ m_ID[:, :, None])[:, :, 0]
    log_det_I = 2 * factor_IDD.diagonal(dim1=1, dim2=2).log().sum(1).cpu().numpy()
    const_I = _log(w_I) - 0.5 * (gmm.dim * math.log(2 * math.pi) + log_det_I + (linear_ID * m_ID).sum(1))
    file = _Writer(binary, "F")
    file.token("<FullGMM>", line_end=True)
    file.gmm_weights(const_I, w_I)
    file.token("<MEANS_INVCOVARS>")
    file.array(linear_ID)
    file.token("<INV_COVARS>")
    file.symmetric(precision_IDD)
    file.token("</FullGMM>", line_end=True)
    file.save(path)


def read_extractor(path: str | os.PathLike[str]) -> Extractor:
    """Read what ivector-extractor-est or `write_extractor` wrote. DataError if it is missing, damaged, something
    else, or an extractor whose mixture weights depend on the i-vector (Kaldi's --use-weights=true).
    """
    file = _open(path, "<IvectorExtractor>")
    file.expect("<w>")
    if file.matrix().size:
        raise DataError(
            f"{path}: the mixture weights of this extractor depend on the i-vector, which is not supported; train it"
            " with --use-weights=false"
        )
    file.expect("<w_vec>")
    weights_I = file.vector()
    file.expect("<M>")
    matrices = [file.matrix() for _ in range(file.integer())]
    file.agree(len(matrices) == len(weights_I) > 0 and len({m.shape for m in matrices}) == 1)
    file.expect("<SigmaInv>")
    precision_IDD = file.symmetric(len(weights_I))
    file.expect("<IvectorOffset>")
    prior_offset = file.real()
    file.expect("</IvectorExtractor>")
    projection_IDS = np.stack(matrices)
    file.agree(projection_IDS.shape[1] == precision_IDD.shape[1])
    return Extractor(*map(torch.from_numpy, (weights_I, projection_IDS, precision_IDD)), prior_offset)


def write_extractor(path: str | os.PathLike[str], extractor: Extractor, binary: bool = True) -> None:
    """Write an extractor as Kaldi's programs read it, float64 as theirs."""
    file = _Writer(binary, "D")
    file.token("<IvectorExtractor>")
    file.token("<w>")
    file.array(np.zeros((0, 0)))
    file.token("<w_vec>")
    file.array(extractor.weights_I.cpu().numpy())
    file.token("<M>")
    file.integer(extractor.num_gauss)
    for matrix_DS in extractor.projections_IDS.cpu().numpy():
        file.array(matrix_DS)
    file.token("<SigmaInv>")
    file.symmetric(extractor.precisions_IDD.cpu().numpy())
    file.token("<IvectorOffset>")
    file.real(extractor.prior_offset)
    file.token("</IvectorExtractor>")
    file.save(path)


def _log(weights_I: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # a Gaussian without weight has the constant -inf
        return np.log(weights_I)


def _open(path: str | os.PathLike[str], first: str) -> _Reader:
    """The file at `path`, behind its first token."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); run the stage that makes it") from None
    file = _BinaryReader(path, data[2:]) if data.startswith(b"\0B") else _TextReader(path, data)
    file.expect(first)
    return file


class _Reader(ABC):
    """What stands in a file, in order; every method takes the next thing or raises DataError."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path

    @abstractmethod
    def token(self) -> str: ...

    @abstractmethod
    def vector(self) -> np.ndarray:
        """float64 (N,)."""

    @abstractmethod
    def matrix(self) -> np.ndarray:
        """float64 (N, M); (0, 0) if empty."""

    @abstractmethod
    def triangle(self) -> np.ndarray:
        """The rows of a symmetric matrix's lower triangle, one after another, float64."""

    @abstractmethod
    def integer(self) -> int: ...

    @abstractmethod
    def real(self) -> float: ...

    def expect(self, token: str) -> None:
        """Take this token and no other."""
        self.want(token, self.token())

    def want(self, token: str, found: str) -> None:
        if found != token:
            raise DataError(
                f"{self._path}: not a Kaldi file of the kind expected ({found[:40]!r} where {token} belongs)"
            )

    def agree(self, sizes: bool, why: str = "the sizes of its parts do not agree") -> None:
        """DataError unless `sizes`."""
        if not sizes:
            raise DataError(f"{self._path}: damaged, {why}")

    def gmm_weights(self) -> np.ndarray:
        """The constants, which follow from the rest and may be left out, and the weights, (I,)."""
        token = self.token()
        if token == "<GCONSTS>":
            self.vector()
            token = self.token()
        self.want("<WEIGHTS>", token)
        weights_I = self.vector()
        self.agree(len(weights_I) > 0 and bool((weights_I >= 0).all()), "a weight is negative, or there are none")
        return weights_I

    def symmetric(self, count: int) -> np.ndarray:
        """`count` symmetric matrices of one size, float64 (count, D, D)."""
        packed = [self.triangle() for _ in range(count)]
        D = math.isqrt(2 * len(packed[0]))
        self.agree({len(p) for p in packed} == {D * (D + 1) // 2} != {0})
        matrix_NDD = np.zeros((count, D, D))
        rows, columns = np.tril_indices(D)
        matrix_NDD[:, rows, columns] = matrix_NDD[:, columns, rows] = np.stack(packed)
        return matrix_NDD


class _BinaryReader(_Reader):
    def __init__(self, path: str | os.PathLike[str], data: bytes) -> None:
        super().__init__(path)
        self._data, self._at = data, 0

    def token(self) -> str:
        end = self._data.find(b" ", self._at, self._at + 64)
        if end < 0:
            return self._data[self._at : self._at + 20].decode("latin-1")  # no token: shown in the error
        token = self._data[self._at : end].decode("latin-1")
        self._at = end + 1
        return token

    def vector(self) -> np.ndarray:
        return self._array().reshape(-1)

    def matrix(self) -> np.ndarray:
        array = self._array()
        self.agree(array.ndim == 2, "a vector stands where a matrix belongs")
        return array

    def triangle(self) -> np.ndarray:
        kind = self.token()
        self.agree(kind in ("FP", "DP"), f"{kind[:20]!r} stands where a symmetric matrix belongs")
        size = self.integer()
        self.agree(size >= 0)
        return self._take(np.dtype("<f4" if kind == "FP" else "<f8"), size * (size + 1) // 2)

    def integer(self) -> int:
        return self._number("<bi", 4)

    def real(self) -> float:
        wide = self._data[self._at : self._at + 1] == b"\x08"
        return self._number("<bd" if wide else "<bf", 8 if wide else 4)

    def _number(self, form: str, size: int) -> float:
        try:
            said, value = struct.unpack_from(form, self._data, self._at)
        except struct.error:
            raise DataError(f"{self._path}: truncated ({len(self._data) + 2} bytes)") from None
        self.agree(said == size, "a number has the wrong size")
        self._at += struct.calcsize(form)
        return value

    def _array(self) -> np.ndarray:
        try:
            # Arrays within a file lack the binary marker that parse_header expects in front.
            header = parse_header(b"\0B" + self._data[self._at : self._at + MAX_HEADER_BYTES])
        except ValueError as error:
            raise DataError(f"{self._path}: what stands at byte {self._at + 2} {error}") from None
        self.agree(header.kind in ("FV", "DV", "FM", "DM"), "a compressed matrix stands where parameters belong")
        self._at += header.size - 2
        values = self._take(ITEM_DTYPES[header.kind], header.rows * header.cols)
        return values if header.is_vector else values.reshape(header.rows, header.cols)

    def _take(self, dtype: np.dtype, count: int) -> np.ndarray:
        end = self._at + count * dtype.itemsize
        if end > len(self._data):
            raise DataError(f"{self._path}: truncated ({len(self._data) + 2} bytes, {end + 2} needed)")
        values = np.frombuffer(self._data, dtype, count, self._at).astype(np.float64)
        self._at = end
        self.agree(not np.isnan(values).any(), "it holds a NaN")
        return values


class _TextReader(_Reader):
    def __init__(self, path: str | os.PathLike[str], data: bytes) -> None:
        super().__init__(path)
        self._text, self._at = data.decode("latin-1"), 0

    def token(self) -> str:
        start = self._at
        while start < len(self._text) and self._text[start].isspace():
            start += 1
        end = start
        while end < len(self._text) and not self._text[end].isspace() and end < start + 64:
            end += 1
        self._at = end
        return self._text[start:end]

    def vector(self) -> np.ndarray:
        return self._numbers(self._bracketed())

    def matrix(self) -> np.ndarray:
        rows = [self._numbers(line) for line in self._bracketed().splitlines() if line.strip()]
        self.agree(len({len(row) for row in rows}) <= 1, "the rows of a matrix differ in length")
        return np.stack(rows) if rows else np.zeros((0, 0))

    def triangle(self) -> np.ndarray:
        return self._numbers(self._bracketed())

    def integer(self) -> int:
        number = self.real()
        self.agree(number == int(number), "a number is not whole")
        return int(number)

    def real(self) -> float:
        token = self.token()
        return float(self._numbers(token)[0]) if token else float(self._numbers("nothing")[0])

    def _bracketed(self) -> str:
        self.want("[", self.token())
        end = self._text.find("]", self._at)
        if end < 0:
            raise DataError(f"{self._path}: truncated, an array has no end")
        inside, self._at = self._text[self._at : end], end + 1
        return inside

    def _numbers(self, text: str) -> np.ndarray:
        try:
            return np.array(text.split(), np.float64)
        except ValueError as error:
            raise DataError(f"{self._path}: damaged, a number is expected ({error})") from None


class _Writer:
    """Collects a file's parts; `real` is F for float32 or D for float64."""

    def __init__(self, binary: bool, real: str) -> None:
        self._binary, self._real = binary, real
        self._dtype = np.dtype("<f4" if real == "F" else "<f8")
        self._parts: list[bytes] = [b"\0B"] if binary else []

    def token(self, token: str, line_end: bool = False) -> None:
        self._parts.append(f"{token} ".encode() + (b"\n" if line_end and not self._binary else b""))

    def integer(self, value: int) -> None:
        self._parts.append(struct.pack("<bi", 4, value) if self._binary else f"{value} ".encode())

    def real(self, value: float) -> None:
        self._parts.append(struct.pack("<bd", 8, value) if self._binary else f"{float(value)!r} ".encode())

    def array(self, array: np.ndarray) -> None:
        """A vector or matrix."""
        array = np.ascontiguousarray(array, self._dtype)
        if self._binary:
            sizes = b"".join(struct.pack("<bi", 4, n) for n in array.shape)
            self._parts.append(self._real.encode() + (b"V " if array.ndim == 1 else b"M ") + sizes + array.tobytes())
        elif array.ndim == 1 or not array.size:
            self._parts.append(f" [ {self._digits(array)}]\n".encode())
        else:
            self._parts.append((" [" + "".join(f"\n  {self._digits(row)}" for row in array) + "]\n").encode())

    def symmetric(self, matrix_NDD: np.ndarray) -> None:
        D = matrix_NDD.shape[1]
        rows, columns = np.tril_indices(D)
        for packed in matrix_NDD[:, rows, columns].astype(self._dtype):
            if self._binary:
                self._parts.append(self._real.encode() + b"P " + struct.pack("<bi", 4, D) + packed.tobytes())
            else:
                lines = [self._digits(packed[i * (i + 1) // 2 : (i + 1) * (i + 2) // 2]) for i in range(D)]
                self._parts.append(("[\n" + "\n".join(lines) + "]\n").encode())

    def gmm_weights(self, const_I: np.ndarray, weights_I: np.ndarray) -> None:
        self.token("<GCONSTS>")
        self.array(const_I)
        self.token("<WEIGHTS>")
        self.array(weights_I)

    def save(self, path: str | os.PathLike[str]) -> None:
        with atomic_write(path, "wb") as out:
            for part in self._parts:
                out.write(part)

    def _digits(self, values: np.ndarray) -> str:
        """Numbers, each with a space behind it and as many digits as its value needs."""
        return "".join(f"{value!s} " for value in values)
