"""Sets, embeddings and runs of VoxCeleb2's shape and any size, without speech: for `tests.bench.bench_scale`.

VoxCeleb2's development part has 1,092,009 utterances of 5,994 speakers in 145,569 videos; VoxCeleb1-E has 581,480
trials on 145,160 utterances of 1,251 speakers. Everything is a function of the size; a smaller set begins as a larger
one does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from sv.data.ark import ArkWriter
from sv.data.datadir import DataDir
from sv.data.tables import read_table, write_lines, write_table
from sv.data.vectors import Vectors
from sv.run import Run
from sv.scoring.cohort import write_cohort
from sv.systems.backends import CosineBackend, EuclideanBackend
from sv.systems.normalisation import Normalisation
from sv.systems.reading import load_system

CONF = Path(__file__).parents[2] / "conf"
UTTERANCES = 1_200_000
TRIALS, TESTED, TESTED_SPEAKERS, COHORT = 580_000, 145_000, 1_251, 6_000
DIM, CROPS = 512, 10
RATE, LONGEST_S = 16000, 60
LINKS = 50_000  # names that a file may have, on file systems that allow 65,000
LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))


class Utterance(NamedTuple):
    """One of a set; a video is a session."""

    speaker: str
    video: str
    number: int
    num_samples: int

    def __str__(self) -> str:
        return f"{self.speaker}-{self.video}-{self.number:05d}"

    def path(self, root: Path) -> Path:
        """Where it would be in the corpus."""
        return root / self.speaker / self.video / f"{self.number:05d}.wav"


def utterances(count: int, first_speaker: int = 1) -> Iterator[Utterance]:
    """So many, in order: 200 of a speaker and 8 of a video on average, of 4 s and more, 7.8 s on average."""
    speaker, left = first_speaker, count
    while left:
        rng = np.random.default_rng([7, speaker])
        sizes = rng.geometric(1 / 8, max(5, round(rng.lognormal(3.05, 0.6))))  # about 25 videos
        names = sorted("".join(name) for name in LETTERS[rng.integers(0, len(LETTERS), (len(sizes), 11))])
        # Shifted log-normal: the least is 4 s, half are below 6 s.
        length_s = np.minimum(4 + rng.lognormal(np.log(2), 1.13, int(sizes.sum())), LONGEST_S)
        lengths = iter((length_s * RATE).astype(int).tolist())
        for video, size in zip(names, sizes.tolist(), strict=True):
            for number in range(1, size + 1):
                if left:
                    left -= 1
                    yield Utterance(f"id{speaker:05d}", video, number, next(lengths))
        speaker += 1


def make_set(out: Path, root: Path, count: int, first_speaker: int = 1) -> None:
    """A set as stages 0 and 1 leave it: tables, counts of samples, a feature folder with a VAD but without arks."""
    all_ = list(utterances(count, first_speaker))
    ids = [str(utt) for utt in all_]
    utt2spk = dict(zip(ids, (utt.speaker for utt in all_), strict=True))
    wav = dict(zip(ids, (str(utt.path(root)) for utt in all_), strict=True))
    sessions = dict(zip(ids, (f"{utt.speaker}-{utt.video}" for utt in all_), strict=True))
    genders = {speaker: "mf"[number % 2] for number, speaker in enumerate(dict.fromkeys(utt2spk.values()))}
    DataDir(utt2spk, wav, None, {"utt2sess": sessions, "spk2gender": genders}).write(out)
    write_table(out / "utt2num_samples", dict(zip(ids, (utt.num_samples for utt in all_), strict=True)))
    folder = out / "feats" / "mfcc30_16k"
    frames = dict(zip(ids, (utt.num_samples // 160 - 1 for utt in all_), strict=True))
    DataDir(utt2spk, {}, None, {"utt2num_frames": frames}).write(folder)
    write_table(folder / "utt2num_voiced", {utt: n * 4 // 5 for utt, n in frames.items()})
    for name, arks in (("feats.scp", "raw_mfcc"), ("vad.scp", "vad")):
        write_table(folder / name, {utt: f"{out}/arks/{arks}.{n % 16}.ark:{n * 21000}" for n, utt in enumerate(ids)})
    (folder / "feats.conf").write_bytes((CONF / "features" / "mfcc30_16k.conf").read_bytes())


def make_audio(root: Path, count: int) -> None:
    """A file of a minute of noise under the names of all utterances: a hundred times fewer files, every name a link."""
    wave_N = (1000 * np.random.default_rng(0).standard_normal(RATE * LONGEST_S)).astype(np.int16)
    folder = None
    for number, utt in enumerate(utterances(count)):
        source, path = root / f"noise{number // LINKS}.wav", utt.path(root)
        if number % LINKS == 0:
            root.mkdir(parents=True, exist_ok=True)
            soundfile.write(source, wave_N, RATE)
        if path.parent != folder:
            folder = path.parent
            folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            os.link(source, path)


def part(count: int, of: int) -> int:
    """What the tested part of a set of `count` utterances has, where the largest has `of`."""
    return max(100, round(of * count / UTTERANCES))


def make_test_set(out: Path, count: int) -> None:
    """A set of an eighth of the utterances, with its list: each is enrolled four times, half the trials are targets."""
    num_speakers = max(10, part(count, TESTED_SPEAKERS))
    rng = np.random.default_rng(count)
    speaker_N = np.sort(rng.integers(0, num_speakers, part(count, TESTED)))
    first_S, end_S = (np.searchsorted(speaker_N, np.arange(num_speakers), side) for side in ("left", "right"))
    ids = [f"id{10000 + s:05d}-{n:011d}-{n % 8 + 1:05d}" for n, s in enumerate(speaker_N.tolist())]
    enrol_N = rng.integers(0, len(ids), part(count, TRIALS))
    of_N = speaker_N[enrol_N]
    is_target = rng.random(len(enrol_N)) < 0.5
    other_N = (of_N + rng.integers(1, num_speakers, len(enrol_N))) % num_speakers
    of_test_N = np.where(is_target | (first_S[other_N] == end_S[other_N]), of_N, other_N)
    test_N = rng.integers(first_S[of_test_N], end_S[of_test_N])
    labels = np.where(of_N == speaker_N[test_N], "target", "nontarget").tolist()
    DataDir({utt: f"id{10000 + s:05d}" for utt, s in zip(ids, speaker_N.tolist(), strict=True)}).write(out)
    trials = zip(enrol_N.tolist(), test_N.tolist(), labels, strict=True)
    lines = dict.fromkeys(f"{ids[enrol]} {ids[test]} {label}" for enrol, test, label in trials)
    write_lines(out / "trials_e", lines)


def make_runs(exp: Path, test_set: Path, crops: bool) -> None:
    """Runs whose embeddings of the set are vectors, scored by cosine, or matrices of crops, and by distance too."""
    system = load_system(CONF / "systems" / "voxsrc2020" / "Q1.yaml")
    cosine, euclidean = CosineBackend(name="cosine", centre=None), EuclideanBackend(name="euclidean")
    backends = {"crops": cosine, "crops-euclidean": euclidean} if crops else {"vectors": cosine}
    runs = [
        Run.plan(exp, name, 1, system.model_copy(update={"backends": {backend.name: backend}}))
        for name, backend in backends.items()
    ]
    for run in runs:
        run.write()
    rng = np.random.default_rng(0)
    speakers: dict[str, np.ndarray] = {}
    with ArkWriter(runs[0].embeddings(test_set.name) / "xvector") as archive:
        for utt, speaker in DataDir.read(test_set).utt2spk.items():
            mean_D = speakers.setdefault(speaker, 0.25 * rng.standard_normal(DIM, np.float32))
            x_CD = mean_D + rng.standard_normal((CROPS if crops else 1, DIM), np.float32)
            archive.write(utt, x_CD if crops else x_CD[0])
    first, *others = (run.embeddings(test_set.name) / "xvector.scp" for run in runs)
    for scp in others:
        write_table(scp, read_table(first))


def make_normalised(place: Path) -> None:
    """A run beside `vectors`, of the same embeddings, whose scores a cohort normalises."""
    system = load_system(CONF / "systems" / "voxsrc2020" / "Q1.yaml")
    normalise = Normalisation(method="s", top=300)
    cosine = CosineBackend(name="cosine", centre=None, normalise=normalise)
    run = Run.plan(place / "exp", "asnorm", 1, system.model_copy(update={"backends": {"cosine": cosine}}))
    run.write()
    (vectors,) = (place / "exp/vectors/seed1/embeddings").glob("*/xvector.scp")
    run.backend("cosine").mkdir(parents=True, exist_ok=True)
    write_table(run.embeddings(vectors.parent.name) / "xvector.scp", read_table(vectors))
    speakers = part(int(place.name), COHORT)
    x_SD = 0.3 * np.random.default_rng(1).standard_normal((speakers, DIM))
    write_cohort(run.backend("cosine"), Vectors([f"id{n:05d}" for n in range(speakers)], x_SD, np.ones(speakers, int)))
