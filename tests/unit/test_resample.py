"""`sv.data.resample`: its filter measured with sines, and what it keeps."""

import numpy as np
import pytest

from sv.data.resample import resample

torch = pytest.importorskip("torch")


def gain_db(rate_in, rate_out, frequency):
    """Power of what becomes of a sine, over the sine's, away from the edges."""
    t = np.arange(2 * rate_in) / rate_in
    out = resample(np.sin(2 * np.pi * frequency * t).astype(np.float32), rate_in, rate_out)
    middle = out[rate_out // 4 : -rate_out // 4].astype(np.float64)
    return 10 * np.log10(np.mean(middle**2) / 0.5 + 1e-30)


RATES = [(16000, 8000), (8000, 16000), (44100, 16000), (48000, 16000)]


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_passband_is_flat(rate_in, rate_out):
    """Within 0.01 dB up to 0.875 of the lower Nyquist frequency (3.5 kHz of 8 kHz speech)."""
    nyquist = min(rate_in, rate_out) / 2
    for part in (0.01, 0.1, 0.3, 0.5, 0.7, 0.8, 0.875):
        assert abs(gain_db(rate_in, rate_out, part * nyquist)) < 0.01


@pytest.mark.parametrize(("part", "down"), [(0.938, 3), (0.975, 24)])
def test_transition(part, down):
    """Where the docstring says that the filter is 3 and 24 dB down."""
    assert abs(gain_db(16000, 8000, part * 4000) + down) < 0.5


@pytest.mark.parametrize(("rate_in", "rate_out"), [r for r in RATES if r[0] > r[1]])
def test_aliases_are_below_100_db(rate_in, rate_out):
    """From 1.02 of the new Nyquist frequency up to the old one."""
    new, old = rate_out / 2, rate_in / 2
    for frequency in (1.02 * new, 1.1 * new, (new + old) / 2, 0.99 * old):
        assert gain_db(rate_in, rate_out, frequency) < -100


def test_images_are_below_100_db():
    """8 to 16 kHz makes nothing above 4 kHz: the spectrum of a 3 kHz sine without its image at 5 kHz."""
    t = np.arange(16000) / 8000
    out = resample(np.sin(2 * np.pi * 3000 * t).astype(np.float32), 8000, 16000)[4000:-4000].astype(np.float64)
    power = np.abs(np.fft.rfft(out * np.kaiser(len(out), 20))) ** 2
    frequency = np.fft.rfftfreq(len(out), 1 / 16000)
    assert 10 * np.log10(power[frequency > 4100].max() / power.max()) < -100


def test_no_delay():
    """A 440 Hz sine at 16 kHz becomes the same sine sampled at 8 kHz."""
    wave = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
    expected = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    np.testing.assert_allclose(resample(wave, 16000, 8000)[200:-200], expected[200:-200], atol=1e-4)


def test_lengths():
    """ceil(N * out / in), for one sample too."""
    for n, rates, m in [(16000, (16000, 8000), 8000), (16001, (16000, 8000), 8001), (1, (8000, 16000), 2)]:
        assert len(resample(np.ones(n, np.float32), *rates)) == m


def test_array_and_tensor_agree():
    """The same numbers, each in its own kind, for a batch too; a float64 array becomes float32."""
    wave = np.random.default_rng(0).normal(size=(3, 4000)).astype(np.float32)
    array, tensor = resample(wave, 16000, 8000), resample(torch.from_numpy(wave), 16000, 8000)
    assert isinstance(array, np.ndarray)
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(array, tensor.numpy())
    np.testing.assert_allclose(array[1], resample(wave[1].astype(np.float64), 16000, 8000), atol=1e-6)
    assert array.dtype == np.float32


def test_equal_rates_change_nothing():
    wave = np.ones(5, np.float32)
    assert resample(wave, 8000, 8000) is wave


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
@pytest.mark.parametrize("num_samples", [1, 100, 12345, 300_000])
def test_result_is_torchaudios(rate_in, rate_out, num_samples):
    """The same filter by torchaudio's own convolution: float32 rounding apart, for any length, ends included."""
    from torchaudio.transforms import Resample

    wave = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (2, num_samples)).astype(np.float32))
    theirs = Resample(
        rate_in,
        rate_out,
        resampling_method="sinc_interp_kaiser",
        lowpass_filter_width=64,
        rolloff=0.9475937167399596,
        beta=14.769656459379492,
    )
    torch.testing.assert_close(resample(wave, rate_in, rate_out), theirs(wave), atol=1e-5, rtol=0)


def test_gradients_pass():
    """From the result back to every sample, where the filter was first used without gradients."""
    with torch.inference_mode():
        resample(torch.ones(500), 22050, 8000)
    wave = torch.ones(500, requires_grad=True)
    resample(wave, 22050, 8000).sum().backward()
    assert wave.grad.abs().min() > 0
