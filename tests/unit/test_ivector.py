"""The i-vector extractor: Kaldi's on the reference data, textbook formulas utterance by utterance, properties of EM."""

import numpy as np
import pytest
import torch
from ivector_reference import IVECTOR, features, ivectors, objectives, posteriors, sparse
from scipy.stats import multivariate_normal

from sv.backends.gmm import FullGmm, second_order_statistics
from sv.backends.ivector import (
    Extractor,
    KeptStats,
    StatsStream,
    UtteranceStats,
    extract,
    packed,
    ubm_posteriors,
    unpacked,
    utterance_statistics,
)
from sv.backends.ivector_training import e_step, m_step, objective, projections, train_extractor, with_standard_prior
from sv.backends.kaldi_gmm import read_extractor, read_full_gmm
from sv.errors import DataError

RNG = np.random.default_rng(0)


def reference_stats():
    """Statistics of the reference's features and posteriors, all utterances at once."""
    table, posts = features(), posteriors()
    x_TD, pairs = torch.from_numpy(np.concatenate(list(table.values()))), sparse(np.concatenate(list(posts.values())))
    stats = utterance_statistics(list(table), list(map(len, table.values())), x_TD, pairs, 4)
    return KeptStats([stats], second_order_statistics(x_TD, pairs, 4)[2])


def small_ubm(num_gauss=3, dim=4):
    factor_IDD = RNG.normal(size=(num_gauss, dim, dim))
    covariance_IDD = factor_IDD @ factor_IDD.transpose(0, 2, 1) + 0.5 * np.eye(dim)
    arrays = RNG.dirichlet(np.ones(num_gauss)), 3 * RNG.normal(size=(num_gauss, dim)), covariance_IDD
    return FullGmm(*map(torch.from_numpy, arrays))


def small_utterances(count=40, dim=4, frames=60):
    """Each has means of its own, so that there is something to find."""
    return [(f"utt{i:02d}", RNG.normal(size=(frames + i, dim)) * 2 + RNG.normal(size=dim)) for i in range(count)]


def stream(ubm, utterances, **options):
    return StatsStream(
        utterances, ubm_posteriors(ubm, num_gselect=3), ubm.num_gauss, dtype=torch.float64, second_order=True, **options
    )


def signs_of(ours_US, kaldis_US):
    """Directions are determined but for their signs."""
    return np.sign((ours_US * kaldis_US).sum(0))


# -- Against Kaldi ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("iteration", [0, 1, 5])
def test_extraction_equals_kaldi(iteration):
    """ivector-extract with Kaldi's own extractor and posteriors."""
    found, expected = (
        dict(extract(read_extractor(IVECTOR / f"{iteration}.ie.txt"), reference_stats())),
        ivectors(iteration),
    )
    assert list(found) == list(expected)
    assert max(np.abs(found[utt] - expected[utt]).max() for utt in expected) < 1e-5


def test_five_iterations_equal_kaldi():
    """From Kaldi's initial extractor: parameters after one and five iterations, objectives, i-vectors; within 1e-5
    (the offset within 1e-4), of a required 1e-3; the reference has seven digits.
    """
    stats, extractor, found = reference_stats(), read_extractor(IVECTOR / "0.ie.txt"), []
    for iteration in range(1, 6):
        expectations = e_step(extractor, stats)
        found.append(objective(extractor, expectations))
        extractor = m_step(extractor, expectations)
        if iteration in (1, 5):
            kaldis = read_extractor(IVECTOR / f"{iteration}.ie.txt")
            ours_US = np.stack([ivector for _, ivector in extract(extractor, stats)])
            kaldis_US = np.stack(list(ivectors(iteration).values()))
            signs_S = signs_of(ours_US, kaldis_US)
            assert np.abs(ours_US * signs_S - kaldis_US).max() < 1e-5
            assert (extractor.projections_IDS * torch.from_numpy(signs_S) - kaldis.projections_IDS).abs().max() < 1e-5
            assert (extractor.precisions_IDD - kaldis.precisions_IDD).abs().max() < 1e-5
            assert torch.equal(extractor.weights_I, kaldis.weights_I)
            assert extractor.prior_offset == pytest.approx(kaldis.prior_offset, abs=1e-4)
    assert found == pytest.approx(objectives(), abs=2e-5)


