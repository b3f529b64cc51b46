"""The page of a report: what results.md has, and drawings, times, counts and configurations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from sv.html_page import BADGE, document, duration, facts, figure
from sv.report.behind import Made
from sv.report.condition_html import STYLE as CONDITIONS_STYLE
from sv.report.pictures import COLOURS
from sv.report.tables import INTERVAL, Figure, Row, figures_of, interval, lines_of, mark, table

OPEN_UP_TO = 12  # drawings of a kind that are shown unasked; more are a click away
PAPERS = "paper's "  # begins the heads of columns that are not ours
STAGES = {  # of a run's steps, by the folder that they fill; those of no such folder train
    "embeddings": "embeddings",
    "backend": "back ends",
    "scores": "scores",
    "fusion": "calibration, fusion",
    "calibration": "calibration, fusion",
}


@dataclass(frozen=True)
class Drawn:
    """A drawing, whose it is and a sentence on it; the names as they are, the drawing as SVG."""

    title: str
    svg: str
    caption: str


@dataclass
class ListShown:
    """A trial list: its name, counts of it by what they are, curves, tables by conditions, and drawings of each row.

    Curves and tables are HTML.
    """

    name: str
    is_synthetic: bool
    counts: Mapping[str, str]
    det: str = ""
    conditions: str = ""
    histograms: list[Drawn] = field(default_factory=list)
    calibrations: list[Drawn] = field(default_factory=list)


@dataclass(frozen=True)
class RunShown:
    """A run: what it is called beside the others, its folder, the text of its config.yaml."""

    title: str
    path: Path
    config: str


@dataclass(frozen=True)
class Report:
    """All that a page shows. Texts are as they are, not escaped."""

    title: str
    above: Sequence[str]  # that the speech is synthetic, and what else a reader must know first
    rows: Sequence[Row]
    notes: Sequence[str]
    limits: Sequence[str]  # what lists are too small for
    lists: Sequence[ListShown]
    runs: Sequence[RunShown]
    trainings: Sequence[Drawn]
    pictures: Sequence[str]  # of embeddings, PNG in base64
    steps: Sequence[Made]
    dropped: Mapping[Path, int]  # list of what was left out -> how many
    command: str | None
    commit: str


def page(report: Report) -> str:
    """The whole page; the same report gives the same bytes."""
    title = escape(report.title)
    badge = BADGE if any(row.is_synthetic for row in report.rows) else ""
    figures = {
        "systems": f"{len({row.system for row in report.rows}):,}",
        "runs": f"{len(report.runs):,}",
        "trial lists": f"{len(report.lists):,}",
    }
    above = "".join(f'<p class="note"><b>{escape(note)}</b></p>' for note in report.above)
    notes = "".join(f"<p>{_emphasised(note)}</p>" for note in report.notes)
    contents = [
        ("", f"<h1>{title}{badge}</h1>{above}{facts(figures)}"),
        ("Results", results_table(report.rows) + _limits(report.limits) + f'<div class="notes">{notes}</div>'),
        *((shown.name, _list(shown)) for shown in report.lists),
        ("Training", _trainings(report.trainings)),
        ("Embeddings", "".join(map(_picture, report.pictures))),
        ("Data", _data(report)),
        ("Times", _times(report)),
        ("Left out", _dropped(report.dropped) if report.steps else ""),
        ("Configurations", _configurations(report.runs)),
        ("Made by", _made_by(report)),
    ]
    parts = [
        f"<section><h2>{escape(heading)}</h2>{body}</section>" if heading else f"<header>{body}</header>"
        for heading, body in contents
        if body
    ]
    return document(title, parts, _STYLE + _COLOURS + CONDITIONS_STYLE + _NARROW, _SCRIPT)


def results_table(rows: Sequence[Row]) -> str:
    """The results table, ours and the papers' figures apart, by a heading over them and by their look.

    Every figure of ours has its interval below it, which takes the place of the column of the EER's.
    """
    header, *lines = table(rows)
    names, beside = header.index("EER %"), header.index(INTERVAL)
    papers = sum(name.startswith(PAPERS) for name in header)
    ours = len(header) - names - papers
    above = f'<tr><td colspan="{names}"></td><th colspan="{ours - 1}" scope="colgroup">ours</th>'
    if papers:
        above += f'<th colspan="{papers}" scope="colgroup" class="paper">the paper\'s, not ours</th>'
    kinds = [*["name"] * names, *["figure"] * ours, *["paper"] * papers]
    heads = "".join(
        f'<th scope="col" class="{kind}">{escape(name.removeprefix(PAPERS))}</th>'
        for kind, name in _without(beside, zip(kinds, header, strict=True))
    )
    columns = {of.head: of for of in figures_of(rows)}
    body = []
    for line, whose in zip(lines, lines_of(rows), strict=True):
        # On a narrow screen there is no head, and each cell says what it is.
        cells = "".join(
            f'<td class="{kind}" data-head="{escape(name)}">{_cell(cell)}{_interval(whose, columns.get(name))}</td>'
            for kind, name, cell in _without(beside, zip(kinds, header, line, strict=True))
        )
        body.append(f'<tr class="mean">{cells}</tr>' if len(whose) > 1 else f"<tr>{cells}</tr>")
    sources = sorted({row.published_source for row in rows if row.published_source})
    source = f'<p class="note">The paper\'s: {escape("; ".join(sources))}.</p>' if sources else ""
    return (
        f'<div class="wide"><table class="results"><thead>{above}</tr><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>{source}"
    )


def _without(place: int, columns: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    columns = list(columns)
    return columns[:place] + columns[place + 1 :]


def _interval(whose: Sequence[Row], of: Figure | None) -> str:
    """What stands below a figure: the interval of a single row, with a mark where errors are too few."""
    if of is None or len(whose) > 1 or not (ends := interval(whose[0], of)):
        return ""
    few = f"<i>{sign}</i>" if (sign := mark(whose[0], of)) else ""
    short = ends if of.is_rate else re.sub(r"\b0\.", ".", ends)  # or ten columns are wider than a page
    return f'<small class="interval">{short}{few}</small>'


def _limits(limits: Sequence[str]) -> str:
    """What lists are too small for, to be seen before the figures are believed."""
    lines = "".join(f"<li>{escape(line)}</li>" for line in limits)
    return f'<div class="limits"><p>Too small to tell:</p><ul>{lines}</ul></div>' if limits else ""


def _emphasised(text: str) -> str:
    """A note or cell, with the one emphasis that `sv.report.tables` writes."""
    return re.sub(r"\*(tuned here)\*", r"<em>\1</em>", escape(text), flags=re.IGNORECASE)


def _cell(text: str) -> str:
    """Of the results table; a long name may break at its joints, and a deviation is small beside its mean."""
    mean, plus_minus, deviation = re.sub(r"([_+-])(?=\w)", r"\1<wbr/>", _emphasised(text)).partition(" ± ")
    return f"{mean} <small>± {deviation}</small>" if plus_minus else mean


def _list(shown: ListShown) -> str:
    badge = f"<p>{BADGE} speech, not of real speakers</p>" if shown.is_synthetic else ""
    counts = facts({escape(name): escape(count) for name, count in shown.counts.items()})
    parts = [badge, counts, f"<h3>Detection error trade-off</h3>{shown.det}", shown.conditions]
    parts.append(
        "<h3>Scores</h3>"
        '<p class="marks"><span><i class="non"></i> non-targets</span><span><i class="tar"></i> targets</span>'
        "<span>each over its own number; what is beyond is in the outer bars</span></p>"
        + _grid(shown.histograms, "score histograms")
    )
    if shown.calibrations:
        parts.append(
            "<h3>Calibration</h3>"
            "<p>Normalised Bayes error rate: at each target prior the detection cost (a miss and a false alarm cost 1)"
            " of decisions by calibrated scores at the Bayes threshold of that prior, and the least that any threshold"
            " gives. The space between them is what calibration loses; above 1, deciding without the scores would be"
            " better.</p>"
            '<p class="marks"><span><i class="own"></i> actual</span><span><i class="held-out"></i> least</span></p>'
            + _grid(shown.calibrations, "calibration plots")
        )
    return "".join(parts)


def _grid(drawn: Sequence[Drawn], what: str) -> str:
    """Drawings side by side, behind a click where there are many."""
    figures = "".join(figure(escape(each.title), each.svg, escape(each.caption)) for each in drawn)
    return _folded(f'<div class="grid">{figures}</div>', f"{len(drawn)} {what}", len(drawn) <= OPEN_UP_TO)


def _folded(body: str, summary: str, is_open: bool = False) -> str:
    opened = ' open="open"' if is_open else ""
    return f"<details{opened}><summary>{summary}</summary>{body}</details>"


def _trainings(trainings: Sequence[Drawn]) -> str:
    legend = (
        '<p class="marks"><span><i class="own"></i> training</span><span><i class="held-out"></i> held out</span></p>'
    )
    return legend + _grid(trainings, "networks") if trainings else ""


def _picture(png: str) -> str:
    return f'<figure class="wide"><img alt="t-SNE of embeddings" src="data:image/png;base64,{png}"/></figure>'


def _data(report: Report) -> str:
    """What the steps counted in their sets."""
    sets: dict[Path, dict[str, int]] = {}
    for made in report.steps:
        if not _run_of(made, report.runs) and "utterances" in made.counts:
            sets.setdefault(made.folder, {}).update(made.counts)
    lines = [
        [
            f"<code>{escape(str(folder))}</code>",
            "; ".join(f"{count:,} {escape(name)}" for name, count in counts.items()),
        ]
        for folder, counts in sorted(sets.items())
    ]
    return _table(["set", "counted"], lines)


def _run_of(made: Made, runs: Sequence[RunShown]) -> RunShown | None:
    """The run whose folder a step is in."""
    return next((run for run in runs if made.folder.is_relative_to(run.path)), None)


def _times(report: Report) -> str:
    """A row for each run, a column for each kind of step; every step below."""
    if not report.steps:
        return ""
    columns = ["training", *dict.fromkeys(STAGES.values())]
    spent: dict[str, dict[str, float]] = {run.title: {} for run in report.runs}
    others = 0.0
    for made in report.steps:
        if run := _run_of(made, report.runs):
            inside = made.folder.relative_to(run.path).parts
            kind = STAGES[inside[0]] if inside and inside[0] in STAGES else "training"
            kind = "calibration, fusion" if made.name.endswith(".calibrated") else kind
            spent[run.title][kind] = spent[run.title].get(kind, 0.0) + made.seconds
        else:
            others += made.seconds
    lines = [
        [escape(title), *(duration(by[kind]) if kind in by else "–" for kind in columns), duration(sum(by.values()))]
        for title, by in spent.items()
        if by
    ]
    each = [
        [f"<code>{escape(str(made.folder))}</code>", escape(made.name), duration(made.seconds)] for made in report.steps
    ]
    return (
        "<p>By the clock, of the last time that each step ran; of one that was taken up again, since then.</p>"
        + _table(["run", *columns, "in all"], lines)
        + (f"<p>Data and what is not of these runs: {duration(others)}.</p>" if others else "")
        + _folded(_table(["folder", "step", "time"], each), f"all {len(each)} steps")
    )


def _dropped(dropped: Mapping[str, int]) -> str:
    if not dropped:
        return "<p>Nothing that these scores were made of was left out.</p>"
    lines = [[f"<code>{escape(str(path))}</code>", f"{count:,}"] for path, count in dropped.items()]
    listed = _table(["list", "left out"], lines)
    return "<p>With the reason for each in these lists.</p>" + _folded(
        listed, f"{sum(dropped.values()):,} in all", len(lines) <= OPEN_UP_TO
    )


def _configurations(runs: Sequence[RunShown]) -> str:
    return "".join(_folded(f"<pre>{escape(run.config)}</pre>", escape(f"{run.title}: {run.path}")) for run in runs)


def _made_by(report: Report) -> str:
    command = f"<pre>{escape(report.command)}</pre>" if report.command else ""
    return command + (f"<p>At commit <code>{escape(report.commit)}</code>.</p>" if report.commit else "")


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of HTML cells; nothing without lines."""
    if not lines:
        return ""
    heads = "".join(f'<th scope="col">{name}</th>' for name in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<div class="wide"><table class="lined"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


# What is shown does not need it; without a script all curves are.
_SCRIPT = """
document.addEventListener('change', function (event) {
  var key = event.target.getAttribute('data-toggles');
  if (key) document.querySelector('[data-curve="' + key + '"]').style.display = event.target.checked ? '' : 'none';
});
document.addEventListener('click', function (event) {
  ['all', 'none'].forEach(function (which) {
    var list = event.target.getAttribute('data-' + which);
    if (list) document.querySelectorAll('[data-toggles^="' + list + '-"]').forEach(function (box) {
      box.checked = which === 'all';
      box.dispatchEvent(new Event('change', { bubbles: true }));
    });
  });
});
"""

_STYLE = """
:root { --k0: #0072b2; --k1: #d55e00; --k2: #009e73; --k3: #cc79a7; --k4: #e69f00; --k5: #56b4e9; --k6: #000000;
  --paper-cell: #fbf3e2; }
@media screen and (prefers-color-scheme: dark) { :root { --k0: #3d9be0; --k1: #f27b3a; --k2: #2fc79b; --k3: #e39cc6;
  --k4: #f2b632; --k5: #a5dcfb; --k6: #e6eaed; --paper-cell: #2a2418; } }
section > h3 { margin: 1.5rem 0 .5rem; }
.wide { overflow-x: auto; }
.results, .lined { font-size: .875rem; overflow-wrap: normal; }
.results th, .lined th { padding: .25rem .5rem; font-size: .8rem; vertical-align: bottom; }
.results td, .lined td { padding: .2rem .5rem; border-top: 1px solid var(--line); white-space: nowrap; }
.results td.name { white-space: normal; min-width: 4.5rem; }
.results td:first-child { min-width: 7.5rem; }
.results .figure, .results .paper { text-align: right; }
.results thead [scope=colgroup] { text-align: center; border-bottom: 1px solid var(--line); }
.results thead [scope=colgroup].paper { min-width: 6rem; }
.results thead td { border: 0; }
.results small { font-size: .8em; font-weight: 400; }
.results small.interval { display: block; font-size: .75em; color: var(--soft); }
.results small.interval i { position: absolute; font-style: normal; color: var(--mark); }
.limits { font-size: .875rem; margin-top: .75rem; padding: .4rem .75rem; border-left: 3px solid var(--k1); }
.limits p, .limits ul { margin: 0; }
.limits ul { padding-left: 1.1rem; }
.results .mean td { font-weight: 600; }
.results .paper { background: var(--paper-cell); font-style: italic; border-left: 3px double var(--soft); }
.results .paper + .paper { border-left: 0; }
.notes { font-size: .875rem; color: var(--soft); margin-top: .75rem; }
.det { display: grid; grid-template-columns: minmax(0, 36rem) minmax(14rem, 1fr); gap: 1rem; align-items: start; }
@media screen and (min-width: 48rem) { .det > :first-child { position: sticky; top: 1rem; } }
.legend { list-style: none; padding: 0; font-size: .9rem; }
.legend small { display: block; }
.legend label { display: flex; gap: .5rem; align-items: center; padding: .1rem 0; cursor: pointer; }
svg.sample { flex: none; display: inline-block; width: 1.75rem; height: .9rem; vertical-align: middle; }
.marks svg.sample { width: .9rem; }
.buttons button { font: inherit; font-size: .8rem; margin-right: .4rem; padding: .1rem .7rem; color: var(--ink);
  background: var(--panel); border: 1px solid var(--line); border-radius: .3rem; cursor: pointer; }
.marks { display: flex; flex-wrap: wrap; gap: .1rem 1.25rem; font-size: .875rem; color: var(--soft); }
.marks i { display: inline-block; width: 1.4rem; height: .8rem; vertical-align: middle; }
.marks i.own { height: 0; border-top: 2px solid var(--k0); }
.marks i.held-out { height: 0; border-top: 2px dashed var(--k1); }
.marks i.non { background: var(--k1); opacity: .55; }
.marks i.tar { background: var(--k0); opacity: .55; }
svg .line { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
svg .frame { fill: none; stroke: var(--soft); stroke-width: .7; }
svg .grid-line { stroke: var(--line); stroke-width: .6; }
svg .diagonal { fill: none; stroke: var(--soft); stroke-dasharray: 1.5 3; }
svg .hollow { fill: none; stroke-width: 1.4; }
svg .dot { stroke: var(--paper); stroke-width: .6; }
svg .area { fill-opacity: .4; stroke-width: 1; stroke-linejoin: round; }
svg .non { fill: var(--k1); stroke: var(--k1); }
svg .tar { fill: var(--k0); stroke: var(--k0); }
svg .line.own { stroke: var(--k0); }
svg .line.held-out { stroke: var(--k1); stroke-dasharray: 5 2.5; }
svg circle.own { fill: var(--k0); }
svg circle.held-out { fill: var(--k1); }
svg .soft { stroke: var(--soft); }
svg .dot.soft { fill: var(--soft); }
pre { overflow-x: auto; padding: .75rem; background: var(--panel); border-radius: .4rem; font-size: .8rem;
  white-space: pre-wrap; }
details { margin: .25rem 0; }
details .grid { margin-top: .5rem; }
"""

_COLOURS = "".join(
    f"svg .k{i} {{ stroke: var(--k{i}); }} svg .dot.k{i} {{ fill: var(--k{i}); stroke: var(--paper); }}\n"
    for i in range(len(COLOURS))
)

_NARROW = """
@media (max-width: 48rem) {
  .det { grid-template-columns: minmax(0, 1fr); }
  .det svg text { font-size: 14px; }
  .results, .results tbody { display: block; }
  .results thead { display: none; }
  .results tr { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: .4rem 0; border-top: 1px solid var(--line); }
  .results td { border: 0; padding: 0; }
  .results td:empty { display: none; }
  .results td::before { content: attr(data-head) " "; font-size: .75rem; font-weight: 400; color: var(--soft); }
  .results td:first-child { width: 100%; font-weight: 600; }
  .results td:first-child::before { content: none; }
  .results .paper { border-left: 0; padding: 0 .4rem; }
  .lined th, .lined td { padding: .2rem .3rem; }
  .wide img { min-width: 40rem; }
  .lined td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 7rem; }
}
"""
