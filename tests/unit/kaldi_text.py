"""Kaldi's text forms of vectors, matrices and models, as the files of tests/data/plda have them."""

from pathlib import Path

import numpy as np

PLDA = Path(__file__).parents[1] / "data" / "plda"


def read_vectors(name):
    """A text archive of vectors: {key: float64 (D,)}."""
    lines = [line.replace("[", " ").replace("]", " ").split() for line in (PLDA / name).read_text().splitlines()]
    return {key: np.array(values, float) for key, *values in lines}


def read_matrices(name):
    """Every bracketed vector or matrix of a text file, in order."""
    blocks = (PLDA / name).read_text().split("[")[1:]
    arrays = [np.array([row.split() for row in block.split("]")[0].strip().split("\n")], float) for block in blocks]
    return [array[0] if len(array) == 1 else array for array in arrays]


def read_groups(name):
    """{speaker: [utterance, …]} of a spk2utt."""
    return {speaker: utts for speaker, *utts in map(str.split, (PLDA / name).read_text().splitlines())}


def read_scores(name):
    """[(enrol, test), …] and their scores (N,)."""
    lines = [line.split() for line in (PLDA / name).read_text().splitlines()]
    return [(enrol, test) for enrol, test, _ in lines], np.array([float(score) for *_, score in lines])


def training_set(name="train.ark.txt"):
    """x_ND, speaker_N of the reference's training vectors."""
    vectors, groups = read_vectors(name), read_groups("train.spk2utt")
    pairs = [(utt, index) for index, utts in enumerate(groups.values()) for utt in utts]
    return np.stack([vectors[utt] for utt, _ in pairs]), np.array([index for _, index in pairs])