def test_from_features_to_ivectors_equals_kaldi():
    """The public path in float32, from UBM and features, without Kaldi's posteriors."""
    full = read_full_gmm(IVECTOR / "final.ubm.txt")
    stats = StatsStream(list(features().items()), ubm_posteriors(full), 4, second_order=True)
    extractor = train_extractor(read_extractor(IVECTOR / "0.ie.txt"), stats, iterations=5)
    ours_US, kaldis_US = np.stack([v for _, v in extract(extractor, stats)]), np.stack(list(ivectors(5).values()))
    assert np.abs(ours_US * signs_of(ours_US, kaldis_US) - kaldis_US).max() < 1e-4


# -- Against brute force ---------------------------------------------------------------------------------------


def test_statistics_equal_a_loop_over_frames():
    lengths = [5, 1, 7]
    x_TD, post_TI = RNG.normal(size=(13, 2)), RNG.dirichlet(np.ones(3), 13) * (RNG.random((13, 3)) < 0.7)
    stats = utterance_statistics(["a", "b", "c"], lengths, torch.from_numpy(x_TD), sparse(post_TI), 3)
    for u, start in enumerate([0, 5, 6]):
        frames = range(start, start + lengths[u])
        assert np.allclose(stats.n_UI[u], sum(post_TI[t] for t in frames))
        assert np.allclose(stats.f_UID[u], sum(np.outer(post_TI[t], x_TD[t]) for t in frames))


def random_stats(extractor, count):
    n_UI = torch.from_numpy(RNG.gamma(2, 5, (count, extractor.num_gauss)))
    noise_UID = torch.from_numpy(RNG.normal(size=(count, extractor.num_gauss, extractor.feat_dim)))
    means_ID = extractor.projections_IDS[:, :, 0] * extractor.prior_offset
    return n_UI, n_UI[:, :, None] * (means_ID + noise_UID)


def test_posterior_maximises_the_joint_density():
    """Mean and precision by Bayes' rule in the space of supervectors, one utterance and Gaussian at a time."""
    extractor = Extractor.initial(small_ubm(), dim=2, seed=0)
    n_UI, f_UID = random_stats(extractor, 5)
    mean_US, factor_USS = extractor.posterior(n_UI, f_UID)
    for u in range(5):
        precision_SS, linear_S = np.eye(2), np.array([extractor.prior_offset, 0.0])
        for i in range(3):
            m_DS, p_DD = extractor.projections_IDS[i].numpy(), extractor.precisions_IDD[i].numpy()
            precision_SS += n_UI[u, i].item() * m_DS.T @ p_DD @ m_DS
            linear_S += m_DS.T @ p_DD @ f_UID[u, i].numpy()
        assert np.allclose((factor_USS[u] @ factor_USS[u].T).numpy(), precision_SS)
        assert np.allclose(mean_US[u].numpy(), np.linalg.solve(precision_SS, linear_S))


def test_one_frame_of_one_gaussian_is_factor_analysis():
    """With hard posteriors the model is x = M v + noise: the posterior mean by conditioning a joint Gaussian."""
    extractor = Extractor.initial(small_ubm(1, 3), dim=2, seed=1)
    x_D = RNG.normal(size=3)
    found_S = extractor.ivectors(torch.ones(1, 1).double(), torch.from_numpy(x_D)[None, None])[0].numpy()
    m_DS = extractor.projections_IDS[0].numpy()
    total_DD = m_DS @ m_DS.T + np.linalg.inv(extractor.precisions_IDD[0].numpy())
    assert np.allclose(found_S, m_DS.T @ np.linalg.solve(total_DD, x_D - m_DS[:, 0] * extractor.prior_offset))


