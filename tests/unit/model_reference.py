"""The weights behind the reference outputs of tests/data/models: a function of a tensor's place and its index.

Tensor number k (floating ones only, from 0, in the order of the state dict) has, at flat index i,

    base(i, k) = sin(0.1 (i + 1) + 0.7 (k + 1)), in float64

and from it: batch norm's weight 1 + base / 10, its bias and mean base / 10, its variance 1 + base^2 / 2; any other
tensor base / sqrt(fan in), the fan in being the product of all dimensions but the first, or the length of a vector.
"""

import numpy as np
import torch
from kaldi_files import ROOT

MODELS = ROOT / "tests/data/models"
N = np.arange(32240)
WAVES = np.stack(
    [
        0.3 * np.sin(2 * np.pi * (120 + seed) * N / 16000 * (1 + 0.1 * np.sin(N / 9000)))
        + 0.1 * np.sin(2 * np.pi * 1300 * N / 16000)
        + 0.05 * np.sin(1e-4 * N**2)
        for seed in (0, 41)
    ]
).astype(np.float32)


def values(shape, kind, k):
    """The k-th tensor, float32, of a kind: bn_weight, bn_bias, bn_mean, bn_var, or any other."""
    n = int(np.prod(shape)) if shape else 1
    base = np.sin(0.1 * (np.arange(n, dtype=np.float64) + 1) + 0.7 * (k + 1)).reshape(shape)
    if kind == "bn_weight":
        out = 1 + 0.1 * base
    elif kind in ("bn_bias", "bn_mean"):
        out = 0.1 * base
    elif kind == "bn_var":
        out = 1 + 0.5 * base**2
    else:
        out = base / np.sqrt(np.prod(shape[1:]) if len(shape) > 1 else max(n, 1))
    return out.astype(np.float32)


def reference_state(name):
    """The reference's state dict under its own names."""
    state = {}
    for line in (MODELS / f"{name}.params.tsv").read_text().splitlines()[1:]:
        index, tensor, kind, shape = line.split("\t")
        sizes = tuple(int(size) for size in shape.split("x")) if shape else ()
        state[tensor] = torch.from_numpy(values(sizes, kind, int(index)))
    return state
