"""A list's tables by conditions, as a report's page shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import groupby

from sv.report.condition_figures import ALL
from sv.report.condition_tables import COUNTED, NOTE, Table

STYLE = """
.conditions { font-size: .875rem; overflow-wrap: normal; }
.conditions th, .conditions td { padding: .2rem .5rem; text-align: right; vertical-align: baseline; font-weight: 400; }
.conditions thead th { font-size: .8rem; vertical-align: bottom; }
.conditions td { border-top: 1px solid var(--line); white-space: nowrap; }
.conditions tbody th { border-top: 1px solid var(--line); white-space: nowrap; color: var(--ink); }
.conditions tr > :first-child { text-align: left; position: sticky; left: 0; background: var(--paper); }
.conditions .kind th { padding-top: .6rem; color: var(--soft); border: 0; }
.conditions .kind span { position: sticky; left: .35rem; }
.conditions .count { color: var(--soft); }
.conditions small { display: block; font-size: .8em; color: var(--soft); }
.conditions small.counts { display: none; }
@media (max-width: 48rem) {
  .conditions .count { display: none; }
  .conditions small.counts { display: block; }
  .conditions th, .conditions td { padding: .2rem .35rem; }
}
"""


def conditions_html(made: Sequence[Table]) -> str:
    """The tables, that of the EER open; nothing if there are none."""
    if not made:
        return ""
    tables = "".join(
        f"<details{'' if i else _OPEN}><summary>{escape(table.figure)}</summary>{_table(table)}</details>"
        for i, table in enumerate(made)
    )
    return f'<h3>By conditions</h3>{tables}<div class="notes"><p>{escape(NOTE)}</p></div>'


_OPEN = ' open="open"'


def _table(table: Table) -> str:
    names = [f'<th scope="col" class="count">{name}</th>' for name in COUNTED]
    names += [f'<th scope="col">{_breakable(name)}</th>' for name in table.header[2 + len(COUNTED) :]]
    below = f'<small class="counts">{" / ".join(COUNTED)}</small>'
    head = f'<tr><th scope="col">condition{below}</th>{"".join(names)}</tr>'
    bodies = []
    for kind, lines in groupby(table.lines, key=lambda line: line[0]):
        span = f'<th colspan="{len(names) + 1}" scope="rowgroup"><span>{escape(kind)}</span></th>'
        rows = [f'<tr class="kind">{span}</tr>'] if kind != ALL else []
        for _, condition, *cells in lines:
            counted = cells[: len(COUNTED)]
            # On a narrow screen they stand below the condition: figures have the room.
            below = f'<small class="counts">{escape(" / ".join(counted))}</small>'
            counts = [f'<td class="count">{escape(count)}</td>' for count in counted]
            figures = [f"<td>{_figure(cell)}</td>" for cell in cells[len(COUNTED) :]]
            rows.append(f'<tr><th scope="row">{escape(condition)}{below}</th>{"".join(counts + figures)}</tr>')
        bodies.append(f"<tbody>{''.join(rows)}</tbody>")
    return f'<div class="wide"><table class="conditions"><thead>{head}</thead>{"".join(bodies)}</table></div>'


def _breakable(name: str) -> str:
    """A system's name, which may break at its joints."""
    return re.sub(r"([_+-])(?=\w)", r"\1<wbr/>", escape(name))


def _figure(cell: str) -> str:
    """An interval stands below its figure."""
    figure, _, interval = cell.partition(" (")
    return escape(figure) + (f"<small>{escape(interval.rstrip(')'))}</small>" if interval else "")
