"""`local/generate_mini.py --layout sre16`: the programs for LDC's corpora read it, and it is what it says."""

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from audio_files import mulaw_value
from ldc_trees import prepared

from sv.data.datadir import DataDir, combine
from sv.data.partitions import read_partitions
from sv.data.tables import read_table
from sv.data.trials import Trials
from sv.data.utterance_audio import UtteranceReader
from sv.data.validate import validate

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "local"))

import generate_mini  # noqa: E402
import mini_speech  # noqa: E402
import mini_sre16  # noqa: E402
from mini_languages import ENGLISH, LANGUAGES  # noqa: E402
from mini_phones import CODE, IS_VOWEL, NAMES, SILENCE  # noqa: E402
from mini_telephone import at_8_khz, draw_line, mulaw  # noqa: E402

OPTIONS = {"dev-speakers": 12, "test-speakers": 8, "sessions": 2, "seed": 3}
FULL = {name.replace("-", "_"): value for name, value in OPTIONS.items()}
SHORT = {kind: (3.0, 4.0) for kind in mini_sre16.SECONDS} | {"call": (8.0, 9.0)}


def make(out, nj=1, **options):
    words = [f"--{name}={value}" for name, value in (OPTIONS | options).items()]
    return generate_mini.main([str(out), "--layout=sre16", f"--nj={nj}", *words])


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """With shorter recordings than it has."""
    out = tmp_path_factory.mktemp("mini") / "corpus"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mini_sre16, "SECONDS", SHORT)
        assert make(out) == 0
    return out


@pytest.fixture(scope="module")
def sets(corpus, tmp_path_factory):
    """What the recipe's programs make of it."""
    out = tmp_path_factory.mktemp("data")
    prepared("prepare_sre04_to_06", "--year", 2004, "--speakers", corpus / "speaker_list", corpus / "sre04", out)
    prepared("prepare_sre08", "--train", corpus / "sre08_train", corpus / "sre08", out)
    prepared("prepare_sre10", corpus / "sre10", out)
    prepared("prepare_mixer6", corpus / "mixer6", out)
    prepared("prepare_switchboard", "cellular1", corpus / "swbd_cellular1", out)
    prepared("prepare_switchboard", "phase1", corpus / "swbd2_phase1", out)
    prepared("prepare_sre16", "--dev", corpus / "sre16_dev", corpus / "sre16", out)
    return out


def test_the_programs_read_it_unchanged(sets):
    """Nothing is dropped; all audio is there, of 8 kHz; every set says that it is synthetic."""
    names = sorted(path.parent.name for path in sets.glob("*/utt2spk"))
    training = ["mx6", "sre08", "sre10", "sre2004", "swbd2_phase1_train", "swbd_cellular1_train"]
    parts = [f"sre16_{part}_{kind}" for part in ("eval", "dev") for kind in ("enroll", "test")]
    assert names == sorted([*training, *parts, "sre16_major"])
    for name in names:
        enrol = sets / name.replace("test", "enroll") if name.endswith("_test") else None
        assert list(validate(sets / name, audio=True, rate=8000, enrol=enrol)) == []
        assert (sets / name / "SYNTHETIC.txt").exists()
        assert not (sets / name / "dropped.txt").exists()
    whole = combine(DataDir.read(sets / name) for name in training)
    assert {len(utts) for utts in whole.spk2utt.values()} == {2}
    assert set(whole.tables["spk2gender"].values()) == {"m", "f"}
    tested = [set(DataDir.read(sets / f"sre16_{part}_test").utt2spk.values()) for part in ("eval", "dev")]
    assert len(set(whole.utt2spk.values()).union(*tested)) == whole.num_speakers + 8 + 8


def test_partitions(sets):
    """Two languages, genders and sizes of models; a third of the target trials from the phone of the enrolment."""
    for part in mini_sre16.PARTS:
        test = sets / f"sre16_{part.name}_test"
        trials = Trials.read(test / f"trials_{'pooled' if part.name == 'eval' else 'dev'}")
        cells = Counter(zip(read_partitions(test / "partitions", trials), trials.is_target, strict=True))
        groups = [f"{language}-{sex}-{count}" for language in part.languages for sex in "mf" for count in (1, 3)]
        expected = {(f"{group}-same", True): 2 for group in groups} | {(f"{group}-other", True): 4 for group in groups}
        assert cells == expected | {(group, False): 6 for group in groups}


