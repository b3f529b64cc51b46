"""What Kaldi 5.5 made of 60 synthetic utterances of 6-dim features (tests/data/ivector), as arrays.

A diagonal UBM of 4 Gaussians after 0 and 4 EM iterations, a full one after 3 more, its posteriors pruned at 0.025, and
a 5-dim extractor without weight projections as initialised and after 1 and 5 EM iterations, with their i-vectors.
"""

import re
from pathlib import Path

import numpy as np
import torch

from sv.backends.gmm import Posteriors

IVECTOR = Path(__file__).parents[1] / "data" / "ivector"


def features():
    """{utterance: float64 (T, 6)}."""
    text = (IVECTOR / "feats.ark.txt").read_text()
    return {
        key: np.array([line.split() for line in body.strip().splitlines()], float)
        for key, body in re.findall(r"(\S+)\s+\[([^\]]*)\]", text)
    }


def posteriors():
    """{utterance: float64 (T, 4)}, dense."""
    table = {}
    for line in (IVECTOR / "post.ark.txt").read_text().splitlines():
        key, rest = line.split(maxsplit=1)
        frames = [frame.split() for frame in re.findall(r"\[([^\]]*)\]", rest)]
        post_TI = np.zeros((len(frames), 4))
        for t, frame in enumerate(frames):
            for gauss, weight in zip(frame[::2], frame[1::2], strict=True):
                post_TI[t, int(gauss)] = float(weight)
        table[key] = post_TI
    return table


def ivectors(iteration):
    """{utterance: float64 (5,)} of ivector-extract with the extractor after `iteration` EM iterations."""
    lines = (IVECTOR / f"ivectors_{iteration}.ark.txt").read_text().splitlines()
    return {key: np.array(rest.strip(" []").split(), float) for key, rest in (line.split(maxsplit=1) for line in lines)}


def objectives():
    """The auxiliary function a frame before each iteration."""
    return [float(value) for value in re.findall(r"was (\S+) per frame", (IVECTOR / "auxf.txt").read_text())]


def sparse(post_TI):
    """Dense posteriors as `Posteriors`."""
    post_TI = torch.as_tensor(post_TI)
    frame_P, gauss_P = post_TI.nonzero(as_tuple=True)
    return Posteriors(frame_P, gauss_P, post_TI[frame_P, gauss_P])


def dense(posteriors, num_frames, num_gauss):
    """`Posteriors` as float (T, I)."""
    post_TI = torch.zeros(num_frames, num_gauss, dtype=posteriors.weight_P.dtype)
    post_TI[posteriors.frame_P, posteriors.gauss_P] = posteriors.weight_P
    return post_TI.numpy()
