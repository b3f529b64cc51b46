"""Maps of embedding spaces by t-SNE, side by side as a picture.

Letters in names: N embeddings, D dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from sv.data.datadir import shuffled
from sv.errors import ConfigError, DataError
from sv.report.pictures import COLOURS, save_png

Metric = Literal["cosine", "euclidean"]

# Ten markers and seven colours, each taken in turn: 70 pairs. Where a colour comes again its markers are hollow.
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*", "h", "<")
MAX_SPEAKERS = len(MARKERS) * len(COLOURS)
PERPLEXITY = 30.0  # of 300 points and more, as scikit-learn's
COLUMNS = 4  # panels a row


@dataclass(frozen=True)
class Panel:
    """A run's embeddings on the map: `y_N2`, float (N, 2), and the panel's heading."""

    title: str
    y_N2: np.ndarray


def choose(utt2spk: Mapping[str, str], speakers: int, utterances: int, seed: int) -> list[str]:
    """Utterances to show, of `speakers` speakers and of each `utterances`, or as many as there are, sorted.

    Speakers with enough utterances come first, then those with most; among equals the draw decides, as it does
    which of a speaker's utterances are taken: a function of the seed and of all names.
    """
    utts_of: dict[str, list[str]] = {}
    for utt in shuffled(sorted(utt2spk), seed):
        utts_of.setdefault(utt2spk[utt], []).append(utt)
    drawn = sorted(shuffled(sorted(utts_of), seed), key=lambda speaker: -min(len(utts_of[speaker]), utterances))
    return sorted(utt for speaker in drawn[:speakers] for utt in utts_of[speaker][:utterances])


def perplexity_for(points: int, wanted: float | None) -> float:
    """The perplexity to map so many points with: the one that is wanted, else a tenth of them, from 5 to 30.

    Three times the perplexity is how many neighbours of a point are looked at, so it is at most a third of the others,
    whatever is wanted.

    Raises:
        DataError: there are fewer than four points.
        ConfigError: the one that is wanted is below 1 or too much for so few points.
    """
    if points < 4:
        raise DataError(f"there are {points} embeddings to map; t-SNE needs 4")
    most = (points - 1) / 3
    if wanted is not None and not 1 <= wanted <= most:
        raise ConfigError(
            f"a perplexity of {wanted:g} does not fit {points} embeddings; take one from 1 to {int(10 * most) / 10:g}"
        )
    return min(PERPLEXITY, max(5.0, points / 10), most) if wanted is None else wanted


def tsne_map(x_ND: np.ndarray, metric: Metric, perplexity: float, seed: int) -> np.ndarray:
    """Embeddings in the plane by t-SNE [van der Maaten & Hinton 2008], as scikit-learn computes it.

    It begins at the two principal components and runs on one thread: of so few points that is faster, and the
    map is the same however many cores there are.

    Args:
        x_ND: embeddings, float (N, D).
        metric: of distances between them; the cosine's map is that of vectors of length 1.
        perplexity: the number of neighbours in effect, from 1 to (N - 1) / 3.
        seed: of scikit-learn's, from 0.
    Returns:
        float (N, 2), in no unit.
    Raises:
        DataError: all embeddings are the same.
    """
    if not np.ptp(x_ND, axis=0).any():
        raise DataError("all its embeddings are the same")
    if metric == "cosine":
        x_ND = x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), np.finfo(float).tiny)
    init = "pca" if x_ND.shape[1] > 1 else "random"
    tsne = TSNE(metric=metric, perplexity=perplexity, init=init, random_state=seed)
    with threadpool_limits(1):
        return tsne.fit_transform(x_ND).astype(np.float64)


def plot_tsne(panels: Sequence[Panel], speaker_N: Sequence[str], title: str, path: Path) -> None:
    """Draws maps of the same embeddings by several systems into a PNG, four a row, with one legend of the speakers.

    Args:
        panels: one a run, at least one; row n of each is of the same utterance.
        speaker_N: its speaker, of at most 70.
        title: the set, what is shown of it, how it was mapped, and whether it is synthetic; may have several lines.
        path: written beside and renamed, so it is either whole or absent; its folder exists.
    Raises:
        ValueError: no panel, or more speakers than can be told apart.
    """
    names = sorted(set(speaker_N))
    if not panels or len(names) > MAX_SPEAKERS:
        raise ValueError(f"a t-SNE plot needs at least one panel and at most {MAX_SPEAKERS} speakers")
    columns = min(len(panels), COLUMNS)
    rows = math.ceil(len(panels) / columns)
    width, heading = 6.0 - 0.6 * columns, 0.42  # of a panel, in inches: where there are few they are larger
    height = rows * (width + heading)
    figure = Figure(figsize=(columns * width, height), dpi=160)
    figure.subplots_adjust(0, 0, 1, 1 - heading / height, wspace=0.05, hspace=heading / width)
    of_speaker = {name: np.array([speaker == name for speaker in speaker_N]) for name in names}
    for place, panel in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, place)
        for i, name in enumerate(names):
            axes.scatter(*panel.y_N2[of_speaker[name]].T, label=name, **look_of(i))
        axes.set_title(panel.title, fontsize=13)
        _frame(axes, panel.y_N2)
    figure.suptitle(title, fontsize=13, y=1.0, va="bottom")
    in_row = max(1, int(columns * width / (0.55 + 0.105 * max(map(len, names)))))
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=math.ceil(len(names) / math.ceil(len(names) / in_row)),  # rows of one length
        fontsize=12,
        frameon=False,
        markerscale=1.5,
        handletextpad=0.1,
        columnspacing=1.2,
    )
    save_png(figure, path)


def look_of(speaker: int) -> dict[str, object]:
    """Colour and marker of a speaker, by number from 0; a white edge keeps filled neighbours apart."""
    colour, marker = COLOURS[speaker % len(COLOURS)], MARKERS[speaker % len(MARKERS)]
    area = {"s": 28, "D": 24, "*": 60}.get(marker, 36)  # that look alike in size
    if speaker // len(COLOURS) % 2:
        return {"marker": marker, "s": 0.8 * area, "facecolor": "none", "edgecolor": colour, "linewidth": 1.3}
    return {"marker": marker, "s": area, "facecolor": colour, "edgecolor": "white", "linewidth": 0.4}


def _frame(axes: Axes, y_N2: np.ndarray) -> None:
    """A square round the map, without ticks, as its axes have no meaning."""
    low_2, high_2 = y_N2.min(axis=0), y_N2.max(axis=0)
    half = 0.54 * (high_2 - low_2).max()
    (x, y) = (low_2 + high_2) / 2
    axes.set(xlim=(x - half, x + half), ylim=(y - half, y + half), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set_color("0.5")
