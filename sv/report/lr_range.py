"""The loss of a learning rate range test over the rate, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sv.report.pictures import COLOURS, save_png
from sv.training.lr_curve import Suggestion


def plot_lr_range(
    lr_N: NDArray, loss_N: NDArray, smoothed_N: NDArray, suggestion: Suggestion | None, title: str, path: Path
) -> None:
    """Draws the losses of N steps and their smoothed course over the rate, on a logarithmic axis, into a PNG.

    The rates of a suggestion are marked, and the stretch in which the loss falls is shaded. Losses far above what the
    smoothed course comes from and goes to are cut off. The picture is written beside its path and renamed.
    """
    figure = Figure(figsize=(8.0, 4.8), dpi=160)
    axes = figure.add_subplot()
    axes.plot(lr_N, loss_N, color="0.75", linewidth=0.6, label="loss of a batch")
    axes.plot(lr_N, smoothed_N, color=COLOURS[0], linewidth=2.0, label="smoothed")
    axes.set_xscale("log")
    axes.set_xlim(lr_N[0], lr_N[-1])
    low, high = _limits(loss_N, smoothed_N, suggestion)
    axes.set_ylim(low, high)
    if suggestion:
        axes.axvspan(suggestion.start, suggestion.stop, color=COLOURS[2], alpha=0.1, linewidth=0)
        marks = (
            (suggestion.start, "starts to fall", COLOURS[2], (0, (4, 2))),
            (suggestion.steepest, "falls most steeply", COLOURS[1], "-"),
            (suggestion.stop, "stops falling", COLOURS[2], (0, (1, 1.2))),
        )
        for lr, what, colour, style in marks:
            axes.axvline(lr, color=colour, linestyle=style, linewidth=1.6, label=f"{what}: {lr:.2e}")
            axes.plot(lr, np.interp(lr, lr_N, smoothed_N), "o", color=colour, markersize=6, markeredgecolor="white")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.set_title(title, fontsize=11)
    axes.grid(color="0.9", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=3, color="0.5", labelsize=9)
    for spine in axes.spines.values():
        spine.set_color("0.5")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, fontsize=9, frameon=False)
    save_png(figure, path)


def _limits(loss_N: NDArray, smoothed_N: NDArray, suggestion: Suggestion | None) -> tuple[float, float]:
    """Losses between which to show: all that come before the fall and in it, and of what runs off half as much again.

    Without a suggestion, the middle 98 %.
    """
    if suggestion is None:
        low, high = np.quantile(loss_N, [0.01, 0.99])
        return float(low) - 0.05 * float(high - low) - 1e-6, float(high) + 0.05 * float(high - low) + 1e-6
    before = loss_N[: int(smoothed_N.argmin()) + 1]
    fall = suggestion.plateau - suggestion.lowest
    low, high = float(before.min()), float(np.quantile(before, 0.995))
    return low - 0.05 * fall, max(high, suggestion.plateau + 0.3 * fall)
