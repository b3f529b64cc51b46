"""MUSAN on disk -> OUT/noise, OUT/music and OUT/speech: Kaldi data directories with reco2dur, for augmentation.

Takes MUSAN/{noise,music,speech}/<source>/*.wav or .flac; a kind that is not there is left out, and a line says so.
Every file is read once: one that cannot be read, or is silent throughout, is of no use to augment with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from sv.cli import Parser, run
from sv.data.audio import open_audio
from sv.data.datadir import LABEL, DataDir, read_label, set_files, write_dropped
from sv.data.recordings import files_digest
from sv.errors import AudioError, DataError
from sv.records import Step

KINDS = ("noise", "music", "speech")
PUBLISHED = {"noise": 930, "music": 660, "speech": 426}  # files
BLOCK = 1 << 20  # samples read at a time


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument(
        "--drop-bad-audio", action="store_true", help="go on without unusable files (listed in OUT/KIND/dropped.txt)"
    )
    parser.add_argument("root", type=Path, help="MUSAN as it is unpacked")
    parser.add_argument("out", type=Path, help="folder of the data directories")
    args = parser.parse_args()
    prepare(args.root, args.out, args.drop_bad_audio)


def prepare(root: Path, out: Path, drop_bad_audio: bool) -> None:
    """Write a directory for every kind that is there; DataError if none is, or for a file that cannot be used.

    Nothing is done if the files are as they were the last time.
    """
    files = {kind: list(files_below(root / kind)) for kind in KINDS if (root / kind).is_dir()}
    found = {kind: names for kind, names in files.items() if names}
    if not found:
        raise DataError(f"MUSAN: {root} holds no .wav or .flac in noise/, music/ or speech/; give MUSAN's root")
    step = Step(
        "prepare_musan",
        out,
        inputs=[root / LABEL],
        digests={"recordings": files_digest(chain.from_iterable(found.values()))},
        settings={"root": os.path.abspath(root), "drop_bad_audio": drop_bad_audio},
    )
    if step.skip():
        return
    prepared = {kind: look_at(names) for kind, names in found.items()}
    bad = {path: why for _, dropped in prepared.values() for path, why in dropped.items()}
    if bad and not drop_bad_audio:
        first, why = next(iter(bad.items()))
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise DataError(f"{first}: {why}{more}; get it again, or go on without such files: --drop-bad-audio")
    if emptied := next((kind for kind, (good, _) in prepared.items() if not good), None):
        raise DataError(f"{root / emptied}: none of its files can be used; the first: {next(iter(bad.values()))}")
    step.begin()
    label = read_label(root)
    for kind in KINDS:
        if kind not in prepared:
            (out / kind / "wav.scp").unlink(missing_ok=True)  # of an earlier MUSAN
            print(f"{root}: there is no {kind}; it is left out")
            continue
        seconds, dropped = prepared[kind]
        write_kind(out / kind, seconds, label)
        write_dropped(out / kind / "dropped.txt", {Path(path).stem: why for path, why in dropped.items()})
        hours = sum(seconds.values()) / 3600
        lost = f", {len(dropped)} dropped: see dropped.txt" if dropped else ""
        other = "" if len(found[kind]) == PUBLISHED[kind] else f" (MUSAN has {PUBLISHED[kind]})"
        print(f"{out / kind}: {len(seconds)} files{other}, {hours:.1f} h{lost}")
    step.done([path for kind in prepared for path in set_files(out / kind)], files=sum(map(len, found.values())))


def write_kind(folder: Path, seconds: dict[str, float], label: str | None) -> None:
    """Write the data directory of files (by path, with their lengths); as in Kaldi each is its own speaker."""
    wav = {Path(path).stem: path for path in seconds}
    reco2dur = {Path(path).stem: f"{length:.10g}" for path, length in seconds.items()}
    DataDir({i: i for i in wav}, wav, None, {"reco2dur": reco2dur}, synthetic=label).write(folder)


def look_at(paths: list[str]) -> tuple[dict[str, float], dict[str, str]]:
    """The length in seconds of every file that can be used, and why the others cannot."""
    seconds, bad = {}, {}
    for path in paths:
        try:
            seconds[path] = length_of(path)
        except AudioError as error:
            bad[path] = str(error).removeprefix(f"{path}: ")
    return seconds, bad


def length_of(path: str) -> float:
    """Seconds of a file; AudioError if it cannot be read to its end, or its first channel is silent throughout."""
    with open_audio(path) as recording:
        total, loudest = recording.num_samples, 0.0
        for start in range(0, total, BLOCK):
            wave_N = recording.read(start, min(start + BLOCK, total), 0)
            loudest = max(loudest, float(np.abs(wave_N).max()))
            if not np.isfinite(loudest):
                raise AudioError(f"{path}: holds NaN or infinite samples; convert it again")
        if loudest == 0:
            raise AudioError(f"{path}: is silent throughout, so it cannot be added at any signal-to-noise ratio")
        return total / recording.rate


def files_below(folder: Path) -> Iterator[str]:
    """Every <source>/*.wav or .flac below a folder, in order; DataError if two have the same name."""
    seen: dict[str, str] = {}
    for source in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in sorted(source.iterdir()):
            if path.suffix in (".wav", ".flac") and not path.name.startswith("."):
                if path.stem in seen:
                    raise DataError(f"{path} and {seen[path.stem]} have the same name; keep one")
                if len(path.stem.split()) > 1:
                    raise DataError(f"{path}: a file's name is its id in wav.scp and holds no space; rename it")
                seen[path.stem] = str(path)
                yield os.path.abspath(path)


if __name__ == "__main__":
    run(main, __file__)
