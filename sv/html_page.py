"""Our pages: one HTML file that asks for no other, for light and dark screens, wide and narrow ones.

The text is well-formed XML too, so that a test may read it strictly. Whoever fills it escapes names.
"""

from __future__ import annotations

from collections.abc import Mapping

BADGE = ' <span class="badge">SYNTHETIC</span>'


def document(title: str, parts: list[str], style: str, script: str = "") -> str:
    """A whole page.

    Args:
        title: escaped, without tags.
        parts: of the body, in HTML, one below the other.
        style: CSS after that of all our pages.
        script: at the end, in JavaScript without `<` and `&`.
    """
    scripts = f"<script>{script}</script>\n" if script else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>{title}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + f"\n{scripts}</body>\n</html>\n"
    )


def facts(figures: Mapping[str, str]) -> str:
    """Large figures in a row, each with its name below, both in HTML."""
    return '<dl class="facts">' + "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in figures.items()) + "</dl>"


def figure(heading: str, svg: str, caption: str) -> str:
    """A drawing with what stands above and below it, all in HTML."""
    return f"<figure><h3>{heading}</h3>{svg}<figcaption>{caption}</figcaption></figure>"


def duration(seconds: float) -> str:
    """`2.35 h`, or minutes or seconds where it is less."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.2f} {unit}"
    return f"{seconds:.1f} s"


_STYLE = """
:root { color-scheme: light dark; --paper: #fdfdfc; --ink: #1d2328; --soft: #5b6670; --line: #d9dee2;
  --panel: #f3f5f6; --bar: #0072b2; --mark: #b54708; --badge: #b54708; }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #14181b; --ink: #e6eaed; --soft: #9aa6b0;
  --line: #333c44; --panel: #1d2327; --bar: #56b4e9; --mark: #f2a65a; --badge: #f2a65a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 0; }
summary { cursor: pointer; color: var(--soft); }
p { margin: .25rem 0; max-width: 52rem; }
header p, .note, figcaption, small, dt { color: var(--soft); }
code { font: .9em ui-monospace, monospace; }
.note { white-space: pre-line; }
.badge { font-size: .8rem; letter-spacing: .05em; padding: .15em .5em; border: 1px solid var(--badge);
  border-radius: .25rem; color: var(--badge); vertical-align: middle; }
.facts { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 1rem 0 0; }
.facts div { display: flex; flex-direction: column-reverse; }
.facts dd { margin: 0; font-size: 1.35rem; font-weight: 600; font-variant-numeric: tabular-nums; }
ul { margin: .25rem 0; padding-left: 1.2rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1rem; }
figure { margin: 0; padding: .75rem; background: var(--panel); border-radius: .4rem; }
figcaption { font-size: .875rem; margin-top: .35rem; }
figcaption code, figcaption b { color: var(--ink); }
figure img { display: block; width: 100%; }
svg { display: block; width: 100%; }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
svg text.mark { fill: var(--mark); }
svg line.axis { stroke: var(--soft); stroke-width: .7; }
svg line.mark { stroke: var(--mark); stroke-dasharray: 4 3; }
table { border-collapse: collapse; margin: .25rem 0; }
th { text-align: left; font-weight: 400; color: var(--soft); padding: .15rem 1.5rem .15rem 0; }
td { font-variant-numeric: tabular-nums; }
"""
