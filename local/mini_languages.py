"""Invented languages for `local/generate_mini.py`: which sounds may follow which, and tones.

They are named for what they are put in the place of, not for what they sound like.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from mini_phones import CODAS, CODE, NAMES, ONSETS, VOWELS


@dataclass(frozen=True)
class Language:
    """The syllables of a language: an onset, a vowel with a tone, a coda."""

    vowels: tuple[str, ...]
    onsets: tuple[str, ...]
    codas: tuple[str, ...]
    onset_chance: float = 0.85
    coda_chance: float = 0.4
    tones: tuple[tuple[float, float], ...] = ()  # pitch where a vowel begins and ends, semitones; none: accents
    shifts: dict[str, tuple[float, float, float]] = field(default_factory=dict)  # factors on F1..F3 of a sound

    def formants(self) -> np.ndarray:
        """Factors on the formant targets of every segment, float (segments, 3)."""
        factors = np.ones((len(NAMES), 3))
        for name, shift in self.shifts.items():
            factors[CODE[name]] = shift
        return factors


ENGLISH = Language(tuple(VOWELS), tuple(ONSETS), tuple(CODAS))
LANGUAGES = {
    "eng": ENGLISH,
    # five vowels, nearly all syllables open
    "tgl": Language(
        vowels=("i", "eh", "aa", "ao", "u"),
        onsets=("p", "b", "t", "d", "k", "g", "m", "n", "s", "hh", "l", "r", "w", "y"),
        codas=("n", "m", "k", "t", "s", "l"),
        onset_chance=0.95,
        coda_chance=0.25,
        shifts={"aa": (1.0, 1.15, 1.0), "eh": (0.92, 1.05, 1.0)},
    ),
    # three vowels, closed syllables as often as not
    "ceb": Language(
        vowels=("i", "aa", "u"),
        onsets=("p", "b", "t", "d", "k", "g", "m", "n", "s", "hh", "l", "w", "y"),
        codas=("n", "m", "k", "t", "p", "s", "l"),
        onset_chance=0.95,
        coda_chance=0.45,
        shifts={"aa": (0.95, 1.12, 1.0), "u": (1.1, 1.05, 1.0)},
    ),
    # four tones, few codas
    "cmn": Language(
        vowels=("i", "u", "aa", "ah", "eh", "er"),
        onsets=("p", "t", "k", "m", "n", "f", "s", "sh", "hh", "l", "r", "w", "y"),
        codas=("n", "r"),
        onset_chance=0.9,
        coda_chance=0.35,
        tones=((4, 4), (-1, 3), (-3, -4), (5, -3)),
        shifts={"er": (0.9, 1.0, 1.3), "eh": (0.95, 1.05, 1.0)},
    ),
    # six tones, no voiced stops, rounded front vowels in the place of two others
    "yue": Language(
        vowels=("i", "ih", "eh", "aa", "ao", "u", "er", "ah"),
        onsets=("p", "t", "k", "m", "n", "f", "s", "sh", "hh", "l", "w", "y"),
        codas=("p", "t", "k", "m", "n"),
        onset_chance=0.92,
        coda_chance=0.55,
        tones=((4, 4), (1, 1), (-2, -2), (-2, 3), (-4, -1), (-1, -5)),
        shifts={"ih": (0.85, 0.85, 0.9), "er": (1.0, 1.15, 1.35)},
    ),
}
