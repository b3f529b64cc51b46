"""Which runs have no ONNX form, and what to do instead. No torch is needed."""

from __future__ import annotations

from typing import Any

from sv.errors import ConfigError
from sv.features.vad import EnergyVad, vad_of
from sv.run import Run


def require_exportable(this: Run, front_end: dict[str, Any], frames: bool) -> None:
    """Raise ConfigError, with what to do instead, if the embeddings of a run cannot be had of an ONNX model.

    Args:
        this: a run with embeddings of its own.
        front_end: how the set that it was trained on was made.
        frames: the model is to take frames in place of samples.
    """
    system = this.system
    if system.ivector:
        raise ConfigError(
            f"{this.path}: its embeddings are i-vectors, which no network makes; final.ubm and final.ie there are as"
            " Kaldi's programs read them"
        )
    if system.compares:
        raise ConfigError(f"{this.path}: its network compares pairs itself and has no embeddings; nothing to export")
    if getattr(system.model, "pooling", None) == "random":
        raise ConfigError(
            f"{this.path}: its pooling is drawn at random for each utterance, which no ONNX model repeats; export a"
            " system with another model.pooling"
        )
    if frames and system.input:
        raise ConfigError(f"{this.path}: its network reads recordings; leave out --features, samples will do")
    if frames:
        return
    instead = "with --features model.onnx takes the frames that the network reads"
    if front_end["vad"] and not isinstance(vad_of(front_end["vad"]), EnergyVad):
        raise ConfigError(f"{this.path}: its VAD, {system.vad}, is WebRTC's, which has no ONNX form; {instead}")
    if front_end["features"].get("dither"):
        raise ConfigError(f"{this.path}: its features are dithered, each recording by its name; {instead}")
