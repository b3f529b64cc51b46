"""What our pictures have in common: colours, and how they are written."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sv.data.atomic import atomic_write

# Okabe & Ito's colours, told apart with any colour vision; with line styles or markers also without any.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def save_png(figure: Figure, path: Path) -> None:
    """Write a picture, cut to what is drawn, beside its path and rename it; the same picture has the same bytes."""
    FigureCanvasAgg(figure)
    with atomic_write(path, "wb") as out:
        figure.savefig(out, format="png", bbox_inches="tight", pad_inches=0.15, metadata={"Software": None})
