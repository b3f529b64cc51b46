"""`local/generate_mini.py`: the folder it makes, and that what is in it is what it says."""

import csv
import itertools
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "local"))

import generate_mini  # noqa: E402
import mini_channel  # noqa: E402
import mini_speech  # noqa: E402
from mini_phones import ASPIRATION, CODE, SILENCE, TARGETS, VOICING  # noqa: E402
from mini_trials import Design  # noqa: E402

TINY = {
    "dev-speakers": 2,
    "test-speakers": 4,
    "sessions": 2,
    "utts-per-session": 2,
    "trials": 32,
    "seed": 3,
    "nj": 1,
}


def make(out, **options):
    """Run the program on the tiny corpus with some options changed; the exit code."""
    options = TINY | {name.replace("_", "-"): value for name, value in options.items()}
    return generate_mini.main([str(out), *(f"--{name}={value}" for name, value in options.items())])


def contents(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("mini") / "corpus"
    assert make(out) == 0
    return out


# ---- the folder


def test_layout_is_voxceleb1s(corpus):
    """Paths, metadata and trial list as corpus programs expect them, and nothing else beside or inside."""
    files = set(contents(corpus))
    recordings = {f for f in files if f.endswith(".wav")}
    assert files - recordings == {"SYNTHETIC.txt", "vox1_meta.csv", "veri_test2.txt"}
    assert os.listdir(corpus.parent) == ["corpus"]
    assert len(recordings) == 6 * 2 * 2
    speakers = {}
    for part, wav, speaker, session, name in (Path(f).parts for f in recordings):
        assert (part in ("dev", "test"), wav, len(speaker), speaker[:2], len(session)) == (True, "wav", 7, "id", 11)
        assert name in ("00001.wav", "00002.wav")
        speakers.setdefault(speaker, (part, set()))[1].add(session)
    assert all(len(sessions) == 2 for _, sessions in speakers.values())
    with open(corpus / "vox1_meta.csv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert list(rows[0]) == ["VoxCeleb1 ID", "VGGFace1 ID", "Gender", "Nationality", "Set"]
    assert {r["VoxCeleb1 ID"]: r["Set"] for r in rows} == {s: part for s, (part, _) in speakers.items()}
    assert Counter(r["Gender"] for r in rows) == {"m": 3, "f": 3}


def test_recordings_are_whole_16_khz_16_bit_mono(corpus):
    """3 to 6 s, neither silent nor clipped."""
    for path in corpus.rglob("*.wav"):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype, info.format) == (16000, 1, "PCM_16", "WAV")
        assert 2.9 < info.duration <= 6
        samples, _ = soundfile.read(path, dtype="int16")
        assert 200 < np.abs(samples.astype(int)).max() < 0.95 * 32768


def test_says_that_it_is_synthetic(corpus):
    """The label names the program, its version and every option that shapes the corpus; the metadata says it too."""
    label = (corpus / "SYNTHETIC.txt").read_text()
    assert "SYNTHETIC" in label
    assert "generate_mini.py" in label
    assert f'"version": {generate_mini.VERSION}' in label
    for option in ("seed", "dev_speakers", "test_speakers", "sessions", "utts_per_session", "trials"):
        assert f'"{option}": {TINY[option.replace("_", "-")]}' in label
    for line in (corpus / "vox1_meta.csv").read_text().splitlines()[1:]:
        assert line.count("Synthetic") == 2


def test_same_bytes_with_more_processes(corpus, tmp_path):
    assert make(tmp_path / "again", nj=3) == 0
    assert contents(tmp_path / "again") == contents(corpus)


def test_growing_leaves_recordings_as_they_were(corpus, tmp_path):
    """More of everything contains the smaller corpus, byte for byte; another seed has none of it."""
    assert make(tmp_path / "more", dev_speakers=3, test_speakers=5, sessions=3, utts_per_session=3) == 0
    assert make(tmp_path / "other", seed=4) == 0
    more, other = contents(tmp_path / "more"), contents(tmp_path / "other")
    small = {name: data for name, data in contents(corpus).items() if name.endswith(".wav")}
    assert len(set(small.values())) == len(small)
    assert {name: more[name] for name in small} == small
    assert not set(other.values()) & set(small.values())
    assert not set(other) & set(small)


def test_same_options_return_at_once(corpus, capsys):
    before = {p: p.stat().st_mtime_ns for p in corpus.rglob("*")}
    assert make(corpus, nj=2) == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert {p: p.stat().st_mtime_ns for p in corpus.rglob("*")} == before


# ---- mistakes


def refused(capsys, out, **options):
    """The one line on stderr of a run that must fail and leave everything as it was."""
    before = contents(out.parent)
    try:
        code = make(out, **options)
    except SystemExit as stop:
        code = stop.code
    assert code == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("generate_mini: ")
    assert output.err.count("\n") == 1
    assert contents(out.parent) == before
    return output.err


def test_other_options_are_refused(corpus, capsys):
    assert "other options" in refused(capsys, corpus, seed=9)


def test_foreign_folder_is_refused(tmp_path, capsys):
    """A folder with something in it, a file, a path through a file; and what lies where we would build."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    assert "not empty" in refused(capsys, tmp_path / "mine")
    assert "is a file" in refused(capsys, tmp_path / "mine" / "thesis.tex")
    assert "not a folder" in refused(capsys, tmp_path / "mine" / "thesis.tex" / "corpus")
    (tmp_path / "mine").rename(tmp_path / "corpus.partial")
    assert "in the way" in refused(capsys, tmp_path / "corpus")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("dev_speakers", 0),
        ("dev_speakers", 20000),
        ("test_speakers", 3),
        ("sessions", 1),
        ("utts_per_session", 0),
        ("trials", 33),
        ("trials", 0),
        ("seed", -1),
        ("nj", 0),
        ("sessions", "many"),
        ("session", 2),
    ],
)
def test_impossible_options_are_refused(tmp_path, capsys, option, value):
    assert "--" + option.replace("_", "-") in refused(capsys, tmp_path / "corpus", **{option: value})
    assert not os.listdir(tmp_path)


def test_empty_folder_is_filled(tmp_path):
    (tmp_path / "corpus").mkdir()
    assert make(tmp_path / "corpus") == 0
    assert os.listdir(tmp_path) == ["corpus"]


def test_failure_leaves_nothing(tmp_path, monkeypatch):
    """A full disk in the middle: no corpus, no half of one."""
    write = generate_mini._write_wav

    def full(path, samples):
        if "00002" in path.name:
            raise OSError(28, "No space left on device")
        write(path, samples)

    monkeypatch.setattr(generate_mini, "_write_wav", full)
    with pytest.raises(OSError, match="No space"):
        make(tmp_path / "corpus")
    assert not os.listdir(tmp_path)


def test_killed_run_is_begun_again(corpus, tmp_path):
    """Killed by force at work, nothing is under the final name, and the next run ends with the same bytes."""
    out = tmp_path / "corpus"
    command = [sys.executable, str(ROOT / "local" / "generate_mini.py"), str(out), "--nj=2", "--dev-speakers=5000"]
    run = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        deadline = time.monotonic() + 10
        while not list(tmp_path.glob("corpus.partial/dev/wav/*/*/*.wav")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert os.listdir(tmp_path) == ["corpus.partial"]
    assert make(out) == 0  # waits for the killed run's processes, which end with it
    assert contents(out) == contents(corpus)
    assert os.listdir(tmp_path) == ["corpus"]


# ---- trials


@pytest.mark.parametrize(
    ("design", "trials"),
    [(Design(50, 5, 2), 4000), (Design(7, 3, 2), 100), (Design(5, 2, 1), 10), (Design(4, 2, 2), 32)],
)
def test_trials_are_what_they_claim(design, trials):
    """Targets from two sessions, half of the non-targets of one gender, no pair twice, every recording exists,
    and every speaker in nearly equally many trials of each kind."""
    drawn = design.draw(trials, seed=1)
    assert len(drawn) == trials
    assert len({frozenset(pair) for _, *pair in drawn}) == trials
    kinds = {"target": [], "same": [], "cross": []}
    for is_target, one, two in drawn:
        assert is_target == (one[0] == two[0])
        assert not is_target or one[1] != two[1]
        for speaker, session, number in (one, two):
            assert 0 <= speaker < design.speakers
            assert 0 <= session < design.sessions
            assert 0 <= number < design.utts
        same = one[0] % 2 == two[0] % 2
        kinds["target" if is_target else "same" if same else "cross"].append((one[0], two[0]))
    assert abs(2 * len(kinds["target"]) - trials) <= 1
    assert abs(len(kinds["same"]) - len(kinds["cross"])) <= 1
    if design.speakers % 2 == 0:  # else one gender has more people, and they have fewer trials each
        for kind, pairs in kinds.items():
            count = Counter(itertools.chain.from_iterable(pairs))
            assert len(count) == design.speakers
            assert max(count.values()) - min(count.values()) <= 2, kind


@pytest.mark.parametrize("design", [Design(4, 2, 1), Design(5, 3, 2), Design(40, 2, 1)])
def test_most_trials_is_the_most(design):
    """Against a count of all pairs of recordings, kind by kind."""
    everything = itertools.product(range(design.speakers), range(design.sessions), range(design.utts))
    exist = Counter()
    for a, b in itertools.combinations(everything, 2):
        if a[0] != b[0]:
            exist["same" if a[0] % 2 == b[0] % 2 else "cross"] += 1
        elif a[1] != b[1]:
            exist["target"] += 1
    most = design.most_trials()
    assert len(design.draw(most, seed=1)) == most
    more = most + 1
    needed = {"target": math.ceil(more / 2), "same": math.ceil(more // 2 / 2), "cross": more // 2 // 2}
    assert any(needed[kind] > exist[kind] for kind in needed)


def test_trials_left_out_are_as_many_as_there_are(tmp_path):
    """Up to the usual number: 4 speakers, 2 sessions of one recording make one target pair each."""
    options = ["--dev-speakers=1", "--test-speakers=4", "--sessions=2", "--utts-per-session=1", "--nj=1"]
    assert generate_mini.main([str(tmp_path / "corpus"), *options]) == 0
    assert len((tmp_path / "corpus" / "veri_test2.txt").read_text().splitlines()) == 8
    assert '"trials": 8' in (tmp_path / "corpus" / "SYNTHETIC.txt").read_text()
    assert generate_mini.main([str(tmp_path / "corpus"), *options, "--trials=8"]) == 0


def test_trial_list_names_recordings(corpus):
    """Every file is there; the order is mixed."""
    lines = [line.split(" ") for line in (corpus / "veri_test2.txt").read_text().splitlines()]
    assert len(lines) == TINY["trials"]
    for label, one, two in lines:
        assert label == str(int(one[:7] == two[:7]))
        assert (corpus / "test" / "wav" / one).is_file()
        assert (corpus / "test" / "wav" / two).is_file()
    assert 1 < sum(a[0] != b[0] for a, b in itertools.pairwise(lines)) < len(lines) - 1


# ---- the sound


def clean_voice(gender, speaker, **changes):
    """A voice in an even mood."""
    voice = replace(mini_speech.draw_voice(gender, 0, 0, speaker), **changes)
    mood = mini_speech.Mood(pitch_st=0, effort_db=0, rate=1, formants=np.ones(3), breath=1)
    return voice, mood


def autocorrelation_pitch_hz(samples_T):
    """Pitch of the loud, clearly periodic 40 ms frames: the highest peak of the autocorrelation below 900 Hz.

    Divided by the window's own autocorrelation; of peaks nearly as high, the shortest lag counts.
    """
    spectrum = np.fft.rfft(samples_T)
    spectrum[len(samples_T) * 900 // 16000 :] = 0
    samples_T = np.fft.irfft(spectrum, len(samples_T))
    window = np.hanning(640)
    lags = np.arange(16000 // 400, 16000 // 60)
    pitches = []
    for start in range(0, len(samples_T) - 640, 320):
        frame = samples_T[start : start + 640]
        if np.mean(frame**2) < 0.01 * np.mean(samples_T**2):
            continue
        correlation = autocorrelation(frame * window) / autocorrelation(window)
        correlation /= correlation[0]
        rising, falling = correlation[lags] > correlation[lags - 1], correlation[lags] >= correlation[lags + 1]
        peaks = lags[rising & falling]
        if len(peaks) and correlation[peaks].max() > 0.9:
            pitches.append(16000 / peaks[correlation[peaks] > 0.95 * correlation[peaks].max()][0])
    return np.array(pitches)


def autocorrelation(x_T):
    return np.fft.irfft(np.abs(np.fft.rfft(x_T, 2048)) ** 2)[:400]


@pytest.mark.parametrize(("gender", "speaker"), [("m", 0), ("f", 1), ("m", 2), ("f", 3)])
def test_pitch_is_in_the_speakers_range(gender, speaker):
    """Measured by autocorrelation, which errs by an octave in up to a tenth of the frames; and it moves."""
    voice, mood = clean_voice(gender, speaker)
    samples, _ = mini_speech.utterance(voice, mood, (6, 6), np.random.default_rng(1))
    pitch = autocorrelation_pitch_hz(samples)
    low, high = voice.f0_range_hz
    assert len(pitch) > 20
    inside = pitch[(pitch > 0.95 * low) & (pitch < 1.05 * high)]
    assert len(inside) > 0.85 * len(pitch)
    assert 2 ** (-2 / 12) < np.median(inside) / voice.f0_hz < 2 ** (2 / 12)
    assert np.std(inside) / np.mean(inside) > 0.02


def peak_hz(samples_T, low, high):
    spectrum = np.abs(np.fft.rfft(samples_T * np.hanning(len(samples_T))))
    smooth = np.convolve(spectrum, np.hanning(161), "same")  # over 160 Hz: not a harmonic, the formant
    hz = np.arange(len(spectrum)) * 16000 / len(samples_T)
    band = (hz > low) & (hz < high)
    return hz[band][np.argmax(smooth[band])]


@pytest.mark.parametrize("vowel", ["aa", "i", "eh"])
def test_formants_scale_with_the_tract(vowel):
    """The second formant of a held, whispered vowel, from its spectrum, for three vocal tracts of one speaker."""
    segments = np.full(250, CODE[vowel])
    whisper = TARGETS.copy()
    whisper[:, [VOICING, ASPIRATION]] = 0, 1
    found = {}
    for tract_cm in (14.0, 16.0, 18.0):
        voice, mood = clean_voice("m", 0, tract_cm=tract_cm)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mini_speech, "TARGETS", whisper)
            sound = mini_speech._speech(voice, mood, segments, np.zeros(250), np.random.default_rng(0))
        wanted = TARGETS[CODE[vowel], 1] * 17 / tract_cm * voice.formant_habit[CODE[vowel], 1]
        found[tract_cm] = peak_hz(sound[3200:-3200][:16000], 0.8 * wanted, 1.2 * wanted)
        assert found[tract_cm] == pytest.approx(wanted, rel=0.06)  # F1 and F3 pull at the peak
    assert found[14.0] / found[18.0] == pytest.approx(18 / 14, rel=0.06)


def test_women_have_higher_voices_and_shorter_tracts():
    """Averages over 100 speakers within two standard errors or so of what the literature has."""
    men = [mini_speech.draw_voice("m", 0, 0, i) for i in range(100)]
    women = [mini_speech.draw_voice("f", 0, 0, i) for i in range(100)]
    assert np.mean([v.f0_hz for v in men]) == pytest.approx(119, abs=5)
    assert np.mean([v.f0_hz for v in women]) == pytest.approx(207, abs=8)
    assert np.mean([v.tract_cm for v in men]) - np.mean([v.tract_cm for v in women]) == pytest.approx(2.3, abs=0.25)


def test_pauses_are_at_the_noise_floor():
    """What a voice-activity detector needs: silence at both ends and between phrases, speech well above it."""
    voice, mood = clean_voice("f", 1)
    rng = np.random.default_rng(2)
    segments, _ = mini_speech._segments(1.0, 700, rng)
    runs = [(code, len(list(run))) for code, run in itertools.groupby(segments == SILENCE)]
    assert runs[0][0]
    assert runs[-1][0]
    assert sum(code for code, _ in runs) >= 3
    assert 0.5 < np.mean(segments != SILENCE) < 0.95
    speech = mini_speech._speech(voice, mood, segments, np.zeros(700), rng)
    power = (speech.reshape(-1, mini_speech.HOP) ** 2).mean(1)
    assert power[:10].mean() < 1e-6 * power.mean()


def test_snr_and_level_are_what_was_drawn():
    """Power at the pauses against power of the speech, from the recording, for a channel without a room."""
    rng = np.random.default_rng(0)
    channel = replace(mini_channel.draw_channel(0, 0, 0, 0), snr_db=20, level_db=-30, hum=0, noise_sway_db=0)
    channel = replace(channel, room_T=np.ones(1, np.float32))
    voice, mood = clean_voice("m", 0)
    measured = []
    for _ in range(8):  # each recording differs by 1.5 dB or so
        segments, progress = mini_speech._segments(1.0, 500, rng)
        speech = mini_speech._speech(voice, mood, segments, progress, rng)
        active = np.mean(segments != SILENCE)
        sound = mini_channel.record(speech, active, channel, rng).astype(float)
        noise = np.mean(sound[:1280] ** 2)  # the first pause is at least 120 ms
        speech_power = (np.mean(sound**2) - noise) / active
        measured.append((10 * np.log10(speech_power / noise), 10 * np.log10(speech_power / 32768**2)))
    snr_db, level_db = np.mean(measured, 0)
    assert snr_db == pytest.approx(20, abs=1.5)
    assert level_db == pytest.approx(-30, abs=1.5)


def long_term_spectrum_db(samples_T):
    frames = samples_T[: len(samples_T) // 512 * 512].reshape(-1, 512) * np.hanning(512)
    power = (np.abs(np.fft.rfft(frames.astype(float))) ** 2).mean(0)[2:].reshape(-1, 15).mean(1)
    spectrum_db = 10 * np.log10(power + 1)
    return spectrum_db - spectrum_db.mean()


def test_sessions_differ_in_channel(corpus):
    """Long-term spectra of a speaker are further apart between sessions than within."""
    within, between = [], []
    for speaker in sorted((corpus / "test" / "wav").iterdir()):
        first, second = (
            [long_term_spectrum_db(soundfile.read(p, dtype="int16")[0]) for p in sorted(session.iterdir())]
            for session in sorted(speaker.iterdir())
        )
        within += [np.std(first[0] - first[1]), np.std(second[0] - second[1])]
        between += [np.std(a - b) for a in first for b in second]
    assert np.mean(between) > 1.5 * np.mean(within)
