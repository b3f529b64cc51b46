"""The DET plot: a whole PNG or none, its thinning, and lists at the edge of what can be drawn."""

import time

import numpy as np
import pytest
from matplotlib.image import imread
from scipy.special import ndtri

from sv.metrics import eer_rocch
from sv.report.det import plot_det, thinned
from sv.report.pictures import COLOURS
from sv.roc import Roc


def normal_roc(n_target, n_nontarget, shift=3.0, seed=0):
    rng = np.random.default_rng(seed)
    is_target = np.arange(n_target + n_nontarget) < n_target
    return Roc.from_scores(rng.normal(is_target * shift), is_target)


def has_colour(path, colour):
    """Whether a PNG has pixels of exactly this colour, such as "#0072B2"."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.round(imread(path)[..., :3] * 255) == rgb).all(axis=-1).any())


def test_plot_is_a_png_with_every_curve_in_its_colour(tmp_path):
    path = tmp_path / "det.png"
    curves = {f"system {i} / cosine": [normal_roc(300, 3000, 2 + i / 2, i)] for i in range(3)}
    plot_det(curves, "three systems, synthetic", path)
    height, width, _ = imread(path).shape
    assert 700 < width < 1600
    assert 700 < height < 1600
    assert [has_colour(path, colour) for colour in COLOURS[:5]] == [True] * 3 + [False] * 2
    assert [file.name for file in tmp_path.iterdir()] == ["det.png"]


def test_seeds_of_a_system_have_one_colour_and_one_entry_in_the_legend(tmp_path, monkeypatch):
    """With the mean of their EERs and its deviation; the next system has the next colour."""
    labels = []
    monkeypatch.setattr(
        "matplotlib.axes.Axes.legend", lambda _, handles, **__: labels.extend(each.get_label() for each in handles)
    )
    seeds = [normal_roc(300, 3000, 2, seed) for seed in range(3)]
    plot_det({"x, 3 seeds / plda": seeds, "y / plda": [normal_roc(300, 3000, 3)]}, "t", tmp_path / "det.png")
    eers = [100 * eer_rocch(roc) for roc in seeds]
    assert labels[0] == f"x, 3 seeds / plda  EER {np.mean(eers):.2f} ± {np.std(eers, ddof=1):.2f} %"
    assert labels[1].startswith("y / plda  EER ")
    assert len(labels) == 2 + 2  # and what the markers are
    assert [has_colour(tmp_path / "det.png", colour) for colour in COLOURS[:4]] == [True] * 2 + [False] * 2


def test_same_curves_give_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        plot_det({"x": [normal_roc(50, 500)]}, "t", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    "trials",
    [
        ([1.0, 0.0], [True, False]),
        ([0.0, 1.0], [True, False]),
        ([0.0, 0.0], [True, False]),
        ([np.inf, -np.inf, 0.0, 0.0], [True, False, True, False]),
    ],
    ids=["separable", "inverted", "one tie", "infinite"],
)
def test_degenerate_curves_are_drawn(trials, tmp_path):
    plot_det({"x": [Roc.from_scores(*trials)]}, "t", tmp_path / "det.png")
    assert imread(tmp_path / "det.png").size > 0


def test_thinned_curve_stays_within_a_cell_of_every_point_and_is_short():
    roc, limits = normal_roc(20_000, 200_000), (ndtri(0.0005), ndtri(0.6))
    x, y = thinned(roc, limits, limits)
    assert len(x) < 4500
    inside = (roc.false_alarm_P > 0.001) & (roc.false_alarm_P < 0.5) & (roc.miss_P > 0.001) & (roc.miss_P < 0.5)
    all_x, all_y = ndtri(roc.false_alarm_P[inside])[::50], ndtri(roc.miss_P[inside])[::50]
    distance = np.maximum(np.abs(all_x[:, None] - x), np.abs(all_y[:, None] - y)).min(axis=1)
    assert distance.max() <= 1.001 * (limits[1] - limits[0]) / 1500


def test_a_million_trials_plot_in_seconds(tmp_path):
    roc = normal_roc(100_000, 900_000)
    start = time.perf_counter()
    plot_det({"x": [roc]}, "t", tmp_path / "det.png")
    assert time.perf_counter() - start < 5


def test_no_curve_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="at least one curve"):
        plot_det({}, "t", tmp_path / "det.png")
    assert not list(tmp_path.iterdir())


def test_failed_write_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "det.png"
    path.write_bytes(b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        plot_det({"x": [normal_roc(10, 100)]}, "t", path)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["det.png"]
