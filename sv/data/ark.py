"""Kaldi archives: `.scp` lists, reading matrices whole or by rows, and writing `.ark` with `.scp`."""

import io
import os
import re
import struct
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

import numpy as np

from sv.data.atomic import named_in_errors, replace_durably
from sv.data.kaldi_matrix import (
    ITEM_DTYPES,
    MAX_HEADER_BYTES,
    Header,
    decode_columns,
    decode_uniform,
    parse_header,
)
from sv.data.tables import read_table as read_scp
from sv.data.tables import write_table as write_scp
from sv.errors import DataError

__all__ = ["ArkWriter", "MatrixReader", "read_scp", "write_scp"]  # a scp is one of Kaldi's tables

_VALUE = re.compile(r"(.+?)(?::(\d+))?(?:\[([\d:,]*)\])?")
_RANGE_SLACK = 3  # rows by which Kaldi lets a range pass the end; it clips them


class _Entry(NamedTuple):
    """One matrix in an archive, as a scp value names it, with its header."""

    fd: int
    name: str  # `ark:offset`, for messages
    data_at: int  # where the bytes after the header begin
    header: Header
    rows: range  # those that the value's `[first:last]` selects, or all
    cols: range

    def fail(self, reason: str) -> DataError:
        return DataError(f"{self.name}: {reason}")


