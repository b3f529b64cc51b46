"""A run's folder: its configuration beside the results, and what it refuses."""

import shutil
from pathlib import Path

import pytest
import yaml
from runs import made_run

from sv.cli import configure
from sv.errors import ConfigError, DataError, UserError
from sv.records import Step
from sv.run import Run
from sv.systems.reading import find_systems, load_system

CONF = Path(__file__).parents[1] / "data" / "conf"
SYSTEMS = find_systems(CONF)


def small(*sets):
    return load_system(SYSTEMS["small"], sets=sets)


def trained(tmp_path, *sets):
    """A run with the record of a finished training."""
    run = made_run(tmp_path, "x", 1, small(*sets))
    Step("train", run.path, settings={"system": run.trained_by(), "front_end": {"features": {"num_ceps": 23}}}).done([])
    return run


@pytest.mark.parametrize("name", SYSTEMS)
def test_configuration_round_trips(tmp_path, name):
    made = made_run(tmp_path, name, 3, load_system(SYSTEMS[name]))
    assert made.path == tmp_path / name / "seed3"
    assert Run.open(made.path) == made


def test_merged_configuration_is_what_is_written(tmp_path):
    """Read with plain PyYAML, so that any tool can."""
    run = made_run(tmp_path, "x", 1, small("training.optimiser.lr=1e-5", "cmn=null"))
    written = yaml.safe_load((run.path / "config.yaml").read_text())
    assert (written["name"], written["seed"]) == ("x", 1)
    assert written["system"]["training"]["optimiser"] == {"name": "adam", "lr": 1e-5, "weight_decay": 1e-5}
    assert written["system"]["cmn"] is None


@pytest.mark.parametrize(
    ("setting", "difference"),
    [
        ("training.epochs=11", "training.epochs = 4, which is now 11"),
        ("training.optimiser.lr=1e-4", "training.optimiser.lr = 0.005, which is now 0.0001"),
        ("cmn=null", "cmn = {'window': 300, 'norm_vars': False}, which is now None"),
        ("model.embedding_dim=64", "model.embedding_dim = 8, which is now 64"),
        ("vad=webrtc3", "vad = energy, which is now webrtc3"),
    ],
)
def test_a_network_of_another_configuration_is_not_used(tmp_path, setting, difference):
    trained(tmp_path).require_trained()
    with pytest.raises(ConfigError, match="was trained with") as caught:
        made_run(tmp_path, "x", 1, small(setting)).require_trained()
    assert difference in str(caught.value)
    assert "repeat the --set and --budget that it was trained with" in str(caught.value)


def test_first_difference_is_the_first_in_the_yaml(tmp_path):
    trained(tmp_path)
    with pytest.raises(ConfigError, match=r"with features = mfcc23_8k"):
        made_run(tmp_path, "x", 1, small("training.epochs=11", "vad=null", "features=mfcc30_16k")).require_trained()


def test_trained_run_takes_other_back_ends(tmp_path):
    """They are estimated after training, and need no new one."""
    trained(tmp_path)
    changed = made_run(tmp_path, "x", 1, small("backends.plda.lda_dim=7"))
    changed.require_trained()
    assert Run.open(tmp_path / "x" / "seed1").system.backends["plda"].lda_dim == 7


def test_an_unfinished_training_is_not_used(tmp_path):
    run = made_run(tmp_path, "x", 1, small())
    Step("train", run.path, settings={"system": run.trained_by()}).begin()
    with pytest.raises(DataError, match="not trained to the end; stage 4 trains it"):
        run.require_trained()


def test_features_of_another_make_are_refused(tmp_path):
    run = trained(tmp_path)
    run.require_front_end({"features": {"num_ceps": 23}}, tmp_path / "mfcc")
    with pytest.raises(DataError, match=r"mfcc was made with features\.num_ceps = 20, what x was trained on with 23"):
        run.require_front_end({"features": {"num_ceps": 20}}, tmp_path / "mfcc")


def test_a_back_end_of_other_settings_is_refused(tmp_path):
    """One without a record, from elsewhere, is taken as it is."""
    run = made_run(tmp_path, "x", 1, small())
    run.require_backend("plda")
    Step("train_backend", run.backend("plda"), settings=run.system.backends["plda"].learnt_by).done([])
    run.require_backend("plda")
    with pytest.raises(ConfigError, match=r"plda was trained with lda_dim = \d, which is now 7; begin at stage 6"):
        made_run(tmp_path, "x", 1, small("backends.plda.lda_dim=7")).require_backend("plda")


def test_lda_that_the_speakers_do_not_allow_is_told_before_the_training(tmp_path):
    """As many dimensions as speakers are one too many."""
    run = made_run(tmp_path, "x", 1, small("backends.plda.lda_dim=7"))
    assert run.lda_beyond(8) == []
    (line,) = run.lda_beyond(7)
    assert line.endswith("LDA to 7 dimensions of 7 speakers; lower it for stage 6, as by --set backends.plda.lda_dim=6")


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="not a run"):
        Run.open(tmp_path)


