"""What an exported model does before its network, in tensors: against the routines that stages 1 and 5 run."""

import numpy as np
import pytest
import torch

from sv.export.frames import FrameProcessing, crops_of, sliding_cmvn, voiced
from sv.export.front_ends import ExportableKaldi, ExportableMelSpec, exportable_front_end
from sv.export.parity import signal
from sv.features.cmvn import sliding_cmvn as sliding_cmvn_of_arrays
from sv.features.files import Processing
from sv.features.front_ends import build_front_end
from sv.features.kaldi_config import KaldiFeatureConfig
from sv.features.melspec_config import MelSpecConfig
from sv.features.vad import EnergyVad
from sv.features.wave_config import WaveConfig
from sv.models.extraction import crop_embeddings

CONFIGS = {
    "mfcc": KaldiFeatureConfig("mfcc", sample_frequency=8000, num_ceps=23, high_freq=3700, snip_edges=False),
    "mfcc, snipped": KaldiFeatureConfig("mfcc", use_energy=False, window_type="hamming", frame_shift=7),
    "fbank": KaldiFeatureConfig("fbank", num_mel_bins=40, use_energy=True, raw_energy=False, snip_edges=False),
    "odd": KaldiFeatureConfig(
        "fbank", round_to_power_of_two=False, use_power=False, remove_dc_offset=False, preemphasis_coefficient=0
    ),
    "floored": KaldiFeatureConfig("mfcc", energy_floor=1.0, cepstral_lifter=0, snip_edges=False),
    "melspec": MelSpecConfig(),
    "cepstra": MelSpecConfig(num_mel_bins=80, num_ceps=80, low_freq=20, high_freq=7600, preemphasis_coefficient=0),
    "wave": WaveConfig(),
}
LENGTHS = (90, 257, 400, 401, 1600, 16037)


@pytest.mark.parametrize("name", CONFIGS)
def test_front_ends_are_those_of_the_features(name):
    """Of lengths around a frame and a mirror, and of digital silence."""
    config = CONFIGS[name]
    for length in LENGTHS:
        if config.num_frames(length) == 0:
            continue
        wave_BN = torch.from_numpy(np.stack([signal(0, length, 16000), np.zeros(length, np.float32)]))
        expected = build_front_end(config)(wave_BN).numpy()
        found = exportable_front_end(config)(wave_BN).numpy()
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=5e-4)


@pytest.mark.parametrize("front_end", [ExportableKaldi(CONFIGS["odd"]), ExportableMelSpec(CONFIGS["melspec"])])
def test_a_product_in_float32_is_no_further_from_the_spectrum_than_the_fft(front_end):
    """Powers of loud tones, whose side lobes rounding hides, against the transform in float64."""
    n_N = torch.arange(16000)
    wave_BN = 20000 * torch.sin(0.12 * n_N)[None] + 3000 * torch.sin(0.31 * n_N)[None]
    frames_TW = front_end.frame(wave_BN)[0]
    bins = len(front_end.mel_KM)
    exact_TK = torch.fft.rfft(frames_TW.double(), n=front_end.config.fft_size).abs().square()[:, :bins]
    fft_TK = torch.fft.rfft(frames_TW, n=front_end.config.fft_size).abs().square()[:, :bins]
    error, of_fft = ((power_TK - exact_TK).abs().max() for power_TK in (front_end.power(frames_TW), fft_TK))
    assert error <= 3 * of_fft  # which sums in blocks as well; a sum in a row would be 20 times as far


@pytest.mark.parametrize(
    "processing",
    [
        Processing(),
        Processing(cmn_window=300),
        Processing(cmn_window=7, norm_vars=True),
        Processing(cmn_window=8, deltas=(2, 3)),
        Processing(deltas=(1, 2)),
        Processing(cmn_window=1, norm_vars=True),
    ],
)
@pytest.mark.parametrize("total", [1, 5, 8, 60])
def test_processing_is_that_of_the_readers(processing, total):
    """With and without a VAD, of recordings shorter and longer than the windows."""
    rng = np.random.default_rng(total)
    features_TD = (rng.normal(size=(total, 4)) + np.r_[9, -3, 40, 0]).astype(np.float32)
    vad = EnergyVad(9.0, 0.0, 0.3, 1)
    for each in (None, vad):
        rows = np.flatnonzero(each.voiced(features_TD[:, 0])) if each else np.arange(total)
        found = FrameProcessing(processing, each)(torch.from_numpy(features_TD)).numpy()
        expected = np.zeros((0, found.shape[1]), np.float32)
        if len(rows):
            expected = processing(lambda first, last: features_TD[first:last], total, rows)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-6)


def test_sliding_means_of_long_recordings_do_not_drift():
    """Ten minutes of features far from zero: sums are in float64, as numpy's are."""
    rng = np.random.default_rng(0)
    features_TD = (rng.normal(size=(60000, 2)) + 80).astype(np.float32)
    expected = sliding_cmvn_of_arrays(features_TD, 300, norm_vars=True)
    found = sliding_cmvn(torch.from_numpy(features_TD), 300, norm_vars=True).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    "vad", [EnergyVad(), EnergyVad(5.5, 0.5, 0.12, 2), EnergyVad(12.0, 0.0, 0.6, 2), EnergyVad(40.0), EnergyVad(-9, 0)]
)
def test_decisions_are_those_of_the_energy_vad(vad):
    """Of energies with ties at the threshold, where float32 decides, and of all and none."""
    energy_T = np.random.default_rng(1).choice([3.0, 9.0, 12.0, 12.000001, 15.5], size=501).astype(np.float32)
    for total in (1, 2, 5, 501):
        some_T = energy_T[:total]
        np.testing.assert_array_equal(voiced(vad, torch.from_numpy(some_T)).numpy(), vad.voiced(some_T))


@pytest.mark.parametrize("count", [1, 2, 3, 10])
@pytest.mark.parametrize("total", [1, 7, 39, 40, 41, 48, 1003])
def test_crops_are_those_of_the_extraction(count, total):
    """Of recordings that are repeated, of one crop's length, and longer; what comes out tells which frames went in."""
    x_TD = np.arange(2.0 * total).reshape(total, 2)

    class Reader:
        num_frames = frames_per_s = None

        def whole(self, _):
            return x_TD

    class Given(torch.nn.Module):
        def embed(self, x_BTF):
            return x_BTF.flatten(1)

    ((_, expected),) = crop_embeddings(Given(), Reader(), ["utt"], torch.device("cpu"), count, 40)
    found = crops_of(torch.from_numpy(x_TD), count, 40)
    np.testing.assert_array_equal(found.flatten(1).numpy(), expected)