def test_expectations_equal_a_loop_over_utterances(monkeypatch):
    """Sums of moments, also where utterances come in blocks and a block in parts."""
    monkeypatch.setattr("sv.backends.ivector_training._MAX_BYTES", 8 * 4 * 2 * 2 * 3)
    extractor = Extractor.initial(small_ubm(), dim=2, seed=0)
    n_UI, f_UID = random_stats(extractor, 10)
    blocks = [UtteranceStats(list("abcd"), n_UI[:4], f_UID[:4]), UtteranceStats(list("efghij"), n_UI[4:], f_UID[4:])]
    e = e_step(extractor, KeptStats(blocks, torch.zeros(3, 4, 4).double()))
    mean_US, factor_USS = extractor.posterior(n_UI, f_UID)
    y_IDS, r_ISS, scatter_SS, log_det = np.zeros((3, 4, 2)), np.zeros((3, 2, 2)), np.zeros((2, 2)), 0.0
    for u in range(10):
        precision_SS = (factor_USS[u] @ factor_USS[u].T).numpy()
        moment_SS = np.linalg.inv(precision_SS) + np.outer(mean_US[u], mean_US[u])
        scatter_SS, log_det = scatter_SS + moment_SS, log_det + np.linalg.slogdet(precision_SS)[1]
        for i in range(3):
            y_IDS[i] += np.outer(f_UID[u, i], mean_US[u])
            r_ISS[i] += n_UI[u, i].item() * moment_SS
    assert np.allclose(e.n_I, n_UI.sum(0))
    assert np.allclose(e.y_IDS, y_IDS)
    assert np.allclose(unpacked(e.r_IK, 2), r_ISS)
    assert (e.num_utts, e.log_det) == (10, pytest.approx(log_det))
    assert np.allclose(e.sum_S, mean_US.sum(0))
    assert np.allclose(e.scatter_SS, scatter_SS)


def test_packing_by_hand():
    matrix_SS = torch.tensor([[1.0, 2.0, 4.0], [2.0, 3.0, 5.0], [4.0, 5.0, 6.0]])
    assert packed(matrix_SS[None]).tolist() == [[1, 2, 3, 4, 5, 6]]
    assert torch.equal(unpacked(packed(matrix_SS[None]), 3)[0], matrix_SS)


def test_objective_is_the_likelihood_when_posteriors_are_hard():
    """With one Gaussian the bound is tight: the log-density of all frames of each utterance, x integrated out."""
    extractor = Extractor.initial(small_ubm(1, 2), dim=2, seed=2)
    utterances = [(str(i), RNG.normal(size=(4, 2))) for i in range(3)]
    stats = StatsStream(utterances, lambda x: sparse(np.ones((len(x), 1))), 1, dtype=torch.float64, second_order=True)
    m_DS, noise_DD = extractor.projections_IDS[0].numpy(), np.linalg.inv(extractor.precisions_IDD[0].numpy())
    covariance = np.kron(np.ones((4, 4)), m_DS @ m_DS.T) + np.kron(np.eye(4), noise_DD)
    mean = np.tile(m_DS[:, 0] * extractor.prior_offset, 4)
    expected = sum(multivariate_normal.logpdf(x.ravel(), mean, covariance) for _, x in utterances) / 12
    assert objective(extractor, e_step(extractor, stats)) == pytest.approx(expected)


# -- EM --------------------------------------------------------------------------------------------------------


def test_each_iteration_raises_the_objective():
    ubm, lines = small_ubm(), []
    train_extractor(Extractor.initial(ubm, 3, seed=0), stream(ubm, small_utterances()), 8, log=lines.append)
    values = [float(line.split()[-3]) for line in lines]
    assert (np.diff(values) > 0).all()


def test_new_prior_leaves_the_model_as_it_was():
    """Means of Gaussians follow i-vectors into the new space; there their covariance is I, their mean p e1, and the
    average of U, without its first dimension, diagonal, largest first.
    """
    ubm = small_ubm()
    old, stats = Extractor.initial(ubm, 3, seed=0), stream(ubm, small_utterances())
    for _ in range(3):  # from an offset of 100 to one of its own size
        e = e_step(old, stats)
        new = with_standard_prior(old, e)
        mean_S = e.sum_S / e.num_utts
        to_SS = torch.linalg.lstsq(new.projections_IDS.flatten(0, 1), old.projections_IDS.flatten(0, 1)).solution
        assert torch.allclose(new.projections_IDS @ to_SS, old.projections_IDS, atol=1e-8)
        covariance_SS = e.scatter_SS / e.num_utts - torch.outer(mean_S, mean_S)
        assert torch.allclose(to_SS @ covariance_SS @ to_SS.T, torch.eye(3).double(), atol=1e-6)
        assert torch.allclose(to_SS @ mean_S, torch.tensor([new.prior_offset, 0, 0]).double(), atol=1e-6)
        average_SS = unpacked((old.weights_I @ old.quadratic_IK)[None], 3)[0]
        back_RR = torch.linalg.inv(to_SS[1:, 1:])
        seen_RR = back_RR.T @ average_SS[1:, 1:] @ back_RR
        assert abs(float(seen_RR[0, 1])) < 1e-8 * float(seen_RR[0, 0])
        assert seen_RR[0, 0] > seen_RR[1, 1]
        old = m_step(old, e)


