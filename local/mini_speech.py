"""Speech-like sound by source and filter: the voices of `local/generate_mini.py`.

A `Voice` is a speaker's habits, a `Mood` is how they are in one session, and `utterance(voice, mood, ...)` is a
few seconds of random syllables. It is no language and says nothing.

Theory of source and filter: Fant 1960, Acoustic Theory of Speech Production. The cascade of resonators with a
nasal pole-zero pair: Klatt 1980 (JASA 67:971). Glottal pulse: Klatt & Klatt 1990 (JASA 87:820).

Letters in names: F frames, T samples, B frequency bins, C polynomial coefficients, P segments (phones or parts
of one), K formants, Q columns of `mini_phones.TARGETS`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mini_languages import ENGLISH, Language
from mini_phones import (
    ASPIRATION,
    CENTRE_HZ,
    CODE,
    FRICTION,
    IS_VOWEL,
    LENGTH_MS,
    NAMES,
    NASALITY,
    SILENCE,
    SPREAD_MS,
    STOPS,
    TARGETS,
    VOICING,
    WIDTH_HZ,
)

RATE = 16000  # Hz
HOP = 128  # samples between frames: 8 ms
NFFT = 640  # a 256-sample frame leaves 24 ms for the resonances to ring out
SOUND_CM_S = 35000.0  # speed of sound in warm, moist air
REFERENCE_CM = 17.0  # vocal-tract length of the men whose formants are in mini_phones


@dataclass(frozen=True)
class Voice:
    """What stays with a speaker. Draw one with `draw_voice`."""

    gender: str  # "m" or "f"
    tract_cm: float  # vocal-tract length: scales all formants by REFERENCE_CM / tract_cm
    formant_habit: np.ndarray  # (segments, 3) factor on F1..F3 of each segment
    upper_hz: np.ndarray  # F4 and above
    bandwidth: float  # factor on formant bandwidths
    f0_hz: float  # middle of the pitch range
    f0_range_hz: tuple[float, float]  # pitch never leaves it
    accent_st: float  # size of pitch accents, semitones
    decline_st: float  # fall of the pitch over a phrase, semitones
    rise: float  # probability that a phrase ends with a rise
    open_quotient: float  # share of the glottal cycle that is open
    tilt_db: float  # extra fall of the source spectrum at 3 kHz
    breath: float  # aspiration relative to voicing
    jitter: float  # cycle-to-cycle pitch perturbation, relative
    shimmer: float  # amplitude perturbation, relative
    rate: float  # factor on speaking rate
    smooth_ms: float  # length of coarticulation
    front: float  # factor on frication frequencies (front cavity)
    nasal_hz: float  # nasal pole


@dataclass(frozen=True)
class Mood:
    """How a speaker is through one session. Draw one with `draw_mood`."""

    pitch_st: float  # shift of the pitch, semitones
    effort_db: float  # vocal effort: less source tilt, louder, first formant higher
    rate: float  # factor on speaking rate
    formants: np.ndarray  # (3,) factor on F1..F3
    breath: float  # factor on breathiness (a cold, a whispering mood)


def generator(*address: int) -> np.random.Generator:
    """A generator for one address, such as (seed, part, speaker, session, utterance): what is drawn at one address
    does not depend on what was drawn before.

    numpy pads a short address with zeros, so that (1, 2) and (1, 2, 0) would be the same; ours count from 1.
    """
    return np.random.default_rng([number + 1 for number in address])


def draw_voice(gender: str, seed: int, part: int, speaker: int) -> Voice:
    """The voice of one speaker of one part (0 dev, 1 test); the gender is given so that it can be balanced."""
    rng = generator(seed, part, speaker)
    male = gender == "m"
    tract = float(np.clip(rng.normal(17.0 if male else 14.7, 0.75), 12.5, 19.5))
    neutral = (2 * np.arange(4, 12) - 1) * SOUND_CM_S / (4 * tract)  # a uniform tube [Fant 1960]
    upper = neutral * np.exp(rng.normal(0, 0.035, 8))
    f0 = float(np.exp(rng.normal(np.log(118 if male else 205), 0.14)))
    spread_st = rng.uniform(5.5, 9)
    habit = np.exp(rng.normal(0, 0.03, (1, 3)) + rng.normal(0, 0.045, (len(NAMES), 3)))
    return Voice(
        gender=gender,
        tract_cm=tract,
        formant_habit=habit,
        upper_hz=np.sort(upper[upper < 0.47 * RATE]),
        bandwidth=rng.uniform(0.8, 1.4),
        f0_hz=f0,
        f0_range_hz=(f0 * 2 ** (-spread_st / 12), f0 * 2 ** (spread_st / 12)),
        accent_st=rng.uniform(0.8, 4),
        decline_st=rng.uniform(0.5, 4),
        rise=rng.uniform(0, 0.5),
        open_quotient=rng.uniform(0.4, 0.8),
        tilt_db=rng.uniform(2, 14),
        breath=10 ** (rng.uniform(-38, -20) / 20),
        jitter=10 ** rng.uniform(-2.7, -2),
        shimmer=rng.uniform(0.02, 0.12),
        rate=float(np.exp(rng.normal(0, 0.12))),
        smooth_ms=rng.uniform(50, 95),
        front=float(np.exp(rng.normal(0 if male else 0.08, 0.08))),
        nasal_hz=rng.uniform(240, 330) * REFERENCE_CM / tract,
    )


def draw_mood(seed: int, part: int, speaker: int, session: int) -> Mood:
    rng = generator(seed, part, speaker, session, 0)
    effort = rng.normal(0, 3)
    return Mood(
        pitch_st=rng.normal(0, 1.5),
        effort_db=effort,
        rate=float(np.exp(rng.normal(0, 0.08))),
        formants=np.exp(rng.normal(0, 0.015, 3) + np.array([0.006 * effort, 0, 0])),
        breath=float(np.exp(rng.normal(0, 0.4))),
    )


def utterance(
    voice: Voice, mood: Mood, duration_s: tuple[float, float], rng: np.random.Generator, language: Language = ENGLISH
) -> tuple[np.ndarray, float]:
    """A few seconds at the lips, silence in the pauses.

    Args:
        duration_s: bounds between which the length is drawn.
        language: whose syllables and tones.
    Returns:
        Samples at RATE, float32 (T,), and the share of them that is not pause.
    """
    frames = int(rng.uniform(*duration_s) * RATE / HOP)
    segment_F, progress_F = _segments(voice.rate * mood.rate, frames, rng, language)
    return _speech(voice, mood, segment_F, progress_F, rng, language), float(np.mean(segment_F != SILENCE))


def _segments(
    rate: float, frames: int, rng: np.random.Generator, language: Language = ENGLISH
) -> tuple[np.ndarray, np.ndarray]:
    """Random syllables in phrases between pauses: segment (F,), and how far its phrase is, 0 to 1 (F,)."""
    codes: list[int] = [SILENCE]
    phrase: list[int] = [0]
    most = int(frames * HOP / RATE * 9 * rate) + 12  # syllables; more than fit
    onset = rng.integers(len(language.onsets), size=most)
    vowel = rng.integers(len(language.vowels), size=most)
    coda = rng.integers(len(language.codas), size=most)
    chance = rng.random((most, 2))
    left = int(rng.integers(4, 13))
    number = 1
    for i in range(most):
        parts = [language.onsets[onset[i]]] if chance[i, 0] < language.onset_chance else []
        parts.append(language.vowels[vowel[i]])
        if chance[i, 1] < language.coda_chance:
            parts.append(language.codas[coda[i]])
        for name in parts:
            for half in (name + ".", name) if name in STOPS else (name,):
                codes.append(CODE[half])
                phrase.append(number)
        left -= 1
        if not left:
            codes.append(SILENCE)
            phrase.append(0)
            number += 1
            left = int(rng.integers(4, 13))
    code_P, phrase_P = np.array(codes), np.array(phrase)
    mean_P, spread_P = TARGETS[code_P, LENGTH_MS], TARGETS[code_P, SPREAD_MS]
    ms_P = np.maximum(mean_P + spread_P * rng.standard_normal(len(code_P)), 0.4 * mean_P)
    ms_P[code_P != SILENCE] /= rate
    count_P = np.maximum(np.rint(ms_P / 1000 * RATE / HOP), 1).astype(int)
    tail = int(rng.uniform(0.1, 0.5) * RATE / HOP)
    segment_F = np.repeat(code_P, count_P)[: frames - tail]
    phrase_F = np.repeat(phrase_P, count_P)[: frames - tail]
    segment_F = np.concatenate([segment_F, np.full(frames - len(segment_F), SILENCE)])
    phrase_F = np.concatenate([phrase_F, np.zeros(frames - len(phrase_F), int)])
    start_P = np.append(np.flatnonzero(np.diff(phrase_F, prepend=-1)), frames)
    length_P = np.diff(start_P)
    progress_F = (np.arange(frames) - np.repeat(start_P[:-1], length_P)) / np.repeat(length_P, length_P)
    return segment_F, np.where(segment_F == SILENCE, 0.0, progress_F)


def _speech(
    voice: Voice,
    mood: Mood,
    segment_F: np.ndarray,
    progress_F: np.ndarray,
    rng: np.random.Generator,
    language: Language = ENGLISH,
) -> np.ndarray:
    """Source times filter, frame by frame, overlap-added: float32 (T,), T = frames * HOP."""
    target_FQ = TARGETS[segment_F]
    soft = np.array([0.25, 0.5, 0.25])
    voicing_F = np.convolve(target_FQ[:, VOICING], soft, "same") * 10 ** (mood.effort_db / 40)
    breathing_F = np.convolve(target_FQ[:, ASPIRATION], soft, "same")
    friction_F = np.convolve(target_FQ[:, FRICTION], soft, "same")

    f0_F = _pitch(voice, mood, segment_F, progress_F, rng, language)
    pulse_T, phase_T = _glottis(voice, mood, f0_F, rng)
    noise_T = rng.standard_normal(len(pulse_T), dtype=np.float32)
    voicing_T = to_samples(voicing_F * (1 + voice.shimmer * rng.standard_normal(len(f0_F))))
    breathing_T = to_samples(breathing_F + 2 * voice.breath * mood.breath * voicing_F)
    # turbulence is strongest while the glottis is open, and steady where there is no voice
    burst_T = 1 + 0.7 * np.cos(2 * np.pi * phase_T) * np.minimum(voicing_T * 2, 1)
    throat_T = pulse_T * voicing_T + noise_T * breathing_T * burst_T
    mouth_T = noise_T * burst_T * to_samples(friction_F)

    throat_FN, mouth_FN = _frames(throat_T), _frames(mouth_T)
    zeros_FC, poles_FC = _vocal_tract(voice, mood, segment_F)
    out = np.zeros((len(f0_F) + NFFT // HOP - 1, HOP), np.float32)
    for start in range(0, len(f0_F), 64):  # in pieces that stay in the cache
        here = slice(start, start + 64)
        tract_FB = np.fft.rfft(zeros_FC[here], NFFT) / np.fft.rfft(poles_FC[here], NFFT)
        out_FB = np.fft.rfft(throat_FN[here], NFFT) * tract_FB
        out_FB += np.fft.rfft(mouth_FN[here], NFFT) * _friction(voice, target_FQ[here])
        _overlap_add(out[start:], np.fft.irfft(out_FB, NFFT))
    return out[: len(f0_F)].ravel()


def _pitch(
    voice: Voice,
    mood: Mood,
    segment_F: np.ndarray,
    progress_F: np.ndarray,
    rng: np.random.Generator,
    language: Language = ENGLISH,
) -> np.ndarray:
    """F0 in Hz (F,): declination over the phrase, tones or accents on some vowels, drift and jitter."""
    frames = len(segment_F)
    vowel_F = IS_VOWEL[segment_F]
    onset_F = vowel_F & ~np.concatenate([[False], vowel_F[:-1]])
    if language.tones:
        accent_F = _tones(vowel_F, onset_F, np.array(language.tones), rng)
    else:
        accent_F = np.where(onset_F & (rng.random(frames) < 0.45), rng.uniform(0.3, 1, frames), 0)
        hill = np.hanning(27)  # an accent lasts about 200 ms
        accent_F = voice.accent_st * np.convolve(accent_F, hill, "same")
    phrase_F = np.cumsum(np.diff(progress_F, prepend=0) < -0.1)
    rising_F = (rng.random(phrase_F[-1] + 1) < voice.rise)[phrase_F]
    end_F = np.where(rising_F, 3 * voice.accent_st, -voice.decline_st) * np.clip(progress_F - 0.8, 0, 1)
    drift_F = np.convolve(rng.standard_normal(frames), np.hanning(33) / 4, "same") * 0.4
    semitone_F = mood.pitch_st + accent_F + end_F + drift_F + voice.decline_st * (0.5 - progress_F)
    f0_F = voice.f0_hz * 2 ** (np.convolve(semitone_F, np.ones(5) / 5, "same") / 12)
    f0_F *= 1 + voice.jitter * rng.standard_normal(frames)
    return np.clip(f0_F, *voice.f0_range_hz)


def _tones(vowel_F: np.ndarray, onset_F: np.ndarray, tones: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A tone drawn for every vowel, straight from its beginning to its end and on to the next: semitones (F,)."""
    first, last = np.flatnonzero(onset_F), np.flatnonzero(vowel_F & ~np.append(vowel_F[1:], False))
    if not len(first):
        return np.zeros(len(vowel_F))
    drawn = tones[rng.integers(len(tones), size=len(first))]
    return np.interp(np.arange(len(vowel_F)), np.stack([first, last], 1).ravel(), drawn.ravel())


