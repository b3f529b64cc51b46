"""The front end melspec against torchaudio's, a plain twin, and itself on crops."""

import numpy as np
import pytest
import scipy.fft
import torch
import torchaudio

from sv.errors import ConfigError, DataError
from sv.features.melspec import FULL_SCALE, MelSpec, mel_bank
from sv.features.melspec_config import MelSpecConfig


def wave(num_samples=32240, batch=2, seed=0):
    samples_BN = np.random.default_rng(seed).normal(scale=2000, size=(batch, num_samples))
    return torch.from_numpy(samples_BN.astype(np.float32))


@pytest.mark.parametrize(("mels", "low", "high"), [(64, 0, 8000), (80, 20, 7600), (40, 0, 8000)])
def test_log_mel_is_torchaudios(mels, low, high):
    config = MelSpecConfig(num_mel_bins=mels, low_freq=low, high_freq=high, preemphasis_coefficient=0.0)
    theirs = torchaudio.transforms.MelSpectrogram(
        16000, 512, 400, 160, f_min=low, f_max=high, n_mels=mels, window_fn=torch.hamming_window
    )
    wave_BN = wave()
    wanted_BTF = (theirs(wave_BN / FULL_SCALE) + 1e-6).log().transpose(1, 2)
    torch.testing.assert_close(MelSpec(config)(wave_BN), wanted_BTF, atol=2e-4, rtol=0)
    bank = torchaudio.functional.melscale_fbanks(257, low, high, mels, 16000)
    torch.testing.assert_close(mel_bank(config).float(), bank, atol=1e-4, rtol=0)


def test_pre_emphasis_is_of_the_wave_with_its_start_mirrored():
    x_N = wave(4000, 1)[0].double().numpy()
    emphasised_N = x_N - 0.97 * np.concatenate([x_N[1:2], x_N[:-1]])
    plain = MelSpec(MelSpecConfig(preemphasis_coefficient=0.0))
    torch.testing.assert_close(
        MelSpec(MelSpecConfig())(torch.from_numpy(x_N)[None]),
        plain(torch.from_numpy(emphasised_N)[None]),
        atol=1e-3,
        rtol=0,
    )


def test_cepstra_are_the_orthonormal_cosine_transform_of_log_mel():
    wave_BN = wave()
    mel_BTF = MelSpec(MelSpecConfig(num_mel_bins=80))(wave_BN).double().numpy()
    found = MelSpec(MelSpecConfig(num_mel_bins=80, num_ceps=80))(wave_BN).numpy()
    np.testing.assert_allclose(found, scipy.fft.dct(mel_BTF, type=2, norm="ortho", axis=2), atol=1e-3)


def test_a_recording_in_blocks_is_the_recording_at_once():
    front_end = MelSpec(MelSpecConfig())
    wave_BN = wave(160 * 700 + 37, 1)
    assert torch.equal(front_end.compute(wave_BN[0]), front_end(wave_BN)[0])


def test_a_crops_features_are_the_recordings_but_for_three_frames_at_its_edges():
    front_end = MelSpec(MelSpecConfig())
    wave_BN = wave(48000, 1)
    whole_TF = front_end(wave_BN)[0]
    crop_TF = front_end(wave_BN[:, 160 * 50 : 160 * 250])[0]
    torch.testing.assert_close(crop_TF[3:-3], whole_TF[53 : 50 + len(crop_TF) - 3], atol=1e-4, rtol=0)


@pytest.mark.parametrize("num_samples", [257, 400, 16000, 16159, 16160])
def test_number_of_frames_is_the_configurations(num_samples):
    config = MelSpecConfig()
    assert MelSpec(config)(wave(num_samples)).shape == (2, config.num_frames(num_samples), 64)
    assert config.num_frames(config.num_samples(201)) == 201


def test_too_short_a_recording_is_refused():
    with pytest.raises(DataError, match="256 samples are too few for a frame; more than 256 are needed"):
        MelSpec(MelSpecConfig())(wave(256))
    assert MelSpecConfig().num_frames(256) == 0


def test_silence_is_the_floor():
    assert MelSpec(MelSpecConfig())(torch.zeros(1, 8000)).eq(np.log(np.float32(1e-6))).all()


def test_no_gradient_and_float32_within_autocast():
    wave_BN = wave().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        x_BTF = MelSpec(MelSpecConfig())(wave_BN)
    assert x_BTF.dtype == torch.float32
    assert not x_BTF.requires_grad


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frame_length": 40.0}, "--frame-length=40"),
        ({"frame_shift": 0.0}, "--frame-shift=0"),
        ({"preemphasis_coefficient": 1.5}, "0..1"),
        ({"num_ceps": 65}, "0..--num-mel-bins=64"),
        ({"high_freq": 9000.0}, "0..8000 Hz"),
    ],
)
def test_options_out_of_range_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        MelSpecConfig(**options)


def test_too_many_bands_are_refused():
    with pytest.raises(ConfigError, match="catches no FFT bin"):
        MelSpec(MelSpecConfig(num_mel_bins=200))
