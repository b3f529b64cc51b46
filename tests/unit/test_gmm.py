"""Mixtures and their training: Kaldi's UBM of the reference data, densities by SciPy, one frame at a time."""

import numpy as np
import pytest
import torch
from ivector_reference import IVECTOR, dense, features, posteriors
from scipy.stats import multivariate_normal

from sv.backends.gmm import (
    DiagGmm,
    FullGmm,
    Posteriors,
    Tiles,
    full_posteriors,
    normalised,
    second_order_statistics,
    select,
    sort_by,
)
from sv.backends.kaldi_gmm import read_diag_gmm, read_full_gmm
from sv.backends.ubm_training import (
    Floors,
    diag_statistics,
    initial_gmm,
    random_frames,
    split,
    train_diag_ubm,
    train_full_ubm,
    updated_diag,
    updated_full,
)
from sv.errors import DataError

RNG = np.random.default_rng(0)


def random_full(num_gauss, dim):
    factor_IDD = RNG.normal(size=(num_gauss, dim, dim))
    covariance_IDD = factor_IDD @ factor_IDD.transpose(0, 2, 1) + 0.3 * np.eye(dim)
    weights_I = RNG.dirichlet(np.ones(num_gauss))
    return FullGmm(*map(torch.from_numpy, (weights_I, 2 * RNG.normal(size=(num_gauss, dim)), covariance_IDD)))


def log_densities(gmm, x_TD):
    """log w_i N(x; m_i, S_i) of each Gaussian by itself, (T, I)."""
    columns = [
        np.log(w) + multivariate_normal.logpdf(x_TD, m, s)
        for w, m, s in zip(gmm.weights_I.numpy(), gmm.means_ID.numpy(), gmm.covariances_IDD.numpy(), strict=True)
    ]
    return np.stack(columns, 1)


def reference_frames(dtype=torch.float64):
    return torch.from_numpy(np.concatenate(list(features().values()))).to(dtype)


def difference(ours, kaldis):
    """The largest of all parameters."""
    parts = zip(
        (vars(ours)[k] for k in vars(ours) if k[0] != "_"), (vars(kaldis)[k] for k in vars(kaldis)), strict=False
    )
    return max(float((a - b).abs().max()) for a, b in parts)


# -- Against Kaldi ---------------------------------------------------------------------------------------------


def test_diagonal_em_equals_kaldi():
    """gmm-global-acc-stats and gmm-global-est, four iterations from 0.dubm; its text has seven digits."""
    x_TD, gmm = reference_frames(torch.float32), read_diag_gmm(IVECTOR / "0.dubm.txt")
    for iteration in range(4):
        *sums, _ = diag_statistics(gmm, x_TD)
        gmm = updated_diag(gmm, *sums, remove=iteration == 3)
    assert difference(gmm, read_diag_gmm(IVECTOR / "4.dubm.txt")) < 2e-5


def test_full_em_equals_kaldi():
    """fgmm-global-acc-stats and fgmm-global-est, three iterations from the diagonal UBM, by the public function."""
    diag = read_diag_gmm(IVECTOR / "4.dubm.txt")
    full = train_full_ubm(list(features().items()), diag, iterations=3, num_gselect=4, subsample=1)
    assert difference(full, read_full_gmm(IVECTOR / "final.ubm.txt")) < 2e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_posteriors_equal_kaldi(dtype):
    """gmm-gselect and fgmm-global-gselect-to-post --min-post=0.025: the same pairs survive, with the same weights."""
    full = read_full_gmm(IVECTOR / "final.ubm.txt")
    found = full_posteriors(reference_frames(dtype), full.diagonal(), full, num_gselect=4, min_post=0.025)
    expected_TI = np.concatenate(list(posteriors().values()))
    found_TI = dense(found, *expected_TI.shape)
    assert ((found_TI > 0) == (expected_TI > 0)).all()
    assert np.abs(found_TI - expected_TI).max() < 1e-5


# -- Against brute force ---------------------------------------------------------------------------------------


def test_log_likelihoods_equal_scipy():
    full, x_TD = random_full(5, 3), RNG.normal(size=(40, 3))
    expected_TI = log_densities(full, x_TD)
    assert np.allclose(full.log_likelihoods(torch.from_numpy(x_TD)), expected_TI, atol=1e-10)
    diag = full.diagonal()
    expected_TI = log_densities(diag.full(), x_TD)
    assert np.allclose(diag.log_likelihoods(torch.from_numpy(x_TD)), expected_TI, atol=1e-10)
    index_TG = select(diag, torch.from_numpy(x_TD), 2)
    assert (np.sort(index_TG, 1) == np.sort(np.argsort(-expected_TI, 1)[:, :2], 1)).all()


