"""A trained run as an ONNX model: its embeddings are the run's, its card is true, and what has no such form is told."""

import contextlib
import dataclasses
import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import soundfile
import yaml
from commands import exit_code, refused, run_command
from data_dirs import write_lines
from embedding_sets import write_set
from kaldi_files import ROOT
from networks import LEAST, drawn_run
from runs import made_run

from sv.data.atomic import atomic_write
from sv.export.parity import OnnxModel, Parity, compared, signal
from sv.features.heard import Ear
from sv.records import Step, record_of, settings_of
from sv.report.tables import Row
from sv.run import Run
from sv.scoring.calibration import Calibration
from sv.systems.reading import load_system, validate_system
from sv.verifier import Verifier

pytestmark = pytest.mark.usefixtures("one_thread")

CONF = {
    "features/mfcc9_8k.conf": "--sample-frequency=8000\n--num-ceps=9\n--snip-edges=false\n--allow-downsample=true\n",
    "features/fbank12_8k.conf": "--sample-frequency=8000\n--num-mel-bins=12\n--use-energy=true\n",
    "features/melspec16_16k.conf": "--num-mel-bins=16\n",
    "features/melspec_mfcc12_16k.conf": "--num-mel-bins=16\n--num-ceps=12\n",
    "features/mfcc_dithered.conf": "--dither=1\n",
    "features/wave_16k.conf": "",
    "vad/energy.conf": "--vad-energy-threshold=5.5\n--vad-proportion-threshold=0.12\n--vad-frames-context=2\n",
    "vad/webrtc.conf": "",
}
XVECTOR = {
    "features": "mfcc9_8k",
    "vad": "energy",
    "cmn": {"window": 40},
    "model": {"trunk": "xvector", "frame_channels": [8, 8, 8, 8, 12], "embedding_dim": 8, "segment_channels": 8},
    "backends": {
        "cosine": {"name": "cosine", "centre": "train", "whiten": True},
        "plda": {"name": "plda", "lda_dim": 3},
        "asnorm": {"name": "cosine", "centre": None, "normalise": {"method": "s", "top": 4}},
        "later": {"name": "cosine"},
    },
}
RESNET1D = {
    "features": "fbank12_8k",
    "vad": "energy",
    "cmn": {"window": 40, "norm_vars": True},
    "deltas": {"order": 1, "window": 2},
    "model": {
        "trunk": "resnet1d",
        "blocks": [1, 1, 1, 1],
        "channels": [8, 8, 8, 8],
        "hidden_dim": 8,
        "embedding_dim": 8,
        "top_dim": 6,
    },
}
WAVEFORM = {"input": "waveform", "normalise": {"variance": True}}
CROPS = {"extraction": {"crops": {"count": 3, "length_s": 0.6}}}
QUICK = {"channels": [8, 8, 8, 8], "embedding_dim": 6}
ECAPA = {"trunk": "ecapa", "channels": 16, "aggregated": 12, "bottleneck": 8, "attention_dim": 8, "embedding_dim": 6}
W2V2 = {"trunk": "wav2vec2", "size": "tiny", "pooling": "first+cls"}
FAMILIES = {
    "resnet1d": RESNET1D,
    "q_sap": WAVEFORM | CROPS | {"features": "melspec16_16k", "model": {"trunk": "q_sap", **QUICK}},
    "h_asp": WAVEFORM | {"features": "melspec16_16k", "model": {"trunk": "h_asp", **QUICK}},
    "ecapa": WAVEFORM | {"features": "melspec_mfcc12_16k", "model": ECAPA},
    "wav2vec2": WAVEFORM | {"features": "wave_16k", "model": W2V2},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Configurations, and a labelled training set of which only the tables are there."""
    folder = tmp_path_factory.mktemp("world")
    for name, text in CONF.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    write_lines(folder / "data/train/utt2spk", *(f"s{i % 3}-{i} s{i % 3}" for i in range(12)))
    write_lines(folder / "data/train/SYNTHETIC.txt", "No person speaks here.")
    write_lines(folder / "data/train/utt2num_samples", *(f"s{i % 3}-{i} 1200000" for i in range(12)))
    write_lines(folder / "data/train/feats/mfcc9_8k/utt2num_frames", *(f"s{i % 3}-{i} 36000" for i in range(12)))
    write_lines(folder / "data/train/feats/mfcc9_8k/utt2spk", *(f"s{i % 3}-{i} s{i % 3}" for i in range(12)))
    return folder


def drawn(world, name, system):
    of_features = "" if system.get("input") else "feats/mfcc9_8k"
    return drawn_run(world / "exp", name, world, system, [world / "data/train" / of_features / "utt2spk"])


@pytest.fixture(scope="module")
def xvector(world):
    """An x-vector run with trained back ends but for one, a calibration, scores that are reported."""
    run = drawn(world, "xvector", XVECTOR)
    rng = np.random.default_rng(0)
    embeddings = {f"s{s}-{u}": rng.normal(size=8) + 3 * s for s in range(6) for u in range(5)}
    write_set(run.embeddings("train"), embeddings)
    write_lines(run.embeddings("train") / "utt2spk", *(f"{utt} {utt[:2]}" for utt in sorted(embeddings)))
    Step("extract", run.embeddings("train")).done([run.embeddings("train") / "utt2spk"])
    with pytest.MonkeyPatch.context() as patch:
        assert exit_code(patch, "train_backends", "--train", "train", run.path) == 0
    shutil.rmtree(run.backend("later"))
    Calibration.learn([3.0, 2.0, 1.0, 0.5, -1.0], [True, True, False, True, False]).write(run.calibration("plda"))
    Step("calibrate.plda", run.path / "calibration").done([run.calibration("plda")])
    figures = {"eer": 0.1234, "eer_nearest": 0.12, "min_cllr": 0.4, "num_speakers": 4}
    figures |= {"min_dcf_05": 0.5, "min_dcf_01": 0.6, "num_listed": 90, "num_trials": 90, "num_targets": 30}
    figures |= {"published_eer": None, "published_source": None, "is_synthetic": True}
    rows = [Row(name, "plda", "heard", 1, **figures) for name in ("xvector", "another")]
    with atomic_write(world / "exp/report/results.json") as out:
        json.dump([dataclasses.asdict(row) for row in rows], out)
    write_lines(world / "exp/scored", "scores")
    Step("report", world / "exp/report", inputs=[world / "exp/scored"]).done([world / "exp/report/results.json"])
    return run


@pytest.fixture(scope="module")
def check(world):
    """A set of recordings of 16 kHz, one of them silent, two of one length."""
    folder = world / "data/check"
    samples = [9000, 14017, 14017, 30001, 52000]
    for i, n in enumerate(samples):
        path = folder / f"wav/s0-{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, (signal(i, n, 16000) * (i != 4)).astype(np.int16), 16000, subtype="PCM_16")
    write_lines(folder / "wav.scp", *(f"s0-{i} {folder}/wav/s0-{i}.wav" for i in range(5)))
    write_lines(folder / "utt2spk", *(f"s0-{i} s0" for i in range(5)))
    return folder


@pytest.fixture(scope="module")
def exported(xvector, check, world):
    """The x-vector run's export, and what the command said."""
    out = world / "out"
    with pytest.MonkeyPatch.context() as patch:
        said = run_quietly(patch, "--check", check, xvector.path, out)
    return out, said


def run_quietly(patch, *options):
    """What the command prints, where a module's fixture calls it."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert exit_code(patch, "export", *options) == 0
    return said.getvalue()


@pytest.fixture
def export(monkeypatch, capsys):
    return lambda *options: run_command(monkeypatch, capsys, "export", *options)


@pytest.fixture
def traced(exported, monkeypatch):
    """The exporter, which takes its time, gives the model that is there; a test may change it."""
    model = onnx.load(exported[0] / "model.onnx")
    monkeypatch.setattr("sv.export.onnx_file.onnx_model", lambda _: model)
    return model


def near(run, out, lengths, features=False):
    """Whether the model's embeddings of signals of these lengths are the run's."""
    verifier, model = Verifier(run, device="cpu"), OnnxModel((out / "model.onnx").read_bytes())
    front_end = settings_of("train", run.path)["front_end"]
    rate, ear = int(front_end["features"]["sample_frequency"]), Ear(run.system, front_end)
    for i, length in enumerate(lengths):
        wave_N = signal(50 + i, length, rate) / np.float32(32768)
        given = ear(wave_N * np.float32(32768), rate, "signal") if features else wave_N
        expected, found = verifier.embed(wave_N, rate), model(given)
        assert (found.shape, found.dtype) == (expected.shape, np.float32)
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_an_xvectors_embeddings_are_the_runs(xvector, exported):
    """With VAD and sliding mean, of half a second to half a minute; lengths that the export has not seen."""
    near(xvector, exported[0], (4000, 8001, 23456, 240000))


def test_the_comparison_is_of_usable_recordings_of_different_lengths(exported, check):
    out, said = exported
    assert "on 3 recordings of `check`" in said
    assert "s0-4 is not among those compared: samples: silence" in said
    about = json.loads((out / "model.json").read_bytes())
    assert about["compared"]["recordings"] == 3
    assert 1 - about["compared"]["cosine"] < 1e-9


QUICK = ("ecapa", "wav2vec2")  # beside the x-vector: of channels, and of samples; the others are long proofs


@pytest.mark.parametrize(
    "name", [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in FAMILIES]
)
def test_embeddings_of_every_family_are_the_runs(world, export, tmp_path, name):
    """Of lengths from the shortest to a few seconds, of crops shorter than one, too; checked on synthetic signals."""
    run = drawn(world, name, FAMILIES[name])
    code, said, _ = export("--verify", 3, run.path, tmp_path)
    assert code == 0
    assert "on 3 synthetic signals" in said
    about = json.loads((tmp_path / "model.json").read_bytes())
    shortest = about["fewest"] if not run.system.vad else 3000
    near(run, tmp_path, (shortest, shortest + 333, 16000, 50001))
    assert about["output"]["shape"] == ([3, 6] if run.system.extraction.crops else [about["embedding_dim"]])
    card = (tmp_path / "README.md").read_text()
    assert "None were reported" in card
    assert ("12 utterances of 3 speakers, 0.2 hours" if run.system.input else "1.2 hours") in card


def test_a_model_of_frames_takes_what_the_network_reads(world, export, tmp_path):
    """Of a VAD that no model has; without --features it is refused."""
    run = drawn(world, "webrtc", XVECTOR | {"vad": "webrtc", "backends": LEAST["backends"]})
    assert "with --features model.onnx takes the frames" in refused(export(run.path, tmp_path))
    assert not list(tmp_path.iterdir())
    assert export("--features", "--verify", 2, run.path, tmp_path)[0] == 0
    near(run, tmp_path, (8000, 24000), features=True)
    about = json.loads((tmp_path / "model.json").read_bytes())
    assert (about["input"]["shape"], about["fewest"]) == (["num_frames", 9], 15)
    ear = Ear(run.system, settings_of("train", run.path)["front_end"])
    np.save(tmp_path / "anna-01.npy", ear(signal(1, 20000, 8000), 8000, "signal"))
    assert "[" in example(tmp_path)


def example(out):
    """What the card's Python prints, in a process of its own that knows nothing of this project."""
    (code,) = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.DOTALL)
    ended = subprocess.run([sys.executable, "-I", "-c", code], cwd=out, capture_output=True, text=True)
    assert not ended.stderr
    return ended.stdout


