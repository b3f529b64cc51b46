"""Detection error trade-off curves as a picture."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from scipy.special import ndtri

from sv.metrics import eer_rocch, min_dcf_point
from sv.report.pictures import COLOURS, save_png
from sv.report.tables import spread
from sv.roc import Roc

LINE_STYLES = ("-", (0, (6, 1.5)), (0, (3, 1, 1, 1)), (0, (1, 1)))
TICKS_PERCENT = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
P_TARGET = 0.05  # of the marked minimum detection cost


def plot_det(curves: Mapping[str, Sequence[Roc]], title: str, path: Path) -> None:
    """Draws DET curves [Martin et al. 1997] on normal-deviate axes into a PNG.

    On these axes normally distributed scores give straight lines. Each curve has its EER marked (where the
    convex hull of its ROC meets the diagonal, so on or a little below a staircase) and the point of its
    minimum detection cost at prior 0.05; the legend gives the EER in percent. Curves are thinned to what can
    be seen, so a million trials cost no more than their sorting.

    Args:
        curves: "system / back end" -> its `Roc`, or those of several seeds, which look alike and have one entry with
            the mean EER and its standard deviation; in the order of the legend, at least one.
        title: the trial list, its size if it matters, and whether it is synthetic.
        path: written beside and renamed, so it is either whole or absent; its folder exists.
    Raises:
        ValueError: no curve.
    """
    if not curves:
        raise ValueError("a DET plot needs at least one curve")
    figure = Figure(figsize=(7.5, 8.5), dpi=160)
    axes = figure.add_subplot()
    all_rocs = [roc for rocs in curves.values() for roc in rocs]
    x_limits, y_limits = limits(all_rocs)
    _draw_axes(axes, x_limits, y_limits)
    n_nontarget = _shared(roc.n_nontarget for roc in all_rocs)
    n_target = _shared(roc.n_target for roc in all_rocs)
    axes.set_xlabel(f"false alarms (% of {n_nontarget}non-target trials)")
    axes.set_ylabel(f"misses (% of {n_target}target trials)")
    handles, beyond = [], ""
    for i, (name, rocs) in enumerate(curves.items()):
        colour, style = COLOURS[i % len(COLOURS)], LINE_STYLES[i // len(COLOURS) % len(LINE_STYLES)]
        line = {"color": colour, "linestyle": style, "linewidth": 1.6 if len(rocs) == 1 else 1.0}
        for roc in rocs:
            axes.plot(*thinned(roc, x_limits, y_limits), **line)
            eer, cost = eer_rocch(roc), min_dcf_point(roc, P_TARGET)
            for marker, at in (("o", (eer, eer)), ("D", (cost.false_alarm, cost.miss))):
                x, y = ndtri(at)
                shown = np.clip(x, *x_limits), np.clip(y, *y_limits)
                axes.plot(*shown, color=colour, clip_on=False, zorder=4, **_marker(marker))
                if shown != (x, y):
                    beyond = "; on the frame: beyond it"
        label = f"{name}  EER {spread([100 * eer_rocch(roc) for roc in rocs], 2)} %"
        handles.append(Line2D([], [], **line, label=label))
    explained = {"o": "equal error rate, on the ROC's convex hull", "D": f"minDCF({P_TARGET}){beyond}"}
    for marker, label in explained.items():
        handles.append(Line2D([], [], color="0.35", label=label, **_marker(marker)))
    # Padding is in font sizes, so that the legend clears the axis label whatever the picture's proportions.
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        borderaxespad=4.6,
        ncols=2,
        fontsize=9,
        frameon=False,
    )
    axes.set_title(title, fontsize=11)
    save_png(figure, path)


def thinned(
    roc: Roc, x_limits: tuple[float, float], y_limits: tuple[float, float], cells: int = 1500
) -> tuple[NDArray, NDArray]:
    """The curve's normal deviates (x: false alarm, y: miss), less the points that fall on a kept one.

    Of consecutive points in the same cell of a grid of cells x cells over the limits, the first is kept.
    Points outside the limits move to just outside, so lines leave the picture at the right angle.
    """
    x, y = ndtri(roc.false_alarm_P), ndtri(roc.miss_P)
    margin = 0.2
    np.clip(x, x_limits[0] - margin, x_limits[1] + margin, out=x)
    np.clip(y, y_limits[0] - margin, y_limits[1] + margin, out=y)
    cell_x = ((x - x_limits[0]) * (cells / (x_limits[1] - x_limits[0]))).astype(np.int32)
    cell_y = ((y - y_limits[0]) * (cells / (y_limits[1] - y_limits[0]))).astype(np.int32)
    kept = np.ones(len(x), dtype=bool)
    kept[1:-1] = ((cell_x[1:] != cell_x[:-1]) | (cell_y[1:] != cell_y[:-1]))[:-1]
    return x[kept], y[kept]


def limits(rocs: Sequence[Roc]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Normal deviates between which to show false alarms and misses: where the list can measure something.

    Below, half of one trial's share of the rate, or what shows the best equal error rate, from 0.05 to 5 %.
    Above, 60 %, or what shows the worst equal error rate or the misses at minimum cost, up to 95 %.
    """
    n_nontarget = max(roc.n_nontarget for roc in rocs)
    n_target = max(roc.n_target for roc in rocs)
    eers = [eer_rocch(roc) for roc in rocs]
    misses = [min_dcf_point(roc, P_TARGET).miss for roc in rocs]
    x_low, y_low = (min(max(min(0.5 / n, 0.6 * min(eers)), 0.0005), 0.05) for n in (n_nontarget, n_target))
    x_high = min(max(0.6, 1.4 * max(eers)), 0.95)
    y_high = min(max(x_high, 1.05 * max(misses)), 0.95)
    return (ndtri(x_low), ndtri(x_high)), (ndtri(y_low), ndtri(y_high))


def _shared(counts: Iterable[int | float]) -> str:
    """The number of trials with a space after it, if all curves have the same."""
    distinct = set(counts)
    return f"{distinct.pop():.0f} " if len(distinct) == 1 else ""


def _draw_axes(axes: Axes, x_limits: tuple[float, float], y_limits: tuple[float, float]) -> None:
    ticks = np.array(TICKS_PERCENT)
    deviates, labels = ndtri(ticks / 100), [f"{tick:g}" for tick in ticks]
    axes.set_xticks(deviates, labels)
    axes.set_yticks(deviates, labels)
    axes.set_xlim(*x_limits)
    axes.set_ylim(*y_limits)
    axes.set_aspect("equal")
    axes.grid(color="0.9", linewidth=0.7)
    axes.set_axisbelow(True)
    diagonal = max(x_limits[0], y_limits[0]), min(x_limits[1], y_limits[1])
    axes.plot(diagonal, diagonal, linestyle=":", color="0.5", linewidth=1.0, zorder=1)
    axes.tick_params(length=3, color="0.5", labelsize=9)
    for spine in axes.spines.values():
        spine.set_color("0.5")


def _marker(marker: str) -> dict[str, object]:
    """Filled circle, larger hollow diamond: both can be seen where they fall on one point."""
    if marker == "o":
        look = {"markersize": 6, "markeredgecolor": "white"}
    else:
        look = {"markersize": 8.5, "markerfacecolor": "none", "markeredgewidth": 1.6}
    return {"marker": marker, "linestyle": "", **look}
