"""Tables of a list's conditions: a table a figure, a row a condition, a column a system, its seeds averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sv.report.condition_figures import LEAST_SPEAKERS, LEAST_TRIALS, MOST_TRIALS, REPLICATES, Found
from sv.report.tables import Row, seeds_of, spread

COUNTED = ("speakers", "targets", "non-targets")
NOTE = (
    "Conditions are what the data directories tell. Durations are those of recordings, before any VAD: of the test, and"
    " of all of a model's utterances together. The enrolment's language, session or phone number is the same if the"
    " test's is one of the model's; sessions and phone numbers divide target trials only, and each of their rows has"
    " all non-target trials. Nothing is decided by condition: one threshold and one calibration serve the whole list,"
    " so an actual cost far above the least says that they do not suit a condition. The speakers are those of target"
    f" trials. – in place of a figure: fewer than {LEAST_TRIALS} target or non-target trials, fewer than"
    f" {LEAST_SPEAKERS} speakers, or a condition that is not known. The 95 % intervals are over speakers ({REPLICATES}"
    f" replicates), of single runs on lists of up to {MOST_TRIALS:,} trials."
)


@dataclass(frozen=True)
class Table:
    """One figure: its name, and the lines of its rows, with the kind of condition, the condition, counts, a cell each.

    A cell is one figure, or two with ` / ` between; behind an EER may stand its interval, in parentheses.
    """

    figure: str
    header: Sequence[str]
    lines: Sequence[Sequence[str]]


def columns_of(
    names: Sequence[str], rows: Sequence[Row], found: Sequence[Sequence[Found]]
) -> dict[str, list[Sequence[Found]]]:
    """What the columns of a list's tables are about: of each the figures of its seeds.

    Args:
        names: of the columns, in the order of `seeds_of`.
        rows: of the list.
        found: by condition, of each of these.
    """
    columns = {}
    for name, group in zip(names, seeds_of(rows), strict=True):
        alike = len({rows[i].calibrated for i in group}) == 1  # else their actual costs have no common mean
        columns[name] = [
            found[i] if alike else [replace(each, act_dcf_05=None, cllr=None) for each in found[i]] for i in group
        ]
    return columns


def tables(columns: Mapping[str, Sequence[Sequence[Found]]]) -> list[Table]:
    """The tables of a list; none where nothing divides it."""
    seeds = [found for column in columns.values() for found in column]
    if not seeds or not seeds[0]:
        return []
    rows = list(zip(*seeds, strict=True))
    actual = any(each.cllr is not None for row in rows for each in row)
    what = {
        "EER %": ["eer"],
        "minDCF.05" + " / actDCF.05" * actual: ["min_dcf_05", *["act_dcf_05"] * actual],
        "min Cllr" + " / Cllr" * actual: ["min_cllr", *["cllr"] * actual],
    }
    made = []
    for figure, names in what.items():
        lines = []
        for i, row in enumerate(rows):
            cells = [_cell([found[i] for found in column], names) for column in columns.values()]
            lines.append([row[0].kind, row[0].condition, *_counts(row), *cells])
        made.append(Table(figure, ["kind", "condition", *COUNTED, *columns], lines))
    return made


def markdown(made: Sequence[Table]) -> list[str]:
    """Blocks of Markdown: of each table its figure and itself."""
    blocks = []
    for table in made:
        rule = ["---"] * 2 + ["---:"] * (len(table.header) - 2)
        blocks.append(f"**{table.figure}**")
        blocks.append("\n".join("| " + " | ".join(line) + " |" for line in (table.header, rule, *table.lines)))
    return blocks


def _counts(row: Sequence[Found]) -> list[str]:
    """Of a condition; from the least to the most where runs scored different trials."""
    counts = []
    for name in ("num_speakers", "num_targets", "num_nontargets"):
        found = {getattr(each, name) for each in row}
        counts.append("–" if None in found else "–".join(f"{count:,}" for count in sorted({min(found), max(found)})))
    return counts


def _cell(found: Sequence[Found], names: Sequence[str]) -> str:
    """Of one system's seeds under a condition."""
    if found[0].why:
        return "–"
    if names == ["eer"]:
        eer = spread([None if each.eer is None else 100 * each.eer for each in found], 2)
        interval = found[0].eer_interval if len(found) == 1 else None
        return eer if interval is None else f"{eer} ({100 * interval[0]:.2f}–{100 * interval[1]:.2f})"
    return " / ".join(spread([getattr(each, name) for each in found], 3) for name in names)