def test_the_cards_example_scores_as_the_run_does(xvector, exported, tmp_path):
    """The back end of the run by name, on two recordings beside the card."""
    out = shutil.copytree(exported[0], tmp_path / "out")
    for i, name in enumerate(("anna-01", "who")):
        soundfile.write(out / f"{name}.wav", signal(i, 12000 + 500 * i, 8000).astype(np.int16), 8000)
    expected = Verifier(xvector, "cosine", "cpu").verify(out / "anna-01.wav", out / "who.wav").score
    assert float(example(out)) == pytest.approx(expected, abs=1e-5)


def test_the_card_says_what_the_records_say(exported):
    """Training set, hours, label, this run's rows alone, calibration; YAML that Hugging Face reads above."""
    card = (exported[0] / "README.md").read_text()
    assert yaml.safe_load(card.split("---")[1])["tags"]
    for part in (
        "Trained on synthetic speech",
        "The set `train`: 12 utterances of 3 speakers, 1.2 hours; 2 epochs. Its label: No person speaks here.",
        "| xvector | plda | heard | 12.34 |",
        "Kaldi's mfcc: 9 numbers every 10 ms at 8,000 Hz; snip_edges false, num_ceps 9",
        "`backend/plda/transform.mat`",
        "2.94 at 0.05",
        "look these up",
        "Against PyTorch on 3 recordings of `check`",
    ):
        assert part in card, part
    assert "another" not in card.split("## Results")[1].split("##")[0]