def test_one_dimension_can_be_trained():
    ubm = small_ubm()
    extractor = train_extractor(Extractor.initial(ubm, 1, seed=0), stream(ubm, small_utterances()), 2)
    assert np.isfinite([v for _, v in extract(extractor, stream(ubm, small_utterances()))]).all()


def test_projection_of_an_ill_conditioned_term_is_kaldis():
    """Two utterances cannot fill ten dimensions: the eigenvalues raised to a ten-thousandth of the largest, and only
    the step away from the old M, Gaussian by Gaussian as in SolveQuadraticMatrixProblem; a well conditioned one beside.
    """
    ubm = small_ubm()
    extractor = Extractor.initial(ubm, 10, seed=0)
    e = e_step(extractor, stream(ubm, small_utterances(200)).kept())
    r_SS = torch.diag_embed(torch.full((10,), 1e-7).double())
    r_SS += sum(torch.outer(v, v) for v in torch.randn(2, 10).double())
    e.r_IK[1] = packed(r_SS[None])[0]
    found_IDS = projections(extractor, e, torch.tensor([True, True, False]))
    well_SS = unpacked(e.r_IK[:1], 10)[0]
    assert torch.allclose(found_IDS[0], e.y_IDS[0] @ torch.linalg.inv(well_SS), rtol=1e-6)
    scale_S = r_SS.diagonal().sqrt()
    value_S, vector_SS = np.linalg.eigh((r_SS / scale_S / scale_S[:, None]).numpy())
    assert value_S[0] < value_S[-1] / 1e4
    inverse_SS = vector_SS / np.maximum(value_S, value_S[-1] / 1e4) @ vector_SS.T / np.outer(scale_S, scale_S)
    step_DS = (e.y_IDS[1] - extractor.projections_IDS[1] @ r_SS).numpy() @ inverse_SS
    assert np.allclose(found_IDS[1].numpy(), extractor.projections_IDS[1].numpy() + step_DS)
    assert torch.equal(found_IDS[2], extractor.projections_IDS[2])  # too few frames: it stays


def test_initial_extractor_depends_on_the_seed_alone():
    ubm = small_ubm()
    one, same, other = (Extractor.initial(ubm, 3, seed) for seed in (1, 1, 2))
    assert torch.equal(one.projections_IDS, same.projections_IDS)
    assert not torch.equal(one.projections_IDS[:, :, 1], other.projections_IDS[:, :, 1])
    assert torch.allclose(one.projections_IDS[:, :, 0] * one.prior_offset, ubm.means_ID)


# -- Extraction's options --------------------------------------------------------------------------------------


def test_options_scale_the_statistics():
    """A weight of 0.5 is half of every posterior; a max-count scales only what exceeds it, after the weight."""
    extractor = Extractor.initial(small_ubm(), dim=2, seed=0)
    n_UI, f_UID = random_stats(extractor, 4)
    half_US = extractor.ivectors(0.5 * n_UI, 0.5 * f_UID)
    assert torch.allclose(extractor.ivectors(n_UI, f_UID, acoustic_weight=0.5), half_US)
    count_U = n_UI.sum(1)
    limit = float(count_U.median()) / 2
    scale_U = 0.5 * (limit / (0.5 * count_U)).clamp(max=1)
    expected_US = extractor.ivectors(n_UI * scale_U[:, None], f_UID * scale_U[:, None, None])
    assert (scale_U < 0.5).sum() in (1, 2, 3)
    assert torch.allclose(extractor.ivectors(n_UI, f_UID, acoustic_weight=0.5, max_count=limit), expected_US)


