"""The front ends by the names of their configurations.

Kaldi's (fbank, mfcc), the VoxSRC authors' (melspec), and the waveform itself (wave).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sv.errors import ConfigError
from sv.features.config import read_flags
from sv.features.kaldi_config import OPTIONS_OF_THE_OTHER, KaldiFeatureConfig
from sv.features.melspec_config import MelSpecConfig
from sv.features.wave_config import WaveConfig

if TYPE_CHECKING:
    from sv.features.kaldi import KaldiFeatures
    from sv.features.melspec import MelSpec
    from sv.features.wave import Wave

FeatureConfig = KaldiFeatureConfig | MelSpecConfig | WaveConfig
KINDS = ("fbank", "mfcc", "melspec", "wave")
_OF_NO_OTHER = {"melspec": MelSpecConfig, "wave": WaveConfig}
_NAMED = f"{', '.join(KINDS[:-1])} or {KINDS[-1]}"


def read_feature_config(path: str | os.PathLike[str], name: str | None = None) -> FeatureConfig:
    """Read `conf/features/NAME.conf`; a name that starts with one of `KINDS` says which it is.

    `name` is given where the file was copied under another one, as into a feature folder.
    """
    kind = next((kind for kind in KINDS if (name or Path(path).name).startswith(kind)), None)
    if kind is None:
        raise ConfigError(f"{path}: a feature configuration's file name starts with {_NAMED}, and so says what it is")
    if own := _OF_NO_OTHER.get(kind):
        return read_flags(path, own, kind=kind)
    unused = {option: getattr(KaldiFeatureConfig, option) for option in OPTIONS_OF_THE_OTHER[kind]}
    return read_flags(path, KaldiFeatureConfig, kind=kind, **unused)


def feature_config(settings: dict[str, Any]) -> FeatureConfig:
    """The configuration whose fields these are."""
    return _OF_NO_OTHER.get(settings["kind"], KaldiFeatureConfig)(**settings)


def build_front_end(config: FeatureConfig) -> KaldiFeatures | MelSpec | Wave:
    """What computes the features; imports torch."""
    if isinstance(config, WaveConfig):
        from sv.features.wave import Wave

        return Wave()
    if isinstance(config, MelSpecConfig):
        from sv.features.melspec import MelSpec

        return MelSpec(config)
    from sv.features.kaldi import KaldiFeatures

    return KaldiFeatures(config)
