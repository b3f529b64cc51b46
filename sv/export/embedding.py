"""All that lies between samples and embedding, as one module of tensors that can be traced.

Shapes: N samples, T frames, D features, C crops, E embedding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from sv.export.frames import FrameProcessing, crops_of
from sv.export.front_ends import exportable_front_end
from sv.features.files import Processing
from sv.features.front_ends import FeatureConfig, feature_config
from sv.features.melspec import FULL_SCALE
from sv.features.vad import vad_of
from sv.models.embedder import Embedder
from sv.run import Run
from sv.training.checkpoint import load_model


class Crops(NamedTuple):
    """How many crops of how many frames or samples."""

    count: int
    length: int


class FromFrames(torch.nn.Module):
    """The embedding (E,) or, of crops, (C, E), of a recording's frames (T, D) as its network reads them.

    Args:
        network: in evaluation mode.
        crops: of frames; None embeds all of them at once.
    """

    def __init__(self, network: Embedder, crops: Crops | None) -> None:
        super().__init__()
        self.network, self.crops = network, crops

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """The embedding; the argument is called as the model's input is."""
        if self.crops:
            return self.network.embed(crops_of(frames, *self.crops))
        torch._check(frames.shape[0] >= self.network.min_frames)  # where a VAD leaves how many is known to it alone
        return self.network.embed(frames[None])[0]


class FromSamples(torch.nn.Module):
    """The embedding (E,) or, of crops, (C, E), of a recording's samples (N,) in -1 … 1.

    Args:
        front_end: of `sv.export.front_ends`.
        of_frames: the rest, of what it gives.
        processing: what is done to its frames before.
        crops: of samples, each of which has features of its own; `of_frames` has none then.
    """

    def __init__(
        self,
        front_end: torch.nn.Module,
        of_frames: FromFrames,
        processing: FrameProcessing | None,
        crops: Crops | None,
    ) -> None:
        super().__init__()
        self.front_end, self.of_frames, self.processing, self.crops = front_end, of_frames, processing, crops

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """The embedding; the argument is called as the model's input is."""
        wave_N = samples * FULL_SCALE
        if self.crops:
            return self.of_frames.network.embed(self.front_end(crops_of(wave_N, *self.crops)))
        frames_TD = self.front_end(wave_N[None])[0]
        return self.of_frames(self.processing(frames_TD) if self.processing else frames_TD)


class Exportable(NamedTuple):
    """A module that is all of a run's way to embeddings, and what it takes.

    `given` is its input's name, `samples` or `frames`; `dim` numbers a frame, 0 of samples; `fewest` is how many frames
    or samples it takes at least, all of them voiced if there is a VAD; `rows` of the embedding, 0 of a vector.
    """

    module: torch.nn.Module
    config: FeatureConfig
    given: str
    dim: int
    fewest: int
    rows: int

    @property
    def network(self) -> Embedder:
        """The network within."""
        return getattr(self.module, "of_frames", self.module).network

    @property
    def rate(self) -> int:
        """Of the samples, Hz."""
        return int(self.config.sample_frequency)


def exportable(this: Run, front_end: dict[str, Any], frames: bool) -> Exportable:
    """All of a trained run's way from samples, or from `frames`, to embeddings.

    Arguments are those of `sv.export.refused.require_exportable`. Raises a UserError if its checkpoint is not what it
    should be.
    """
    system, config = this.system, feature_config(front_end["features"])
    network = load_model(this).eval()
    crops = None
    if wanted := system.extraction.crops:
        rate = config.sample_frequency if system.input else 1000 / config.frame_shift
        crops = Crops(wanted.count, round(wanted.length_s * rate))
    fewest, rows = 1 if crops else network.min_frames, crops.count if crops else 0
    if frames:
        dim = config.dim * (1 + (system.deltas.order if system.deltas else 0))
        return Exportable(FromFrames(network, crops), config, "frames", dim, fewest, rows)
    processing = None
    if not system.input:
        processing = FrameProcessing(Processing.of_system(system), vad_of(front_end["vad"]) if system.vad else None)
    of_frames = FromFrames(network, None if system.input else crops)
    module = FromSamples(exportable_front_end(config), of_frames, processing, crops if system.input else None)
    return Exportable(module, config, "samples", 0, fewest_samples(config, fewest), rows)


def fewest_samples(config: FeatureConfig, num_frames: int) -> int:
    """Samples of the shortest recording that has so many frames."""
    samples = 1
    while config.num_frames(samples) < num_frames:
        samples += 1
    return samples
