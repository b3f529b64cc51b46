"""Crops augmented as they are read: reverberation, noise, music, babble or nothing, drawn anew for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.augment.bank import Bank, index_file
from sv.augment.online_config import Additive, Clean, OnlineAugmentation, Rooms
from sv.augment.waves import Noise, add_noises, reverberate, reverberate_unit_energy, sum_of_equals
from sv.errors import DataError
from sv.records import dry_run, record_of


@dataclass(frozen=True)
class Drawn:
    """What is done to a crop: the way's name, and the room's response (M,) or the noises, each as long as the crop."""

    way: str
    response_M: np.ndarray | None = None
    noises: tuple[Noise, ...] = ()


class OnlineAugmenter:
    """Augments crops of speech; what is done to one is a function of the generator that comes with it.

    >>> augment = OnlineAugmenter.of(read_online_augmentation("conf/augment_online/voxsrc.yaml"), bank, rate=16000)
    >>> augment(wave_N, np.random.default_rng([seed, epoch, index, place])).shape == wave_N.shape
    True

    Ratios of speech to noise are those of mean squares over the crop, of the speech and of the noise that is added, so
    that they are as drawn however soft the speech is. A crop of zeros stays one, and a noise that is silent for the
    whole of the crop adds nothing. A crop with noises is as loud as it was, as in the copies of a set; the authors'
    code leaves it louder, which networks on normalised log-mel features or waveforms do not see.

    Args:
        conf: of `conf/augment_online/`.
        banks: by name, for the ways that are to be drawn; of those whose material is not among them `left_out` has the
            names, and the others are as likely to each other as before.

    Safe to hand to worker processes.
    """

    def __init__(self, conf: OnlineAugmentation, banks: Mapping[str, Bank]) -> None:
        self._banks = dict(banks)
        self.left_out = tuple(name for name, needed in conf.needs.items() if not set(needed) <= banks.keys())
        self._ways = {name: way for name, way in conf.ways.items() if name not in self.left_out}
        if not self._ways:
            raise DataError("no way to augment has its material; run stage 2 with --data-root musan=DIR and rirs=DIR")
        self._names = list(self._ways)
        self._upto_W = np.cumsum([way.weight for way in self._ways.values()])

    @classmethod
    def of(cls, conf: OnlineAugmentation, folder: Path, rate: int) -> OnlineAugmenter:
        """With the banks of a folder that `steps/make_noise_bank.sh` filled; DataError if one lacks, unless skipped."""
        needed = {bank for banks in conf.needs.values() for bank in banks}
        if conf.if_missing == "skip":
            needed = {name for name in needed if index_file(folder, name, rate).exists()}
        return cls(conf, {name: Bank(folder, name, rate) for name in sorted(needed)})

    def __call__(self, wave_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The crop, float32 (N,), augmented: float32 (N,)."""
        drawn = self.draw(len(wave_N), rng)
        if drawn.response_M is not None:
            aligned = self._ways[drawn.way].response == "aligned"
            return (reverberate if aligned else reverberate_unit_energy)(wave_N, drawn.response_M)
        return add_noises(wave_N, drawn.noises) if drawn.noises else wave_N

    def draw(self, length: int, rng: np.random.Generator) -> Drawn:
        """What is done to a crop of `length` samples."""
        name = self._names[_one_of(self._upto_W, rng)]
        match self._ways[name]:
            case Clean():
                return Drawn(name)
            case Rooms() as way:
                responses = self._banks[list(way.rooms)[_one_of(np.cumsum(list(way.rooms.values())), rng)]]
                return Drawn(name, response_M=responses.whole(int(rng.integers(len(responses)))))
            case Additive() as way:
                bank, count = self._banks[way.of], int(rng.integers(way.files[0], way.files[1] + 1))
                parts = [bank.part(*bank.draw(length, rng), length) for _ in range(count)]
                if way.snr_of == "total":
                    parts = [sum_of_equals(parts)]
                return Drawn(name, noises=tuple(Noise(part_N, rng.uniform(*way.snr_db)) for part_N in parts))


def _one_of(upto_W: np.ndarray, rng: np.random.Generator) -> int:
    """One of several by weight, of which `upto_W` are the sums."""
    return int(np.searchsorted(upto_W, rng.random() * upto_W[-1], side="right"))


def inputs(conf: OnlineAugmentation, folder: Path, rate: int) -> list[Path]:
    """The records of the banks that crops are augmented from, as inputs of a step (`sv.records`).

    Raises DataError if one lacks, unless skipped: a training without it would be another, for which this one's
    checkpoints make room. In a dry run stage 2 may be yet to make it.
    """
    names = list(dict.fromkeys(name for needed in conf.needs.values() for name in needed))
    missing = {name: path for name in names if not (path := index_file(folder, name, rate)).exists()}
    if conf.if_missing == "skip":
        names = [name for name in names if name not in missing]
    elif missing and not dry_run():
        raise DataError(f"{next(iter(missing.values()))} is missing; run stage 2")
    return [record_of(step_name(name, rate), folder) for name in names]


def step_name(bank: str, rate: int) -> str:
    """Of the step that made a bank, each its own."""
    return f"bank_{bank}_{rate}"