def test_selected_log_likelihoods_are_those_of_all(monkeypatch):
    """Of selections that name a Gaussian often, seldom and never; also where frames come in several parts."""
    full, x_TD = random_full(7, 4), torch.from_numpy(RNG.normal(size=(300, 4)))
    index_TG = torch.from_numpy(np.stack([RNG.choice([0, 1, 2, 3, 6], 3, p=[0.6, 0.2, 0.1, 0.05, 0.05]) for _ in x_TD]))
    expected_TG = full.log_likelihoods(x_TD).gather(1, index_TG)
    assert torch.allclose(full.log_likelihoods(x_TD, index_TG), expected_TG, atol=1e-10)
    monkeypatch.setattr("sv.backends.gmm._pairs_at_once", lambda num_gauss: 50)
    assert torch.allclose(full.log_likelihoods(x_TD, index_TG), expected_TG, atol=1e-10)


@pytest.mark.parametrize("num_gauss", [1, 3, 50])
def test_tiles_hold_every_pair_once(num_gauss):
    gauss_P = torch.from_numpy(RNG.integers(0, num_gauss, 1000) // 2)
    tiles = Tiles.of(gauss_P, num_gauss)
    assert sorted(tiles.pair_NW[tiles.full_NW].tolist()) == list(range(1000))
    assert (gauss_P[tiles.pair_NW] == tiles.gauss_N[:, None]).all()
    assert (tiles.tiles_I == torch.bincount(tiles.gauss_N, minlength=num_gauss)).all()


@pytest.mark.parametrize("num_keys", [3, 70_000])
def test_sort_by_is_stable(num_keys):
    key_P = torch.from_numpy(RNG.integers(0, num_keys, 5000))
    order_P, count_K = sort_by(key_P, num_keys)
    assert (order_P == key_P.argsort(stable=True)).all()
    assert (count_K == torch.bincount(key_P, minlength=num_keys)).all()


def test_pruned_posteriors_by_hand():
    """Below 0.3 they go and the others sum to one; where all are below, the largest stays alone."""
    weights_I = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    alike = FullGmm(weights_I, torch.zeros(3, 1).double(), torch.ones(3, 1, 1).double())  # posteriors are weights
    x_TD = torch.zeros(1, 1).double()
    assert np.allclose(dense(full_posteriors(x_TD, alike.diagonal(), alike, 3, 0.25), 1, 3), [[0.625, 0.375, 0]])
    assert np.allclose(dense(full_posteriors(x_TD, alike.diagonal(), alike, 3, 0.6), 1, 3), [[1, 0, 0]])
    assert np.allclose(dense(full_posteriors(x_TD, alike.diagonal(), alike, 2, 0.0), 1, 3), [[0.625, 0.375, 0]])


def test_statistics_equal_a_loop_over_frames(monkeypatch):
    monkeypatch.setattr("sv.backends.gmm._pairs_at_once", lambda num_gauss: 30)
    post_TI = RNG.dirichlet(np.ones(4), 60) * (RNG.random((60, 4)) < 0.6)
    post_TI[:, 2] = 0  # a Gaussian without frames
    x_TD = RNG.normal(size=(60, 3))
    frame_P, gauss_P = map(torch.from_numpy, post_TI.nonzero())
    pairs = Posteriors(frame_P, gauss_P, torch.from_numpy(post_TI[post_TI > 0]))
    n_I, f_ID, s_IDD = second_order_statistics(torch.from_numpy(x_TD), pairs, 4)
    for i in range(4):
        assert n_I[i] == pytest.approx(sum(post_TI[t, i] for t in range(60)))
        assert np.allclose(f_ID[i], sum(post_TI[t, i] * x_TD[t] for t in range(60)))
        assert np.allclose(s_IDD[i], sum(post_TI[t, i] * np.outer(x_TD[t], x_TD[t]) for t in range(60)))


def test_diagonal_statistics_equal_a_loop_over_frames():
    gmm, x_TD = random_full(4, 3).diagonal(), RNG.normal(size=(30, 3))
    joint_TI = np.exp(log_densities(gmm.full(), x_TD))
    post_TI = joint_TI / joint_TI.sum(1, keepdims=True)
    n_I, f_ID, s_ID, log_likelihood = diag_statistics(gmm, torch.from_numpy(x_TD))
    assert np.allclose(n_I, post_TI.sum(0))
    assert np.allclose(f_ID, sum(np.outer(p, x) for p, x in zip(post_TI, x_TD, strict=True)))
    assert np.allclose(s_ID, sum(np.outer(p, x * x) for p, x in zip(post_TI, x_TD, strict=True)))
    assert log_likelihood == pytest.approx(np.log(joint_TI.sum(1)).sum())


def test_normalised_is_softmax_but_for_the_negligible():
    log_TI = torch.tensor([[0.0, -1.0, -700.0]])
    found_TI = normalised(log_TI.clone())
    assert torch.allclose(found_TI, log_TI.softmax(1))
    assert found_TI[0, 2] > torch.finfo(torch.float32).tiny  # not subnormal


# -- EM and its floors -----------------------------------------------------------------------------------------


def drawn(gmm, frames):
    which_T = RNG.choice(gmm.num_gauss, frames, p=gmm.weights_I.numpy())
    factor_IDD = np.linalg.cholesky(gmm.covariances_IDD.numpy())
    noise_TD = RNG.normal(size=(frames, gmm.dim))
    return gmm.means_ID.numpy()[which_T] + (factor_IDD[which_T] @ noise_TD[:, :, None])[:, :, 0]


def test_each_iteration_raises_the_likelihood():
    """Of the full mixture, every Gaussian selected and no posterior pruned; floors out of the way."""
    x_TD = torch.from_numpy(drawn(random_full(3, 3), 500))
    full = initial_gmm(x_TD, 4, 2, seed=0).full()
    values = []
    for _ in range(6):
        values.append(float(full.log_likelihoods(x_TD).logsumexp(1).sum()))
        sums = second_order_statistics(x_TD, full_posteriors(x_TD, full.diagonal(), full, 4, 0.0), 4)
        full = updated_full(full, *sums, remove=False, floors=Floors(min_count=1.0, min_weight=0.0))
    assert (np.diff(values) > 0).all()


def test_training_finds_the_mixture_that_frames_were_drawn_from():
    """Three Gaussians far apart, 20000 frames: means within 0.1 of theirs, weights within 0.02."""
    truth = FullGmm(
        torch.tensor([0.5, 0.3, 0.2]).double(),
        torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]]).double(),
        torch.tensor([[[1.0, 0.5], [0.5, 2.0]]] * 3).double(),
    )
    x_TD = drawn(truth, 20_000).astype(np.float32)
    utterances = [(str(i), part) for i, part in enumerate(np.split(x_TD, 40))]
    diag = train_diag_ubm(utterances, 3, seed=1, num_frames=5000, init_iterations=60, subsample=2)
    full = train_full_ubm(utterances, diag, iterations=20, subsample=2)
    order_I = full.weights_I.argsort(descending=True)
    assert (full.weights_I[order_I] - truth.weights_I).abs().max() < 0.02
    assert (full.means_ID[order_I] - truth.means_ID).abs().max() < 0.1
    assert (full.covariances_IDD[order_I] - truth.covariances_IDD).abs().max() < 0.15


