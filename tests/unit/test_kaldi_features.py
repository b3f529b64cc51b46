"""`sv.features.kaldi`: Kaldi's numbers, and what does not change them (batches, blocks, order)."""

import dataclasses
import doctest
import math

import numpy as np
import pytest
import torch
from kaldi_files import FEATURES, WAVS, read_text_ark

import sv.features.kaldi
from sv.data.audio import read_audio
from sv.errors import DataError
from sv.features.front_ends import read_feature_config
from sv.features.kaldi import BLOCK_FRAMES, FLT_EPSILON, KaldiFeatures
from sv.features.kaldi_config import KaldiFeatureConfig

REFERENCES = sorted(path.stem for path in FEATURES.glob("*.conf") if path.stem.startswith(("fbank", "mfcc")))
TOLERANCE = 1e-3


def wave(key):
    return torch.from_numpy(read_audio(str(WAVS / f"{key}.wav"))[0])


def noise(num_samples, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1000, num_samples).astype(np.float32))


def log_mel_of(config):
    """The same mel bank's logarithms alone."""
    unused = {"num_ceps": 1, "use_energy": False, "kind": "fbank"}
    return KaldiFeatures(dataclasses.replace(config, **unused))


def rounding(config, key):
    """What float32 alone may change in each value (T, D), whoever computes it: the log floor as numbers.

    A float32 FFT leaves in every bin an error of about FLT_EPSILON times the largest amplitude. On a mel bin whose
    power lies d nats below the frame's strongest that is FLT_EPSILON exp(d / 2) of its amplitude, and twice as much in
    its logarithm. A cepstrum sums these through the DCT and the lifter, at worst with one sign; the energy has none.
    """
    log_mel_TM = log_mel_of(config).compute(wave(key)).numpy()
    depth_TM = log_mel_TM.max(1, keepdims=True) - log_mel_TM
    error_TM = 2 * FLT_EPSILON * np.exp(depth_TM / 2)
    if config.kind == "fbank":
        return np.pad(error_TM, ((0, 0), (int(config.use_energy), 0)))
    error_TD = error_TM @ np.abs(dct(config))
    error_TD[:, : int(config.use_energy)] = 0
    return error_TD


def dct(config):
    """The liftered DCT (M, D), as numbers."""
    return sv.features.kaldi._dct_and_lifter(config).numpy()


@pytest.mark.parametrize("name", REFERENCES)
def test_features_equal_kaldi(name):
    """Against the archive that Kaldi wrote for the same wav and flags.

    1e-3 away from the log floor, that is where float32 rounding stays below it (of fbank: mel bins less than 16.7
    nats, 72 dB, under the frame's strongest), and 1e-2 everywhere. Prints the largest differences.
    """
    config = read_feature_config(FEATURES / f"{name}.conf")
    front_end = KaldiFeatures(config)
    reference = read_text_ark(name)
    assert len(reference) >= 2
    for key, expected_TD in reference.items():
        features_TD = front_end.compute(wave(key)).numpy()
        assert features_TD.shape == expected_TD.shape
        difference_TD = np.abs(features_TD - expected_TD)
        inside_TD = rounding(config, key) < TOLERANCE
        outside = difference_TD[~inside_TD].max(initial=0)
        print(
            f"{name:<18} {key} {inside_TD.mean():6.1%} away from the floor: {difference_TD[inside_TD].max():.5f}, ",
            end="",
        )
        print(f"the rest: {outside:.5f}")
        assert inside_TD.mean() > 1 / 3
        assert difference_TD[inside_TD].max() < TOLERANCE
        assert difference_TD.max() < 10 * TOLERANCE


@pytest.mark.parametrize("name", REFERENCES)
def test_what_differs_near_the_floor_is_float32_rounding(name):
    """There Kaldi's numbers lie as far from our formula in float64 as from ours in float32, within a factor of 3."""
    config = read_feature_config(FEATURES / f"{name}.conf")
    front_end, exact = KaldiFeatures(config), in_float64(config)
    for key, expected_TD in read_text_ark(name).items():
        float32_TD, float64_TD = front_end.compute(wave(key)).numpy(), exact.compute(wave(key).double()).numpy()
        ours, kaldis = np.abs(float32_TD - float64_TD).max(), np.abs(expected_TD - float64_TD).max()
        assert ours < 3 * kaldis