def test_the_same_phone_is_the_same_line(tmp_path, monkeypatch):
    """What recordings are made with, of an enrolled call and the tested ones: the key's Y is of the first of these."""
    drawn = []
    monkeypatch.setattr(mini_sre16, "SECONDS", SHORT)
    monkeypatch.setattr(mini_sre16, "draw_line", lambda *address: drawn.append(address) or draw_line(*address))
    calls = {Path(call.path).stem: call for call in mini_sre16.recordings(FULL) if "sre16_dev" not in call.path}
    for segment in ("e0000_sre16", "t00030_sre16", "t00040_sre16", "t00050_sre16"):
        mini_sre16.write_recording((tmp_path, 3, calls[segment]))
    assert [line == drawn[0] for line in drawn] == [True, True, False, False]
    (tmp_path / "SYNTHETIC.txt").write_text("made by a test\n")
    mini_sre16.write_tables(tmp_path, FULL)
    key = (tmp_path / "sre16/docs/sre16_eval_trial_key.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in key if line.startswith("1001_sre16\tt0")]
    assert [(row[1], row[5]) for row in rows if row[1][:4] == "t000"] == [
        (f"t000{session}{number}_sre16", "Y" if session == 3 else "N") for session in (3, 4, 5) for number in (0, 1)
    ]


def test_the_evaluation(sets):
    """Models of one and of three segments; trials within a language and gender, as many of either language."""
    models = read_table(sets / "sre16_eval_enroll/models")
    assert Counter(len(utts.split()) for utts in models.values()) == {1: 4, 3: 4}
    assert len({utt.rpartition("-")[0] for utts in models.values() for utt in utts.split()}) == len(models)
    test = DataDir.read(sets / "sre16_eval_test")
    lists = {name: Trials.read(sets / f"sre16_eval_test/trials_{name}") for name in ("pooled", "tgl", "yue")}
    assert len(lists["pooled"]) == 2 * len(lists["tgl"]) == 2 * len(lists["yue"]) == 8 * 2 * 6
    for model, utt, is_target in zip(lists["yue"].enrol, lists["yue"].test, lists["yue"].is_target, strict=True):
        assert test.tables["utt2lang"][utt] == "yue"
        assert is_target == (test.utt2spk[utt] == models[model].partition("-")[0])
    assert Counter(test.tables["utt2sess"].values()).most_common(1)[0][1] == 2


def test_sides_speak_by_turns(sets):
    """Where one side is loud, the other is not: the ratio of their powers is far from one, either way round."""
    data = DataDir.read(sets / "sre2004")
    utts = sorted((utt for utt in data.utterances), key=lambda utt: data.segments[utt].recording)[:2]
    assert len({data.segments[utt].recording for utt in utts}) == 1
    with UtteranceReader(data) as reader:
        one, two = (reader.read(utt)[0] for utt in utts)
    assert len(one) == len(two)
    blocks = len(one) // 2000
    power_2B = np.square([wave[: blocks * 2000].reshape(blocks, 2000) for wave in (one, two)]).mean(-1) + 1
    power_2B /= power_2B.max(1, keepdims=True)
    ratio_db = 10 * np.log10(power_2B[0] / power_2B[1])
    assert ratio_db.max() > 10
    assert ratio_db.min() < -10


def test_same_bytes_with_any_number_of_processes(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(mini_sre16, "SECONDS", SHORT)
    assert make(tmp_path / "again", nj=2) == 0
    assert contents(tmp_path / "again") == contents(corpus)


def test_it_is_known_again(corpus, capsys):
    """By the label, whose line of JSON has layout and options."""
    assert make(corpus) == 0
    assert "already holds this synthetic corpus, version 2; nothing to do" in capsys.readouterr().out
    assert make(corpus, seed=4) == 1
    said = capsys.readouterr().err
    assert "holds a generated corpus of other options" in said
    label = json.loads((corpus / "SYNTHETIC.txt").read_text().split("\ngenerate_mini ")[1])
    assert label["layout"] == "sre16"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trials": 100}, "--trials is not for --layout sre16"),
        ({"utts-per-session": 2}, "--utts-per-session is not for --layout sre16"),
        ({"dev-speakers": 11}, "--dev-speakers must be from 12 to 9999 with --layout sre16, not 11"),
        ({"sessions": 100}, "--sessions must be from 2 to 99 with --layout sre16, not 100"),
        ({"nj": 0}, "--nj must be at least 1, not 0"),
    ],
)
def test_impossible_options_are_one_line(tmp_path, capsys, options, said):
    assert make(tmp_path / "corpus", **options) == 1
    assert capsys.readouterr().err == f"generate_mini: {said}\n"
    assert not (tmp_path / "corpus").exists()


