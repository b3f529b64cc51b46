"""RIRS_NOISES on disk -> OUT/rir_list_smallroom and OUT/rir_list_mediumroom, Kaldi's lists of impulse responses.

Takes ROOT/simulated_rirs/{smallroom,mediumroom}/Room*/*.wav or .flac (all are listed, whatever the rir_list there
says); a size that is not there is left out, and a line says so.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sv.cli import Parser, run
from sv.data.audio import audio_info
from sv.data.tables import write_lines
from sv.errors import AudioError, DataError
from sv.records import Step

ROOMS = ("smallroom", "mediumroom")


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("root", type=Path, help="RIRS_NOISES as it is unpacked")
    parser.add_argument("out", type=Path, help="folder of the lists")
    args = parser.parse_args()
    prepare(args.root, args.out)


def prepare(root: Path, out: Path) -> None:
    """Write a list for every size of room that is there; DataError if none is, or for a file that is no recording.

    Nothing is done if the files are as they were the last time.
    """
    responses = {room: responses_below(root / "simulated_rirs" / room) for room in ROOMS}
    if not any(responses.values()):
        raise DataError(
            f"RIRS_NOISES: {root} holds no .wav or .flac in simulated_rirs/smallroom/Room*/ or mediumroom/Room*/;"
            " give the root, the folder that holds simulated_rirs/"
        )
    digest = hashlib.sha256()
    for path in (path for paths in responses.values() for path in paths):
        stat = path.stat()
        digest.update(f"{path}\t{stat.st_size}\t{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    settings = {"root": os.path.abspath(root)}
    step = Step("prepare_rirs", out, digests={"recordings": digest.hexdigest()}, settings=settings)
    if step.skip():
        return
    for path in (path for paths in responses.values() for path in paths):
        try:
            audio_info(str(path))
        except AudioError as error:
            raise DataError(f"{error}; get it again, or take the file away") from None
    step.begin()
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for room, paths in responses.items():
        target = out / f"rir_list_{room}"
        target.unlink(missing_ok=True)
        if not paths:
            print(f"{root}: there is no simulated_rirs/{room}; it is left out")
            continue
        write_lines(target, (f"--rir-id {room}-{p.stem} --room-id {room}-{p.parent.name} {p}" for p in paths))
        print(f"{target}: {len(paths)} impulse responses")
        written.append(target)
    step.done(written, responses=sum(map(len, responses.values())))


def responses_below(folder: Path) -> list[Path]:
    """Every Room*/*.wav or .flac of a folder, in order, as absolute paths."""
    rooms = sorted(path for path in folder.absolute().glob("Room*") if path.is_dir())
    files = (path for room in rooms for path in sorted(room.iterdir()))
    return [path for path in files if path.suffix in (".wav", ".flac") and not path.name.startswith(".")]


if __name__ == "__main__":
    run(main, __file__)
