"""What the jobs of an array leave, joined into one feature folder or vector folder."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable
from pathlib import Path

from sv.data.datadir import DataDir, write_dropped
from sv.data.tables import first_few, read_table, write_table
from sv.errors import DataError


def join_parts(data: DataDir, parts: Path, jobs: int, out: Path, scp: str, tables: Iterable[str] = ()) -> str:
    """Join `PARTS.JOB.{scp,dropped,…}` of every job into tables of `out`, and check that nothing is missing.

    Count in = count out + dropped. `out` becomes a Kaldi data directory: utt2spk and spk2utt of what was kept
    stand beside the tables; the scp is written last and says that the folder is whole.

    Args:
        data: the directory whose utterances are expected.
        parts: path of the parts, without `.JOB.scp`.
        scp: the joined scp's name, as `feats.scp`.
        tables: other tables that the jobs wrote, `PARTS.JOB.TABLE` each.
    Returns:
        A sentence that says how many there are.
    Raises:
        DataError: utterances lost or unknown (names the first few), or none left.
    """
    dropped = read_parts(parts, "dropped", jobs, optional=True)
    values = read_parts(parts, "scp", jobs)
    if lost := data.utt2spk.keys() - values.keys() - dropped.keys():
        raise DataError(
            f"{out}: {len(lost)} of {len(data)} utterances are lost: {first_few(lost)}; run the stage again"
        )
    if extra := values.keys() - data.utt2spk.keys():
        raise DataError(f"{out}: {len(extra)} utterances are not in {data.path}: {first_few(extra)}")
    if not values:
        raise DataError(f"{out}: no utterance is left; the first was dropped as: {next(iter(dropped.values()))}")
    DataDir({utt: data.utt2spk[utt] for utt in values}, synthetic=data.synthetic).write(out)
    for table in tables:
        write_table(out / table, read_parts(parts, table, jobs))
    write_dropped(out / "dropped.txt", dropped)
    write_table(out / scp, values)
    return f"{out}: {len(values)} utterances" + (f", {len(dropped)} dropped: see dropped.txt" if dropped else "")


def remove_parts(parts: Path, keep: Collection[int] = ()) -> None:
    """Remove what an earlier array, perhaps of more jobs, left as `PARTS.JOB.…`, but for those of jobs to keep."""
    for old in parts.parent.glob(glob.escape(parts.name) + ".*"):
        job = old.name.removeprefix(f"{parts.name}.").partition(".")[0]
        if not (job.isdigit() and int(job) in keep):
            old.unlink()


def part_files(part: Path) -> list[Path]:
    """The files of one job's part, `PARTS.JOB.…`."""
    return sorted(part.parent.glob(glob.escape(part.name) + ".*"))


def read_parts(parts: Path, suffix: str, jobs: int, optional: bool = False) -> dict[str, str]:
    """The tables `PARTS.JOB.SUFFIX` of jobs 1..jobs as one; `optional` ones may be missing."""
    joined: dict[str, str] = {}
    for job in range(1, jobs + 1):
        path = Path(f"{parts}.{job}.{suffix}")
        if path.exists() or not optional:
            joined.update(read_table(path))
    return joined