def test_every_speaker_is_in_as_many_calls_as_sessions():
    """In one corpus, on one side of each, with another partner each time."""
    options = mini_sre16.DEFAULTS
    seen = set()
    for corpus in mini_sre16.CORPORA:
        calls = mini_sre16.training_calls(corpus, options)
        assert len({call.number for call in calls}) == len(calls)
        counts = Counter(speaker for call in calls for speaker in call.speakers)
        assert set(counts.values()) == {options["sessions"]}
        pairs = {frozenset(call.speakers) for call in calls}
        assert len(pairs) == len(calls)
        assert seen.isdisjoint(counts)
        seen |= counts.keys()
    assert seen == set(range(options["dev_speakers"]))


def test_mulaw_is_g711():
    """What a byte stands for is coded as that byte, and any value as one no farther than half of its step."""
    values = np.array([mulaw_value(byte) for byte in range(256)])
    again = mulaw(values.astype(np.int16))
    assert again[127] == 255  # the two zeros
    np.testing.assert_array_equal(np.delete(again, 127), np.delete(np.arange(256), 127))
    wave_T = np.arange(-32635, 32636).astype(np.int16)
    code_T = mulaw(wave_T)
    half_step_T = 4 << (~code_T >> 4 & 7).astype(int)
    assert (np.abs(values[code_T] - wave_T) <= half_step_T).all()


@pytest.mark.parametrize(("hz", "gain"), [(1000, 1), (3000, 1), (5000, 0), (7000, 0)])
def test_at_8_khz(hz, gain):
    """A tone below 4 kHz comes through as it is, one above not at all; its samples are every second."""
    tone_T = 8000 * np.sin(2 * np.pi * hz * np.arange(16000) / 16000)
    expected = gain * tone_T[::2]
    np.testing.assert_allclose(at_8_khz(np.rint(tone_T).astype(np.int16)), expected, atol=2)


@pytest.mark.parametrize("code", ["tgl", "yue", "ceb", "cmn"])
def test_a_language_has_its_own_sounds(code):
    """Only its vowels, onsets and codas, all of them, and fewer than English."""
    language = LANGUAGES[code]
    segments, _ = mini_speech._segments(1.0, 20000, np.random.default_rng(0), language)
    heard = {NAMES[segment].rstrip(".") for segment in np.unique(segments) if segment != SILENCE}
    assert heard == {*language.vowels, *language.onsets, *language.codas}
    assert heard < {*ENGLISH.vowels, *ENGLISH.onsets, *ENGLISH.codas}


def test_tones_are_heard():
    """In a vowel the pitch goes as one of the tones does, from its beginning to its end."""
    vowel_F = IS_VOWEL[np.repeat([CODE["i"], CODE["m"]] * 50, 10)]
    onset_F = vowel_F & ~np.concatenate([[False], vowel_F[:-1]])
    tones = np.array(LANGUAGES["yue"].tones)
    pitch_F = mini_speech._tones(vowel_F, onset_F, tones, np.random.default_rng(0))
    drawn = {(pitch_F[first], pitch_F[first + 9]) for first in np.flatnonzero(onset_F)}
    assert drawn == {tuple(tone) for tone in tones}
    middle = pitch_F[np.flatnonzero(onset_F) + 3]
    ends = np.array([(pitch_F[first], pitch_F[first + 9]) for first in np.flatnonzero(onset_F)])
    np.testing.assert_allclose(middle, ends[:, 0] + (ends[:, 1] - ends[:, 0]) / 3)
