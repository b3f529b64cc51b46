"""A part of Switchboard on disk -> OUT/NAME, a data directory of both sides of its calls.

The parts are cellular 1 and 2 and phases 1 to 3 of Switchboard-2. Their tables, in docs/ or doc/, say who speaks;
the recordings sw_<call>.sph may lie anywhere below ROOT. Speakers are called sw_<number> in all parts, as they are
the same people. Calls known to be bad are left out and listed. ROOT/SYNTHETIC.txt goes into the set.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sphere_calls import (
    CallSet,
    Recordings,
    Row,
    digests,
    first_there,
    read_rows,
    recordings_below,
    require_root,
    write_set,
)

from sv.cli import Parser, run
from sv.data.datadir import LABEL
from sv.errors import DataError
from sv.records import Step


class Part(NamedTuple):
    """How a part's table is laid out."""

    set_name: str
    what: str
    table: str
    folders: tuple[str, ...]  # where the table is in one copy or another
    speakers: int  # column, from 0, of side A's; B's comes next
    genders: int
    calls: str = ""  # the table whose every second line says which call it is, where the first does not
    bad: tuple[str, ...] = ()  # calls


DOCS = ("docs", "doc")
DISC_1 = ("DISC1/doc", "DISC1/docs", "disc1/doc", "disc1/docs", "docs", "doc")
PARTS = {
    "cellular1": Part(
        "swbd_cellular1_train",
        "Switchboard cellular 1 (LDC2001S13)",
        "swb_callstats.tbl",
        DOCS,
        speakers=1,
        genders=3,
        bad=("40019", "40022", "45024"),
    ),
    "cellular2": Part(
        "swbd_cellular2_train",
        "Switchboard cellular 2 (LDC2004S07)",
        "swb_callstats.tbl",
        DOCS,
        speakers=1,
        genders=3,
        bad=("40022", "45024"),
    ),
    "phase1": Part("swbd2_phase1_train", "Switchboard-2 phase 1 (LDC98S75)", "callstat.tbl", DOCS, 2, 5),
    "phase2": Part(
        "swbd2_phase2_train", "Switchboard-2 phase 2 (LDC99S79)", "callstat.tbl", DISC_1, 2, 4, "callinfo.tbl"
    ),
    "phase3": Part("swbd2_phase3_train", "Switchboard-2 phase 3 (LDC2002S06)", "callstat.tbl", DOCS, 3, 5),
}


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("part", choices=list(PARTS), help="which part")
    parser.add_argument("root", type=Path, help="its LDC release")
    parser.add_argument("out", type=Path, help="folder of the data directory")
    args = parser.parse_args()
    prepare(PARTS[args.part], args.root, args.out)


def prepare(part: Part, root: Path, out: Path) -> None:
    """Write the set; DataError if root or table is missing or malformed, or no listed recording is there."""
    require_root(root, part.what, f"{part.folders[0]}/{part.table}")
    table = first_there(part.what, *(root / folder / part.table for folder in part.folders))
    tables = [table, table.with_name(part.calls)] if part.calls else [table]
    recordings = recordings_below(root)
    step = Step(
        "prepare_switchboard", out / part.set_name, inputs=[*tables, root / LABEL], digests=digests([recordings])
    )
    if step.skip():
        return
    calls = listed_calls(part, tables, recordings)
    write_set(step, calls, out / part.set_name, root)


def listed_calls(part: Part, tables: list[Path], recordings: Recordings) -> CallSet:
    """Both sides of every call of a part's table."""
    calls = CallSet(part.set_name.removesuffix("_train"), recordings)
    for where, call, row in listed(part, tables):
        name = f"sw_{call}"
        for side, column in (("a", 0), ("b", 1)):
            speaker, gender = f"sw_{row[part.speakers + column]}", row[part.genders + column].lower()
            if gender not in ("m", "f") or speaker == "sw_":
                raise DataError(f"{where}: {','.join(row)!r} does not say speaker and gender (M or F) of side {side}")
            utt = f"{speaker}-{part.set_name.removesuffix('_train')}-{name}-{side}"
            if call in part.bad:
                calls.drop(utt, f"call {call} is known to be bad")
            else:
                calls.add(utt, speaker, name, side, gender=gender)
    return calls


def listed(part: Part, tables: list[Path]) -> Iterator[tuple[str, str, Row]]:
    """The rows of a part's table, each with its place for messages and the number of its call."""
    columns = ", ".join(["call", *["…"] * (part.genders - 1), "gender A", "gender B"])
    rows = list(read_rows(tables[0], columns))
    names = [row[0] for _, row in rows]
    if part.calls:
        lines = [row[0] for _, row in read_rows(tables[1], "call")]
        names = lines[1::2]
        if len(lines) != 2 * len(rows):
            raise DataError(f"{tables[1]}: has {len(lines)} lines; expected two for each of {tables[0]}'s {len(rows)}")
    for (number, row), name in zip(rows, names, strict=True):
        call = Path(name).name.partition(".")[0].lower().removeprefix("sw_").removeprefix("sw")
        yield f"{tables[0]}:{number}", call, row


if __name__ == "__main__":
    run(main, __file__)
