"""A trained run at work: what it hears, scores and decides of files is what the stages make of a data directory."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import yaml
from audio_files import wav_bytes
from commands import exit_code, refused, run_command
from data_dirs import write_lines
from feature_sets import CONF
from kaldi_files import ROOT
from runs import made_run
from trainings import SMALL

import sv
from sv.data.ark import MatrixReader
from sv.data.resample import resample
from sv.data.tables import read_table
from sv.data.trials import Trials
from sv.data.vectors import Vectors
from sv.errors import AudioError, ConfigError, DataError
from sv.records import Step
from sv.run import Run
from sv.scoring.trials import read_scores
from sv.systems.reading import load_system
from sv.verifier import Verifier

pytestmark = pytest.mark.usefixtures("one_thread")

RATE = 16000
MODELS = {"m0": ["s0-4", "s0-5"], "m1": ["s1-5"], "m2": ["s2-4", "s2-5", "s2-6"]}
XVECTOR = [
    "cmn={window: 40}",
    "training.epochs=1",
    "backends.asnorm={name: cosine, centre: null, normalise: {method: s, top: 4},"
    " quality: [duration, norm, cohort_mean]}",
]
IVECTOR = {
    "features": "mfcc23_8k",
    "vad": "webrtc3",
    "deltas": {"order": 1, "window": 2},
    "cmn": {"window": 40, "norm_vars": True},
    "ivector": {"num_gaussians": 4, "dim": 5, "iterations": 2, "num_gselect": 4},
    "backends": {"cosine": {"name": "cosine"}},
}
STEP = {"epochs": 1, "steps_per_epoch": 1, "chunk_s": [0.5, 0.5]}
BUDGETS = {
    "crops": {
        "models": {"q_sap": {"channels": [8, 8, 8, 8], "embedding_dim": 6}},
        "training": STEP | {"batch_size": 6, "groups": {"max_per_speaker": 2}},
        "extraction": {"crops": {"count": 3, "length_s": 0.6}},
    },
    "whole": {
        "models": {"wav2vec2": {"size": "tiny", "pretrained": None}},
        "training": STEP | {"batch_size": 12, "groups": {"max_per_speaker": 4}, "held_out_pairs": 6},
    },
}


def speech(speaker, seed, seconds=1.2, rate=RATE):
    """Bursts of noise, coloured by the speaker, with silence between them; int16."""
    rng = np.random.default_rng(seed)
    shape = np.random.default_rng(speaker).normal(size=8)
    noise_N = np.convolve(rng.normal(size=int(seconds * rate)), shape, "same")
    loud_N = np.repeat(rng.random(int(seconds * 20) + 1) < 0.7, rate // 20)[: len(noise_N)]
    return np.where(loud_N, 2000 * noise_N, 2 * noise_N).astype(np.int16)


def write_speech(folder, speakers, utterances):
    """A data directory of `{s}{n}-{u}`, of lengths that differ."""
    utts = {f"{s}-{u}": speech(100 + int(s[1:]), [int(s[1:]), u], 0.9 + 0.07 * u) for s in speakers for u in utterances}
    for utt, wave_N in utts.items():
        (folder / "wav").mkdir(parents=True, exist_ok=True)
        (folder / "wav" / f"{utt}.wav").write_bytes(wav_bytes(wave_N, RATE))
    write_lines(folder / "wav.scp", *(f"{utt} {folder}/wav/{utt}.wav" for utt in utts))
    write_lines(folder / "utt2spk", *(f"{utt} {utt.split('-')[0]}" for utt in utts))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Sets of six speakers to train on, of four to calibrate on and to test; features, VADs, lists, configurations."""
    folder = tmp_path_factory.mktemp("world")
    sets = {"train": ("s", 6, range(4)), "valid": ("s", 6, range(4, 7)), "cal": ("c1", 6, range(3))}
    conf = folder / "mfcc23_8k.conf"
    conf.write_text(CONF.read_text() + "--allow-downsample=true\n")
    with pytest.MonkeyPatch.context() as patch:
        for name, (first, speakers, utterances) in sets.items():
            write_speech(folder / name, [f"{first}{s}" for s in range(speakers)], utterances)
            assert exit_code(patch, "make_feats", "--conf", conf, folder / name) == 0
            for vad in ("energy", "webrtc3"):
                vad_conf = ROOT / f"tests/data/conf/vad/{vad}.conf"
                assert exit_code(patch, "compute_vad", "--conf", vad_conf, folder / name, "mfcc23_8k") == 0
            assert exit_code(patch, "measure_audio", "--rate", RATE, folder / name) == 0
    tests = [f"s{s}-{u}" for s in range(6) for u in (4, 5)]
    write_lines(folder / "valid/trials_some", *(f"{a} {b}" for a in tests[:3] for b in tests[3:7]))
    write_lines(folder / "valid/trials_of_models", *(f"{model} {b}" for model in MODELS for b in ("s0-6", "s1-4")))
    write_lines(folder / "valid/models", *(f"{model} {' '.join(utts)}" for model, utts in MODELS.items()))
    pairs = [(f"c1{s}-0", f"c1{t}-{u}", s == t) for s in range(6) for t in range(6) for u in (1, 2)]
    labels = {True: "target", False: "nontarget"}
    write_lines(folder / "cal/trials_cal", *(f"{a} {b} {labels[same]}" for a, b, same in pairs))
    (folder / "conf/budgets").mkdir(parents=True)
    for name in ("features", "systems"):
        (folder / "conf" / name).symlink_to(ROOT / "conf" / name)
    for name, budget in BUDGETS.items():
        (folder / f"conf/budgets/{name}.yaml").write_text(yaml.safe_dump(budget))
    return folder


