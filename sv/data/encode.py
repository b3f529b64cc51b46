"""Recordings out: 16-bit WAV and FLAC, as the bytes of a file."""

from __future__ import annotations

import io

import numpy as np
import soundfile

CODINGS = ("flac", "wav")


def to_int16(wave_NC: np.ndarray) -> np.ndarray:
    """Samples in the int16 range rounded to it, halves to even, and clipped."""
    return np.rint(wave_NC).clip(-32768, 32767).astype(np.int16)


def encoded(wave_NC: np.ndarray, rate: int, coding: str) -> bytes:
    """A file of 16-bit samples, int16 (N, C), at `rate` Hz, of one of `CODINGS`. Both are lossless."""
    file = io.BytesIO()
    soundfile.write(file, wave_NC, rate, format=coding.upper(), subtype="PCM_16")
    return file.getvalue()


def decoded(content: bytes) -> tuple[np.ndarray, int]:
    """The samples, int16 (N, C), and the rate of what `encoded` gave."""
    return soundfile.read(io.BytesIO(content), dtype="int16", always_2d=True)
