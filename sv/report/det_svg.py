"""Detection error trade-off curves as a drawing on a page, where each can be hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape

import numpy as np
from scipy.special import ndtri

from sv.metrics import eer_rocch, min_dcf_point
from sv.report.det import P_TARGET, TICKS_PERCENT, limits, thinned
from sv.report.svg import Frame, colour_of, drawing, look_of
from sv.report.tables import spread
from sv.roc import Roc

P_RARE = 0.01  # target prior of the second marked cost
WIDTH = 480


def det_html(curves: Mapping[str, Sequence[Roc]], where: str) -> str:
    """The curves of a list as `sv.report.det.plot_det` draws them, and a checkbox for each, for the page's script.

    Args:
        curves: "system / back end" -> its `Roc`, or those of several seeds; at least one.
        where: the list's number on the page; checkboxes and curves find each other by it.
    """
    frame = _frame([roc for rocs in curves.values() for roc in rocs])
    drawn, entries = [], []
    for number, (name, rocs) in enumerate(curves.items()):
        look, key = look_of(number), f"{where}-{number}"
        parts = "".join(_curve(frame, roc, number) for roc in rocs)
        eer = f"{spread([100 * eer_rocch(roc) for roc in rocs], 2)} %"
        drawn.append(f'<g data-curve="{key}"><title>{escape(name)}, EER {eer}</title>{parts}</g>')
        entries.append(
            f'<li><label><input type="checkbox" checked="checked" data-toggles="{key}"/>'
            f'<svg class="sample" viewBox="0 0 26 8" aria-hidden="true"><path {look} d="M0,4H26"/></svg>'
            f"<span>{escape(name)} <small>EER {eer}</small></span></label></li>"
        )
    ticks = [(float(ndtri(tick / 100)), f"{tick:g}") for tick in TICKS_PERCENT]
    x_ticks, y_ticks = ([(at, label) for at, label in ticks if low <= at <= high] for low, high in (frame.x, frame.y))
    diagonal = np.array([max(frame.x[0], frame.y[0]), min(frame.x[1], frame.y[1])])
    svg = drawing(
        frame.width,
        frame.height,
        "DET curves",
        frame.axes(x_ticks, y_ticks, "false alarms, % of non-target trials", "misses, % of target trials"),
        frame.curve(diagonal, diagonal, 'class="diagonal"'),
        *drawn,
    )
    buttons = (
        f'<p class="buttons"><button type="button" data-all="{where}">all</button>'
        f'<button type="button" data-none="{where}">none</button></p>'
        if len(curves) > 1
        else ""
    )
    return (
        f'<div class="det"><div>{svg}{_MARKS}</div><div>{buttons}<ul class="legend">{"".join(entries)}</ul></div></div>'
    )


def _frame(rocs: Sequence[Roc]) -> Frame:
    """As far as the list can measure, with the same scale on both axes."""
    x, y = (tuple(map(float, each)) for each in limits(rocs))
    empty = Frame(x, y, WIDTH, left=52, bottom=42, letter=9)  # with room for the larger text of narrow screens
    unit = (WIDTH - empty.left - empty.right) / (x[1] - x[0])
    return replace(empty, height=empty.top + empty.bottom + unit * (y[1] - y[0]))


def _curve(frame: Frame, roc: Roc, number: int) -> str:
    """A curve with its equal error rate and the points of its least costs, on the frame if they are beyond it."""
    marks = {"eer": (eer_rocch(roc), eer_rocch(roc))}
    for shape, prior in (("05", P_TARGET), ("01", P_RARE)):
        cost = min_dcf_point(roc, prior)
        marks[shape] = cost.false_alarm, cost.miss
    drawn = []
    for shape, (false_alarm, miss) in marks.items():
        x, y = frame.at(np.clip(ndtri(false_alarm), *frame.x), np.clip(ndtri(miss), *frame.y))
        drawn.append(_shape(shape, float(x), float(y), colour_of(number)))
    return frame.curve(*thinned(roc, frame.x, frame.y), look_of(number)) + "".join(drawn)


def _shape(shape: str, x: float, y: float, colour: str) -> str:
    """A disk for the EER; hollow, a diamond for the cost at the higher prior and a square for that at the lower."""
    if shape == "eer":
        return f'<circle class="dot {colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>'
    if shape == "05":
        return f'<path class="hollow {colour}" d="M{x:.1f},{y - 5.2:.1f}l5.2,5.2l-5.2,5.2l-5.2,-5.2z"/>'
    return f'<rect class="hollow {colour}" x="{x - 3.4:.1f}" y="{y - 3.4:.1f}" width="6.8" height="6.8"/>'


_MARKS = (
    '<p class="marks">'
    + "".join(
        f'<span><svg class="sample" viewBox="0 0 14 14" aria-hidden="true">{_shape(shape, 7, 7, "soft")}</svg>'
        f" {said}</span>"
        for shape, said in (
            ("eer", "equal error rate, on the ROC's convex hull"),
            ("05", f"minDCF at prior {P_TARGET:g}"),
            ("01", f"minDCF at prior {P_RARE:g}"),
        )
    )
    + "<span>on the frame: beyond it</span></p>"
)