def test_little_data_give_the_prior():
    extractor = Extractor.initial(small_ubm(), dim=2, seed=0)
    found_US = extractor.ivectors(*random_stats(extractor, 3), acoustic_weight=1e-9)
    assert found_US.abs().max() < 1e-5


# -- The stream ------------------------------------------------------------------------------------------------


def test_stream_gives_the_same_however_it_is_cut(monkeypatch, tmp_path):
    """Blocks of one utterance or all, posteriors on disk or not, statistics in memory or not: the same extractor."""
    ubm, utterances = small_ubm(), small_utterances(12)
    whole = train_extractor(Extractor.initial(ubm, 2, 0), stream(ubm, utterances), 3)
    kept = train_extractor(Extractor.initial(ubm, 2, 0), stream(ubm, utterances).kept(), 3)
    assert torch.equal(whole.projections_IDS, kept.projections_IDS)
    monkeypatch.setattr("sv.backends.utterances._MAX_FRAMES", 1)
    single = train_extractor(Extractor.initial(ubm, 2, 0), stream(ubm, utterances), 3)
    assert len(list(stream(ubm, utterances))) == 12
    assert torch.allclose(whole.projections_IDS, single.projections_IDS, atol=1e-9)
    on_disk = stream(ubm, utterances, posteriors_file=tmp_path / "posteriors")
    filed = train_extractor(Extractor.initial(ubm, 2, 0), on_disk, 3)
    assert torch.allclose(whole.projections_IDS, filed.projections_IDS, atol=1e-5)  # kept as float32


def test_later_passes_read_posteriors_from_disk(tmp_path):
    ubm, calls = small_ubm(), []
    compute = ubm_posteriors(ubm)

    def counted(x_TD):
        calls.append(len(x_TD))
        return compute(x_TD)

    stats = StatsStream(small_utterances(5), counted, 3, second_order=True, posteriors_file=tmp_path / "posteriors")
    first, second = list(stats), list(stats)
    assert len(calls) == 1
    assert torch.equal(first[0].f_UID, second[0].f_UID)


def test_posterior_scale_scales_statistics():
    ubm, utterances = small_ubm(), small_utterances(3)
    plain, scaled = (
        next(iter(StatsStream(utterances, ubm_posteriors(ubm, posterior_scale=s), 3, dtype=torch.float64)))
        for s in (1.0, 0.1)
    )
    assert torch.allclose(0.1 * plain.f_UID, scaled.f_UID)


# -- Bad input -------------------------------------------------------------------------------------------------


def test_bad_utterances_are_named():
    ubm = small_ubm()
    for bad, message in (
        (np.zeros((0, 4)), r"^silent: no frames \(all of it silence\?\); leave it out"),
        (np.zeros((9, 5)), r"^silent: features have 5 dimensions, the GMM 4"),
    ):
        with pytest.raises(DataError, match=message):
            list(stream(ubm, [("silent", bad)]))


def test_model_and_statistics_of_other_sizes_are_one_line():
    extractor = Extractor.initial(small_ubm(3, 5), 2, seed=0)
    with pytest.raises(DataError, match="statistics of 3 Gaussians of 4 dimensions, the extractor has 3 of 5"):
        list(extract(extractor, stream(small_ubm(), small_utterances(2))))


def test_too_few_frames_to_train_on_are_one_line():
    ubm = small_ubm()
    with pytest.raises(DataError, match=r"^no Gaussian has 100 frames \(30 frames on 3 Gaussians\); train"):
        train_extractor(Extractor.initial(ubm, 2, 0), stream(ubm, [("utt1", RNG.normal(size=(30, 4)))]))
    with pytest.raises(DataError, match="no utterances to train"):
        train_extractor(Extractor.initial(ubm, 2, 0), stream(ubm, []))
    with pytest.raises(DataError, match="i-vectors of 0 dimensions"):
        Extractor.initial(ubm, 0, seed=0)


def test_a_second_pass_over_an_iterator_is_refused():
    stats = stream(small_ubm(), iter(small_utterances(2)))
    list(stats)
    with pytest.raises(ValueError, match="several times"):
        list(stats)
