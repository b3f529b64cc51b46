"""The cohort that a back end's scores are normalised by, and what embeddings score against it, kept for other lists."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sv.backends.backend import Backend, load_backend
from sv.data.ark import ArkWriter
from sv.data.atomic import atomic_write
from sv.data.vectors import Vectors
from sv.errors import DataError
from sv.records import fingerprint
from sv.scoring.normalisation import NormalisedBackend, Statistics, cohort_statistics
from sv.systems.backends import Backend as BackendSettings
from sv.systems.normalisation import Normalisation

COHORT = "cohort"


def cohort_of(settings: Normalisation, x_ND: np.ndarray, speaker_N: np.ndarray) -> Vectors:
    """Embeddings (N, D) of speakers, by name (N,), as a cohort: each, or each speaker's mean.

    Raises DataError if there are fewer than two.
    """
    if settings.cohort == "speakers":
        names, index_N = np.unique(speaker_N, return_inverse=True)
        count_S = np.bincount(index_N)
        x_ND = np.stack([np.bincount(index_N, x_N) for x_N in x_ND.T], axis=1) / count_S[:, None]
    else:
        names = np.array([f"{number:08d}" for number in range(len(x_ND))])
    if len(names) < 2:
        raise DataError(f"a cohort of {len(names)} {settings.cohort} has no deviation; name another set with --cohort")
    return Vectors(names.tolist(), x_ND, np.ones(len(names), int))


def write_cohort(folder: Path, cohort: Vectors) -> None:
    """Write a cohort beside a back end's parameters, as Kaldi's vectors."""
    with ArkWriter(folder.resolve() / COHORT) as archive:
        for key, x_D in zip(cohort.keys, cohort.x_ND, strict=True):
            archive.write(key, x_D)


class KeptStatistics(NamedTuple):
    """Where `CohortStatistics` are kept: of which set, and the files that decide its embeddings."""

    set_name: str
    inputs: list[Path]


def whole_backend(
    settings: BackendSettings, folder: Path, enrol: KeptStatistics | None = None, test: KeptStatistics | None = None
) -> Backend:
    """A trained back end, with the normalisation of its scores if its settings ask for one.

    Args:
        settings, folder: of the back end.
        enrol, test: sets whose embeddings are the models and the tests; None: of no set, and nothing is kept.
    """
    backend, normalise = load_backend(settings, folder), settings.normalise
    if not normalise:
        return backend

    def statistics(kept: KeptStatistics | None) -> Callable[[Vectors], Statistics]:
        if kept:
            return CohortStatistics(backend, normalise, folder, *kept)
        cohort = Vectors.read(folder / f"{COHORT}.scp")
        return lambda vectors: cohort_statistics(backend, vectors, cohort, normalise.top)

    return NormalisedBackend(backend, normalise, statistics(enrol), statistics(test))


class CohortStatistics:
    """What embeddings of a set score against a back end's cohort: computed once for each, then read from a file.

    >>> of_tests = CohortStatistics(backend, settings, folder, "vox1_test", inputs)
    >>> of_tests(test).mean_N.shape == (len(test.keys),)
    True

    Args:
        backend: what scores, without normalisation.
        settings: which of the cohort count.
        folder: of the back end, with its cohort; the file is `cohort_statistics/SET.npz` there.
        set_name: whose embeddings; the ids of one file are those of one set.
        inputs: files that decide the embeddings; statistics that were made of others count for nothing.
    """

    def __init__(
        self, backend: Backend, settings: Normalisation, folder: Path, set_name: str, inputs: Iterable[Path]
    ) -> None:
        self._backend, self._top = backend, settings.top
        self._cohort = Vectors.read(folder / f"{COHORT}.scp")
        self._file = folder / "cohort_statistics" / f"{set_name}.npz"
        made_of = [settings.top, *(fingerprint(path)[2:] for path in inputs)]
        self._made_of = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()

    def __call__(self, vectors: Vectors) -> Statistics:
        """The statistics of embeddings of the set, in their order."""
        known = self._read()
        lack = [row for row, key in enumerate(vectors.keys) if key not in known]
        if lack:
            found = cohort_statistics(self._backend, vectors.take(lack), self._cohort, self._top)
            known |= zip(
                (vectors.keys[row] for row in lack), zip(*map(np.ndarray.tolist, found), strict=True), strict=True
            )
            self._write(known)
        mean_N, std_N = np.array([known[key] for key in vectors.keys]).T
        return Statistics(mean_N, std_N)

    def _read(self) -> dict[str, tuple[float, float]]:
        try:
            with np.load(self._file) as held:
                if held["made_of"] != self._made_of:
                    return {}
                return dict(zip(held["keys"].tolist(), map(tuple, held["mean_std_N2"].tolist()), strict=True))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile):
            return {}

    def _write(self, known: dict[str, tuple[float, float]]) -> None:
        keys = sorted(known)
        with atomic_write(self._file, "wb") as out:
            np.savez(out, made_of=self._made_of, keys=keys, mean_std_N2=np.array([known[key] for key in keys]))
