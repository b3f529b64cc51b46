"""VoxCeleb2 on disk -> OUT/vox2_dev, the data directory of its development part; the test part is left out.

Takes ROOT/dev/{aac,wav,flac} or ROOT/dev itself or, of a merged tree, ROOT/{aac,wav,flac}: <speaker>/<video>/<n>.m4a,
.wav or .flac. vox2_meta.csv tells the genders and, of a merged tree, the speakers of the development part. Where
recordings are there in two codings, as .m4a and converted, --audio says which to take; DIR/dev/wav in the place of
ROOT takes this folder alone. A part of the corpus is taken as it is, with a line; more than the corpus has is an
error. ROOT/SYNTHETIC.txt goes into the set.
"""

from __future__ import annotations

import os
from pathlib import Path

from voxceleb_tree import Recording, data_dir, names_digest, read_meta, recordings_below

from sv.cli import Parser, run
from sv.data.datadir import LABEL, DataDir, read_label, set_files
from sv.data.tables import first_few
from sv.errors import DataError
from sv.records import Step

AUDIO = {"aac": ".m4a", "wav": ".wav", "flac": ".flac"}  # a coding's folder, and how its files end
SPEAKERS, UTTERANCES = 5_994, 1_092_009  # of the development part
TEST_PART = "the test part (VoxCeleb2 has 36237 utterances of 118 speakers there)"
META = "vox2_meta.csv"


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--audio", choices=AUDIO, help="take recordings of this coding alone (None: all)")
    parser.add_argument("root", type=Path, help="VoxCeleb2 as downloaded, or converted")
    parser.add_argument("out", type=Path, help="folder of the data directory")
    args = parser.parse_args()
    prepare(args.root, args.out, args.audio)


def prepare(root: Path, out: Path, audio: str | None = None) -> None:
    """Write the set; DataError for a tree that is missing, empty, ambiguous or larger than VoxCeleb2.

    Nothing is done if the tree is as it was the last time.
    """
    folders, endings = folders_of(root), [AUDIO[audio]] if audio else list(AUDIO.values())
    root = root.parents[1] if folders == [root] else root
    found = [recording for folder in folders for recording in recordings_below(folder, endings)]
    step = Step(
        "prepare_voxceleb2",
        out / "vox2_dev",
        inputs=[root / META, root / LABEL],
        digests={"names of the recordings": names_digest(root, found)},
        settings={"root": os.path.abspath(root), "audio": audio},
    )
    if step.skip():
        return
    meta = read_meta(root / META, "VoxCeleb2 ID", {"comma": ",", "tab": "\t"})
    dev = found if (root / "dev").is_dir() else development_part(root, found, meta)
    if not dev:
        raise DataError(f"{root}: the development part holds no {', '.join(endings)} file")
    gender = {speaker: fields["Gender"] for speaker, fields in meta.items()}
    data = data_dir(dev, gender, "keep one, or name the folder of one as the root, DIR/dev/wav")
    require_possible(root, data)
    data.synthetic = read_label(root)
    step.begin()
    data.write(out / "vox2_dev")
    step.done(set_files(out / "vox2_dev"), utterances=len(data), speakers=data.num_speakers)
    whole = (data.num_speakers, len(data)) == (SPEAKERS, UTTERANCES)
    print(
        f"{out / 'vox2_dev'}: {len(data)} utterances of {data.num_speakers} speakers"
        + ("" if whole else f" (VoxCeleb2 has {UTTERANCES} of {SPEAKERS}: this is a part of it)")
        + ("" if data.synthetic is None else ", synthetic speech")
    )


def folders_of(root: Path) -> list[Path]:
    """The folders of speakers: of the development part where it is apart, else of a merged tree; or the one given.

    What stands beside a development part is told to be left out.
    """
    if not root.is_dir():
        raise DataError(f"VoxCeleb2: {root} is not a folder; give its root, the folder that holds dev/ (or aac/)")
    if root.name in AUDIO and root.parent.name == "dev":
        return [root]
    dev, merged = root / "dev", codings_in(root)
    if dev.is_dir():
        if (root / "test").is_dir():
            print(f"{root / 'test'}: left out, as nothing is trained on {TEST_PART}")
        for other in merged:
            print(f"{other}: left out, as {dev} is the development part")
        return codings_in(dev) or [dev]
    if not merged:
        raise DataError(f"{root}: neither dev/ nor aac/, wav/ or flac/ is there; this is not VoxCeleb2's root")
    return merged


def codings_in(folder: Path) -> list[Path]:
    """The folders of codings in a folder."""
    return [folder / name for name in AUDIO if (folder / name).is_dir()]


def development_part(root: Path, recordings: list[Recording], meta: dict[str, dict[str, str]]) -> list[Recording]:
    """The recordings of a merged tree that are of the development part; tells how many are not."""
    if not meta:
        raise DataError(f"{root}: there is no {META}, which says whose recordings a merged tree is to train on")
    if unknown := {recording.speaker for recording in recordings} - meta.keys():
        raise DataError(f"{root / META}: {len(unknown)} speakers of the tree are not in it: {first_few(unknown)}")
    dev = [recording for recording in recordings if meta[recording.speaker]["Set"] == "dev"]
    if count := len(recordings) - len(dev):
        print(f"{root}: {count} utterances left out, as nothing is trained on {TEST_PART}")
    return dev


def require_possible(root: Path, data: DataDir) -> None:
    """Raise DataError if there is more than VoxCeleb2 has."""
    for what, count, most in (("speakers", data.num_speakers, SPEAKERS), ("utterances", len(data), UTTERANCES)):
        if count > most:
            raise DataError(
                f"{root}: {count} {what} in the development part, and VoxCeleb2's has {most}; remove what is not of it"
            )


if __name__ == "__main__":
    run(main, __file__)