@pytest.mark.usefixtures("traced")
def test_a_card_does_not_know_what_is_gone(xvector, export, tmp_path):
    """Of a run that was taken elsewhere: whether its speech was synthetic is not passed over."""
    run = Run.open(shutil.copytree(xvector.path, tmp_path / "elsewhere/xvector/seed1"))
    assert export("--verify", 2, run.path, tmp_path / "out")[0] == 0
    card = (tmp_path / "out/README.md").read_text()
    assert "12 utterances of 3 speakers; 2 epochs. Its folder is gone, and with it whether the speech was real" in card


@pytest.mark.usefixtures("traced")
def test_a_public_networks_weights_are_called_so(xvector, export, tmp_path):
    run = Run.open(shutil.copytree(xvector.path, tmp_path / "exp/xvector/seed1"))
    for made in ("backend", "calibration"):
        shutil.rmtree(run.path / made)
    settings = settings_of("train", run.path) | {"imported": "public.model"}
    Step("train", run.path, settings=settings).done([run.checkpoint()])
    assert export("--verify", 2, run.path, tmp_path / "out")[0] == 0
    card = (tmp_path / "out/README.md").read_text()
    assert "a public network's, not trained here" in card
    assert "None is trained; cosines" in card


def test_back_ends_and_calibration_are_copies(xvector, exported):
    """Of those that are trained; tables of paths stay behind. What numpy reads holds the same."""
    out = exported[0]
    names = {str(path.relative_to(out)) for path in out.rglob("*.*") if ".done" not in path.parts}
    assert names == {
        *("model.onnx", "model.json", "README.md", "calibration/plda.json", "backend/asnorm/cohort.ark"),
        *(f"backend/cosine/{name}" for name in ("mean.vec", "mean.npy", "transform.mat", "transform.npy")),
        *(f"backend/plda/{name}" for name in ("mean.vec", "transform.mat")),
    }
    assert (out / "backend/plda/plda").read_bytes() == (xvector.backend("plda") / "plda").read_bytes()
    assert (out / "calibration/plda.json").read_bytes() == xvector.calibration("plda").read_bytes()


