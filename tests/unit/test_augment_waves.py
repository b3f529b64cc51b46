"""Reverberation and noises on waveforms, against brute force and against what was asked for."""

import numpy as np
import pytest
import scipy.signal

from sv.augment.waves import (
    Noise,
    add_noises,
    looped,
    power,
    reverberate,
    reverberate_unit_energy,
    sum_of_equals,
)


def wave(n, seed=0, scale=1000):
    return (np.random.default_rng(seed).normal(size=n) * scale).astype(np.float32)


def response(n=400, peak=37, seed=1):
    """A synthetic impulse response: noise that decays behind a peak, with something before it."""
    tail = np.random.default_rng(seed).normal(size=n) * np.exp(-np.arange(n) / 80) * 0.1
    tail[peak] = 1.0
    return tail.astype(np.float32)


def test_reverberation_equals_the_sum_of_its_definition():
    """Against delayed copies of the speech added up one by one, scaled over all of them, cut from the peak on."""
    dry_N, response_M = wave(3000), response()
    wet_L = np.zeros(3000 + 400 - 1)
    for delay, gain in enumerate(response_M):
        wet_L[delay : delay + 3000] += float(gain) * dry_N
    wet_L *= np.sqrt(np.mean(dry_N.astype(float) ** 2) / np.mean(wet_L**2))
    got_N = reverberate(dry_N, response_M)
    assert got_N.dtype == np.float32
    np.testing.assert_allclose(got_N, wet_L[37 : 37 + 3000], atol=0.01)  # float32 FFTs of samples around 1,000


@pytest.mark.parametrize(
    ("num_samples", "length"), [(200_000, 16_000), (70_000, 90_000), (5, 3), (32_000, 12_000), (32_000, 1)]
)
def test_long_recordings_are_convolved_block_by_block(num_samples, length):
    """Against one product of spectra of all of it, in float64."""
    dry_N, response_M = wave(num_samples), response(length, peak=min(2, length - 1))
    total = num_samples + length - 1
    spectrum = np.fft.rfft(dry_N.astype(float), total) * np.fft.rfft(response_M.astype(float), total)
    wet_L = np.fft.irfft(spectrum, total)
    wet_L *= np.sqrt(np.mean(dry_N.astype(float) ** 2) / np.mean(wet_L**2))
    np.testing.assert_allclose(reverberate(dry_N, response_M), wet_L[min(2, length - 1) :][:num_samples], atol=0.02)


def test_unit_energy_is_what_the_authors_compute():
    """Against scipy's direct convolution in float64: a response over its norm, the first N samples, no shift."""
    dry_N, response_M = wave(3000), response(n=900, peak=300)
    unit_M = response_M.astype(float) / np.sqrt(np.sum(response_M.astype(float) ** 2))
    want_N = scipy.signal.convolve(dry_N.astype(float), unit_M, mode="full", method="direct")[:3000]
    got_N = reverberate_unit_energy(dry_N, 7000 * response_M)
    assert got_N.dtype == np.float32
    np.testing.assert_allclose(got_N, want_N, atol=0.01)


@pytest.mark.parametrize("num_samples", [8192 * 5 - 399, 8192 * 5 - 398, 65536 - 399, 65536 - 398])
def test_sizes_of_ffts_leave_no_echo_of_the_end_at_the_beginning(num_samples):
    """Where the convolution just fits a size, and one sample on: against one product of spectra in float64."""
    dry_N, response_M = wave(num_samples), response(400, peak=0)
    total = num_samples + 399
    spectrum = np.fft.rfft(dry_N.astype(float), total) * np.fft.rfft(response_M.astype(float), total)
    want_N = np.fft.irfft(spectrum, total)[:num_samples] / np.sqrt(np.sum(response_M.astype(float) ** 2))
    np.testing.assert_allclose(reverberate_unit_energy(dry_N, response_M), want_N, atol=0.02)


def test_a_room_without_walls_changes_nothing():
    """The response is one peak, late and of any height: the same samples come out, in the same place."""
    response_M = np.zeros(800, np.float32)
    response_M[500] = 0.03
    # The tail behind the speech is silent and counts for the mean square, as in Kaldi: sqrt(3799 / 3000) louder.
    np.testing.assert_allclose(reverberate(wave(3000), response_M), wave(3000) * np.sqrt(3799 / 3000), atol=0.01)


