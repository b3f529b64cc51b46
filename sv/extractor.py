"""What makes the embeddings of a trained run: a network, of features or of recordings, or i-vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from sv.errors import ConfigError
from sv.run import Run
from sv.source import Reader, Source

if TYPE_CHECKING:
    import numpy as np
    import torch

Extract = Callable[[Reader, Iterable[str]], Iterator[tuple[str, "np.ndarray"]]]


class Extractor(NamedTuple):
    """What makes embeddings of utterances: what messages call it, the fewest frames that it takes, and itself."""

    what: str
    fewest: int
    extract: Extract


def load_extractor(this: Run, source: Source, frames_per_s: float, device: torch.device) -> Extractor:
    """That of a trained run, of its own network or i-vectors, for what a source reads, so many frames a second.

    Raises a UserError if the network is not there, or takes more frames than a crop has.
    """
    return _ivectors(this, device) if this.system.ivector else _network(this, source, frames_per_s, device)


def _network(this: Run, source: Source, frames_per_s: float, device: torch.device) -> Extractor:
    from sv.models.extraction import crop_embeddings, embeddings, wave_embeddings
    from sv.training.checkpoint import load_model

    model = load_model(this).to(device)
    crops, prepare = this.system.extraction.crops, source.prepare(device)
    length = round(crops.length_s * frames_per_s) if crops else 0
    if crops and (frames := source.num_frames(length)) < model.min_frames:
        raise ConfigError(
            f"{this.path}: extraction.crops.length_s: {crops.length_s:g} s are {frames} {source.unit}, the network"
            f" needs {model.min_frames}"
        )

    def extract(reader: Reader, utts: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
        if crops:
            return crop_embeddings(model, reader, utts, device, crops.count, length, prepare)
        if source.waveform:
            return wave_embeddings(model, reader, utts, device, prepare, this.seed, this.system.extraction.draws)
        return embeddings(model, reader, utts, device)

    return Extractor("the network", 1 if crops else model.min_frames, extract)


def _ivectors(this: Run, device: torch.device) -> Extractor:
    from sv.backends.ivector import StatsStream, extract, ubm_posteriors
    from sv.backends.kaldi_gmm import read_extractor, read_full_gmm

    settings = this.system.ivector
    full = read_full_gmm(this.path / "final.ubm")
    extractor = read_extractor(this.path / "final.ie").to(device)
    posteriors = ubm_posteriors(full, None, settings.num_gselect, settings.min_post)

    def ivectors(reader: Reader, utts: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
        frames = ((utt, reader.whole(utt)) for utt in sorted(utts))
        stats = StatsStream(frames, posteriors, full.num_gauss, device=device)
        return extract(extractor, stats, this.system.extraction.acoustic_weight, this.system.extraction.max_count)

    return Extractor("an i-vector", 1, ivectors)
