"""A run's folder: its configuration beside the results, and what it refuses."""

from pathlib import Path

import pytest
import yaml

from sv.cli import configure
from sv.errors import ConfigError
from sv.run import Run
from sv.system import find_systems, load_system

CONF = Path(__file__).parents[1] / "data" / "conf"
SYSTEMS = find_systems(CONF)


def small(*sets):
    return load_system(SYSTEMS["small"], sets=sets)


def trained(tmp_path, *sets):
    """A run that looks trained."""
    run = Run.create(tmp_path, "x", 1, small(*sets))
    (run.path / "checkpoints").mkdir()
    return run


@pytest.mark.parametrize("name", SYSTEMS)
def test_configuration_round_trips(tmp_path, name):
    made = Run.create(tmp_path, name, 3, load_system(SYSTEMS[name]))
    assert made.path == tmp_path / name / "seed3"
    assert Run.open(made.path) == made


def test_merged_configuration_is_what_is_written(tmp_path):
    """Read with plain PyYAML, so that any tool can."""
    run = Run.create(tmp_path, "x", 1, small("training.optimiser.lr=1e-5", "cmn=null"))
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
        ("vad=webrtc", "vad = energy, which is now webrtc"),
    ],
)
def test_trained_run_refuses_another_configuration(tmp_path, setting, difference):
    run = trained(tmp_path)
    before = (run.path / "config.yaml").read_bytes()
    with pytest.raises(ConfigError, match="was trained with") as caught:
        Run.create(tmp_path, "x", 1, small(setting))
    assert difference in str(caught.value)
    assert (run.path / "config.yaml").read_bytes() == before


def test_first_difference_is_the_first_in_the_yaml(tmp_path):
    trained(tmp_path)
    with pytest.raises(ConfigError, match=r"with features = mfcc23_8k"):
        Run.create(tmp_path, "x", 1, small("training.epochs=11", "vad=null", "features=mfcc30_16k"))


def test_trained_run_takes_other_back_ends(tmp_path):
    """They are estimated after training, and need no new one."""
    trained(tmp_path)
    assert Run.create(tmp_path, "x", 1, small("backends.plda.lda_dim=20")).system.backends["plda"].lda_dim == 20
    assert Run.open(tmp_path / "x" / "seed1").system.backends["plda"].lda_dim == 20


def test_untrained_run_takes_any_configuration(tmp_path):
    Run.create(tmp_path, "x", 1, small())
    assert Run.create(tmp_path, "x", 1, small("training.epochs=11")).system.training.epochs == 11


def test_setting_that_is_newer_than_a_trained_run_counts_with_its_default(tmp_path):
    """A config.yaml without a key that has a default is that of the default."""
    config = trained(tmp_path).path / "config.yaml"
    stored = yaml.safe_load(config.read_text())
    del stored["system"]["training"]["final_lr_ratio"]
    config.write_text(yaml.safe_dump(stored))
    Run.create(tmp_path, "x", 1, small())
    with pytest.raises(ConfigError, match=r"training\.final_lr_ratio = 0\.1, which is now 0\.5"):
        Run.create(tmp_path, "x", 1, small("training.final_lr_ratio=0.5"))


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="not a run"):
        Run.open(tmp_path)


@pytest.mark.parametrize("text", ["", "name: x\n", "name: x\nseed: one\nsystem: {}\n", "name: [\n", "seed: 1\n- x\n"])
def test_damaged_configuration_is_one_line_naming_the_file(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml") as caught:
        Run.open(tmp_path)
    assert "\n" not in str(caught.value)


def configure_command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["configure", "--conf", str(CONF), *map(str, arguments)])
    configure.main()


def test_configure_makes_runs_and_prints_folder_features_and_vad(tmp_path, monkeypatch, capsys):
    """A system changed by a budget or a setting is no longer the paper's: it loses the published figure."""
    configure_command(
        monkeypatch, "--exp", tmp_path, "--seed", "4", "--budget", "short", "--set", "vad=null", *reversed(SYSTEMS)
    )
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines == [[f"{tmp_path}/{name}+short/seed4", "mfcc23_8k", "-"] for name in reversed(SYSTEMS)]
    assert [Run.open(folder).system for folder, *_ in lines] == [
        load_system(SYSTEMS[name], [CONF / "budgets" / "short.yaml"], ["vad=null", "published=null"])
        for name in reversed(SYSTEMS)
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["smal"], "unknown system smal; did you mean small?"),
        (["--budget", "shrt", "small"], "unknown budget shrt; did you mean short?"),
        (["--set", "features=mfcc99", "small"], "features: there is no"),
        (["--set", "trainig.epochs=3", "small"], "unknown key trainig; did you mean training?"),
    ],
)
def test_configure_refuses_before_it_makes_anything(tmp_path, monkeypatch, arguments, problem):
    with pytest.raises(ConfigError) as caught:
        configure_command(monkeypatch, "--exp", tmp_path / "exp", *arguments)
    assert problem in str(caught.value)
    assert not (tmp_path / "exp").exists()


def test_configure_lists_every_system_with_its_first_line(monkeypatch, capsys):
    configure_command(monkeypatch, "--list")
    listed = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert listed.keys() == SYSTEMS.keys()
    assert all(listed.values())
