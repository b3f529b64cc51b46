"""Enrolled speakers, and the files that they are kept in: NAME.{ark,scp}, as Kaldi's programs read them, NAME.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sv.data.ark import ArkWriter, MatrixReader
from sv.data.atomic import atomic_write
from sv.data.tables import read_table
from sv.data.vectors import Vectors
from sv.errors import DataError
from sv.records import fingerprint


@dataclass(frozen=True)
class Model:
    """A speaker: the mean embedding (E,) of so many utterances or, where embeddings are matrices, all their rows.

    >>> verifier.enroll("anna", ["anna-01.wav", "anna-02.wav"])
    >>> model = verifier.models["anna"]
    >>> model.x.shape, model.num_utts, model.seconds
    ((128,), 2, 7.42)

    `x` is float64 (E,), or float32 (`num_utts` × crops, E); `seconds` is how much the network heard in all.
    """

    x: np.ndarray
    num_utts: int
    seconds: float

    @classmethod
    def of(cls, embeddings: Sequence[np.ndarray], seconds: Sequence[float]) -> Model:
        """Of the embeddings of its utterances, (E,) or (crops, E) each, and of what was heard of each."""
        joined = embeddings[0].ndim == 2
        x = np.concatenate(embeddings) if joined else np.stack(embeddings).mean(0, dtype=np.float64)
        return cls(x, len(embeddings), sum(seconds))

    def vectors(self, name: str, row: int | None = None) -> Vectors:
        """As one side of a trial, by name; `row` is that of back ends which score one row of each matrix."""
        if self.x.ndim == 1:
            return Vectors([name], self.x[None], np.array([self.num_utts]))
        parts = np.split(self.x, self.num_utts)
        utts = Vectors.of({f"{number:08d}": x_CE for number, x_CE in enumerate(parts)})
        return (utts.of_row(row) if row else utts).means({name: utts.keys})


def write_models(name: Path, models: dict[str, Model], run: str, made_by: str) -> None:
    """Write models to NAME.ark, NAME.scp and NAME.json, in place of those that are there.

    Args:
        models: by the speakers' names.
        run: whose embeddings they are, for messages.
        made_by: a digest of what made these.
    """
    with ArkWriter(name.resolve(), dtype=np.float64) as archive:
        for model, held in models.items():
            archive.write(model, held.x)
    of_each = {each: {model: getattr(held, each) for model, held in models.items()} for each in ("num_utts", "seconds")}
    with atomic_write(f"{name}.json") as out:
        json.dump({"run": run, "made_by": made_by, "archive": _archive(name)} | of_each, out, indent=1)
        out.write("\n")


def read_models(name: Path, made_by: str) -> dict[str, Model]:
    """Read what `write_models` wrote.

    Raises DataError if it is missing or damaged, or was made by something else: embeddings of two networks have nothing
    to do with each other.
    """
    try:
        stored: dict[str, Any] = json.loads(Path(f"{name}.json").read_bytes())
        run, was, archive = (stored[key] for key in ("run", "made_by", "archive"))
        num_utts, seconds = stored["num_utts"], stored["seconds"]
    except FileNotFoundError:
        raise DataError(f"{name}.json: nobody is enrolled there; enrol speakers first (python -m sv enroll)") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{name}.json: does not hold enrolled speakers; enrol them again into another file") from None
    if was != made_by:
        raise DataError(
            f"{name}: its speakers were enrolled with {run} as it was then, not with this network; enrol them again"
        )
    if archive != _archive(name):
        raise DataError(f"{name}.ark: is not what was written with {name}.json; remove both and enrol again")
    table, reader = read_table(f"{name}.scp"), MatrixReader(check_finite=True)
    arrays = {model: reader.read(f"{name}.ark:{value.rpartition(':')[2]}") for model, value in table.items()}
    return {
        model: Model(x if x.ndim == 1 else x.astype(np.float32), num_utts[model], seconds[model])
        for model, x in arrays.items()
    }


def _archive(name: Path) -> str:
    """The digest of NAME.ark; "" if there is none."""
    return "".join(fingerprint(Path(f"{name}.ark"))[2:])
