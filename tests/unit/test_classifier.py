"""The classifier back end: its network and draws, what it learns that the others cannot, its files and refusals."""

import numpy as np
import pytest
import torch
from embedding_sets import unnamed

from sv.backends.backend import load_backend, train_backend
from sv.backends.classifier_training import Batches, build_network, layers_of
from sv.backends.files import read_array, write_array
from sv.errors import DataError
from sv.metrics import eer_rocch
from sv.roc import Roc
from sv.systems.backends import ClassifierBackend, CosineBackend, PldaBackend
from sv.systems.losses import Margin
from sv.systems.training import Adam, Sgd

LOSSES = {
    "softmax": {},
    "am": {"loss": Margin(name="am", margin=0.2, normalise=False)},
    "am-fn": {"loss": Margin(name="am", margin=0.2)},
    "aam-fn": {"loss": Margin(name="aam", margin=0.2)},
}


PLDA = PldaBackend(name="plda")


def settings(**changes):
    small = {"hidden_dims": (64,), "embedding_dim": 16, "steps": 300, "batch_size": 64, "length_norm": False}
    return ClassifierBackend(name="classifier", **small | {"optimiser": Adam(name="adam", lr=1e-2)} | changes)


def mirrored(seed, num_speakers=16, per_speaker=40):
    """Vectors of 8 numbers near their speaker's or, as likely, near its mirror image: all speakers have the mean 0."""
    rng = np.random.default_rng([seed, 1])
    speaker_N = np.repeat(np.arange(num_speakers), per_speaker)
    of_speaker_S8 = np.random.default_rng(0).normal(size=(num_speakers, 8))
    sign_N1 = rng.choice([-1.0, 1.0], size=(len(speaker_N), 1))
    return sign_N1 * of_speaker_S8[speaker_N] + 0.3 * rng.normal(size=(len(speaker_N), 8)), speaker_N


def eer(backend, x_ND, speaker_N):
    """Of all pairs."""
    e_NK, t_NK = backend.scorer(unnamed(x_ND), unnamed(x_ND))
    one, two = np.triu_indices(len(x_ND), 1)
    return eer_rocch(Roc.from_scores((e_NK @ t_NK.T)[one, two], speaker_N[one] == speaker_N[two]))


@pytest.mark.parametrize("loss", LOSSES)
def test_it_learns_what_no_linear_back_end_can(loss):
    """Trained on one draw of the vectors and tested on another."""
    test = mirrored(seed=1)
    linear = [train_backend(other, *mirrored(seed=0)) for other in (CosineBackend(name="cosine"), PLDA)]
    assert min(eer(backend, *test) for backend in linear) > 0.3
    assert eer(train_backend(settings(**LOSSES[loss]), *mirrored(seed=0)), *test) < 0.15


def test_it_brings_down_the_error_on_speakers_that_it_has_not_seen():
    """Their vectors differ from one another in directions that say nothing of the speaker; cosine takes them all."""
    rng = np.random.default_rng(0)
    speaker_N = np.repeat(np.arange(120), 8)
    x_ND = rng.normal(size=(120, 20))[speaker_N] * np.repeat([1.0, 0.0], 10)
    x_ND += rng.normal(size=x_ND.shape) * np.repeat([0.3, 2.0], 10)
    seen_N = speaker_N < 90
    rest = x_ND[~seen_N], speaker_N[~seen_N]
    cosine = train_backend(CosineBackend(name="cosine"), x_ND[seen_N], speaker_N[seen_N])
    network = train_backend(settings(loss=Margin(name="am", margin=0.2)), x_ND[seen_N], speaker_N[seen_N])
    assert eer(network, *rest) < 0.6 * eer(cosine, *rest)


@pytest.mark.parametrize("hidden", [(7,), (7, 5)])
def test_embeddings_are_those_of_the_network_that_was_trained(hidden):
    """NumPy's forward pass in float64 against torch's, in evaluation mode, for the same weights."""
    x_ND, speaker_N = mirrored(0, 8, 6)
    chosen = settings(hidden_dims=hidden, dropout=0.5, steps=5, length_norm=True)
    backend = train_backend(chosen, x_ND, speaker_N)
    assert [layer.shape for layer in backend.layers] == [
        (after, before + 1) for before, after in zip((8, *hidden), (*hidden, 16), strict=True)
    ]
    network = build_network(8, chosen).eval()
    for module, layer in zip((m for m in network if isinstance(m, torch.nn.Linear)), backend.layers, strict=True):
        module.weight.data, module.bias.data = torch.tensor(layer[:, :-1]), torch.tensor(layer[:, -1])
    assert all(np.array_equal(a, b) for a, b in zip(layers_of(network), backend.layers, strict=True))
    y_ND = x_ND - x_ND.mean(0)
    y_ND *= np.sqrt(8) / np.linalg.norm(y_ND, axis=1, keepdims=True)
    with torch.no_grad():
        expected_NK = network(torch.from_numpy(y_ND)).numpy()
    assert np.allclose(backend.embed(x_ND), expected_NK, rtol=0, atol=1e-12)


