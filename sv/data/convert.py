"""One recording written anew: decoded, resampled, encoded, and read back before it counts."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import numpy as np

from sv.data.audio import audio_info, open_audio, read_part
from sv.data.encode import decoded, encoded, to_int16
from sv.data.resample import resample
from sv.errors import AudioError

TOLERANCE_S = 0.02  # by which a decoded recording's length may differ from what its header says


def converted(source: str, rate: int, coding: str, allow_pipes: bool = False) -> tuple[bytes, int]:
    """A recording with all its channels as the bytes of a 16-bit file at `rate` Hz, and its number of samples.

    Raises AudioError as `sv.data.audio.read_audio` does, if what is decoded is not as long as the header says, and if
    what was encoded does not read back as it was.
    """
    with open_audio(source, allow_pipes=allow_pipes) as recording:
        promised, rate_in = recording.num_samples, recording.rate
        channels = [read_part(recording, source, channel=channel) for channel in range(recording.num_channels)]
    if abs(len(channels[0]) - promised) > TOLERANCE_S * rate_in:
        raise AudioError(
            f"{source}: decodes to {len(channels[0]) / rate_in:.2f} s, its header says {promised / rate_in:.2f} s; get"
            " it again"
        )
    wave_NC = to_int16(np.stack([resample(wave_N, rate_in, rate) for wave_N in channels], axis=1))
    content = encoded(wave_NC, rate, coding)
    back_NC, rate_back = decoded(content)
    if rate_back != rate or not np.array_equal(back_NC, wave_NC):
        raise AudioError(f"{source}: what was written as {coding} does not read back as it was")
    return content, len(wave_NC)


def convert_to_file(source: str, target: Path, rate: int, coding: str, allow_pipes: bool = False) -> None:
    """Write a recording to a file that gets its time of change; nothing is done if that was done before.

    Raises AudioError as `converted` does.
    """
    changed_ns = _changed_ns(source)
    if changed_ns is not None and _holds(target, changed_ns, rate):
        return
    content, _ = converted(source, rate, coding, allow_pipes)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not forced to the disk one by one, which a million files would wait for: a short one is seen by its header.
    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(content)
    if changed_ns is not None:
        os.utime(partial, ns=(changed_ns, changed_ns))
    os.replace(partial, target)


def file_name(recording: str, speaker: str, coding: str) -> str:
    """A recording's file below a folder, SPEAKER/RECORDING.flac; what a file's name cannot have is written as %XX."""
    return f"{_quoted(speaker)}/{_quoted(recording)}.{coding}"


def _quoted(name: str) -> str:
    return "%2E" * len(name) if name in (".", "..") else quote(name, safe="")


def _changed_ns(source: str) -> int | None:
    """When a file was changed; None of what is no file of its own."""
    try:
        return os.stat(source).st_mtime_ns
    except OSError:
        return None


def _holds(target: Path, changed_ns: int, rate: int) -> bool:
    """Whether a file is whole, at the rate, and of a source that was changed then."""
    try:
        return os.stat(target).st_mtime_ns == changed_ns and audio_info(str(target)).rate == rate
    except (OSError, AudioError):
        return False