def in_float64(config):
    """The front end with window, mel bank and DCT never rounded to float32."""
    front_end = KaldiFeatures(config).double()
    front_end.window_W = sv.features.kaldi._WINDOWS[config.window_type](config.window, config.blackman_coeff)
    front_end.mel_KM = sv.features.kaldi.mel_bank(config)
    front_end.dct_MD = sv.features.kaldi._dct_and_lifter(config)
    return front_end


def test_full_size_mfcc_hold_kaldis_log_mel():
    """Kaldi's 80 cepstra of 80 bins, taken back to log-mel by the inverse DCT, bin by bin as for fbank."""
    config = read_feature_config(FEATURES / "mfcc80_16k.conf")
    back_DM = np.linalg.inv(dct(config))
    for key, cepstra_TD in read_text_ark("mfcc80_16k").items():
        log_mel_TM = log_mel_of(config).compute(wave(key)).numpy()
        inside_TM = rounding(log_mel_of(config).config, key) < TOLERANCE
        assert inside_TM.mean() > 0.9
        assert np.abs(cepstra_TD @ back_DM - log_mel_TM)[inside_TM].max() < TOLERANCE


def test_silence_is_the_floor():
    """Digital zeros: every mel bin and the energy are log(FLT_EPSILON), as in Kaldi."""
    front_end = KaldiFeatures(KaldiFeatureConfig("fbank", use_energy=True))
    features_TD = front_end.compute(torch.zeros(1600))
    assert torch.allclose(features_TD, torch.full_like(features_TD, math.log(FLT_EPSILON)))


@pytest.mark.parametrize("snip_edges", [True, False])
@pytest.mark.parametrize("window_type", ["povey", "hamming", "hanning", "rectangular", "sine", "blackman"])
def test_one_frame_by_the_definition(window_type, snip_edges):
    """Frame 3 of noise, sample by sample: DC, pre-emphasis, window, DFT as a sum, triangles, logarithm."""
    config = KaldiFeatureConfig("fbank", window_type=window_type, snip_edges=snip_edges, num_mel_bins=20)
    samples = noise(3000).double().numpy()
    start = 3 * 160 if snip_edges else 3 * 160 + 80 - 200
    x = samples[start : start + 400] - samples[start : start + 400].mean()
    x = np.array([x[n] - 0.97 * x[max(n - 1, 0)] for n in range(400)])
    turn = 2 * np.pi * np.arange(400) / 399
    hann = 0.5 - 0.5 * np.cos(turn)
    x *= {
        "povey": hann**0.85,
        "hanning": hann,
        "hamming": 0.54 - 0.46 * np.cos(turn),
        "rectangular": np.ones(400),
        "sine": np.sin(turn / 2),
        "blackman": 0.42 - 0.5 * np.cos(turn) + 0.08 * np.cos(2 * turn),
    }[window_type]
    power = [abs(np.sum(x * np.exp(-2j * np.pi * k * np.arange(400) / 512))) ** 2 for k in range(256)]

    def mel(hertz):
        return 1127 * math.log(1 + hertz / 700)

    step = (mel(8000) - mel(20)) / 21
    expected = []
    for m in range(20):
        left, centre, right = (mel(20) + (m + i) * step for i in range(3))
        weights = [min((mel(k * 31.25) - left) / step, (right - mel(k * 31.25)) / step) for k in range(256)]
        assert abs(centre - left - step) < 1e-9
        expected.append(math.log(sum(max(w, 0) * p for w, p in zip(weights, power, strict=True))))
    np.testing.assert_allclose(KaldiFeatures(config).compute(noise(3000))[3], expected, atol=1e-3)


@pytest.mark.parametrize("options", [{}, {"snip_edges": False}, {"kind": "mfcc", "use_energy": True}])
def test_a_batch_equals_one_by_one(options):
    """(B, N) through forward against compute of each."""
    front_end = KaldiFeatures(KaldiFeatureConfig(**{"kind": "fbank", "num_mel_bins": 40, **options}))
    wave_BN = torch.stack([noise(8000, seed) for seed in range(3)])
    features_BTD = front_end(wave_BN)
    for wave_N, features_TD in zip(wave_BN, features_BTD, strict=True):
        torch.testing.assert_close(front_end.compute(wave_N), features_TD, atol=1e-4, rtol=0)


