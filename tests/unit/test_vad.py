"""`sv.features.vad`: Kaldi's decisions, its rule frame by frame, and where WebRTC's decisions land."""

import numpy as np
import pytest
from kaldi_files import FEATURES, WAVS, read_text_ark

from sv.data.audio import read_audio
from sv.errors import DataError
from sv.features.front_ends import read_feature_config
from sv.features.kaldi import KaldiFeatures
from sv.features.vad import EnergyVad, WebRtcVad, read_vad_config

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("features", ["mfcc30_16k", "mfcc23_8k"])
def test_energy_decisions_equal_kaldis(features, tmp_path):
    """On our own MFCC of the reference recordings, with the reference's vad.conf: every frame."""
    (tmp_path / "energy.conf").write_text((FEATURES / "vad.conf").read_text())
    vad = read_vad_config(tmp_path / "energy.conf")
    front_end = KaldiFeatures(read_feature_config(FEATURES / f"{features}.conf"))
    reference = read_text_ark(f"vad_{features}")
    assert any(0 < decisions_T.mean() < 1 for decisions_T in reference.values())
    for key, decisions_T in reference.items():
        wave_N, _ = read_audio(str(WAVS / f"{key}.wav"))
        log_energy_T = front_end.compute(torch.from_numpy(wave_N))[:, 0].numpy()
        np.testing.assert_array_equal(vad.voiced(log_energy_T), decisions_T.astype(bool))


def kaldi_vad(log_energy_T, threshold, mean_scale, proportion, context):
    """ComputeVadEnergy of voice-activity-detection.cc, line by line, in its float32."""
    float32 = np.float32
    energy_threshold = float32(threshold)
    if mean_scale != 0:
        total = float32(np.sum(log_energy_T, dtype=np.float64))
        energy_threshold = energy_threshold + float32(mean_scale) * total / float32(len(log_energy_T))
    voiced = []
    for t in range(len(log_energy_T)):
        num_count = den_count = 0
        for t2 in range(t - context, t + context + 1):
            if 0 <= t2 < len(log_energy_T):
                den_count += 1
                num_count += log_energy_T[t2] > energy_threshold
        voiced.append(float32(num_count) >= float32(den_count) * float32(proportion))
    return voiced


@pytest.mark.parametrize("context", [0, 1, 2, 5])
@pytest.mark.parametrize("proportion", [0.12, 0.5, 0.6, 0.7, 0.9])
def test_energy_rule_frame_by_frame(context, proportion):
    """Against Kaldi's two loops on random energies, where counts meet the proportion exactly (3 of 5 at 0.6), too."""
    rng = np.random.default_rng(context)
    for num_frames in (1, 2, 7, 60):
        log_energy_T = rng.normal(10, 4, num_frames).astype(np.float32)
        vad = EnergyVad(5.5, 0.5, proportion, context)
        expected = kaldi_vad(log_energy_T, 5.5, 0.5, proportion, context)
        assert vad.voiced(log_energy_T).tolist() == expected


def test_energy_threshold_may_be_absolute():
    """Without a share of the mean, one loud frame more does not move the others."""
    vad = EnergyVad(vad_energy_threshold=5.0, vad_energy_mean_scale=0.0)
    assert vad.voiced(np.array([4.9, 5.1, 100.0])).tolist() == [False, True, True]


def tone_and_noise(rate, blocks, block_ms, seed=0):
    """Blocks of a voice-like tone (150 Hz and its harmonics) or of nothing: float32 (N,)."""
    t = np.arange(rate * block_ms // 1000 * len(blocks)) / rate
    tone = sum(np.sin(2 * np.pi * 150 * k * t) / k for k in range(1, 20)) * 6000
    gate = np.repeat(blocks, rate * block_ms // 1000)
    return (tone * gate + np.random.default_rng(seed).normal(0, 1, len(t))).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("block_ms", [10, 20, 30])
def test_webrtc_frames_take_the_block_at_their_centre(rate, block_ms):
    """Against the detector called here, block after block, and its decision looked up for every frame's centre."""
    import webrtcvad

    wave_N = tone_and_noise(rate, [0] * 20 + [1] * 20 + [0] * 30 + [1] * 10, block_ms)
    block = rate * block_ms // 1000
    detector = webrtcvad.Vad(2)
    blocks = wave_N.astype("<i2").reshape(-1, block)
    decisions = [detector.is_speech(part.tobytes(), rate) for part in blocks]
    assert 0 < sum(decisions) < len(decisions)
    centre_T = np.arange(rate // 200, len(wave_N), rate // 100)
    expected = [decisions[centre // block] for centre in centre_T]
    voiced_T = WebRtcVad(mode=2, block_ms=block_ms).voiced(np.trunc(wave_N), rate, centre_T)
    assert voiced_T.tolist() == expected


def test_webrtc_hears_the_tone_and_not_the_silence():
    """2 s of each: most of one is voiced, little of the other (the detector holds on for a while)."""
    wave_N = tone_and_noise(16000, [0] * 200 + [1] * 200, 10)
    voiced_T = WebRtcVad(mode=3).voiced(wave_N, 16000, 80 + 160 * np.arange(400))
    assert voiced_T[:200].mean() < 0.1
    assert voiced_T[210:].mean() > 0.8


def test_webrtc_frames_past_the_last_block_take_its_decision():
    wave_N = tone_and_noise(16000, [1] * 50, 10)[: 49 * 160 + 90]
    voiced_T = WebRtcVad(mode=0).voiced(wave_N, 16000, 80 + 160 * np.arange(50))
    assert voiced_T[49] == voiced_T[48]


def test_webrtc_recordings_do_not_influence_each_other():
    """The detector adapts to what it hears: after a loud recording, a second one is judged as if it were the first."""
    vad, centre_T = WebRtcVad(), 80 + 160 * np.arange(100)
    quiet_N, loud_N = tone_and_noise(16000, [0, 1] * 50, 10) / 50, tone_and_noise(16000, [1] * 100, 10)
    alone_T = vad.voiced(quiet_N, 16000, centre_T)
    vad.voiced(loud_N, 16000, centre_T)
    np.testing.assert_array_equal(vad.voiced(quiet_N, 16000, centre_T), alone_T)


def test_webrtc_takes_samples_out_of_range():
    """Resampling can pass the int16 range: clipped, not wrapped round."""
    wave_N = tone_and_noise(16000, [1] * 50, 10)
    centre_T = 80 + 160 * np.arange(50)
    clipped_T = WebRtcVad().voiced(np.clip(wave_N * 10, -32768, 32767), 16000, centre_T)
    np.testing.assert_array_equal(WebRtcVad().voiced(wave_N * 10, 16000, centre_T), clipped_T)


def test_webrtc_refuses_other_rates():
    with pytest.raises(DataError, match="takes 8000, 16000, 32000, 48000 Hz, not 11025"):
        WebRtcVad().voiced(np.zeros(11025), 11025, np.arange(3))


def test_webrtc_judges_less_than_a_block_unvoiced():
    """It cannot hear so little; one such recording is no reason to stop a corpus."""
    assert WebRtcVad(block_ms=30).voiced(np.ones(300), 16000, np.array([80, 240])).tolist() == [False, False]
