"""Sets of embeddings for tests."""

import numpy as np

from sv.data.ark import ArkWriter
from sv.data.crops import Crops
from sv.data.vectors import Vectors


def unnamed(x_ND, num_utts_N=None):
    """Vectors of utterances, or of models of so many, whose names do not matter."""
    keys = [f"{row:04d}" for row in range(len(x_ND))]
    return Vectors(keys, x_ND, np.ones(len(keys), int) if num_utts_N is None else num_utts_N)


def of_crops(matrices):
    """As `Vectors.read` gives them with their crops, of key -> matrix."""
    keys = sorted(matrices)
    means_ND = np.stack([matrices[key].mean(0, dtype=np.float64) for key in keys])
    return Vectors(keys, means_ND, np.ones(len(keys), int), Crops.of([matrices[key] for key in keys]))


def write_set(folder, arrays):
    """Write vectors, or matrices of crops, by key; the scp."""
    folder.mkdir(parents=True, exist_ok=True)
    with ArkWriter(folder / "xvector") as archive:
        for key, array in arrays.items():
            archive.write(key, np.array(array))
    return folder / "xvector.scp"
