"""Where a network's input comes from: features on disk, or recordings whose features are computed on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sv.features import files, wave_reader
from sv.features.files import FeatureReader
from sv.features.front_ends import FeatureConfig, build_front_end, feature_config
from sv.features.wave_config import WaveConfig
from sv.features.wave_reader import WaveReader
from sv.run import Run

if TYPE_CHECKING:
    import torch

Reader = FeatureReader | WaveReader
Prepare = Callable[["torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class Source:
    """What a run reads of a data directory.

    >>> source = Source(Run.open("exp/voxceleb/Q4/seed1"), Path("data/voxceleb/vox1_train"))
    >>> x_BN = torch.from_numpy(source.reader().chunk(utt, 0, 32000))[None]
    >>> source.prepare(device)(x_BN).shape
    torch.Size([1, 201, 64])
    """

    run: Run
    data_dir: Path

    @cached_property
    def waveform(self) -> FeatureConfig | None:
        """The front end of a network that reads recordings; None for one that reads features on disk."""
        return feature_config(self.run.waveform["features"]) if self.run.waveform else None

    @property
    def folder(self) -> Path:
        """The data directory, or its folder of features, either of which is one by Kaldi's rules."""
        return self.data_dir if self.waveform else self.data_dir / "feats" / self.run.system.features

    def inputs(self) -> list[Path]:
        """The files that decide what is read, as inputs of a step."""
        return wave_reader.inputs(self.data_dir) if self.waveform else files.inputs(self.folder, self.run.system.vad)

    def is_made(self) -> bool:
        """Whether stage 1 has come by."""
        return bool(self.waveform) or (self.folder / "feats.conf").exists()

    def front_end(self) -> dict[str, Any]:
        """How what is read was made, or will be: a network takes only what it was trained on."""
        if self.run.waveform:
            return {"features": self.run.waveform["features"], "vad": None}
        return files.front_end(self.folder, self.run.system.vad)

    def reader(self) -> Reader:
        """Reads utterances and chunks of them, of frames or of samples."""
        if self.waveform:
            return WaveReader(self.data_dir, int(self.waveform.sample_frequency))
        return FeatureReader.of_system(self.folder, self.run.system)

    def dim(self, reader: Reader) -> int:
        """Numbers a frame of what the network is given."""
        return self.waveform.dim if self.waveform else reader.dim

    def num_frames(self, length: int) -> int:
        """Frames of a chunk of what is read."""
        return self.waveform.num_frames(length) if self.waveform else length

    @property
    def unit(self) -> str:
        """What messages call the frames that a network is given."""
        return "samples" if isinstance(self.waveform, WaveConfig) else "frames"

    def prepare(self, device: torch.device) -> Prepare:
        """What turns chunks as they are read, (B, …), into features (B, T, F), on a device."""
        if self.waveform is None:
            return as_they_are
        return build_front_end(self.waveform).to(device)


def as_they_are(x_BTF: torch.Tensor) -> torch.Tensor:
    """Features that are read as such."""
    return x_BTF