@pytest.fixture(scope="module")
def do(world):
    """A command that ends well."""
    with pytest.MonkeyPatch.context() as patch:

        def call(*words):
            code = exit_code(patch, *words)
            assert code == 0, code

        yield call


def finish(do, world, run):
    """Stages 5 to 8 of a trained run."""
    if not run.system.compares:
        for name in ("train", "valid", "cal"):
            do("extract", "--ngpu", 0, run.path, world / name)
        do("train_backends", "--train", "train", run.path)
        models = ("--models", world / "valid/models")
        do("score", "--enrol", "valid", "--test", "valid", *models, run.path, world / "valid/trials_of_models")
    for name, trials in (("cal", "cal"), ("valid", "some")):
        sets = ("--enrol", name, "--test", name)
        do("score", "--ngpu", 0, *sets, run.path, world / name / f"trials_{trials}")
    lists = ["some"] if run.system.compares else ["some", "of_models"]
    lists = [world / f"valid/trials_{name}" for name in lists]
    do("calibrate", "--calibration", world / "cal/trials_cal", run.path, *lists)
    return run


@pytest.fixture(scope="module")
def xvector(world, do, tmp_path_factory):
    """An x-vector network with three back ends, calibrated."""
    run = made_run(tmp_path_factory.mktemp("exp"), "xvector", 1, load_system(SMALL, sets=XVECTOR))
    do("train", "--ngpu", 0, "--train", world / "train", "--valid", world / "valid", run.path)
    return finish(do, world, run)


@pytest.fixture(scope="module")
def ivector(world, do, tmp_path_factory):
    """I-vectors, of the WebRTC VAD and of deltas, and a system of another back end on them."""
    exp = tmp_path_factory.mktemp("exp")
    path = exp / "ivector.yaml"
    path.write_text(yaml.safe_dump(IVECTOR))
    run = made_run(exp, "ivector", 1, load_system(path))
    do("train_ivector", "--ngpu", 0, "--train", world / "train", run.path)
    return finish(do, world, run)


def configured(world, do, exp, system, budget):
    do("configure", "--conf", world / "conf", "--exp", exp, "--budget", budget, system)
    (path,) = exp.glob(f"{system}*/seed1")
    do("train", "--ngpu", 0, "--train", world / "train", "--valid", world / "valid", path)
    return finish(do, world, Run.open(path))


@pytest.fixture(scope="module")
def crops(world, do, tmp_path_factory):
    """A network of recordings whose embeddings are matrices of crops."""
    return configured(world, do, tmp_path_factory.mktemp("exp"), "Q1", "crops")


@pytest.fixture(scope="module")
def draws(world, do, tmp_path_factory):
    """A network of samples that draws several embeddings of a recording, of which back ends score a row."""
    return configured(world, do, tmp_path_factory.mktemp("exp"), "w2v2-ce-random", "whole")


@pytest.fixture(scope="module")
def pairs(world, do, tmp_path_factory):
    """A network that compares pairs itself."""
    return configured(world, do, tmp_path_factory.mktemp("exp"), "w2v2-bce", "whole")


KINDS = ("xvector", "ivector", "crops", "draws")


