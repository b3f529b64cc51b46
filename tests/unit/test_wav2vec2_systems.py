"""Every system of the wav2vec2 paper takes a step, embeds and scores: noise as speech, tiny random networks."""

import re

import numpy as np
import pytest
import yaml
from commands import exit_code, refused, run_command
from data_dirs import write_data, write_lines
from kaldi_files import ROOT

from sv.data.vectors import Vectors
from sv.run import Run
from sv.systems.reading import find_systems, load_system, names_of

pytestmark = pytest.mark.usefixtures("one_thread")

SYSTEMS = sorted(path.stem for path in (ROOT / "conf/systems/wav2vec2").glob("*.yaml"))
POOLINGS = ("max", "quantile", "mean", "first", "first_cls", "middle", "last", "random")
ABLATIONS = ("unfrozen", "unfrozen-scratch", "no-layerdrop", "no-dropout", "no-masking", "batch32", "batch128")
RATES = ("constant-1e-5", "constant-3e-6", "exponential", "tri-stage")
TABLE1 = {"xvector-fb40", "ecapa-fb40", "w2v2-ce", "w2v2-aam", "w2v2-bce"}
TABLE2 = {"w2v2-ce", "w2v2-aam", *(f"w2v2-{loss}-{pooling}" for loss in ("ce", "aam") for pooling in POOLINGS)}
TABLE3 = {f"w2v2-aam-{row}" for row in ("first_cls", *ABLATIONS, *RATES)}
WIDTHS = {
    "wav2vec2": {"size": "tiny", "pretrained": None},
    "xvector": {"frame_channels": [8, 8, 8, 8, 8], "embedding_dim": 6, "segment_channels": 8},
    "ecapa": {"channels": 16, "aggregated": 8, "bottleneck": 4, "attention_dim": 4, "embedding_dim": 6},
}
TRAINING = {
    "epochs": 1,
    "batch_size": 12,
    "steps_per_epoch": 1,
    "groups": {"max_per_speaker": 4},
    "chunk_s": [0.5, 0.5],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two sets of six speakers with audio, measured; a budget of nearly nothing."""
    folder = tmp_path_factory.mktemp("wav2vec2")
    for name, first in (("train", 0), ("valid", 4)):
        utts = {f"s{s}-{u}": 9000 + 700 * u for s in range(6) for u in range(first, first + (2 if first else 4))}
        write_data(folder / name, utts)
    write_lines(folder / "valid/trials_some", "s0-4 s0-5 target", "s0-4 s1-5 nontarget", "s2-5 s2-4 target")
    conf = folder / "conf"
    conf.mkdir()
    for name in ("features", "systems"):
        (conf / name).symlink_to(ROOT / "conf" / name)
    (conf / "budgets").mkdir()
    (conf / "budgets/nothing.yaml").write_text(
        yaml.safe_dump({"models": WIDTHS, "training": TRAINING | {"held_out_pairs": 6}})
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("train", "valid"):
            assert exit_code(patch, "measure_audio", "--rate", 16000, folder / name) == 0
    return folder


def test_there_are_all_rows_of_the_three_tables():
    assert set(SYSTEMS) == TABLE1 | TABLE2 | TABLE3


def test_the_guide_asks_for_the_rows_of_each_table_and_no_others():
    known = find_systems(ROOT / "conf")
    guide = (ROOT / "recipes/voxceleb/README.md").read_text(encoding="utf-8")
    asked = [set(names_of(names.split(","), known)) for names in re.findall(r"--systems '([^']*)'", guide)]
    assert [names for names in asked if names <= set(SYSTEMS)] == [TABLE1, TABLE2, TABLE3]


@pytest.mark.parametrize("budget", ["short", "tiny_w2v2"])
def test_a_budget_without_pretrained_weights_trains_the_convolutions(budget):
    """Random ones that are kept as they are would be all that is left of the recording."""
    model = load_system(find_systems(ROOT / "conf")["w2v2-ce"], [ROOT / f"conf/budgets/{budget}.yaml"]).model
    assert (model.pretrained, model.freeze_cnn) == (None, False)


@pytest.mark.parametrize("name", SYSTEMS)
def test_takes_a_step_embeds_and_scores(world, tmp_path, monkeypatch, capsys, name):
    def do(command, *options):
        result = run_command(monkeypatch, capsys, command, *options)
        assert result[0] == 0, result[2]
        return result[1]

    plan = do("configure", "--conf", world / "conf", "--exp", tmp_path, "--budget", "nothing", name).strip().split("\t")
    run = Run.open(plan[0])
    do("train", "--ngpu", 0, "--train", world / "train", "--valid", world / "valid", run.path)
    assert ("extracted" in plan[-1].split(",")) is not run.system.compares
    if not run.system.compares:
        do("extract", "--ngpu", 0, run.path, world / "valid")
        vectors = Vectors.read(run.embeddings("valid") / "xvector.scp", crops=True)
        assert vectors.own_crops().x_CD.shape == (12 * run.system.extraction.draws, run.system.embedding_dim)
    do("train_backends", "--train", "train", run.path)
    do("score", "--ngpu", 0, "--enrol", "valid", "--test", "valid", run.path, world / "valid/trials_some")
    for backend in run.system.backends:
        lines = run.scores("some", backend).read_text().splitlines()
        assert [line.split()[:2] for line in lines] == [["s0-4", "s0-5"], ["s0-4", "s1-5"], ["s2-5", "s2-4"]]
        assert np.isfinite([float(line.split()[2]) for line in lines]).all()


def test_draws_of_random_pooling_are_the_rows_of_their_back_ends(world, tmp_path, monkeypatch, capsys):
    """Four embeddings an utterance, of which each back end scores one; the same whatever jobs extract them."""
    conf = ("--conf", world / "conf", "--exp", tmp_path, "--budget", "nothing")
    run = Run.open(run_command(monkeypatch, capsys, "configure", *conf, "w2v2-ce-random")[1].split("\t")[0])
    sets = ("--train", world / "train", "--valid", world / "valid")
    assert run_command(monkeypatch, capsys, "train", "--ngpu", 0, *sets, run.path)[0] == 0
    found = []
    for jobs in (1, 2):
        monkeypatch.setenv("SV_FORCE", "1")
        result = run_command(monkeypatch, capsys, "extract", "--ngpu", 0, "--nj", jobs, run.path, world / "valid")
        assert result[0] == 0, result[2]
        found.append(Vectors.read(run.embeddings("valid") / "xvector.scp", crops=True))
    one, two = (each.own_crops().x_CD for each in found)
    np.testing.assert_allclose(one, two, atol=1e-5)
    assert np.unique(one.round(5), axis=0).shape[0] > 24
    assert run_command(monkeypatch, capsys, "train_backends", "--train", "train", run.path)[0] == 0
    trials = world / "valid/trials_some"
    assert run_command(monkeypatch, capsys, "score", "--enrol", "valid", "--test", "valid", run.path, trials)[0] == 0
    row = found[1].index()
    for draw in range(1, 5):
        vectors = [x / np.linalg.norm(x) for x in found[1].of_row(draw).x_ND]
        lines = run.scores("some", f"draw{draw}").read_text().splitlines()
        for enrol, test, score in map(str.split, lines):
            assert float(score) == pytest.approx(vectors[row[enrol]] @ vectors[row[test]], abs=1e-5)


def test_a_pair_network_scores_what_its_own_network_says(world, tmp_path, monkeypatch, capsys):
    """Through the commands, against the network called by hand; then what is asked for wrongly."""
    import torch

    from sv.source import Source
    from sv.training.checkpoint import load_model

    conf = ("--conf", world / "conf", "--exp", tmp_path, "--budget", "nothing")
    run = Run.open(run_command(monkeypatch, capsys, "configure", *conf, "w2v2-bce")[1].split("\t")[0])
    sets, trials = ("--train", world / "train", "--valid", world / "valid"), world / "valid/trials_some"
    score = ("score", "--ngpu", 0, "--enrol", "valid", "--test", "valid")
    assert "its network is not trained to the end; stage 4" in refused(
        run_command(monkeypatch, capsys, *score, run.path, trials)
    )
    assert run_command(monkeypatch, capsys, "train", "--ngpu", 0, *sets, run.path)[0] == 0
    assert run_command(monkeypatch, capsys, *score, run.path, trials)[0] == 0
    source, model = Source(run, world / "valid"), load_model(run).eval()
    reader, prepare = source.reader(), source.prepare(torch.device("cpu"))
    for enrol, test, found in map(str.split, run.scores("some", "network").read_text().splitlines()):
        with torch.no_grad():
            sides = (model.embed(prepare(torch.from_numpy(reader.whole(utt))[None])) for utt in (enrol, test))
            assert float(found) == pytest.approx(model.compare(*sides).item(), abs=1e-4)
    assert "unchanged, skipped" in run_command(monkeypatch, capsys, *score, run.path, trials)[1]
    write_lines(world / "valid/trials_other", "s0-4 s0-5 target", "s0-4 nobody nontarget")
    other = world / "valid/trials_other"
    assert "1 of its utterances are not in the set" in refused(
        run_command(monkeypatch, capsys, *score, run.path, other)
    )
    assert run_command(monkeypatch, capsys, *score, "--allow-missing", run.path, other)[0] == 0
    assert run.dropped("other").read_text().startswith("nobody not in the set")
    write_lines(other.with_name("dropped.txt"), "nobody too quiet")
    assert run_command(monkeypatch, capsys, *score, "--allow-dropped", run.path, other)[0] == 0
    assert run.dropped("other").read_text() == "nobody too quiet\n"
    write_lines(other.with_name("dropped.txt"), "somebody too quiet")  # which the record of the scores knows
    assert "1 of its utterances are not in the set" in refused(
        run_command(monkeypatch, capsys, *score, "--allow-dropped", run.path, other)
    )
    other.with_name("dropped.txt").unlink()
    assert "its network compares pairs itself and has no embeddings" in refused(
        run_command(monkeypatch, capsys, "extract", "--ngpu", 0, run.path, world / "valid")
    )
    write_lines(tmp_path / "models", "m s0-4 s0-5")
    assert "two utterances, not models of several" in refused(
        run_command(monkeypatch, capsys, *score, "--models", tmp_path / "models", run.path, trials)
    )


WRONG = [
    (["input=null"], "w2v2-ce", "input: wav2vec2 reads recordings; set it to waveform"),
    (["features=fbank40_16k"], "w2v2-ce", "features: fbank40_16k are no samples; wav2vec2 takes wave_16k"),
    (["features=wave_16k"], "ecapa-fb40", "features: wave_16k are the samples themselves, only wav2vec2 takes them"),
    (["model.pooling=null"], "w2v2-ce", "model.pooling: without it there is no embedding"),
    (["model.pooling=mean"], "w2v2-bce", "loss.name: bce is of pairs that the network compares"),
    (["loss={name: softmax}"], "w2v2-bce", "backends.network: only a network with the loss bce"),
    (["backends.cosine={name: cosine}"], "w2v2-bce", "backends: a network with the loss bce has no embeddings"),
    (["backends.again={name: network}"], "w2v2-bce", "one of name: network is all"),
    (["training.held_out_pairs=null"], "w2v2-bce", "training.held_out_pairs: the loss bce compares every pair anew"),
    (["training.accumulate=5"], "w2v2-bce", "training.accumulate: the loss bce needs two speakers in every part"),
    (["training.recompute=true"], "ecapa-fb40", "training.recompute: only wav2vec2 has layers"),
    (["extraction.crops={count: 10, length_s: 4}"], "w2v2-bce", "extraction.crops: a network with the loss bce"),
    (["extraction.draws=3"], "w2v2-ce", "extraction.draws: only a network with the pooling random draws"),
    (["model.pooling=median"], "w2v2-ce", "model.pooling: 'median' is not one of 'mean', 'max'"),
    (["model.size=huge"], "w2v2-ce", "model.size: 'huge' is not one of 'tiny', 'base', 'large' or 'large_lv60k'"),
    (["model.pretrained=WAV2VEC_BASE"], "w2v2-ce", "WAV2VEC_BASE is no file or folder, and no bundle of torchaudio's"),
    (["training.accumulate=67"], "w2v2-ce", "training.accumulate: a batch of 66 chunks cannot be cut into 67 parts"),
    (["backends.plda={name: plda, lda_dim: 2000}"], "w2v2-ce", "embeddings of 1536 (model.size and model.pooling)"),
]


@pytest.mark.parametrize(("sets", "name", "says"), WRONG)
def test_a_mistake_in_a_setting_is_one_line(world, tmp_path, monkeypatch, capsys, sets, name, says):
    options = [option for each in sets for option in ("--set", each)]
    conf = ("--conf", world / "conf", "--exp", tmp_path)
    assert says in refused(run_command(monkeypatch, capsys, "configure", *conf, *options, name))


def test_weights_that_start_from_replaces_need_not_be_there():
    file = find_systems(ROOT / "conf")["w2v2-ce"]
    sets = ["model.pretrained=/gone/weights.pt", "training.start_from=w2v2-ce-mean"]
    assert load_system(file, [], sets[:1]).pretrained == "/gone/weights.pt"
    assert load_system(file, [], sets).pretrained is None


def test_a_chunk_shorter_than_the_receptive_field_is_one_line(world, tmp_path, monkeypatch, capsys):
    conf = ("--conf", world / "conf", "--exp", tmp_path, "--budget", "nothing", "--set", "training.chunk_s=[0.02,0.02]")
    run = Run.open(run_command(monkeypatch, capsys, "configure", *conf, "w2v2-ce")[1].split("\t")[0])
    train = ("train", "--ngpu", 0, "--train", world / "train", "--valid", world / "valid", run.path)
    assert "training.chunk_s: 0.02 s are 320 samples, the network needs 400" in refused(
        run_command(monkeypatch, capsys, *train)
    )


def test_an_utterance_shorter_than_the_receptive_field_is_left_out(world, tmp_path, monkeypatch, capsys):
    write_data(tmp_path / "short", {"s0-0": 399, "s0-1": 400, "s1-0": 9000})
    assert run_command(monkeypatch, capsys, "measure_audio", "--rate", 16000, tmp_path / "short")[0] == 0
    conf = ("--conf", world / "conf", "--exp", tmp_path / "exp", "--budget", "nothing")
    run = Run.open(run_command(monkeypatch, capsys, "configure", *conf, "w2v2-ce-mean")[1].split("\t")[0])
    train = ("train", "--ngpu", 0, "--train", world / "train", "--valid", world / "valid", run.path)
    assert run_command(monkeypatch, capsys, *train)[0] == 0
    assert run_command(monkeypatch, capsys, "extract", "--ngpu", 0, run.path, tmp_path / "short")[0] == 0
    folder = run.embeddings("short")
    assert (folder / "dropped.txt").read_text() == "s0-0 399 samples, the network needs 400\n"
    assert Vectors.read(folder / "xvector.scp").keys == ["s0-1", "s1-0"]


def test_a_budget_multiplies_the_rates_of_its_trunks_and_leaves_the_rest():
    known = find_systems(ROOT / "conf")
    budget = [ROOT / "conf/budgets/tiny_w2v2.yaml"]
    for name, times in (("w2v2-aam-constant-3e-6", 60), ("w2v2-ce", 60), ("xvector-fb40", 20), ("ecapa-fb40", 2)):
        system, small = load_system(known[name]), load_system(known[name], budget)
        assert small.training.optimiser.lr == pytest.approx(times * system.training.optimiser.lr)
        assert small.training.schedule == system.training.schedule
        assert small.training.batch_size == system.training.batch_size
    assert load_system(known["Q4"], budget).training.optimiser.lr == load_system(known["Q4"]).training.optimiser.lr
