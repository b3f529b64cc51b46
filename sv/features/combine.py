"""One feature folder of several, and its VAD: tables that name the parts' archives, with the records of their steps."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sv.data.datadir import DataDir, combine, set_files, write_dropped
from sv.data.tables import read_table, write_table
from sv.errors import DataError
from sv.features.files import num_voiced_file, vad_file
from sv.records import Step, differences, dry_run, record_of, settings_of


def combine_feats(out: Path, parts: Sequence[Path]) -> None:
    """Make the feature folder `out` of others with no utterance in common; archives stay where they are.

    It has the settings that all parts were made with, as if `make_feats` had made it. Raises DataError if a part has
    no record, or other settings than the first.
    """
    step = _step("make_feats", out, parts)
    if step.skip():
        return
    folders = [DataDir.read(part) for part in parts]
    for folder in folders:
        for table in folder.tables.keys() - {"feats.scp", "utt2num_frames"}:  # the VAD is a step of its own
            del folder.tables[table]
    whole = combine(folders)
    step.begin()
    for old in [out / "feats.scp", *out.glob("vad*.scp")]:  # they say that the folder is whole
        old.unlink(missing_ok=True)
    whole.write(out)
    lists = [part / "dropped.txt" for part in parts if (part / "dropped.txt").exists()]
    write_dropped(out / "dropped.txt", {utt: why for path in lists for utt, why in read_table(path).items()})
    shutil.copyfile(parts[0] / "feats.conf", out / "feats.conf")
    step.done([*set_files(out), out / "feats.conf"], utterances=len(whole))
    print(f"{out}: features of {len(whole)} utterances, from {len(parts)} folders")


def combine_vad(out: Path, parts: Sequence[Path], vad: str) -> None:
    """Give a folder that `combine_feats` made the VAD of its parts; raises as that does."""
    step = _step(f"compute_vad_{vad}", out, parts, after=[record_of("make_feats", out)])
    if step.skip():
        return
    step.begin()
    counts: dict[str, int] = {}
    for name in (num_voiced_file(vad), vad_file(vad)):
        table = {utt: value for part in parts for utt, value in read_table(part / name).items()}
        write_table(out / name, table)
        counts[name] = len(table)
    step.done([out / name for name in counts], utterances=min(counts.values()))


def _step(name: str, out: Path, parts: Sequence[Path], after: Sequence[Path] = ()) -> Step:
    return Step(name, out, inputs=[*after, *(record_of(name, part) for part in parts)], settings=_same(name, parts))


def _same(name: str, parts: Sequence[Path]) -> dict[str, Any] | None:
    """The settings that a step had in all parts; None in a dry run that has yet to make one of them."""
    settings = [settings_of(name, part) for part in parts]
    for part, found in zip(parts, settings, strict=True):
        if dry_run():
            continue
        if found is None:
            raise DataError(f"{part}: no record of {name}; make it first (stages 1 and 2)")
        for key, was, now in differences(settings[0] or {}, found):
            raise DataError(f"{part} was made with {key} = {now}, {parts[0]} with {was}; make both alike")
    return settings[0]
