"""Line drawings for a page: a frame with axes, and curves in it with no more points than can be seen.

Letters in names: P points of a curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from sv.report.pictures import COLOURS

Ticks = Sequence[tuple[float, str]]  # positions on an axis and their labels
TOLERANCE = 0.2  # of a point left out, from the line that is drawn; in the drawing's units, a pixel or so each
DASHES = ("", "8 2.5", "5 2 1.5 2", "2 2")  # of lines whose colour was there before


@dataclass(frozen=True)
class Frame:
    """A rectangle in a drawing of `width` x `height`, and the limits of its axes, both rising."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = 360
    height: float = 200
    left: float = 38
    right: float = 8
    top: float = 8
    bottom: float = 34
    letter: float = 7  # width of a digit, at most

    def at(self, x: np.ndarray | float, y: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """Where points are in the drawing."""
        across = (np.asarray(x) - self.x[0]) / (self.x[1] - self.x[0])
        up = (np.asarray(y) - self.y[0]) / (self.y[1] - self.y[0])
        wide, tall = self.width - self.left - self.right, self.height - self.top - self.bottom
        return self.left + across * wide, self.top + (1 - up) * tall

    def curve(self, x_P: np.ndarray, y_P: np.ndarray, look: str) -> str:
        """A curve without what is beyond the frame; nothing if all is.

        Args:
            x_P, y_P: finite floats, (P,).
            look: attributes, as `class="k0"`.
        """
        x_P, y_P = self.at(*clipped(x_P, y_P, self.x, self.y))
        kept_P = simplified(x_P, y_P, TOLERANCE)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(x_P[kept_P], y_P[kept_P], strict=True))
        return f'<polyline {look} points="{points}"/>' if points else ""

    def axes(self, x_ticks: Ticks, y_ticks: Ticks, x_label: str, y_label: str = "") -> str:
        """Grid, ticks and what the axes are; of the x axis, a label that has no room beside the last is left out."""
        x0, y0 = (float(each) for each in self.at(self.x[0], self.y[0]))
        x1, y1 = (float(each) for each in self.at(self.x[1], self.y[1]))
        drawn = []
        end = -np.inf  # of the last label
        for at, label in x_ticks:
            x = float(self.at(at, 0)[0])
            drawn.append(f'<line class="grid-line" x1="{x:.1f}" x2="{x:.1f}" y1="{y1:.1f}" y2="{y0:.1f}"/>')
            width = self.width_of(label)
            # It would be cut at the drawing's edge.
            anchor = "start" if x < width / 2 else "end" if x > self.width - width / 2 else "middle"
            begin = x - {"start": 0, "middle": width / 2, "end": width}[anchor]
            if begin > end + self.letter / 2:
                drawn.append(f'<text x="{x:.1f}" y="{y0 + 16:.1f}" text-anchor="{anchor}">{escape(label)}</text>')
                end = begin + width
        for at, label in y_ticks:
            y = float(self.at(0, at)[1])
            drawn.append(f'<line class="grid-line" x1="{x0:.1f}" x2="{x1:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
            drawn.append(f'<text x="{x0 - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>')
        drawn.append(
            f'<rect class="frame" x="{x0:.1f}" y="{y1:.1f}" width="{x1 - x0:.1f}" height="{y0 - y1:.1f}"/>'
            f'<text x="{(x0 + x1) / 2:.1f}" y="{self.height - 5:.1f}" text-anchor="middle">{escape(x_label)}</text>'
        )
        if y_label:
            place = f"translate(13 {(y0 + y1) / 2:.1f}) rotate(-90)"
            drawn.append(f'<text transform="{place}" text-anchor="middle">{escape(y_label)}</text>')
        return "".join(drawn)

    def width_of(self, label: str) -> float:
        """Of a number, in the drawing's units, at most."""
        return self.letter * (len(label) - label.count(".") / 2)

    def mark(self, x: float, label: str) -> str:
        """A vertical line where something is decided, if that is within the frame."""
        if not self.x[0] <= x <= self.x[1]:
            return ""
        at, low = (float(each) for each in self.at(x, self.y[0]))
        high = float(self.at(x, self.y[1])[1])
        side, dx = ("start", 3) if x < sum(self.x) / 2 else ("end", -3)
        return (
            f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{high:.1f}" y2="{low:.1f}"/>'
            f'<text class="mark" x="{at + dx:.1f}" y="{high + 11:.1f}" text-anchor="{side}">{escape(label)}</text>'
        )


def drawing(width: float, height: float, what: str, *drawn: str) -> str:
    """An SVG; `what` is said to those who cannot see it."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(what)}">' + "".join(drawn) + "</svg>"
    )


def look_of(number: int) -> str:
    """Attributes of a curve, by its number from 0: a colour, with dashes where colours come again."""
    dashes = DASHES[number // len(COLOURS) % len(DASHES)]
    return f'class="line {colour_of(number)}"' + (f' stroke-dasharray="{dashes}"' if dashes else "")


def colour_of(number: int) -> str:
    """The class of a curve's colour, by its number from 0."""
    return f"k{number % len(COLOURS)}"


def clipped(
    x_P: np.ndarray, y_P: np.ndarray, x_limits: tuple[float, float], y_limits: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """The part of a curve within limits, with new ends where it crosses them [Liang & Barsky 1984].

    The curve is to enter once at most, as one does that always rises or falls.
    """
    start, step = np.stack([x_P[:-1], y_P[:-1]]), np.stack([np.diff(x_P), np.diff(y_P)])
    low, high = (np.array([[x_limits[i]], [y_limits[i]]]) for i in (0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        sides = np.sort([(low - start) / step, (high - start) / step], axis=0)
    inside = (start >= low) & (start <= high)
    sides = np.where(step == 0, np.where(inside, [[[-np.inf]], [[np.inf]]], [[[np.inf]], [[-np.inf]]]), sides)
    enters, leaves = np.maximum(sides[0].max(0), 0), np.minimum(sides[1].min(0), 1)
    kept = np.flatnonzero(enters <= leaves)
    if not len(kept):
        return x_P[:0], y_P[:0]
    points = start[:, kept] + enters[kept] * step[:, kept]
    last = kept[-1]
    end = start[:, last] + leaves[last] * step[:, last]
    return np.append(points[0], end[0]), np.append(points[1], end[1])


def simplified(x_P: np.ndarray, y_P: np.ndarray, tolerance: float) -> np.ndarray:
    """Which points to keep, bool (P,), so that none is farther than this from the line [Douglas & Peucker 1973]."""
    kept_P = np.zeros(len(x_P), dtype=bool)
    kept_P[[0, -1] if len(x_P) else []] = True
    pending = [(0, len(x_P) - 1)]
    while pending:
        a, b = pending.pop()
        if b - a < 2:
            continue
        x, y = x_P[a + 1 : b] - x_P[a], y_P[a + 1 : b] - y_P[a]
        dx, dy = x_P[b] - x_P[a], y_P[b] - y_P[a]
        length2 = dx * dx + dy * dy
        along = np.clip((x * dx + y * dy) / length2, 0, 1) if length2 else np.zeros_like(x)
        distance = np.hypot(x - along * dx, y - along * dy)
        farthest = int(distance.argmax())
        if distance[farthest] > tolerance:
            kept_P[a + 1 + farthest] = True
            pending += [(a, a + 1 + farthest), (a + 1 + farthest, b)]
    return kept_P


def round_ticks(low: float, high: float, about: int = 5) -> list[tuple[float, str]]:
    """Ticks at 1, 2 or 5 times a power of ten, about so many, within limits."""
    raw = (high - low) / about
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * next((m for m in (1, 2, 5) if m * power >= 0.99 * raw), 10)
    places = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1)
    return [(float(i * step), f"{i * step + 0.0:.10g}".replace("-", "−")) for i in places]
