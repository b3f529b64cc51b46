"""Noises and impulse responses for crops: a few large files that all processes on a machine map into memory.

`FOLDER/NAME.RATE.int16` (noises) or `.float32` (responses) holds the samples of all files of a kind, one after the
other; `FOLDER/NAME.RATE.index` says `NUM_SAMPLES FILE` of each. What is read stays in the system's page cache, once
for all workers.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import numpy as np

from sv.augment.config import Kind
from sv.augment.material import Material
from sv.data.atomic import atomic_write
from sv.data.tables import read_lines, write_lines
from sv.errors import AudioError, DataError

NOISES = get_args(Kind)  # of MUSAN; what else there is, are rooms


class Bank:
    """The files of one kind at one rate.

    >>> bank = Bank(Path("data/voxceleb/noise_bank"), "music", rate=16000)
    >>> which, start = bank.draw(32000, rng)
    >>> bank.part(which, start, 32000).shape
    (32000,)

    Safe to hand to worker processes, which map the files themselves. Raises DataError naming the file if it is not
    there, or is not as long as its index says.
    """

    def __init__(self, folder: Path, name: str, rate: int) -> None:
        self._made_of = folder, name, rate
        index, path = index_file(folder, name, rate), _samples_file(folder, name, rate)
        if not index.exists():
            raise DataError(f"{index} is missing; run stage 2")
        try:
            lengths = [int(line.split(" ", 1)[0]) for line in read_lines(index)]
        except ValueError:
            raise DataError(f"{index}: a line is not 'NUM_SAMPLES FILE'; remove it and run stage 2") from None
        dtype = _dtype(name)
        if not lengths or not path.exists() or path.stat().st_size != sum(lengths) * dtype.itemsize:
            raise DataError(f"{path} is not as long as {index} says; remove the index and run stage 2")
        self._ends_F = np.cumsum(lengths)
        self._samples = np.asarray(np.memmap(path, dtype, "r"))

    def __reduce__(self) -> tuple[type[Bank], tuple[Path, str, int]]:
        return Bank, self._made_of

    def __len__(self) -> int:
        """How many files."""
        return len(self._ends_F)

    def whole(self, which: int) -> np.ndarray:
        """A file, float32 (M,)."""
        return self._file(which).astype(np.float32)

    def part(self, which: int, start: int, length: int) -> np.ndarray:
        """Samples from a place in a file on, float32 (length,); where the file ends it begins again."""
        file_M = self._file(which)
        if start + length <= len(file_M):
            return file_M[start : start + length].astype(np.float32)
        return np.resize(np.concatenate([file_M[start:], file_M[:start]]), length).astype(np.float32)

    def draw(self, length: int, rng: np.random.Generator) -> tuple[int, int]:
        """A file, each as likely as it is long, and where in it `length` samples begin.

        So every stretch of the material is as likely, as by the pieces of 5 s, one every 3 s, that the VoxSRC 2020
        authors cut all files into. A file that is too short begins anywhere (and again, see `part`); theirs are left
        out.
        """
        which = int(np.searchsorted(self._ends_F, rng.integers(self._ends_F[-1]), side="right"))
        samples = len(self._file(which))
        return which, int(rng.integers(samples - length + 1 if samples >= length else samples))

    def _file(self, which: int) -> np.ndarray:
        return self._samples[self._ends_F[which - 1] if which else 0 : self._ends_F[which]]


def write_bank(folder: Path, name: str, rate: int, files: Iterable[str]) -> list[Path]:
    """Write the bank of a kind from recordings, their first channels at `rate` Hz; the paths of its two files.

    Noises are rounded to int16 and clipped to its range. Raises AudioError for a file that cannot be read or is silent
    throughout, as then nothing can be made of it.
    """
    index, path, dtype = index_file(folder, name, rate), _samples_file(folder, name, rate), _dtype(name)
    index.unlink(missing_ok=True)
    material, lines = Material(max_bytes=0), []
    with atomic_write(path, "wb") as out:
        for file in files:
            wave_N = material.read(file, rate)
            if dtype.kind == "i":
                wave_N = np.rint(wave_N).clip(-32768, 32767)
            if not wave_N.any():
                raise AudioError(f"{file}: is silent throughout; take it out of the corpus")
            out.write(wave_N.astype(dtype).tobytes())
            lines.append(f"{len(wave_N)} {file}")
    write_lines(index, lines)
    return [path, index]


def index_file(folder: Path, name: str, rate: int) -> Path:
    """The file that says that a bank is there, and what is in it."""
    return folder / f"{name}.{rate}.index"


def _samples_file(folder: Path, name: str, rate: int) -> Path:
    return folder / f"{name}.{rate}.{_dtype(name).name}"


def _dtype(name: str) -> np.dtype:
    return np.dtype("<i2" if name in NOISES else "<f4")