def _glottis(voice: Voice, mood: Mood, f0_F: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of the glottal flow, unit power, and the phase of the cycle, both float32 (T,).

    One cycle of the KLGLOTT88 pulse, flow = a t^2 - b t^3 while open [Klatt & Klatt 1990], limited to the
    harmonics below the Nyquist frequency, tilted, and read at the phase.
    """
    size = 1024
    t = np.arange(size) / size / voice.open_quotient
    cycle = np.where(t < 1, 2 * t - 3 * t**2, 0)
    harmonic = np.fft.rfft(cycle - cycle.mean())
    hz = np.arange(len(harmonic)) * float(np.median(f0_F))
    tilt_db = max(voice.tilt_db - mood.effort_db, 0.0)
    harmonic *= 1 / np.sqrt(1 + (10 ** (tilt_db / 10) - 1) * (hz / 3000) ** 2)
    harmonic[hz > 0.48 * RATE] = 0
    cycle = np.fft.irfft(harmonic, size)
    cycle /= cycle.std()
    phase_T = (np.cumsum(to_samples(f0_F) / RATE, dtype=np.float64) + rng.random()) % 1
    return cycle.astype(np.float32)[(phase_T * size).astype(np.int32)], phase_T.astype(np.float32)


def formant_targets_hz(voice: Voice, mood: Mood) -> np.ndarray:
    """F1..F3 of every segment as this speaker means them in this mood, float (segments, 3)."""
    return TARGETS[:, :3] * (REFERENCE_CM / voice.tract_cm) * voice.formant_habit * mood.formants


def _vocal_tract(voice: Voice, mood: Mood, segment_F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cascade of formants with one nasal pole-zero pair, its gain 1 at 0 Hz.

    Returns:
        Coefficients of numerator and denominator in z^-1, float32 (F, 3) and (F, C).
    """
    frames = len(segment_F)
    length = int(voice.smooth_ms / 1000 * RATE / HOP) | 1
    window = np.hanning(length + 2)[1:-1]
    window /= window.sum()

    def glide(track_F: np.ndarray) -> np.ndarray:  # coarticulation: targets are approached, not reached
        half = length // 2
        return np.convolve(np.pad(track_F, half, "edge"), window, "valid")

    target_FK = formant_targets_hz(voice, mood)[segment_F]
    tracks = [glide(np.log(target_FK[:, k])) for k in range(3)]
    poles = [(np.exp(track_F), 50 + 20 * k + 15 * (k == 0)) for k, track_F in enumerate(tracks)]
    poles += [(hz, 0.045 * hz) for hz in voice.upper_hz]
    nasality_F = glide(TARGETS[segment_F, NASALITY])
    pole_hz = np.full(frames, voice.nasal_hz)
    zero_hz = voice.nasal_hz * (1 + 0.75 * nasality_F)  # on the pole, and so unheard, unless nasal
    poles = [(hz, bw * voice.bandwidth * (1 + 0.8 * nasality_F)) for hz, bw in poles]
    a_FC = np.ones((frames, 1))
    for hz, bw in [*poles, (pole_hz, 100.0)]:
        a_FC = _times(a_FC, _resonator(hz, bw, frames))
    b_FC = _resonator(zero_hz, 100.0, frames)
    b_FC *= (a_FC.sum(1) / b_FC.sum(1))[:, None]
    return b_FC.astype(np.float32), a_FC.astype(np.float32)


def _resonator(hz: np.ndarray | float, bandwidth_hz: np.ndarray | float, frames: int) -> np.ndarray:
    """Coefficients of 1 - 2 r cos(w) z^-1 + r^2 z^-2 [Klatt 1980, eq. 2], float (F, 3)."""
    r = np.exp(-np.pi * np.asarray(bandwidth_hz) / RATE)
    c_FC = np.ones((frames, 3))
    c_FC[:, 1] = -2 * r * np.cos(2 * np.pi * np.asarray(hz) / RATE)
    c_FC[:, 2] = r**2
    return c_FC


def _times(a_FC: np.ndarray, b_FC: np.ndarray) -> np.ndarray:
    """Product of two polynomials a frame."""
    out = np.zeros((len(a_FC), a_FC.shape[1] + b_FC.shape[1] - 1))
    for i in range(b_FC.shape[1]):
        out[:, i : i + a_FC.shape[1]] += a_FC * b_FC[:, i : i + 1]
    return out


def _friction(voice: Voice, target_FQ: np.ndarray) -> np.ndarray:
    """Magnitude of the front cavity's filter, float32 (F, B): a hump, and nothing at 0 Hz."""
    hz_B = np.arange(NFFT // 2 + 1, dtype=np.float32) * (RATE / NFFT)
    centre_F = np.minimum(target_FQ[:, CENTRE_HZ] * voice.front, 7400).astype(np.float32)
    width_F = target_FQ[:, WIDTH_HZ].astype(np.float32)
    off_FB = (hz_B - centre_F[:, None]) / width_F[:, None]
    return np.minimum(hz_B / 1000, 1) / (1 + off_FB * off_FB)


def to_samples(track_F: np.ndarray) -> np.ndarray:
    """A track a frame to a track a sample, linear between frames, float32 (T,)."""
    step = np.arange(HOP, dtype=np.float32) / HOP
    track_F = track_F.astype(np.float32)
    slope_F = np.diff(track_F, append=track_F[-1:])
    return (track_F[:, None] + slope_F[:, None] * step).ravel()


HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2 * HOP) / (2 * HOP))).astype(np.float32)


def _frames(x_T: np.ndarray) -> np.ndarray:
    """Half-overlapping Hann frames, which sum to the signal: float32 (F, 2 HOP)."""
    blocks = np.concatenate([x_T, np.zeros(HOP, np.float32)]).reshape(-1, HOP)
    return np.concatenate([blocks[:-1], blocks[1:]], 1) * HANN


def _overlap_add(out: np.ndarray, frame_FN: np.ndarray) -> None:
    """Add frames of NFFT samples that begin HOP samples apart to `out`, a row of it for HOP samples."""
    for j in range(NFFT // HOP):
        out[j : j + len(frame_FN)] += frame_FN[:, j * HOP : (j + 1) * HOP]
