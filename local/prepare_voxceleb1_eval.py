"""VoxCeleb1 on disk -> OUT/vox1_eval, a data directory of all that its trial lists name, with these lists.

For systems that are not trained on VoxCeleb1: development and test part are both tested on. Takes what is there of
ROOT/dev/wav, ROOT/test/wav and a merged ROOT/wav, <speaker>/<video>/<n>.wav or .flac, and, for the validation list of
VoxSRC 2020, --cd DIR, voxceleb1_cd with <speaker>/<n>.wav. Lists are found in both roots by their published names, or
given with --trials NAME=FILE; where the published list of that name has another number of trials, the name gets an
_other behind it. ROOT/SYNTHETIC.txt goes into the set.
"""

from __future__ import annotations

import os
from pathlib import Path

from voxceleb_lists import (
    PUBLISHED,
    given_lists,
    no_list,
    published_lists,
    read_list,
    require_recordings,
    true_names,
    write_lists,
)
from voxceleb_tree import NO_VIDEO, Recording, data_dir, names_digest, read_meta, recordings_below

from sv.cli import Parser, run
from sv.data.datadir import LABEL, read_label, set_files
from sv.data.trials import Trials
from sv.errors import DataError
from sv.records import Step

SET = "vox1_eval"
ENDINGS = (".wav", ".flac")


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--cd", type=Path, metavar="DIR", help="voxceleb1_cd of VoxSRC 2020, as unpacked")
    parser.add_argument(
        "--trials",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a trial list, FILE below ROOT or a path; instead of the published ones",
    )
    parser.add_argument("root", type=Path, help="VoxCeleb1 as downloaded")
    parser.add_argument("out", type=Path, help="folder of the data directory")
    args = parser.parse_args()
    for root in filter(None, (args.root, args.cd)):
        if not root.is_dir():
            raise DataError(f"{root} is not a folder; give the root of VoxCeleb1 or, with --cd, of voxceleb1_cd")
    lists = given_lists(args.root, args.trials)
    if not args.trials:
        lists = published_lists(filter(None, (args.root, args.cd)), PUBLISHED)
    if not lists:
        raise no_list(args.root, PUBLISHED)
    prepare(args.root, args.cd, args.out / SET, lists)


def prepare(root: Path, cd: Path | None, out: Path, lists: dict[str, Path]) -> None:
    """Write the set; DataError if tree or list is missing or empty, or a list names a file that is not there.

    Nothing is done if trees and lists are as they were the last time.
    """
    found = recordings_of(root)
    others = list(recordings_below(speakers_of(cd), ENDINGS, has_videos=False)) if cd else []
    step = Step(
        "prepare_voxceleb1_eval",
        out,
        inputs=[*lists.values(), root / "vox1_meta.csv", root / LABEL],
        digests={"names of the recordings": names_digest(root, found)}
        | ({"names in voxceleb1_cd": names_digest(cd, others)} if cd else {}),
        settings={
            "root": os.path.abspath(root),
            "cd": os.path.abspath(cd) if cd else None,
            "lists": list(lists),
        },
    )
    if step.skip():
        return
    trials = {name: read_list(path) for name, path in lists.items()}
    meta = read_meta(root / "vox1_meta.csv", "VoxCeleb1 ID", {"tab": "\t"})
    whole = data_dir([*found, *others], {speaker: fields["Gender"] for speaker, fields in meta.items()})
    if not cd:
        refuse_cd(lists, trials)
    require_recordings(lists, trials, set(whole.utt2spk), f"{root} or {cd}" if cd else str(root))
    names = true_names(trials)
    data = whole.subset({utt for list_ in trials.values() for utt in (*list_.enrol, *list_.test)})
    data.synthetic = read_label(root)
    step.begin()
    data.write(out)
    print(
        f"{out}: {len(data)} utterances of {data.num_speakers} speakers, those that lists name of {len(whole)} of"
        f" {whole.num_speakers}" + ("" if data.synthetic is None else ", synthetic speech")
    )
    write_lists(trials, names, out)
    step.done(set_files(out), utterances=len(data), lists=len(lists))


def recordings_of(root: Path) -> list[Recording]:
    """All that there is of VoxCeleb1; DataError if that is nothing."""
    parts = [part for part in ("dev/wav", "test/wav", "wav") if (root / part).is_dir()]
    if not parts:
        raise DataError(f"{root}: none of dev/wav, test/wav and wav/ is there; this is not VoxCeleb1's root")
    found = [recording for part in parts for recording in recordings_below(root / part, ENDINGS)]
    if not found:
        raise DataError(f"{root}: {', '.join(parts)} hold no .wav or .flac file")
    return found


def speakers_of(cd: Path) -> Path:
    """The folder of voxceleb1_cd's speakers: the one given or that of its name in it."""
    return cd / "voxceleb1_cd" if (cd / "voxceleb1_cd").is_dir() else cd


def refuse_cd(lists: dict[str, Path], trials: dict[str, Trials]) -> None:
    """Raise DataError if a list names recordings of voxceleb1_cd."""
    for name, list_ in trials.items():
        if any(utt.split("-")[1:-1] == [NO_VIDEO] for utt in {*list_.enrol, *list_.test}):
            raise DataError(
                f"{lists[name]}: names recordings of voxceleb1_cd; say where they are with --cd DIR (of run.sh:"
                " --data-root voxceleb1_cd=DIR), or take the list away"
            )


if __name__ == "__main__":
    run(main, __file__)
