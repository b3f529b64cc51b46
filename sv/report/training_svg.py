"""A training's curves as a drawing on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sv.report.svg import Frame, drawing, round_ticks

WIDTH, HEIGHT = 360, 150  # of each of the two, which stand side by side or one below the other


def training_svgs(lines: Sequence[str]) -> list[str]:
    """The loss, in training and held out, and the held-out equal error rate by epoch.

    Args:
        lines: of curves.tsv, its header first (`sv.training.curves`); a cell is empty where nothing was measured.
    Returns:
        A drawing of each that was measured.
    """
    header = lines[0].split("\t")
    cells = [line.split("\t") for line in lines[1:]]
    column = {
        name: np.array([float(line[i]) if line[i] else np.nan for line in cells]) for i, name in enumerate(header)
    }
    epochs = column["epoch"]
    losses = {"own": column["train_loss"], "held-out": column["held_out_loss"]}
    drawn = [
        _drawing(epochs, losses, "loss"),
        _drawing(epochs, {"held-out": 100 * column["held_out_eer"]}, "held-out EER, %"),
    ]
    return [each for each in drawn if each]


def _drawing(epochs: np.ndarray, curves: dict[str, np.ndarray], what: str) -> str:
    """Curves by their classes on a page; nothing where no value is finite."""
    values = np.concatenate(list(curves.values()))
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low) or 0.5
    # A single epoch has a width as well.
    frame = Frame((float(epochs[0]) - 0.3, float(epochs[-1]) + 0.3), (low - room, high + room), WIDTH, HEIGHT)
    y_ticks = round_ticks(*frame.y, 4)
    frame = replace(frame, left=24 + max(frame.width_of(label) for _, label in y_ticks))
    drawn = []
    for name, value in curves.items():
        there = np.isfinite(value)
        x, y = frame.at(epochs[there], value[there])
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        # The marker is for a curve of one epoch, or of a network that was measured once.
        drawn.append(f'<polyline class="line {name}" points="{points}"/>' if there.sum() > 1 else "")
        if there.any():
            drawn.append(f'<circle class="{name}" cx="{x[-1]:.1f}" cy="{y[-1]:.1f}" r="2.5"/>')
    x_ticks = [(at, label) for at, label in round_ticks(*frame.x) if at == int(at)]
    return drawing(WIDTH, HEIGHT, f"{what} by epoch", frame.axes(x_ticks, y_ticks, "epoch", what), *drawn)
