"""Kaldi's binary matrices and vectors: headers, and the arithmetic of the compressed kinds.

On disk, little-endian, after the two bytes `\\0B`:

    FM | DM   float32 | float64 matrix: \\4 rows:int32 \\4 cols:int32, then the rows
    FV | DV   float32 | float64 vector: \\4 size:int32, then the values
    CM        min:f4 range:f4 rows:i4 cols:i4, 4 uint16 a column (its percentiles 0, 25, 75, 100),
              then one byte a value, column after column
    CM2 | CM3 min:f4 range:f4 rows:i4 cols:i4, then uint16 | uint8 a value, row after row

Shapes in names: T rows (frames), D columns.
"""

import struct
from dataclasses import dataclass

import numpy as np

MAX_HEADER_BYTES = 22  # the longest: `\0BCM2 ` and 16 bytes

_TOKENS = {b"FM ": "FM", b"DM ": "DM", b"FV ": "FV", b"DV ": "DV", b"CM ": "CM", b"CM2": "CM2", b"CM3": "CM3"}
ITEM_DTYPES = {
    "FM": np.dtype("<f4"),
    "DM": np.dtype("<f8"),
    "FV": np.dtype("<f4"),
    "DV": np.dtype("<f8"),
    "CM": np.dtype("u1"),
    "CM2": np.dtype("<u2"),
    "CM3": np.dtype("u1"),
}
_PLAIN_MATRIX = struct.Struct("<bibi")
_PLAIN_VECTOR = struct.Struct("<bi")
_COMPRESSED = struct.Struct("<ffii")


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of a matrix or vector say."""

    kind: str  # FM, DM, FV, DV, CM, CM2 or CM3
    rows: int  # of a vector: its size
    cols: int  # of a vector: 1
    size: int  # bytes before the data: for CM, before the column headers
    min_value: float = 0.0  # of the compressed kinds
    range: float = 0.0

    @property
    def is_vector(self) -> bool:
        return self.kind in ("FV", "DV")

    @property
    def data_bytes(self) -> int:
        """Bytes that follow the header."""
        column_headers = 8 * self.cols if self.kind == "CM" else 0
        return column_headers + self.rows * self.cols * ITEM_DTYPES[self.kind].itemsize


def parse_header(head: bytes) -> Header:
    """The header at the start of `head` (MAX_HEADER_BYTES of it, fewer only at the end of a file).

    Raises:
        ValueError: these bytes do not start a matrix or vector of Kaldi's; the message says why.
    """
    if head[:2] != b"\0B":
        if head.lstrip()[:1] == b"[":
            raise ValueError("is in text form; convert it with copy-feats or copy-vector to ark (not ark,t)")
        raise ValueError("is not a Kaldi matrix or vector (no binary marker there)")
    kind = _TOKENS.get(head[2:5])
    if kind is None:
        raise ValueError(f"has the type {head[2:6]!r}, which is not one of FM, DM, FV, DV, CM, CM2, CM3")
    start = 3 + len(kind)
    try:
        if kind in ("FV", "DV"):
            four, rows = _PLAIN_VECTOR.unpack_from(head, start)
            header = Header(kind, rows, 1, start + _PLAIN_VECTOR.size)
            well_formed = four == 4
        elif kind in ("FM", "DM"):
            four, rows, four_too, cols = _PLAIN_MATRIX.unpack_from(head, start)
            header = Header(kind, rows, cols, start + _PLAIN_MATRIX.size)
            well_formed = four == 4 and four_too == 4
        else:
            low, span, rows, cols = _COMPRESSED.unpack_from(head, start)
            header = Header(kind, rows, cols, start + _COMPRESSED.size, low, span)
            well_formed = head[start - 1 : start] == b" "
    except struct.error:
        raise ValueError("ends within its header (truncated)") from None
    if not well_formed or header.rows < 0 or header.cols < 0:
        raise ValueError("has a damaged header")
    return header


def decode_columns(header: Header, percentiles_D4: np.ndarray, codes_DT: np.ndarray) -> np.ndarray:
    """Values of a CM matrix: each column is piecewise linear in its byte, through its four percentiles.

    As Kaldi's CharToFloat: byte 0, 64, 192, 255 stand for percentile 0, 25, 75, 100; products in float32, the
    last scaling and sum in float64.

    Args:
        header: of kind CM.
        percentiles_D4: the column headers, uint16 (D, 4).
        codes_DT: the bytes of the rows wanted, uint8 (D, T).
    Returns:
        float32 (T, D), C order.
    """
    step = np.float32(header.range) * np.float32(1.52590218966964e-05)  # Kaldi's constant for 1/65535
    p_D4 = np.float32(header.min_value) + step * percentiles_D4.astype(np.float32)
    p0_D1, p25_D1, p75_D1, p100_D1 = (p_D4[:, i : i + 1] for i in range(4))
    code_V = np.arange(256, dtype=np.float32)
    value_DV = np.empty((len(p_D4), 256), np.float32)  # what each byte means in each column
    value_DV[:, :65] = p0_D1 + ((p25_D1 - p0_D1) * code_V[:65]).astype(np.float64) * (1 / 64)
    value_DV[:, 65:193] = p25_D1 + ((p75_D1 - p25_D1) * (code_V[65:193] - 64)).astype(np.float64) * (1 / 128)
    value_DV[:, 193:] = p75_D1 + ((p100_D1 - p75_D1) * (code_V[193:] - 192)).astype(np.float64) * (1 / 63)
    index_TD = codes_DT.T.astype(np.intp)
    index_TD += 256 * np.arange(len(p_D4))
    return value_DV.ravel().take(index_TD)


def decode_uniform(header: Header, codes_TD: np.ndarray) -> np.ndarray:
    """Values of a CM2 or CM3 matrix, min + code * increment in float32, as in Kaldi.

    Args:
        header: of kind CM2 or CM3.
        codes_TD: uint16 or uint8 (T, D).
    Returns:
        float32 (T, D).
    """
    levels = 65535.0 if header.kind == "CM2" else 255.0
    increment = np.float32(header.range * (1.0 / levels))
    return np.float32(header.min_value) + codes_TD.astype(np.float32) * increment