def test_blocks_leave_no_seam():
    """A recording of three blocks and a half against all its frames at once."""
    front_end = KaldiFeatures(KaldiFeatureConfig("fbank", snip_edges=False))
    wave_N = noise(160 * (3 * BLOCK_FRAMES + BLOCK_FRAMES // 2))
    whole_TD = front_end.features_of_frames(front_end.frame(wave_N[None])[0])
    torch.testing.assert_close(front_end.compute(wave_N), whole_TD, atol=1e-4, rtol=0)


def test_the_wave_is_not_changed():
    """With no step that copies in front: no DC removal, no pre-emphasis."""
    wave_N = noise(4000)
    kept_N = wave_N.clone()
    KaldiFeatures(KaldiFeatureConfig("fbank", remove_dc_offset=False, preemphasis_coefficient=0.0)).compute(wave_N)
    assert torch.equal(wave_N, kept_N)


def kaldi_frame(samples, t, window, shift):
    """feature-window.cc, ExtractWindow without snip-edges: reflect until the index is inside."""
    start = shift * t + shift // 2 - window // 2
    frame = []
    for index in range(start, start + window):
        while not 0 <= index < len(samples):
            index = -index - 1 if index < 0 else 2 * len(samples) - 1 - index
        frame.append(samples[index])
    return frame


@pytest.mark.parametrize("num_samples", [80, 81, 159, 161, 240, 399, 400, 1000])
@pytest.mark.parametrize("shift_ms", [10.0, 30.0])
def test_edges_are_mirrored_as_in_kaldi(num_samples, shift_ms):
    """Index by index against Kaldi's loop, down to recordings shorter than the mirror, and with gaps between frames."""
    config = KaldiFeatureConfig("fbank", snip_edges=False, frame_shift=shift_ms)
    samples = torch.arange(num_samples, dtype=torch.float32)
    num_frames = config.num_frames(num_samples)
    if num_frames == 0:
        pytest.skip("no frame")
    frames_TW = KaldiFeatures(config).frame(samples[None])[0]
    expected_TW = [kaldi_frame(samples.tolist(), t, config.window, config.shift) for t in range(num_frames)]
    assert frames_TW.tolist() == expected_TW


@pytest.mark.parametrize(
    ("snip_edges", "num_samples", "num_frames"),
    [
        (True, 399, 0),
        (True, 400, 1),
        (True, 559, 1),
        (True, 560, 2),
        (False, 79, 0),
        (False, 80, 1),
        (False, 16000, 100),
    ],
)
def test_number_of_frames(snip_edges, num_samples, num_frames):
    """Kaldi's NumFrames, and as many rows come out; none is an error that says how many samples there were."""
    config = KaldiFeatureConfig("fbank", snip_edges=snip_edges)
    assert config.num_frames(num_samples) == num_frames
    if num_frames:
        assert KaldiFeatures(config).compute(noise(num_samples)).shape == (num_frames, 23)
    else:
        with pytest.raises(DataError, match=f"{num_samples} samples are too few"):
            KaldiFeatures(config).compute(noise(num_samples))


@pytest.mark.parametrize("snip_edges", [True, False])
def test_frame_centres(snip_edges):
    """A wave of its own indices: the middle two samples of each frame stand about the centre."""
    config = KaldiFeatureConfig("fbank", snip_edges=snip_edges)
    frames_TW = KaldiFeatures(config).frame(torch.arange(4000.0)[None])[0]
    inner = slice(2, -2)  # the frames without mirrored samples
    middle = frames_TW[inner, config.window // 2].numpy()
    np.testing.assert_array_equal(middle, config.frame_centres(len(frames_TW))[inner])


def test_dither_is_off_unless_asked():
    """Other than in Kaldi, so that features are reproducible: two keys, the same numbers."""
    front_end = KaldiFeatures(KaldiFeatureConfig("mfcc"))
    wave_N = noise(4000)
    assert torch.equal(front_end.compute(wave_N, "a", seed=1), front_end.compute(wave_N, "b", seed=2))


def test_dither_is_a_function_of_seed_and_key():
    """The same for one seed and key whatever came before; another for another seed or key."""
    front_end = KaldiFeatures(KaldiFeatureConfig("fbank", dither=1.0))
    wave_N = noise(160 * 2 * BLOCK_FRAMES)
    first = {key: front_end.compute(wave_N, key, seed=1) for key in ("a", "b")}
    torch.rand(7)
    again = {key: front_end.compute(wave_N, key, seed=1) for key in ("b", "a")}
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["a"], first["b"])
    assert not torch.equal(first["a"], front_end.compute(wave_N, "a", seed=2))


def test_dither_has_the_strength_asked_for():
    """On silence the energy of a frame is that of W samples of noise with this deviation, within 5 %."""
    config = KaldiFeatureConfig("fbank", dither=3.0, use_energy=True, remove_dc_offset=False)
    energy_T = KaldiFeatures(config).compute(torch.zeros(160 * 1000))[:, 0]
    assert abs(float(energy_T.exp().mean()) / (400 * 9) - 1) < 0.05


def test_energy_floor_lifts_only_what_is_below():
    """Half silence, half noise: log of the floor in one, untouched in the other."""
    wave_N = torch.cat([torch.zeros(3200), noise(3200)])
    energies = {}
    for floor in (0.0, 100.0):
        config = KaldiFeatureConfig("mfcc", energy_floor=floor)
        energies[floor] = KaldiFeatures(config).compute(wave_N)[:, 0]
    np.testing.assert_allclose(energies[100.0][:15], math.log(100))
    assert torch.equal(energies[0.0][-15:], energies[100.0][-15:])


def test_energy_of_the_windowed_frame():
    """--raw-energy=false: the sum of squares after pre-emphasis and window, by the definition."""
    frame_W = noise(400)
    config = KaldiFeatureConfig("mfcc", raw_energy=False)
    x = frame_W.double().numpy() - frame_W.double().mean().item()
    x = np.concatenate([x[:1] * 0.03, x[1:] - 0.97 * x[:-1]])
    x *= (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    assert abs(KaldiFeatures(config).compute(frame_W)[0, 0].item() - math.log(np.sum(x**2))) < 1e-4


def test_magnitude_and_linear_fbank():
    """--use-power=false sums amplitudes; --use-log-fbank=false leaves the logarithm out."""
    config = KaldiFeatureConfig("fbank", num_mel_bins=3, use_log_fbank=False, use_power=False)
    front_end = KaldiFeatures(config)
    frame_W = front_end.window_W * 0 + noise(400)
    x = frame_W - frame_W.mean()
    x = torch.cat([x[:1] * 0.03, x[1:] - 0.97 * x[:-1]]) * front_end.window_W
    expected = torch.fft.rfft(x, 512).abs()[:256] @ front_end.mel_KM
    torch.testing.assert_close(front_end.compute(frame_W)[0], expected, rtol=1e-4, atol=0)


def test_gradients_pass():
    """From the features back to the wave, for those who train through the front end."""
    wave_BN = noise(2000)[None].requires_grad_()
    KaldiFeatures(KaldiFeatureConfig("mfcc", snip_edges=False))(wave_BN).sum().backward()
    assert wave_BN.grad.abs().min() > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_computes_the_same():
    """A batch on either device, 1e-3 as against Kaldi."""
    front_end = KaldiFeatures(KaldiFeatureConfig("mfcc", snip_edges=False))
    wave_BN = torch.stack([noise(16000, seed) for seed in range(3)])
    on_gpu_BTD = front_end.cuda()(wave_BN.cuda()).cpu()
    torch.testing.assert_close(on_gpu_BTD, front_end.cpu()(wave_BN), atol=TOLERANCE, rtol=0)


def test_examples_run():
    """The docstrings' examples."""
    result = doctest.testmod(sv.features.kaldi)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("kind", ["fbank", "mfcc"])
def test_float32_within_autocast(kind):
    """As a training on a GPU calls it; products in halves would be off by hundredths."""
    front_end = KaldiFeatures(KaldiFeatureConfig(kind))
    wave_BN = noise(2 * 4000).view(2, 4000)
    with torch.autocast("cpu", torch.bfloat16):
        within_BTD = front_end(wave_BN)
    assert torch.equal(within_BTD, front_end(wave_BN))
