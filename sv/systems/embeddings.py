"""What a system's YAML says of its embeddings: `ivector:`, the extractor, and `extraction:`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sv.settings import NonNegativeFloat, PositiveFloat, PositiveInt, Strict


class IVector(Strict):
    """An i-vector extractor: a full-covariance universal background model and a total-variability space.

    Defaults are those of Kaldi's sre16 and voxceleb recipes.
    """

    num_gaussians: PositiveInt = 2048
    dim: PositiveInt = 400
    diag_iterations: PositiveInt = 4  # of the diagonal model
    full_iterations: PositiveInt = 4  # of the full one
    iterations: PositiveInt = 5  # of the extractor
    ubm_frames: PositiveInt = 500_000  # a random subset of the voiced frames
    num_gselect: PositiveInt = 20  # Gaussians looked at for each frame
    min_post: Annotated[float, Field(ge=0, lt=1)] = 0.025  # posteriors below it are dropped


class Crops(Strict):
    """So many crops at regular intervals from an utterance, whose embeddings are the rows of a matrix."""

    count: PositiveInt = 10
    length_s: PositiveFloat = 4.0


class Extraction(Strict):
    """The network that embeddings are extracted with: of the last epoch or the best, or the mean of the last ones.

    The last two are of i-vectors: with less weight on the frames, or a limit to how many count, the prior counts for
    more, as neighbouring frames are not independent (Kaldi's --acoustic-weight and --max-count).
    """

    checkpoint: Literal["last", "best"] = "last"  # best by EER on held-out utterances
    average: PositiveInt = 1  # networks of the last epochs whose weights are averaged
    crops: Crops | None = None  # None: the whole utterance at once
    draws: PositiveInt = 1  # of a network that draws (pooling random): embeddings of an utterance, the rows of a matrix
    acoustic_weight: Annotated[float, Field(gt=0, le=1)] = 1.0  # factor on an utterance's statistics
    max_count: NonNegativeFloat = 0.0  # frames that count, at most, after that factor; 0 for no limit