def test_the_peak_is_the_largest_value_not_the_largest_magnitude():
    """As in Kaldi, which asks for the maximum."""
    response_M = np.zeros(10, np.float32)
    response_M[2], response_M[6] = -1.0, 0.5
    dry_N = np.zeros(20, np.float32)
    dry_N[5] = 100.0
    assert int(np.argmax(reverberate(dry_N, response_M))) == 5


def test_an_impulse_response_of_zeros_is_refused():
    """It would give silence, which nothing can bring to the speech's power."""
    for room in (reverberate, reverberate_unit_energy):
        with pytest.raises(ValueError, match="zeros"):
            room(wave(100), np.zeros(10, np.float32))


def test_silence_stays_silence():
    """No division by zero, in a room or under noise: the speech's power is zero, and so is what comes out."""
    silence_N = np.zeros(500, np.float32)
    assert not reverberate(silence_N, response()).any()
    assert not add_noises(silence_N, [Noise(wave(500), 10.0)]).any()


@pytest.mark.parametrize("snr_db", [0.0, 5.0, 15.0])
def test_the_ratio_is_the_one_asked_for(snr_db):
    """Speech power over noise power, the two told apart by least squares on the result; within 0.01 dB."""
    speech_N, noise_N = wave(200_000), wave(200_000, seed=5, scale=37)
    mixed_N = add_noises(speech_N, [Noise(noise_N, snr_db)])
    (a, b), *_ = np.linalg.lstsq(np.stack([speech_N, noise_N], 1), mixed_N, rcond=None)
    assert 10 * np.log10(a**2 * power(speech_N) / (b**2 * power(noise_N))) == pytest.approx(snr_db, abs=0.01)


def test_every_noise_has_its_own_ratio_and_place():
    """Against a loop over samples: three noises, one from the middle on, one over the end, one behind it."""
    speech_N = wave(1000)
    speech_power = np.mean(speech_N.astype(float) ** 2)
    noises = [Noise(wave(300, 2, 50), 3.0, 400), Noise(wave(500, 3, 700), 12.0, 800), Noise(wave(9, 4), 0.0, 1000)]
    want_N = speech_N.astype(float)
    for samples_M, snr_db, start in noises:
        gain = np.sqrt(
            10 ** (-snr_db / 10) * np.mean(speech_N.astype(float) ** 2) / np.mean(samples_M.astype(float) ** 2)
        )
        for m, sample in enumerate(samples_M):
            if start + m < 1000:
                want_N[start + m] += gain * sample
    want_N *= np.sqrt(speech_power / np.mean(want_N**2))
    np.testing.assert_allclose(add_noises(speech_N, noises), want_N, atol=0.01)


def test_the_result_is_as_loud_as_the_speech_which_stays_as_it_was():
    """Mean squares agree to float32; the argument is not written to."""
    speech_N = wave(5000)
    before_N = speech_N.copy()
    assert power(add_noises(speech_N, [Noise(wave(5000, 1), 0.0)])) == pytest.approx(power(speech_N), rel=1e-5)
    np.testing.assert_array_equal(speech_N, before_N)


def test_a_noise_of_zeros_adds_nothing():
    """Real music may begin with silence: no factor brings it to a ratio."""
    np.testing.assert_array_equal(add_noises(wave(100), [Noise(np.zeros(100, np.float32), 5.0)]), wave(100))


def test_a_sum_of_equals_has_the_same_power_of_each():
    """Told apart by least squares; one of zeros is not there."""
    loud_N, soft_N = wave(5000, 1, 3000), wave(5000, 2, 3)
    sum_N = sum_of_equals([loud_N, np.zeros(5000, np.float32), soft_N])
    (a, b), *_ = np.linalg.lstsq(np.stack([loud_N, soft_N], 1), sum_N, rcond=None)
    assert a**2 * power(loud_N) == pytest.approx(1, rel=1e-4)
    assert b**2 * power(soft_N) == pytest.approx(1, rel=1e-4)


def test_a_background_is_repeated_or_cut_from_its_beginning():
    """Both ways."""
    noise_M = np.arange(4.0)
    assert looped(noise_M, 10).tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert looped(noise_M, 3).tolist() == [0, 1, 2]