def test_training_depends_on_the_seed_alone():
    utterances = [(str(i), RNG.normal(size=(50, 2)).astype(np.float32)) for i in range(10)]
    one, same, other = (train_diag_ubm(utterances, 8, seed, init_iterations=4, iterations=1) for seed in (1, 1, 2))
    assert torch.equal(one.means_ID, same.means_ID)
    assert not torch.equal(one.means_ID, other.means_ID)


def test_split_keeps_the_mean_and_weight_of_what_it_splits():
    gmm = DiagGmm(*(t.double() for t in (torch.tensor([0.7, 0.3]), torch.randn(2, 3), torch.rand(2, 3) + 0.5)))
    twice = split(gmm, 3, torch.Generator().manual_seed(0))
    assert torch.allclose(twice.weights_I, torch.tensor([0.35, 0.3, 0.35]).double())
    assert torch.allclose((twice.means_ID[0] + twice.means_ID[2]) / 2, gmm.means_ID[0])
    assert (twice.means_ID[0] != twice.means_ID[2]).all()
    assert torch.equal(twice.variances_ID[2], gmm.variances_ID[0])


def test_floors_of_the_diagonal_update_by_hand():
    """Kaldi's: with too few frames a Gaussian stays as it is, of some weight at least, or goes; variances >= 0.001."""
    gmm = DiagGmm(*(t.double() for t in (torch.tensor([0.6, 0.4]), torch.zeros(2, 1), torch.ones(2, 1))))
    n_I, f_ID, s_ID = (torch.tensor(t).double() for t in ([99.0, 1.0], [[198.0], [5.0]], [[396.0], [25.0]]))
    kept = updated_diag(gmm, n_I, f_ID, s_ID, remove=False, floors=Floors(min_count=10, min_weight=0.05))
    assert kept.weights_I.tolist() == pytest.approx([0.99, 0.05])
    assert kept.means_ID.flatten().tolist() == [2.0, 0.0]
    assert kept.variances_ID.flatten().tolist() == [0.001, 1.0]
    removed = updated_diag(gmm, n_I, f_ID, s_ID, remove=True)
    assert removed.weights_I.tolist() == [1.0]
    assert removed.means_ID.tolist() == [[2.0]]
    last = updated_diag(gmm, n_I / 1000, f_ID, s_ID, remove=True)  # none has enough: the last stays
    assert (last.num_gauss, last.weights_I.tolist(), last.means_ID.tolist()) == (1, [1.0], [[0.0]])