def wav(world, utt):
    return world / "valid/wav" / f"{utt}.wav"


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_are_those_of_stages_1_and_5(world, request, kind):
    """Of every utterance of a set, whatever was batched with it: resampled, judged, normalised, cut or drawn."""
    run = request.getfixturevalue(kind)
    verifier = Verifier(run, device="cpu")
    table, reader = read_table(run.embeddings("valid") / "xvector.scp"), MatrixReader()
    assert len(table) == 18
    for utt, value in table.items():
        expected = reader.read(value)
        found = verifier.embed(wav(world, utt))
        assert (found.shape, found.dtype) == (expected.shape, np.float32)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("kind", [*KINDS, "pairs"])
def test_scores_and_ratios_are_those_of_stages_7_and_8(world, request, kind):
    """Of every back end, a trial at a time against the list; files keep six digits after the point."""
    run, trials = request.getfixturevalue(kind), Trials.read(world / "valid/trials_some")
    for backend in run.system.backends:
        verifier = Verifier(run, backend, "cpu")
        found = [verifier.verify(wav(world, a), wav(world, b)) for a, b in trials.pairs()]
        expected = read_scores(run.scores("some", backend), trials)
        spread = np.abs(expected).max()
        np.testing.assert_allclose([each.score for each in found], expected, atol=1e-4 * spread + 1e-6)
        llrs = read_scores(run.calibrated("some", backend), trials)
        slope = abs(verifier.calibration.slope)
        of_measures = 1e-3 if run.system.measures(backend) else 0.0  # of nearly equal numbers
        atol = slope * (1e-4 * spread + 1e-6) + 1e-6 + of_measures
        np.testing.assert_allclose([each.llr for each in found], llrs, atol=atol)
        assert not verifier.note


@pytest.mark.parametrize("kind", KINDS)
def test_speakers_are_enrolled_as_models_of_several_utterances(world, request, tmp_path, kind):
    """Against stage 7 with the same models, from memory and from the files that they were written to."""
    run, trials = request.getfixturevalue(kind), Trials.read(world / "valid/trials_of_models")
    for backend in run.system.backends:
        verifier, other = (Verifier(run, backend, "cpu") for _ in range(2))
        for model, utts in MODELS.items():
            verifier.enroll(model, [wav(world, utt) for utt in utts])
        verifier.save_models(tmp_path / "speakers")
        other.load_models(tmp_path / "speakers")
        expected = read_scores(run.scores("of_models", backend), trials)
        for each in (verifier, other):
            found = [each.verify(model, wav(world, test)) for model, test in trials.pairs()]
            scores, llrs = [one.score for one in found], [one.llr for one in found]
            np.testing.assert_allclose(scores, expected, atol=1e-4 * np.abs(expected).max() + 1e-6)
            expected_llrs = read_scores(run.calibrated("of_models", backend), trials)
            np.testing.assert_allclose(llrs, expected_llrs, atol=1e-3 * np.abs(expected_llrs).max() + 1e-6)


