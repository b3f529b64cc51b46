"""t-SNE maps: which utterances are shown, the map against its definition, and the picture of several."""

from collections import Counter

import numpy as np
import pytest
from matplotlib.image import imread
from threadpoolctl import threadpool_limits

from sv.errors import ConfigError, DataError
from sv.report.pictures import COLOURS
from sv.report.tsne import (
    MAX_SPEAKERS,
    Panel,
    choose,
    look_of,
    perplexity_for,
    plot_tsne,
    tsne_map,
)


def utt2spk_of(**counts):
    return {f"{speaker}-{u}": speaker for speaker, count in counts.items() for u in range(count)}


def clusters(speakers=3, utts=8, dim=5, apart=10.0):
    """Normal vectors (N, D) round a point of length about `apart` a speaker, and their speakers."""
    rng = np.random.default_rng(0)
    x_ND = (apart * np.eye(speakers, dim))[:, None] + rng.normal(size=(speakers, utts, dim))
    return x_ND.reshape(-1, dim), [f"s{s}" for s in range(speakers) for _ in range(utts)]


def test_speakers_with_enough_utterances_are_shown_then_those_with_most():
    utt2spk = utt2spk_of(a=1, b=9, c=3, d=9, e=4, f=5)
    shown = Counter(utt2spk[utt] for utt in choose(utt2spk, 5, 4, seed=0))
    assert shown == {"b": 4, "d": 4, "e": 4, "f": 4, "c": 3}
    assert len(choose(utt2spk, 100, 100, seed=0)) == len(utt2spk)


def test_what_is_shown_is_a_function_of_seed_and_names():
    """Not of their order; every speaker with enough utterances, and every one of these, is shown by some seed."""
    utt2spk = utt2spk_of(a=6, b=6, c=6, d=6, e=2)
    backwards = dict(reversed(utt2spk.items()))
    draws = [choose(utt2spk, 2, 3, seed) for seed in range(40)]
    assert draws == [choose(backwards, 2, 3, seed) for seed in range(40)]
    assert {utt for drawn in draws for utt in drawn} == {utt for utt in utt2spk if utt[0] != "e"}


@pytest.mark.parametrize(("points", "perplexity"), [(4, 1), (13, 4), (16, 5), (50, 5), (100, 10), (500, 30)])
def test_perplexity_fits_the_number_of_points(points, perplexity):
    assert perplexity_for(points, None) == pytest.approx(perplexity)


@pytest.mark.parametrize(
    ("points", "wanted", "error"),
    [(3, None, DataError), (60, 20, ConfigError), (60, 0.5, ConfigError), (60, float("nan"), ConfigError)],
)
def test_perplexity_out_of_range_is_refused(points, wanted, error):
    with pytest.raises(error, match=f"{points} embeddings"):
        perplexity_for(points, wanted)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_map_keeps_neighbours_together(metric):
    """Of three clusters the nearest neighbour of every point, and all of its cluster's others, are its cluster's."""
    x_ND, speaker_N = clusters()
    y_N2 = tsne_map(x_ND, metric, 5, seed=0)
    distance_NN = np.linalg.norm(y_N2[:, None] - y_N2, axis=-1)
    for n, speaker in enumerate(speaker_N):
        assert {speaker_N[m] for m in np.argsort(distance_NN[n])[:8]} == {speaker}


def test_map_by_cosine_does_not_see_lengths():
    """Vectors of other lengths, by powers of two, have the same map; the Euclidean one is another."""
    x_ND, _ = clusters()
    longer_ND = x_ND * 2.0 ** np.random.default_rng(1).integers(-3, 4, (len(x_ND), 1))
    for metric, same in (("cosine", True), ("euclidean", False)):
        maps = [tsne_map(v_ND, metric, 5, seed=0) for v_ND in (x_ND, longer_ND)]
        assert np.array_equal(*maps) == same


def test_map_is_the_same_whatever_the_threads():
    x_ND, _ = clusters(utts=30)
    with threadpool_limits(1):
        one_N2 = tsne_map(x_ND, "cosine", 5, seed=0)
    with threadpool_limits(3):
        assert np.array_equal(tsne_map(x_ND, "cosine", 5, seed=0), one_N2)


def test_vectors_of_one_number_are_mapped():
    assert np.isfinite(tsne_map(np.arange(8.0)[:, None], "euclidean", 2, seed=0)).all()


def test_embeddings_that_are_all_the_same_are_refused():
    with pytest.raises(DataError, match="are the same"):
        tsne_map(np.ones((8, 3)), "cosine", 2, seed=0)


def test_every_speaker_has_a_look_of_their_own():
    looks = [look_of(speaker) for speaker in range(MAX_SPEAKERS)]
    assert len({tuple(sorted(look.items())) for look in looks}) == MAX_SPEAKERS
    assert len({(look["marker"]) for look in looks[:10]}) == 10


def test_picture_has_a_panel_a_run_and_every_speaker_in_their_colour(tmp_path):
    """Panels of the same size, four a row: five are as wide as four and twice as high; the same bytes each time."""
    y_N2, speaker_N = clusters(speakers=4, dim=4)
    panel = Panel("a system", y_N2[:, :2])
    sizes = {}
    for count in (1, 4, 5):
        for name in ("a.png", "b.png"):
            plot_tsne([panel] * count, speaker_N, "four speakers", tmp_path / name)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
        picture = imread(tmp_path / "a.png")
        sizes[count] = picture.shape[:2]
        rgb = {tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) for colour in COLOURS[:4]}
        assert rgb <= set(map(tuple, np.round(picture[..., :3] * 255).astype(int).reshape(-1, 3).tolist()))
    assert sizes[5][1] == sizes[4][1] > 2 * sizes[1][1]
    assert sizes[5][0] > 1.7 * sizes[4][0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_no_panel_and_too_many_speakers_are_refused(tmp_path):
    y_N2 = np.zeros((MAX_SPEAKERS + 1, 2))
    for panels in ([], [Panel("x", y_N2)]):
        with pytest.raises(ValueError, match="at least one panel and at most 70 speakers"):
            plot_tsne(panels, [f"s{n}" for n in range(len(y_N2))], "t", tmp_path / "x.png")
    assert not list(tmp_path.iterdir())