def test_the_model_tells_nothing_of_the_machine(exported):
    data = (exported[0] / "model.onnx").read_bytes()
    onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
    assert b".py" not in data
    assert str(ROOT).encode() not in data


# -- Again ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("traced")
def test_an_export_that_holds_is_skipped_and_another_replaces_it(xvector, exported, export, check, tmp_path):
    """A back end that is gone goes from the folder, a figure that is older than its scores from the card."""
    exp = shutil.copytree(xvector.path.parents[1], tmp_path / "exp")
    run, out = Run.open(exp / "xvector/seed1"), tmp_path / "out"
    first, again = (export("--check", check, run.path, out) for _ in range(2))
    assert "model.onnx" in first[1]
    assert "unchanged, skipped" in again[1]
    shutil.rmtree(run.backend("asnorm"))
    write_lines(exp / "scored", "other scores")
    assert export("--check", check, run.path, out)[0] == 0
    assert not (out / "backend/asnorm/cohort.ark").exists()
    assert "None were reported" in (out / "README.md").read_text()


@pytest.mark.usefixtures("traced")
def test_a_system_on_anothers_embeddings_exports_the_others_network(world, xvector, export, tmp_path):
    """`embeddings_of`: the card is of the one, and of the other's training."""
    path = world / "on.yaml"
    path.write_text("{embeddings_of: xvector, backends: {raw: {name: euclidean}}}")
    run = made_run(xvector.path.parents[1], "on", 1, load_system(path))
    assert export("--verify", 2, run.path, tmp_path)[0] == 0
    card = (tmp_path / "README.md").read_text()
    assert "# on: speaker embeddings" in card
    assert "x-vector TDNN" in card
    assert "12 utterances of 3 speakers" in card


@pytest.mark.usefixtures("traced")
def test_anothers_files_are_not_written_over(xvector, export, tmp_path):
    """A README.md that no export wrote; an export's that was killed while writing is made anew."""
    write_lines(tmp_path / "README.md", "mine")
    assert "README.md is there and is not of an export" in refused(export("--verify", 2, xvector.path, tmp_path))
    assert (tmp_path / "README.md").read_text() == "mine\n"
    Step("export", tmp_path).begin()
    assert export("--verify", 2, xvector.path, tmp_path)[0] == 0
    assert "speaker embeddings" in (tmp_path / "README.md").read_text()


def test_commands_of_a_list_are_run_if_allowed_alone(xvector, export, check, tmp_path):
    folder = shutil.copytree(check, tmp_path / "piped")
    write_lines(folder / "wav.scp", *(f"s0-{i} cat {check}/wav/s0-{i}.wav |" for i in range(5)))
    assert "--allow-pipes" in refused(export("--check", folder, xvector.path, tmp_path / "out"))


