"""Vectors, matrices and PLDA models in Kaldi's binary form, one object a file."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from sv.backends.plda import Plda
from sv.data.atomic import atomic_write
from sv.data.kaldi_matrix import ITEM_DTYPES, MAX_HEADER_BYTES, parse_header
from sv.errors import DataError


def write_array(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write a vector or matrix in double precision, as `copy-vector` and `copy-matrix` read it."""
    with atomic_write(path, "wb") as out:
        out.write(b"\0B" + _body(array))


def read_array(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a binary vector or matrix, float64. Raises DataError if it is missing, truncated or something else."""
    data = _bytes_of(path, b"\0B")
    array, end = _take(path, data, 2)
    if end != len(data):
        raise DataError(f"{path}: {len(data) - end} bytes follow the matrix; not a file of one Kaldi matrix")
    return array


def write_plda(path: str | os.PathLike[str], plda: Plda) -> None:
    """Write a model as `ivector-plda-scoring` reads it."""
    with atomic_write(path, "wb") as out:
        out.write(b"\0B<Plda> ")
        for array in (plda.mean_D, plda.transform_DD, plda.psi_D):
            out.write(_body(array))
        out.write(b"</Plda> ")


def read_plda(path: str | os.PathLike[str]) -> Plda:
    """Read a binary model. Raises DataError if it is missing, truncated or something else."""
    start = b"\0B<Plda> "
    data = _bytes_of(path, start)
    mean_D, at = _take(path, data, len(start))
    transform_DD, at = _take(path, data, at)
    psi_D, at = _take(path, data, at)
    D = len(mean_D)
    if data[at:] != b"</Plda> " or [a.shape for a in (mean_D, transform_DD, psi_D)] != [(D,), (D, D), (D,)]:
        raise DataError(f"{path}: not a whole PLDA model (mean {mean_D.shape}, transform {transform_DD.shape})")
    return Plda(mean_D, transform_DD, psi_D)


def _body(array: np.ndarray) -> bytes:
    array = np.ascontiguousarray(array, "<f8")
    sizes = b"".join(struct.pack("<bi", 4, n) for n in array.shape)
    return (b"DV " if array.ndim == 1 else b"DM ") + sizes + array.tobytes()


def _bytes_of(path: str | os.PathLike[str], start: bytes) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); run the stage that makes it") from None
    if not data.startswith(start):
        raise DataError(f"{path}: not a Kaldi binary file of the kind expected (it does not start with {start!r})")
    return data


def _take(path: str | os.PathLike[str], data: bytes, at: int) -> tuple[np.ndarray, int]:
    """The vector or matrix at byte `at`, and the byte behind it."""
    try:
        # Objects within a file lack the binary marker that parse_header expects in front.
        header = parse_header(b"\0B" + data[at : at + MAX_HEADER_BYTES])
    except ValueError as error:
        raise DataError(f"{path}: what stands at byte {at} {error}") from None
    if header.kind not in ("FV", "DV", "FM", "DM"):
        raise DataError(f"{path}: a compressed matrix, where parameters are expected")
    first = at + header.size - 2
    if first + header.data_bytes > len(data):
        raise DataError(f"{path}: truncated ({len(data)} bytes, {first + header.data_bytes} needed)")
    dtype = ITEM_DTYPES[header.kind]
    values = np.frombuffer(data, dtype, header.rows * header.cols, first).astype(np.float64)
    return (values if header.is_vector else values.reshape(header.rows, header.cols)), first + header.data_bytes