class MatrixReader:
    """Random access to Kaldi archives by the values of a scp, `path:offset` with an optional range.

    A range is Kaldi's, first and last included: `a.ark:42[0:99]`, `a.ark:42[0:99,0:12]`, `a.ark:42[,0:12]`.
    Reads float and double matrices and vectors and the compressed kinds CM, CM2 and CM3. Files stay open, the
    least recently used is closed when more than `max_open` are. Every read names its position (pread), so a
    reader may be used after a fork, and it can be pickled; threads should have one each.

    >>> scp = read_scp("data/train/feats.scp")
    >>> reader = MatrixReader()
    >>> crop = reader.read_rows(scp["utt1"], 100, 300)      # float32 (200, D); only these rows are read

    Raises `DataError` naming archive and offset: no such archive, not a Kaldi matrix there, truncated, rows
    that it does not have, and with `check_finite` a NaN or infinite value among those read.
    """

    def __init__(self, max_open: int = 128, check_finite: bool = False) -> None:
        self._max_open = max_open
        self._check_finite = check_finite
        self._files: OrderedDict[str, tuple[int, int]] = OrderedDict()  # path -> descriptor, size in bytes

    def shape(self, value: str) -> tuple[int, ...]:
        """(rows, columns) of a matrix or (size,) of a vector, from the header alone."""
        entry = self._find(value)
        return (len(entry.rows),) if entry.header.is_vector else (len(entry.rows), len(entry.cols))

    def num_rows(self, value: str) -> int:
        """Rows of a matrix or size of a vector, from the header alone."""
        return len(self._find(value).rows)

    def read(self, value: str) -> np.ndarray:
        """The matrix (T, D) or vector (T,): float64 where the archive holds doubles, else float32."""
        entry = self._find(value)
        return self._load(entry, entry.rows)

    def read_rows(self, value: str, start: int, stop: int) -> np.ndarray:
        """Rows start <= t < stop, float32 (stop - start, D), counted from the value's range if it has one.

        Of all kinds but CM, which is stored by columns, only the bytes of these rows are read.
        """
        entry = self._find(value)
        if not 0 <= start <= stop <= len(entry.rows):
            raise entry.fail(f"rows {start} to {stop} wanted, it has {len(entry.rows)}")
        return self._load(entry, entry.rows[start:stop]).astype(np.float32, copy=False)

    def read_vector(self, value: str) -> np.ndarray:
        """The vector (T,): float64 where the archive holds doubles, else float32; a matrix is refused."""
        entry = self._find(value)
        if not entry.header.is_vector:
            raise entry.fail(f"is a matrix of {entry.header.rows} rows where a vector is needed")
        return self._load(entry, entry.rows)

    def close(self) -> None:
        """Close the open files; the reader can be used on."""
        for fd, _ in self._files.values():
            os.close(fd)
        self._files.clear()

    def __del__(self) -> None:
        if "_files" in self.__dict__:
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"_max_open": self._max_open, "_check_finite": self._check_finite}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_max_open"], state["_check_finite"])

    def _open(self, ark: str) -> tuple[int, int]:
        found = self._files.get(ark)
        if found is not None:
            self._files.move_to_end(ark)
            return found
        try:
            fd = os.open(ark, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as e:
            raise DataError(f"{ark}: cannot read the archive ({e.strerror})") from None
        while len(self._files) >= self._max_open:
            os.close(self._files.popitem(last=False)[1][0])
        self._files[ark] = fd, os.fstat(fd).st_size
        return self._files[ark]

    def _find(self, value: str) -> _Entry:
        ark, _, offset_text = value.rpartition(":")
        ranges = None
        if not (ark and offset_text.isdecimal()):  # else as most are, found in a tenth of the time
            match = _VALUE.fullmatch(value)
            if match is None or value.endswith("|"):
                raise DataError(f"{value}: not 'archive:offset' (commands are not run for features)")
            ark, offset_text, ranges = match.groups()
        offset = int(offset_text or 0)
        name = f"{ark}:{offset}"
        fd, file_size = self._open(ark)
        if offset >= file_size:
            raise DataError(f"{name}: the archive ends at byte {file_size} (truncated, or the scp is of another one)")
        try:
            head = os.pread(fd, MAX_HEADER_BYTES, offset)
            header = parse_header(head)
        except ValueError as e:
            raise DataError(f"{name}: {e}") from None
        except OSError as e:
            raise DataError(f"{name}: cannot read ({e.strerror})") from None
        data_at = offset + header.size
        if data_at + header.data_bytes > file_size:
            needed, there = header.data_bytes, max(0, file_size - data_at)
            raise DataError(f"{name}: truncated, has {there} of {needed} bytes; make the archive again")
        rows, cols = range(header.rows), range(header.cols)
        if ranges is not None:
            row_range, _, col_range = ranges.partition(",")
            rows = _select(row_range, rows, slack=_RANGE_SLACK, name=value)
            cols = _select(col_range, cols, slack=0, name=value)
        return _Entry(fd, name, data_at, header, rows, cols)

    def _load(self, entry: _Entry, rows: range) -> np.ndarray:
        header = entry.header
        width = header.cols
        item = ITEM_DTYPES[header.kind]
        if header.kind == "CM":
            percentiles = _pread(entry, 0, (width, 4), np.dtype("<u2"))
            codes = _pread(entry, percentiles.nbytes, (width, header.rows), item)
            array = decode_columns(header, percentiles, codes[:, rows.start : rows.stop])
        else:
            array = _pread(entry, rows.start * width * item.itemsize, (len(rows), width), item)
            if header.kind in ("CM2", "CM3"):
                array = decode_uniform(header, array)
        if len(entry.cols) != width:
            array = np.ascontiguousarray(array[:, entry.cols.start : entry.cols.stop])
        if self._check_finite and not np.isfinite(array).all():
            raise entry.fail("holds a NaN or infinite value; make the archive again")
        return array[:, 0] if header.is_vector else array


def _pread(entry: _Entry, at: int, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    """An array from the bytes that begin `at` after the header."""
    array = np.empty(shape, dtype)
    buffer = memoryview(array.reshape(-1).view(np.uint8))
    done = 0
    while done < len(buffer):  # one system call reads at most 2 GB
        try:
            got = os.preadv(entry.fd, [buffer[done:]], entry.data_at + at + done)
        except OSError as e:
            raise entry.fail(f"cannot read ({e.strerror})") from None
        if got == 0:
            raise entry.fail("truncated while it was being read; make the archive again")
        done += got
    return array


def _select(text: str, whole: range, *, slack: int, name: str) -> range:
    """`first:last`, both included, as a part of `whole`; an empty text or `:` is all of it."""
    if text in ("", ":"):
        return whole
    first_text, _, last_text = text.partition(":")
    if not (first_text.isdigit() and last_text.isdigit()):
        raise DataError(f"{name}: the range is not [first:last] or [first:last,first:last]")
    first, last = int(first_text), int(last_text)
    if first > last or first >= len(whole) or last >= len(whole) + slack:
        raise DataError(f"{name}: the range {text} is not within 0:{len(whole) - 1}")
    return range(first, min(last + 1, len(whole)))


class ArkWriter:
    """Writes `<name>.ark` and `<name>.scp`; both appear, whole, when the block ends without an exception.

    Keys may come in any order; the scp is sorted at the end (C order), the ark keeps the order of writing.
    Until then the ark is `<name>.ark.partial` (an exception removes it, a later run overwrites one that a
    kill left). An earlier `<name>.scp` goes before the new ark comes, so no scp ever points into another ark.

    >>> with ArkWriter("exp/xvectors/xvector.1") as w:      # scp lines: `utt1 exp/xvectors/xvector.1.ark:5`
    ...     w.write("utt1", vector)                         # (D,) or (T, D); kept as float32

    Args:
        name: path without `.ark`; the scp has it as it is given, so make it absolute if it should be.
        compress: as `--compress=true` of Kaldi's programs: matrices of more than 8 rows by percentiles of
            each column, a byte a value (CM), smaller ones in two bytes (CM2); vectors are not compressed.
        dtype: np.float32, or np.float64 where precision matters.

    Raises `DataError` naming the key: NaN or infinite values, an empty array, a key that comes twice or is
    not one word.
    """

    def __init__(
        self, name: str | os.PathLike[str], *, compress: bool = False, dtype: type[np.floating] = np.float32
    ) -> None:
        self._ark, self._scp = Path(f"{os.fspath(name)}.ark"), Path(f"{os.fspath(name)}.scp")
        self._partial = Path(f"{self._ark}.partial")
        self._compress = compress
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._letter = {4: b"F", 8: b"D"}[self._dtype.itemsize]
        self._table: dict[str, str] = {}
        self._at = 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> "ArkWriter":
        self._ark.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self._partial, "wb", buffering=1 << 20)
        return self

    def __len__(self) -> int:
        """Arrays written so far."""
        return len(self._table)

    def write(self, key: str, array: np.ndarray) -> None:
        """Append a matrix (T, D) or a vector (D,) of any real type under `key`."""
        if self._file is None:
            raise ValueError("ArkWriter.write is for inside its with block")
        if len(key.split()) != 1 or key.strip() != key:
            raise DataError(f"{self._ark}: the key {key!r} is not one word")
        if key in self._table:
            raise DataError(f"{self._ark}: the key {key!r} is written a second time")
        array = np.ascontiguousarray(array, self._dtype)
        if array.ndim not in (1, 2) or array.size == 0:
            raise DataError(f"{self._ark}: {key} has the shape {array.shape}; a matrix or vector with values is needed")
        if not np.isfinite(array).all():
            raise DataError(f"{self._ark}: {key} holds a NaN or infinite value (shape {array.shape})")
        name = f"{key} ".encode()
        if self._compress and array.ndim == 2:
            parts = (name, _compressed(array))
        else:
            parts = (name, self._header(array), memoryview(array).cast("B"))
        self._table[key] = f"{self._ark}:{self._at + len(name)}"
        with named_in_errors(self._ark):
            for part in parts:
                self._file.write(part)
                self._at += len(part)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        try:
            if kind is None:
                self._scp.unlink(missing_ok=True)
                with named_in_errors(self._ark):
                    replace_durably(file, self._partial, self._ark)
                write_scp(self._scp, self._table)
        finally:
            with suppress(OSError):  # a full disk fails again on the buffer's rest; the first error is the one to show
                file.close()
            self._partial.unlink(missing_ok=True)

    def _header(self, array: np.ndarray) -> bytes:
        """Marker, type and sizes as Kaldi writes them (each int32 after its width, 4); the values follow."""
        sizes = b"".join(struct.pack("<bi", 4, n) for n in array.shape)
        return b"\0B" + self._letter + (b"V " if array.ndim == 1 else b"M ") + sizes


def _compressed(array: np.ndarray) -> bytes:
    from kaldiio.matio import write_array  # here, as few programs compress

    automatic = 1
    body = io.BytesIO()
    write_array(body, array, compression_method=automatic)
    return body.getvalue()