def test_full_covariances_have_floored_eigenvalues():
    """At the largest over 10 000, and at 0.001; what is above stays."""
    gmm = FullGmm(*(t.double() for t in (torch.ones(1), torch.zeros(1, 2), torch.eye(2)[None])))
    sums = (torch.tensor([1000.0]).double(), torch.zeros(1, 2).double())
    for eigenvalues, expected in (([1e3, 1e-3], [1e3, 0.1]), ([2.0, 1e-5], [2.0, 1e-3]), ([2.0, 1.0], [2.0, 1.0])):
        scatter_IDD = 1000 * torch.diag(torch.tensor(eigenvalues).double())[None]
        updated = updated_full(gmm, *sums, scatter_IDD, remove=True)
        assert updated.covariances_IDD[0].diagonal().tolist() == pytest.approx(expected)


# -- Random frames ---------------------------------------------------------------------------------------------


def test_random_frames_are_each_frame_equally_often():
    """Twenty of 100 frames, 400 times: each is drawn 80 times, more or less, none twice at once, in order."""
    utterances = [(str(i), np.arange(10 * i, 10 * i + 10.0)[:, None]) for i in range(10)]
    drawn_RT = np.stack([random_frames(utterances, 20, seed)[:, 0] for seed in range(400)])
    assert (np.diff(drawn_RT, axis=1) > 0).all()
    counts = np.bincount(drawn_RT.astype(int).ravel(), minlength=100)
    assert (np.abs(counts - 80) < 5 * np.sqrt(80)).all()


def test_random_frames_do_not_depend_on_how_frames_are_read(monkeypatch):
    x_TD = RNG.normal(size=(100, 2)).astype(np.float32)
    parts = [(str(i), part) for i, part in enumerate(np.split(x_TD, 10))]
    expected_TD = random_frames([("all", x_TD)], 30, seed=3)
    monkeypatch.setattr("sv.backends.utterances._MAX_FRAMES", 15)
    assert (random_frames(parts, 30, seed=3) == expected_TD).all()
    assert (random_frames(parts, 1000, seed=3) == x_TD).all()  # fewer than asked: all


# -- Bad input -------------------------------------------------------------------------------------------------


def test_too_few_frames_for_the_gaussians_is_one_line():
    utterances = [("utt1", RNG.normal(size=(79, 3)))]
    with pytest.raises(
        DataError, match=r"^a UBM of 8 Gaussians needs 80 frames or more, the training set has 79; lower"
    ):
        train_diag_ubm(utterances, 8, seed=0)


def test_constant_features_are_one_line():
    x_TD = np.hstack([RNG.normal(size=(200, 2)), np.ones((200, 1))])
    with pytest.raises(DataError, match=r"^the features' dimension 2 is constant"):
        train_diag_ubm([("utt1", x_TD)], 4, seed=0)


def test_features_of_another_size_are_one_line():
    full = random_full(2, 3)
    for ask in (full.log_likelihoods, full.diagonal().log_likelihoods):
        with pytest.raises(DataError, match=r"^features have 4 dimensions, the GMM 3; "):
            ask(torch.zeros(5, 4).double())
    with pytest.raises(DataError, match=r"^the diagonal UBM has 3 Gaussians of 3 dimensions, the full one 2 of 3"):
        full_posteriors(torch.zeros(5, 3).double(), random_full(3, 3).diagonal(), full)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((0, 2)), r"^bad: no frames \(all of it silence\?\)"),
        (np.zeros((5, 3)), r"^bad: features have 3 dimensions, those before 2"),
        (np.full((5, 2), np.nan), r"^bad: its features hold a NaN"),
    ],
)
def test_a_bad_utterance_is_named(bad, message):
    utterances = [("good", RNG.normal(size=(50, 2))), ("bad", bad)]
    with pytest.raises(DataError, match=message):
        train_diag_ubm(utterances, 2, seed=0)


def test_a_covariance_that_is_not_one_is_one_line():
    bad = FullGmm(torch.ones(1).double(), torch.zeros(1, 2).double(), -torch.eye(2).double()[None])
    with pytest.raises(DataError, match=r"^a covariance of the full GMM is not positive definite \(number 0 of 1\)"):
        bad.log_likelihoods(torch.zeros(3, 2).double())


def test_an_iterator_cannot_be_trained_on():
    with pytest.raises(ValueError, match="several times"):
        train_diag_ubm(iter([("utt1", RNG.normal(size=(50, 2)))]), 2, seed=0)