def test_a_model_that_is_not_the_network_is_not_written(xvector, export, traced, tmp_path):
    """A weight that is another, and one that is no number."""
    weight = max(traced.graph.initializer, key=lambda each: each.name == "of_frames.network.embedding.weight")
    before = onnx.numpy_helper.to_array(weight)
    for changed in (before + 0.05 * np.random.default_rng(0).normal(size=before.shape), before * np.nan):
        weight.raw_data = changed.astype(np.float32).tobytes()
        line = refused(export("--verify", 2, xvector.path, tmp_path / "out"))
        assert "the ONNX model is not the network: on signal" in line
        assert not (tmp_path / "out").exists()


def test_parity_is_of_the_worst_row_and_the_largest_number():
    """Counted by hand, of a vector and of a matrix."""
    found = compared(
        [
            ("a", np.array([3.0, 4.0]), np.array([4.0, 3.0])),
            ("b", np.array([[1.0, 0.0], [0.0, -9.0]]), np.array([[1.0, 0.0], [-1.0, -1.0]])),
        ]
    )
    assert (found.recordings, found.difference, found.largest, found.name) == (2, 8.0, 9.0, "b")
    assert found.cosine == pytest.approx(np.sqrt(0.5))
    Parity(1, 0.0, 1.0, 1 - 9e-5, "a").require()


# -- What has no ONNX form -----------------------------------------------------------------------------------------


def ivector(world):
    path = world / "ivector.yaml"
    front = {"features": "mfcc9_8k", "vad": "energy", "cmn": None}
    path.write_text(yaml.safe_dump(front | {"ivector": {"dim": 4}, "backends": {"cosine": {"name": "cosine"}}}))
    run = made_run(world / "exp", "ivector", 1, load_system(path))
    settings = {"system": run.trained_by(), "front_end": {"features": {"kind": "mfcc"}, "vad": None}}
    Step("train", run.path, settings=settings).done([])
    return run


def pairs(world):
    groups = {"utterances": 2, "max_per_speaker": 4}
    training = LEAST["training"] | {"chunks_per_speaker": None, "held_out_pairs": 4, "groups": groups}
    system = FAMILIES["wav2vec2"] | {"model": W2V2 | {"pooling": None}, "loss": {"name": "bce"}, "training": training}
    run = made_run(
        world / "exp", "pairs", 1, validate_system(LEAST | system | {"backends": {"net": {"name": "network"}}}, "pairs")
    )
    Step("train", run.path, settings={"system": run.trained_by(), "front_end": {"features": {}, "vad": None}}).done([])
    return run


def ensemble(world):
    path = world / "both.yaml"
    path.write_text("ensemble: {members: {xvector: 2}, backend: plda}")
    return made_run(world / "exp", "both", 1, load_system(path))


@pytest.mark.parametrize(
    ("made", "options", "says"),
    [
        (ivector, [], "its embeddings are i-vectors.* final.ie"),
        (pairs, [], "compares pairs itself and has no embeddings"),
        (ensemble, [], "is an ensemble"),
        (
            lambda world: drawn(world, "random", FAMILIES["wav2vec2"] | {"model": W2V2 | {"pooling": "random"}}),
            [],
            "drawn at random.* another model.pooling",
        ),
        (lambda world: drawn(world, "plain", FAMILIES["ecapa"]), ["--features"], "leave out --features"),
        (
            lambda world: drawn(world, "dithered", XVECTOR | {"features": "mfcc_dithered"}),
            [],
            "dithered, each recording by its name; with --features",
        ),
        (lambda world: drawn(world, "plain", FAMILIES["ecapa"]), ["--verify", 0], "--verify is a number.* from 1"),
    ],
    ids=["i-vectors", "pairs", "ensemble", "random", "frames of waveforms", "dither", "verify"],
)
def test_what_cannot_be_exported_is_one_line(world, export, tmp_path, made, options, says):
    """Before any work: nothing is written."""
    assert re.search(says, refused(export(*options, made(world).path, tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_a_package_that_lacks_is_named(xvector, export, tmp_path, monkeypatch):
    monkeypatch.setattr("sv.export.onnx_file.PACKAGES", ("onnx", "no_such_package"))
    line = refused(export(xvector.path, tmp_path / "out"))
    assert "no_such_package: not installed" in line
    assert "-m pip install -r requirements-export.txt" in line


def test_a_stale_back_end_is_refused(xvector, export, tmp_path):
    """Of embeddings that were made anew."""
    run = Run.open(shutil.copytree(xvector.path, tmp_path / "exp/xvector/seed1"))
    folder = run.embeddings("train")
    Step("extract", folder).done([folder / "xvector.scp"])
    assert record_of("extract", folder).exists()
    assert "was made anew" in refused(export(run.path, tmp_path / "out"))