@pytest.mark.parametrize("text", ["", "name: x\n", "name: x\nseed: one\nsystem: {}\n", "name: [\n", "seed: 1\n- x\n"])
def test_damaged_configuration_is_one_line_naming_the_file(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml") as caught:
        Run.open(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_dry_run_sees_its_own_plan_before_what_stands_there(tmp_path, monkeypatch):
    """And runs that it does not plan as they stand."""
    (tmp_path / "dry").mkdir()
    for name in ("x", "y"):
        made_run(tmp_path, name, 1, small())
    monkeypatch.setenv("SV_DRY_RUN", str(tmp_path / "dry"))
    made_run(tmp_path, "x", 1, small("vad=null"))
    assert [Run.open(tmp_path / name / "seed1").system.vad for name in ("x", "y")] == [None, "energy"]
    monkeypatch.delenv("SV_DRY_RUN")
    assert Run.open(tmp_path / "x" / "seed1").system.vad == "energy"


def configure_command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["configure", "--conf", str(CONF), *map(str, arguments)])
    configure.main()


def test_configure_makes_runs_and_prints_folder_features_and_vad(tmp_path, monkeypatch, capsys):
    """A system changed by a budget or a setting is no longer the paper's: it loses the published figure."""
    configure_command(
        monkeypatch, "--exp", tmp_path, "--seed", "4", "--budget", "short", "--set", "vad=null", *reversed(SYSTEMS)
    )
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        [f"{tmp_path}/{name}+short/seed4", "mfcc23_8k", "-", "-", "-", "-", "network,extracted,learnt,scored,asked"]
        for name in reversed(SYSTEMS)
    ]
    assert [Run.open(folder).system for folder, *_ in lines] == [
        load_system(SYSTEMS[name], [CONF / "budgets" / "short.yaml"], ["vad=null", "published=null"])
        for name in reversed(SYSTEMS)
    ]


def test_a_back_end_is_added_to_every_system_under_its_files_name(tmp_path, monkeypatch):
    """Beside their own, once; set as may be, it leaves the system its published figure, which names back ends."""
    twice = ("--backend", "network", "--backend", "network", "--set", "backends.network.hidden_dims=[9]")
    configure_command(monkeypatch, "--exp", tmp_path, *twice, *SYSTEMS)
    for name in SYSTEMS:
        system, own = Run.open(tmp_path / name / "seed1").system, load_system(SYSTEMS[name])
        assert list(system.backends) == [*own.backends, "network"]
        assert system.backends["network"].hidden_dims == (9,)
        assert system.published == own.published
    assert Run.open(tmp_path / "published" / "seed1").system.published