def test_samples_are_heard_as_the_file_that_holds_them(world, xvector):
    """As int16, and as floats of full scale 1, which other libraries give."""
    verifier = Verifier(xvector, device="cpu")
    expected = verifier.embed(wav(world, "s1-5"))
    for dtype in ("int16", "float32", "float64"):
        wave_N, rate = soundfile.read(wav(world, "s1-5"), dtype=dtype)
        np.testing.assert_allclose(verifier.embed(wave_N, rate), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("prior", [0.01, 0.05, 0.5])
def test_a_decision_is_at_the_threshold_of_the_prior(world, xvector, prior):
    """The posterior log odds, llr + log(P / (1 - P)), decide by their sign."""
    verifier = Verifier(xvector, "plda", "cpu")
    for b in ("s0-5", "s1-4", "s3-4"):
        decision = verifier.verify(wav(world, "s0-4"), wav(world, b), prior)
        assert decision.threshold == pytest.approx(np.log((1 - prior) / prior))
        assert decision.accepted == (decision.llr + np.log(prior / (1 - prior)) >= 0)


def copied(run, tmp_path):
    """A run that a test may spoil."""
    return Run.open(shutil.copytree(run.path, tmp_path / run.path.parent.name / run.path.name))


def test_without_calibration_there_is_a_score_and_what_to_do(world, xvector, tmp_path):
    run = copied(xvector, tmp_path)
    shutil.rmtree(run.path / "calibration")
    verifier = Verifier(run, "cosine", "cpu")
    decision = verifier.verify(wav(world, "s0-4"), wav(world, "s0-5"))
    assert decision[1:] == (None, None, None)
    assert decision.score == Verifier(xvector, "cosine", "cpu").verify(wav(world, "s0-4"), wav(world, "s0-5")).score
    assert "--calibration-speakers" in verifier.note


def test_a_system_on_anothers_embeddings_hears_with_the_other(world, ivector, do):
    """`embeddings_of`: nothing of it is trained but the back end."""
    exp = ivector.path.parents[1]
    (exp / "on.yaml").write_text("{embeddings_of: ivector, backends: {raw: {name: euclidean}}}")
    run = made_run(exp, "on", 1, load_system(exp / "on.yaml"))
    do("train_backends", "--train", "train", run.path)
    do("score", "--enrol", "valid", "--test", "valid", run.path, world / "valid/trials_some")
    trials = Trials.read(world / "valid/trials_some")
    found = Verifier(run, device="cpu").verify(wav(world, trials.enrol[0]), wav(world, trials.test[0]))
    assert found.score == pytest.approx(read_scores(run.scores("some", "raw"), trials)[0], abs=1e-4)


def test_a_run_can_be_used_where_its_data_and_embeddings_are_gone(world, xvector, tmp_path):
    """As when only what is trained is taken to another machine; nothing is written there."""
    run = copied(xvector, tmp_path)
    for name in ("embeddings", "scores"):
        shutil.rmtree(run.path / name)
    files = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    pair = wav(world, "s0-4"), wav(world, "s0-5")
    for backend in run.system.backends:
        assert Verifier(run, backend, "cpu").verify(*pair) == Verifier(xvector, backend, "cpu").verify(*pair)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == files


def write_wav(path, wave_N, rate=RATE, channels=1):
    path.write_bytes(wav_bytes(np.asarray(wave_N, np.int16), rate, channels=channels))
    return path


@pytest.mark.parametrize(
    ("audio", "error", "says"),
    [
        (lambda at: at / "none.wav", AudioError, "none.wav"),
        (lambda at: write_lines(at / "text.wav", "no sound") or at / "text.wav", AudioError, "text.wav"),
        (lambda at: write_wav(at / "x.wav", np.zeros(RATE)), DataError, "x.wav: silence: the VAD energy finds no"),
        (lambda at: write_wav(at / "x.wav", speech(1, 1, 0.12)), DataError, "voiced frames, the network needs 15"),
        (lambda at: write_wav(at / "x.wav", speech(1, 1)[:20]), DataError, "too few for one frame"),
        (lambda at: write_wav(at / "x.wav", speech(1, 1), 6000), ConfigError, "6000 Hz.*--resample"),
        (lambda at: write_wav(at / "x.wav", speech(1, 1), channels=2), AudioError, "2 channels"),
    ],
    ids=["missing", "no audio", "silent", "short", "shorter", "rate", "channels"],
)
def test_a_recording_that_cannot_be_used_is_one_line(xvector, tmp_path, audio, error, says):
    with pytest.raises(error, match=says) as told:
        Verifier(xvector, device="cpu").embed(audio(tmp_path))
    assert "\n" not in str(told.value)


def test_of_several_channels_one_is_heard(world, xvector, tmp_path):
    mono_N = soundfile.read(wav(world, "s1-5"), dtype="int16")[0]
    stereo = write_wav(tmp_path / "x.wav", np.stack([0 * mono_N, mono_N], 1), channels=2)
    verifier = Verifier(xvector, device="cpu")
    np.testing.assert_array_equal(verifier.embed(stereo, channel=1), verifier.embed(wav(world, "s1-5")))


@pytest.mark.parametrize(
    ("samples", "rate", "says"),
    [
        (np.zeros(100, np.int16), None, "rate is missing"),
        (np.zeros((2, 100), np.int16), RATE, r"\(2, 100\)"),
        (np.zeros(0, np.int16), RATE, r"\(0,\)"),
        (np.full(100, 3000.0), RATE, "up to 3000; int16"),
        (np.full(100, np.nan), RATE, "int16"),
        (np.zeros(100, int), RATE, "int64"),
    ],
)
def test_samples_of_another_kind_are_refused(xvector, samples, rate, says):
    with pytest.raises(AudioError, match=says):
        Verifier(xvector, device="cpu").embed(samples, rate)


@pytest.mark.parametrize("kind", ["xvector", "draws"])
def test_another_rate_is_taken_if_asked_and_heard_nearly_the_same(world, request, tmp_path, kind):
    """Of features and of samples: a recording at 48 kHz that was made of one at 16."""
    run = request.getfixturevalue(kind)
    wave_N = soundfile.read(wav(world, "s1-5"), dtype="int16")[0]
    more_N = resample(wave_N.astype(np.float32), RATE, 3 * RATE)
    verifier = Verifier(run, device="cpu", resample=True)
    found, expected = (verifier.embed(x_N.astype(np.int16), rate) for x_N, rate in ((more_N, 3 * RATE), (wave_N, RATE)))
    for one, other in zip(np.atleast_2d(found), np.atleast_2d(expected), strict=True):
        assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.95


def test_a_network_of_recordings_takes_its_own_rate_alone(draws, tmp_path):
    with pytest.raises(ConfigError, match=r"x.wav is sampled at 8000 Hz, the network hears 16000.*--resample"):
        Verifier(draws, device="cpu").embed(write_wav(tmp_path / "x.wav", speech(1, 1), 8000))
    with pytest.raises(DataError, match=r"x.wav: 100 samples, the network needs"):
        Verifier(draws, device="cpu").embed(write_wav(tmp_path / "x.wav", speech(1, 1)[:100]))


def test_a_network_that_compares_pairs_has_no_embeddings(world, pairs):
    verifier = Verifier(pairs, device="cpu")
    for use in (lambda: verifier.embed(wav(world, "s0-4")), lambda: verifier.enroll("a", [wav(world, "s0-4")])):
        with pytest.raises(ConfigError, match="compares pairs itself and has no embeddings"):
            use()


def test_what_is_asked_of_the_wrong_run_is_one_line(world, xvector, tmp_path):
    """Before anything is heard."""
    there = wav(world, "s0-4")
    (tmp_path / "both.yaml").write_text("ensemble: {members: {xvector: 2}, backend: plda}")
    both = made_run(tmp_path, "both", 1, load_system(tmp_path / "both.yaml"))
    for use, says in (
        (lambda: Verifier(both), "is an ensemble .ensemble.: it has no backends of its own"),
        (lambda: Verifier.from_exp(tmp_path), "not a run"),
        (lambda: Verifier(made_run(tmp_path, "new", 1, xvector.system)), "its network is not trained to the end"),
        (lambda: Verifier(xvector, "lda"), "has no back end lda; it has cosine, plda, asnorm"),
        (lambda: Verifier(xvector, device="tpu"), "cpu or cuda, not tpu"),
        (lambda: Verifier(xvector).verify("none", "none"), "several back ends; name one of them: cosine, plda, asnorm"),
        (lambda: Verifier(xvector, "plda").verify(there, there, prior=1.0), "1"),
        (lambda: Verifier(xvector).enroll("two words", [there]), "one word"),
        (lambda: Verifier(xvector).enroll("anna", []), "a recording or more"),
    ):
        with pytest.raises((ConfigError, DataError), match=says):
            use()


def test_what_was_made_before_something_else_was_made_anew_is_refused(world, xvector, tmp_path):
    """A back end of another network's embeddings, and a calibration of another back end's scores."""
    run = copied(xvector, tmp_path)

    def make_anew(name):
        folder = run.embeddings(name)
        Step("extract", folder).done([folder / "utt2spk"])

    def verify():
        return Verifier(run, "cosine", "cpu").verify(wav(world, "s0-4"), wav(world, "s0-5"))

    make_anew("cal")
    with pytest.raises(
        DataError, match=r"cosine.json was learnt before .*embeddings/cal was made anew.*stages 7 and 8"
    ):
        verify()
    make_anew("train")
    with pytest.raises(DataError, match=r"train_backend was made before .*embeddings/train was made anew.*stage 5"):
        verify()


def test_models_are_of_the_network_that_made_them(world, xvector, ivector, tmp_path):
    """Of another one, damaged, half written or absent they are refused; and so is an unknown speaker."""
    verifier = Verifier(xvector, "plda", "cpu")
    with pytest.raises(DataError, match="nobody is enrolled there"):
        verifier.load_models(tmp_path / "speakers")
    verifier.enroll("anna", [wav(world, "s0-4")])
    verifier.save_models(tmp_path / "speakers")
    with pytest.raises(DataError, match=r"bert: no speaker of that name is enrolled .anna., nor is it a file"):
        verifier.verify("bert", wav(world, "s0-4"))
    with pytest.raises(DataError, match="not with this network; enrol them again"):
        Verifier(ivector).load_models(tmp_path / "speakers")
    (tmp_path / "speakers.ark").write_bytes(b"anna another")
    with pytest.raises(DataError, match=r"speakers.ark: is not what was written with"):
        verifier.load_models(tmp_path / "speakers")
    (tmp_path / "speakers.json").write_text("{")
    with pytest.raises(DataError, match="does not hold enrolled speakers"):
        verifier.load_models(tmp_path / "speakers")


def test_models_may_move_and_kaldi_can_read_them(world, xvector, tmp_path):
    verifier = Verifier(xvector, "plda", "cpu")
    verifier.enroll("anna", [wav(world, "s0-4"), wav(world, "s0-5")])
    verifier.save_models(tmp_path / "speakers")
    held = Vectors.read(tmp_path / "speakers.scp")
    np.testing.assert_array_equal(held.x_ND, verifier.models["anna"].x[None])
    (tmp_path / "moved").mkdir()
    for path in tmp_path.glob("speakers.*"):
        path.rename(tmp_path / "moved" / path.name)
    other = Verifier(xvector, "plda", "cpu")
    other.load_models(tmp_path / "moved/speakers")
    assert other.models["anna"].num_utts == 2


def test_the_commands(world, xvector, tmp_path, monkeypatch, capsys):
    """Embed, enrol, enrol another, verify: what they print is what the class says."""

    def command(*words):
        return run_command(monkeypatch, capsys, *words)

    a, b = wav(world, "s0-4"), wav(world, "s1-4")
    assert command("enroll", "--models", tmp_path / "all", xvector.path, "anna", a, wav(world, "s0-5"))[0] == 0
    code, said, _ = command("enroll", "--models", tmp_path / "all", xvector.path, "bert", b)
    assert (code, said) == (0, f"{tmp_path}/all: bert of 1 recording, 2 enrolled\n")
    verifier = Verifier(xvector, "plda")
    verifier.load_models(tmp_path / "all")
    decision = verifier.verify("anna", b, 0.2)
    options = ("--backend", "plda", "--prior", 0.2, "--models", tmp_path / "all", xvector.path)
    what = "accepted" if decision.accepted else "rejected"
    expected = f"score {decision.score:.6f}, LLR {decision.llr:.4f}, threshold 1.3863: {what}\n"
    assert command("verify", *options, "anna", b)[:2] == (0, expected)
    assert "nobody" in refused(command("verify", *options, "nobody", b))
    assert "name one of them" in refused(command("verify", xvector.path, a, b))
    key, _, numbers = command("embed", xvector.path, a)[1].partition("  [ ")
    assert key == "s0-4"
    np.testing.assert_allclose([float(word) for word in numbers.split()[:-1]], verifier.embed(a), rtol=1e-5)
    assert command("embed", "--out", tmp_path / "two", xvector.path, a, b)[0] == 0
    assert Vectors.read(tmp_path / "two.scp").keys == ["s0-4", "s1-4"]
    (tmp_path / "s0-4.flac").write_bytes(b"")
    assert "has the same name" in refused(command("embed", xvector.path, a, tmp_path / "s0-4.flac"))


def test_one_module_has_the_commands():
    """`python -m sv NAME` is `sv.cli.NAME`; another word is one line."""

    def said(*words):
        done = subprocess.run([sys.executable, "-m", "sv", *words], cwd=ROOT, capture_output=True, text=True)
        return done.returncode, done.stderr

    assert (
        said()
        == said("train")
        == (1, "sv: the first word is embed, enroll, verify or threshold; see python -m sv verify --help\n")
    )
    assert said("--help") == (0, "")
    assert said("verify", "nowhere", "a", "b") == (
        1,
        "verify: nowhere: not a run (config.yaml is missing); run.sh makes runs, at any stage\n",
    )


def test_importing_it_does_not_import_torch():
    program = "import sys; from sv import Verifier; assert 'torch' not in sys.modules; print(Verifier.__name__)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("Verifier\n", "")
    with pytest.raises(AttributeError, match="nothing"):
        sv.nothing  # noqa: B018


def test_a_recording_in_the_place_of_a_speakers_name_is_refused(world, xvector, tmp_path, monkeypatch, capsys):
    files = wav(world, "s0-4"), wav(world, "s0-5")
    said = refused(run_command(monkeypatch, capsys, "enroll", "--models", tmp_path / "m", xvector.path, *files))
    assert "s0-4.wav is a recording; the speaker's name comes before the recordings" in said
    assert not list(tmp_path.iterdir())
