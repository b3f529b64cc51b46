"""The copies of a data directory: which there are, and what each is made with, as functions of seed and name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.augment.config import Augmentation, Background, Copy, Foreground, Reverb
from sv.augment.spec import Spec
from sv.data.datadir import RECORDING_TABLES, SPEAKER_TABLES, DataDir, shuffled
from sv.data.tables import read_lines, read_table
from sv.errors import DataError

# What a copy has in common with its clean utterance: not what depends on how it sounds.
CARRIED = ("utt2dur", "utt2lang", "utt2sess", *SPEAKER_TABLES, *RECORDING_TABLES)


@dataclass(frozen=True)
class Noises:
    """Noise files in C order of their ids, and how long each is, in seconds."""

    files: list[str]
    seconds: list[float]


Materials = Mapping[str, list[list[str]] | Noises]  # by the copies' ending: responses by room, or noises


def read_material(copy: Copy, musan: Path | None, rirs: Path | None) -> list[list[str]] | Noises | str:
    """What a kind of copies is made with, or, as a text, what is missing.

    Args:
        musan: what `local/prepare_musan.py` wrote.
        rirs: what `local/prepare_rirs.py` wrote.
    Returns:
        Impulse responses, a list for each of the copy's rooms, or noises.
    """
    return read_rooms(copy.rooms, rirs) if isinstance(copy, Reverb) else read_noises(copy.of, musan)


def read_rooms(rooms: Iterable[str], rirs: Path | None) -> list[list[str]] | str:
    """The files of impulse responses of each room size or, as a text, what is missing."""
    if rirs is None:
        return "no impulse responses are given"
    lists = {room: rirs / f"rir_list_{room}" for room in rooms}
    if missing := next((room for room, path in lists.items() if not path.exists()), None):
        return f"{lists[missing]} is not there (RIRS_NOISES gives what it has of smallroom and mediumroom)"
    return [read_rir_list(path) for path in lists.values()]


def read_noises(kind: str, musan: Path | None) -> Noises | str:
    """MUSAN's files of a kind or, as a text, what is missing."""
    if musan is None:
        return "no MUSAN is given"
    folder = musan / kind
    if not (folder / "wav.scp").exists():
        return f"{folder}/wav.scp is not there (MUSAN had no {kind})"
    wav, seconds = read_table(folder / "wav.scp"), read_table(folder / "reco2dur")
    if lacking := sorted(wav.keys() - seconds.keys()):
        raise DataError(f"{folder}/reco2dur: {lacking[0]} of wav.scp is missing; make both again")
    ids = sorted(wav)
    return Noises([wav[i] for i in ids], [float(seconds[i]) for i in ids])


def material_files(copy: Copy, musan: Path | None, rirs: Path | None) -> list[Path]:
    """The lists that `read_material` reads."""
    if isinstance(copy, Reverb):
        return [rirs / f"rir_list_{room}" for room in copy.rooms] if rirs else []
    return [musan / copy.of / name for name in ("wav.scp", "reco2dur")] if musan else []


def read_rir_list(path: Path) -> list[str]:
    """The files of Kaldi's list of impulse responses: `--rir-id ID --room-id ROOM FILE` a line."""
    files = []
    for number, line in enumerate(read_lines(path), 1):
        parts = line.split(None, 4)
        if len(parts) != 5 or (parts[0], parts[2]) != ("--rir-id", "--room-id"):
            raise DataError(f"{path}:{number}: {line.strip()!r} is not '--rir-id ID --room-id ROOM FILE'")
        files.append(parts[4].rstrip())
    if not files:
        raise DataError(f"{path} is empty")
    return files


def copies_of(
    clean: DataDir, conf: Augmentation, materials: Materials, seed: int, seconds_of: Callable[[str], float]
) -> DataDir:
    """One directory of the copies `UTT-ENDING` of a directory's utterances, after the draw of `conf.subset`.

    A recording is augmented whole, its segments are cut from it, and all of a recording's segments share its copy.
    What a copy is made with is a function of the seed, its ending and the recording's name. `utt2uniq`, Kaldi's
    name for it, says which clean utterance each is a copy of.

    Args:
        clean: utterances with audio.
        materials: by ending, for those kinds of copies that are to be made.
        seconds_of: how long a recording is; asked for those only that get noises one after the other.
    """
    names = [(utt, ending) for ending in materials for utt in clean.utterances]
    if conf.subset is not None and conf.subset < len(names):
        names = shuffled(names, seed)[: conf.subset]
    copies = DataDir({}, {}, None if clean.segments is None else {}, {"utt2uniq": {}}, synthetic=clean.synthetic)
    carried = {name: table for name, table in clean.tables.items() if name in CARRIED}
    copies.tables |= {name: {} for name in carried}
    for utt, ending in names:
        segment = clean.segment(utt)
        copy, recording = f"{utt}-{ending}", segment.recording
        copies.utt2spk[copy] = clean.utt2spk[utt]
        copies.tables["utt2uniq"][copy] = utt
        if copies.segments is not None:
            copies.segments[copy] = segment._replace(recording=f"{recording}-{ending}")
        if f"{recording}-{ending}" not in copies.wav:
            rng = _generator(seed, ending, recording)
            source = clean.wav[recording]
            spec = draw_spec(source, conf.copies[ending], materials[ending], rng, lambda r=recording: seconds_of(r))
            copies.wav[f"{recording}-{ending}"] = spec.line()
        for name, table in carried.items():
            if name in RECORDING_TABLES:
                key, new = recording, f"{recording}-{ending}"
            elif name in SPEAKER_TABLES:
                key = new = clean.utt2spk[utt]
            else:
                key, new = utt, copy
            if key in table:
                copies.tables[name][new] = table[key]
    return copies


def draw_spec(
    source: str,
    copy: Copy,
    material: list[list[str]] | Noises,
    rng: np.random.Generator,
    seconds: Callable[[], float],
) -> Spec:
    """What one copy of a recording is made with, as Kaldi's recipe draws it.

    Args:
        source: the clean recording's value of wav.scp.
        material: of `read_material`.
        seconds: of the recording.
    """

    def of(choices: list) -> object:
        return choices[int(rng.integers(len(choices)))]

    if isinstance(copy, Reverb):
        weights = np.array(list(copy.rooms.values()))
        return Spec(source, reverb=of(material[int(rng.choice(len(weights), p=weights / weights.sum()))]))
    if isinstance(copy, Background):
        return Spec(source, background=tuple((of(copy.snrs_db), of(material.files)) for _ in range(of(copy.files))))
    return Spec(source, foreground=tuple(_in_a_row(copy, material, rng, seconds())))


def _in_a_row(copy: Foreground, noises: Noises, rng: np.random.Generator, seconds: float) -> list:
    placed, start_s = [], 0.0
    while start_s < seconds:
        which = int(rng.integers(len(noises.files)))
        snr_db = copy.snrs_db[int(rng.integers(len(copy.snrs_db)))]
        placed.append((snr_db, start_s, noises.files[which]))
        start_s += noises.seconds[which] + copy.interval_s
    return placed


def _generator(seed: int, ending: str, recording: str) -> np.random.Generator:
    digest = hashlib.blake2b(f"{seed}\n{ending}\n{recording}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))