def test_budgets_and_settings_go_over_an_added_back_end(tmp_path, monkeypatch):
    options = ("--budget", "short", "--set", "backends.network.steps=3", "--set", "backends.network.loss.name=softmax")
    budget = (CONF / "budgets" / "short.yaml").read_text()
    conf = Path(shutil.copytree(CONF, tmp_path / "conf"))
    (conf / "budgets" / "short.yaml").write_text(f"{budget}\nbackends: {{network: {{embedding_dim: 3}}}}\n")
    configure_command(monkeypatch, "--conf", conf, "--exp", tmp_path / "exp", "--backend", "network", *options, "small")
    network = Run.open(tmp_path / "exp" / "small+short" / "seed1").system.backends["network"]
    assert (network.steps, network.embedding_dim, network.hidden_dims) == (3, 3, (8,))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["smal"], "unknown system smal; did you mean small?"),
        (["small", "publshed"], "unknown system publshed; did you mean published?"),
        (["--budget", "shrt", "small"], "budgets/shrt.yaml; did you mean short?"),
        (["--budget", "../budgets/short", "small"], "budgets/../budgets/short.yaml; there is short"),
        (["--backend", "netwrk", "small"], "--backend: there is no"),
        (["--backend", "netwrk", "small"], "backends/netwrk.yaml; did you mean network?"),
        (
            ["--backend", "plda", "small"],
            "--backend plda: the system small has a back end plda of its own; change",
        ),
        (["--backend", "network", "--set", "backends.network.step=3", "small"], "did you mean steps?"),
        (["--set", "features=mfcc99", "small"], "features/mfcc99.conf; there is mfcc13_16k, mfcc23_8k"),
        (["--set", "vad=webrtc4", "small"], "vad/webrtc4.conf; did you mean webrtc3?"),
        (["--set", "features=mfcc13_16k", "small"], "vad energy decides on the log-energy, which mfcc13_16k does not"),
        (["--set", "augment=kaldy", "small"], "system small: augment: there is no"),
        (["--set", "augment=kaldy", "small"], "augment/kaldy.yaml; did you mean kaldi?"),
        (["--corpora", "rirs", "--set", "augment=kaldi", "small"], "give --data-root musan=DIR, or leave out"),
        (
            ["--corpora", "rirs", "--set", "augment=kaldi", "small"],
            "leave out what you have not with --set augment=kaldi_partial, or",
        ),
        (
            ["--corpora", "", "--set", "augment=some", "small"],
            "--data-root rirs=DIR and --data-root musan=DIR, or train on",
        ),
        (["--set", "trainig.epochs=3", "small"], "unknown key trainig; did you mean training?"),
        (["--set", "backends.plda.lda_dim=9", "small"], "9 dimensions cannot be taken from embeddings of 8"),
        (["--ngpu", "2", "small"], "--ngpu 2, but torch sees 0 GPUs here"),
    ],
)
def test_configure_refuses_before_it_makes_anything(tmp_path, monkeypatch, arguments, problem):
    with pytest.raises(UserError) as caught:
        configure_command(monkeypatch, "--exp", tmp_path / "exp", *arguments)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "exp").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--corpora", "voxceleb1,musan,rirs", "--set", "augment=kaldi"],
        ["--corpora", "musan", "--set", "augment=some"],
        ["--set", "augment=kaldi"],  # stage 2 is not run
        ["--corpora", "musan", "--set", "augment=null"],
    ],
)
def test_configure_takes_an_augmentation_that_has_its_corpora(tmp_path, monkeypatch, capsys, options):
    """All of them or, where it leaves out what is missing, one; printed in the fourth column."""
    configure_command(monkeypatch, "--exp", tmp_path, *options, "small")
    name = options[-1].removeprefix("augment=").replace("null", "-")
    assert capsys.readouterr().out.rstrip("\n").split("\t")[3] == name


def test_configure_makes_no_run_if_it_refuses_another(tmp_path, monkeypatch):
    """The second system's features, of another name, are not there."""
    conf = Path(shutil.copytree(CONF, tmp_path / "conf"))
    (published,) = conf.glob("systems/*/published.yaml")
    published.write_text(published.read_text().replace("features: ", "features: not_"))
    with pytest.raises(ConfigError, match=r"features/not_\w+\.conf"):
        configure_command(monkeypatch, "--conf", conf, "--exp", tmp_path, "small", "published")
    assert not (tmp_path / "small").exists()


def test_configure_makes_a_system_that_is_named_twice_once(tmp_path, monkeypatch, capsys):
    configure_command(monkeypatch, "--exp", tmp_path, "small", "small")
    assert (
        capsys.readouterr().out
        == f"{tmp_path}/small/seed1\tmfcc23_8k\tenergy\t-\t-\t-\tnetwork,extracted,learnt,scored,asked\n"
    )


@pytest.mark.parametrize(("vad", "features"), [("webrtc3", "mfcc13_16k"), ("null", "mfcc13_16k")])
def test_configure_takes_any_vad_of_the_folder_and_none(tmp_path, monkeypatch, capsys, vad, features):
    """Features without energy need a VAD that looks elsewhere."""
    settings = ["--set", f"vad={vad}", "--set", f"features={features}"]
    configure_command(monkeypatch, "--exp", tmp_path, *settings, "small")
    assert capsys.readouterr().out.split()[1:3] == [features, vad.replace("null", "-")]


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("features/mfcc23_8k.conf", "--num-cep=23", "mfcc23_8k.conf:1: unknown option --num-cep; did you mean"),
        ("features/plp_8k.conf", "", "starts with fbank, mfcc, melspec or wave"),
        ("features/mfcc_11k.conf", "--sample-frequency=11025", "webrtc3 takes 8000, 16000, 32000, 48000 Hz"),
        ("vad/webrtc3.conf", "--mode=4", "webrtc3.conf: --mode is 0, 1, 2 or 3"),
        ("vad/loud.conf", "", "starts with energy or webrtc"),
    ],
)
def test_configure_reads_the_flags_of_features_and_vad(tmp_path, monkeypatch, file, text, problem):
    """A file that stage 1 would stumble on is told now."""
    conf = Path(shutil.copytree(CONF, tmp_path / "conf"))
    (conf / file).write_text(text + "\n")
    kind, name = file.removesuffix(".conf").split("/")
    chosen = {"features": "mfcc23_8k", "vad": "webrtc3", kind: name}
    settings = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
    with pytest.raises(ConfigError) as caught:
        configure_command(monkeypatch, "--conf", conf, "--exp", tmp_path / "exp", *settings, "small")
    assert problem in str(caught.value)
    assert not (tmp_path / "exp").exists()
