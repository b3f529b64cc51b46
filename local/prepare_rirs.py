"""RIRS_NOISES on disk -> OUT/rir_list_smallroom and OUT/rir_list_mediumroom, Kaldi's lists of impulse responses.

Takes ROOT/simulated_rirs/{smallroom,mediumroom}/Room*/*.wav or .flac (all are listed, whatever the rir_list there
says); a size that is not there is left out, and a line says so.
"""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path

from sv.cli import Parser, run
from sv.data.audio import audio_info
from sv.data.datadir import write_dropped
from sv.data.recordings import files_digest
from sv.data.tables import write_lines
from sv.errors import AudioError, DataError
from sv.records import Step

ROOMS = ("smallroom", "mediumroom")
PUBLISHED = 20_000  # responses of each


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument(
        "--drop-bad-audio", action="store_true", help="go on without unusable files (listed in OUT/dropped.txt)"
    )
    parser.add_argument("root", type=Path, help="RIRS_NOISES as it is unpacked")
    parser.add_argument("out", type=Path, help="folder of the lists")
    args = parser.parse_args()
    prepare(args.root, args.out, args.drop_bad_audio)


def prepare(root: Path, out: Path, drop_bad_audio: bool) -> None:
    """Write a list for every size of room that is there; DataError if none is, or for a file that cannot be used.

    Nothing is done if the files are as they were the last time.
    """
    responses = {room: responses_below(root / "simulated_rirs" / room) for room in ROOMS}
    if not any(responses.values()):
        raise DataError(
            f"RIRS_NOISES: {root} holds no .wav or .flac in simulated_rirs/smallroom/Room*/ or mediumroom/Room*/;"
            " give the root, the folder that holds simulated_rirs/"
        )
    settings = {"root": os.path.abspath(root), "drop_bad_audio": drop_bad_audio}
    digests = {"recordings": files_digest(chain.from_iterable(responses.values()))}
    step = Step("prepare_rirs", out, digests=digests, settings=settings)
    if step.skip():
        return
    bad: dict[str, str] = {}
    for room, paths in responses.items():
        for path in paths:
            try:
                audio_info(str(path))
            except AudioError as error:
                if not drop_bad_audio:
                    raise DataError(f"{error}; or go on without such files: --drop-bad-audio") from None
                bad[f"{room}-{path.stem}"] = str(error)
        responses[room] = [path for path in paths if f"{room}-{path.stem}" not in bad]
    step.begin()
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for room, paths in responses.items():
        target = out / f"rir_list_{room}"
        target.unlink(missing_ok=True)
        if not paths:
            why = "can be used of" if any(name.startswith(f"{room}-") for name in bad) else "is in"
            print(f"{root}: nothing {why} simulated_rirs/{room}; it is left out")
            continue
        write_lines(target, (f"--rir-id {room}-{p.stem} --room-id {room}-{p.parent.name} {p}" for p in paths))
        other = "" if len(paths) == PUBLISHED else f" (RIRS_NOISES has {PUBLISHED})"
        print(f"{target}: {len(paths)} impulse responses{other}")
        written.append(target)
    write_dropped(out / "dropped.txt", bad)
    step.done(written, responses=sum(map(len, responses.values())))


def responses_below(folder: Path) -> list[Path]:
    """Every Room*/*.wav or .flac of a folder, in order, as absolute paths."""
    rooms = sorted(path for path in folder.absolute().glob("Room*") if path.is_dir())
    files = (path for room in rooms for path in sorted(room.iterdir()))
    return [path for path in files if path.suffix in (".wav", ".flac") and not path.name.startswith(".")]


if __name__ == "__main__":
    run(main, __file__)