def test_scores_are_cosines_of_the_embeddings():
    x_ND, speaker_N = mirrored(0, 8, 6)
    backend = train_backend(settings(steps=5), x_ND, speaker_N)
    e_NK = backend.embed(x_ND)
    e, t = backend.scorer(unnamed(x_ND[:3]), unnamed(x_ND))
    for i in range(3):
        for j in range(len(x_ND)):
            expected = e_NK[i] @ e_NK[j] / np.linalg.norm(e_NK[i]) / np.linalg.norm(e_NK[j])
            assert e[i] @ t[j] == pytest.approx(expected, abs=1e-12)


def test_every_speaker_is_drawn_alike_and_every_vector_of_one():
    """One with a vector as often as one with 50: 40 000 draws, within five deviations."""
    speaker_N = np.repeat([2, 0, 1, 3], [50, 1, 5, 44])
    batches = Batches(speaker_N, batch_size=100, seed=3)
    drawn_N = np.bincount(np.concatenate([batches.rows(step) for step in range(400)]), minlength=100)
    for speaker, count in enumerate(np.bincount(speaker_N)):
        of_speaker = drawn_N[speaker_N == speaker]
        assert abs(of_speaker.sum() - 10_000) < 5 * 87
        assert np.abs(of_speaker - 10_000 / count).max() < 5 * np.sqrt(10_000 / count)


def test_a_batch_is_a_function_of_seed_and_step():
    speaker_N = np.repeat(np.arange(9), 4)
    one, two = (Batches(speaker_N, batch_size=16, seed=seed) for seed in (1, 2))
    later = one.rows(5)
    one.rows(0)
    assert np.array_equal(one.rows(5), later)
    assert not np.array_equal(one.rows(0), later)
    assert not np.array_equal(two.rows(5), later)


@pytest.mark.parametrize("threads", [1, 3])
def test_same_seed_writes_the_same_bytes(tmp_path, threads):
    """Whatever the number of threads and what torch drew before, which goes on as if nothing had happened."""
    x_ND, speaker_N = mirrored(0)
    chosen = settings(dropout=0.3, steps=40, hidden_dims=(256,))
    before = torch.get_num_threads()
    try:
        for folder, seed in (("a", 1), ("b", 1), ("other", 2)):
            torch.set_num_threads(threads if folder == "b" else 2)
            torch.manual_seed(len(folder))
            train_backend(chosen, x_ND, speaker_N, seed=seed).save(tmp_path / folder)
            drawn = torch.rand(3)
            assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(len(folder))))
            assert torch.get_num_threads() == (threads if folder == "b" else 2)
    finally:
        torch.set_num_threads(before)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["layer1.mat", "layer2.mat", "mean.vec"]
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    assert (tmp_path / "a" / "layer1.mat").read_bytes() != (tmp_path / "other" / "layer1.mat").read_bytes()


def test_centre_adapt_moves_what_is_scored_and_not_what_is_learnt(tmp_path):
    x_ND, speaker_N = mirrored(0)
    train, adapt = (settings(steps=20, centre=centre) for centre in ("train", "adapt"))
    one, two = train_backend(train, x_ND, speaker_N), train_backend(adapt, x_ND, speaker_N, x_ND + 5)
    assert all(np.array_equal(a, b) for a, b in zip(one.layers, two.layers, strict=True))
    assert np.allclose(two.embed(x_ND + 5), one.embed(x_ND))


def test_it_says_what_it_learnt():
    """The loss of guessing among 16 speakers is log 16 = 2.77 at first; at the end nearly all are right."""
    x_ND, speaker_N = mirrored(0)
    said = []
    for steps in (1, 250):
        train_backend(settings(steps=steps), x_ND, speaker_N, log=said.append)
    assert said[0].startswith("classifier of 16 speakers, 1 steps in ")
    first, last = (float(line.split("loss ")[1].split(",")[0]) for line in said)
    assert 2.4 < first < 3.2
    assert last < 0.5
    assert float(said[1].split(" % ")[0].split()[-1]) > 85


def test_a_loss_that_is_no_longer_a_number_is_one_line():
    x_ND, speaker_N = mirrored(0)
    with pytest.raises(DataError) as caught:
        train_backend(settings(optimiser=Sgd(name="sgd", lr=1e30)), x_ND, speaker_N)
    assert str(caught.value).startswith("the loss is no longer a number (step ")
    assert str(caught.value).endswith("lower its optimiser.lr, which is 1e+30")


def test_a_last_step_that_spoils_the_weights_is_found():
    """Its loss was a number still."""
    x_ND, speaker_N = mirrored(0)
    with pytest.raises(DataError, match=r"no longer a number \(step 1\)"):
        train_backend(settings(optimiser=Sgd(name="sgd", lr=1e38, weight_decay=1e10), steps=1), x_ND, speaker_N)


def test_a_single_speaker_is_refused():
    with pytest.raises(DataError, match="a classifier learns to tell speakers apart; the training set has 1"):
        train_backend(settings(), np.eye(5), np.zeros(5, int))


def test_layers_of_other_sizes_are_refused(tmp_path):
    x_ND, speaker_N = mirrored(0)
    train_backend(settings(steps=2), x_ND, speaker_N).save(tmp_path)
    with pytest.raises(DataError, match=r"layer1\.mat: a layer of another size; rerun stage 6"):
        load_backend(settings(hidden_dims=(32,)), tmp_path)
    write_array(tmp_path / "layer2.mat", read_array(tmp_path / "layer2.mat")[:, 1:])
    with pytest.raises(DataError, match=r"layer2\.mat: a layer of another size"):
        load_backend(settings(), tmp_path)
