"""What an audit leaves beside its page: a list for each problem, the groups of duplicates, a table of all figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from pathlib import Path

from sv.audit.measure import COLUMNS, FIGURES, Measured, lines_of
from sv.audit.problems import Found, Group, Limits, kinds
from sv.data.atomic import atomic_write
from sv.data.datadir import DataDir
from sv.data.tables import write_lines, write_table

GROUPS = "duplicate_groups.tsv"


def write_lists(out: Path, found: Sequence[Found], groups: Sequence[Group]) -> list[Path]:
    """PROBLEM.txt for every problem found, `utterance reason` a line, and the groups of duplicates; what was written.

    Lists of an earlier audit go where nothing is found any more.
    """
    reasons = {each.problem.name: each.reasons for each in found}
    for name in kinds(Limits(), None):
        if name in reasons:
            write_table(out / f"{name}.txt", reasons[name])
        else:
            (out / f"{name}.txt").unlink(missing_ok=True)
    if not groups:
        (out / GROUPS).unlink(missing_ok=True)
        return [out / f"{name}.txt" for name in reasons]
    rows = (f"{g.content}\t{len(g.speakers)}\t{' '.join(g.speakers)}\t{' '.join(g.utts)}" for g in groups)
    write_lines(out / GROUPS, ["content\tnum_speakers\tspeakers\tutterances", *rows])
    return [*(out / f"{name}.txt" for name in reasons), out / GROUPS]


def write_figures(path: Path, parts: Sequence[Path], measured: Measured, found: Sequence[Found], data: DataDir) -> None:
    """The table of all utterances, in C order, a line at a time."""
    words: dict[str, list[str]] = {}
    for each in found:
        for utt in each.reasons:
            words.setdefault(utt, []).append(each.problem.name)
    nothing = [*("nan" for _ in FIGURES), "-"]
    rows: Iterator[tuple[str, list[str]]] = (row for part in parts for row in lines_of(part))
    unread = ((utt, nothing) for utt in sorted(measured.unreadable))
    with atomic_write(path) as out:
        out.write("\t".join(["utterance", "speaker", *COLUMNS, "problems"]) + "\n")
        for utt, texts in merge(rows, unread, key=lambda row: row[0]):
            out.write("\t".join([utt, data.utt2spk[utt], *texts, ",".join(words.get(utt, ["-"]))]) + "\n")
