"""Smaller sets by number: the first utterances, a draw of them, or so many of every speaker."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from sv.data.datadir import DataDir, shuffled
from sv.errors import ConfigError, DataError


def first(data: DataDir, count: int) -> DataDir:
    """The first `count` utterances in C order; DataError if there are fewer."""
    _require(data, count)
    return data.subset(data.utterances[:count])


def draw(data: DataDir, count: int, seed: int) -> DataDir:
    """`count` utterances, a function of the seed and their names; DataError if there are fewer.

    A larger draw by the same seed holds the smaller one.
    """
    _require(data, count)
    return data.subset(shuffled(data.utterances, seed)[:count])


def draw_per_speaker(data: DataDir, count: int, seed: int) -> DataDir:
    """`count` utterances of every speaker, drawn likewise; all of those who have no more."""
    left = Counter(dict.fromkeys(data.utt2spk.values(), count))
    kept = []
    for utt in shuffled(data.utterances, seed):
        speaker = data.utt2spk[utt]
        if left[speaker]:
            left[speaker] -= 1
            kept.append(utt)
    return data.subset(kept)


def refuse_same(out: Path, *inputs: Path) -> None:
    """Raise ConfigError if a directory would be written over one that it is made of."""
    if out.resolve() in {path.resolve() for path in inputs}:
        raise ConfigError(f"{out} would be written over itself; name another folder to write")


def _require(data: DataDir, count: int) -> None:
    if count > len(data):
        raise DataError(f"{data.path}: {count} utterances are wanted and {len(data)} are there; ask for fewer")
