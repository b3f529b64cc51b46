"""Kaldi's reference archives, and feature folders for tests."""

import re
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
FEATURES = ROOT / "tests/data/features"
WAVS = ROOT / "tests/data/wav"


def read_text_ark(name):
    """`key [ numbers ]` of an archive that Kaldi wrote as text: float64 (T, D), vectors (T,)."""
    text = (FEATURES / f"{name}.ark.txt").read_text()
    table = {}
    for key, body in re.findall(r"(\S+)\s+\[([^\]]*)\]", text):
        rows = [line.split() for line in body.strip().splitlines()]
        table[key] = np.array(rows[0] if len(rows) == 1 and not body.startswith("\n") else rows, float)
    return table
