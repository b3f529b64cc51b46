"""Engines' YAMLs: those of conf/, strict validation and its messages, settings of single commands."""

import os
import re

import pytest
from job_arrays import shell_array

from sv.errors import ConfigError, UserError
from sv.launch import chosen_engine, load_engine
from sv.launch.engines import CONF
from sv.launch.slurm import Slurm, _states

# Of every engine in conf/, a setting for `extract` that its YAML shows in a comment.
SHOWN = {"local": ("max_jobs", 8), "slurm": ("gpus", 1), "queue": ("command", "queue.pl --mem 16G --gpu 1")}


@pytest.mark.parametrize("path", sorted((CONF / "engines").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_engine_loads_also_with_the_settings_that_its_comments_show(path, tmp_path):
    """What a comment shows is what a user will uncomment."""
    name, value = SHOWN[path.stem]
    assert getattr(load_engine(path.stem).for_command("extract"), name) != value
    (tmp_path / "engines").mkdir()
    shown = re.sub(r"^# (?=( *)\w+:)", "", path.read_text(), flags=re.MULTILINE)
    (tmp_path / "engines" / path.name).write_text(shown)
    assert getattr(load_engine(path.stem, tmp_path).for_command("extract"), name) == value


def test_local_unless_the_environment_names_another(monkeypatch):
    monkeypatch.delenv("SV_ENGINE", raising=False)
    assert chosen_engine().engine == "local"
    monkeypatch.setenv("SV_ENGINE", "slurm")
    assert chosen_engine().engine == "slurm"


@pytest.fixture
def load(tmp_path):
    """Load an engine called `mine` from a text."""
    (tmp_path / "engines").mkdir()

    def call(text):
        (tmp_path / "engines" / "mine.yaml").write_text(text)
        return load_engine("mine", tmp_path)

    return call


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("max_jobs: 3", "engine is missing; it is one of local, slurm, wrapper"),
        ("engine: slurmm", "engine: unknown kind 'slurmm'; did you mean slurm?"),
        ("engine: [local]", "engine: unknown kind"),
        ("engine: local\nmax_job: 3", "unknown key max_job; did you mean max_jobs?"),
        ("engine: local\nmax_jobs: 0", "max_jobs: should be greater than 0 (is 0)"),
        ("engine: slurm", "time_min is missing"),
        ("engine: slurm\ntime_min: 60\npartitoin: gpu", "unknown key partitoin; did you mean partition?"),
        ("engine: slurm\ntime_min: '1:00:00'", "time_min: expected a whole number (is '1:00:00')"),
        ("engine: slurm\ntime_min: 60\nmemory_gb: 4G", "memory_gb: expected a number (is '4G')"),
        ("engine: slurm\ntime_min: 60\noptions: {output: x}", "options.output: the launcher sets this itself"),
        ("engine: slurm\ntime_min: 60\noptions: {--qos: x}", "options.--qos: write it without dashes in front"),
        (
            "engine: slurm\ntime_min: 60\ncommands: {extrct: {gpus: 1}}",
            "commands.extrct: no such command; did you mean extract?",
        ),
        (
            "engine: slurm\ntime_min: 60\ncommands: {extract: {gpu: 1}}",
            "unknown key commands.extract.gpu; did you mean",
        ),
        ("engine: slurm\ntime_min: 60\noptions: {qos: [x]}", "options.qos: expected a text, a number, or true"),
        ("engine: wrapper", "command is missing"),
        ("engine: wrapper\ncommand: ''", "command: a command is empty"),
        ("engine: wrapper\ncommand: queue.pl 'x", 'command: "queue.pl \'x": No closing quotation'),
        ("engine: wrapper\ncommand: a\ncommands: {extract: ''}", "commands: a command is empty"),
    ],
)
def test_mistake_in_a_yaml_is_one_line_that_names_file_and_key(load, text, problem):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert f"mine.yaml: {problem}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_command_may_ask_for_more_than_the_others(load):
    engine = load(
        "engine: slurm\ntime_min: 60\npartition: cpu\noptions: {account: a, exclusive: true}\n"
        "commands: {extract: {partition: gpu, gpus: 1, options: {qos: high}}}"
    )
    assert engine.for_command("make_feats").partition == "cpu"
    own = engine.for_command("extract")
    assert (own.partition, own.gpus, own.time_min, own.options) == (
        "gpu",
        1,
        60,
        {"account": "a", "exclusive": True, "qos": "high"},
    )
    other = load("engine: wrapper\ncommand: queue.pl\ncommands: {extract: queue.pl --gpu 1}")
    assert other.for_command("make_feats").command == "queue.pl"
    assert other.for_command("extract").command == "queue.pl --gpu 1"


def test_cluster_that_is_not_here_is_told_before_anything_starts(monkeypatch, load, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="engine slurm: sbatch is not on PATH"):
        Slurm(engine="slurm", time_min=1).require()
    with pytest.raises(ConfigError, match=r"engine command 'queue.pl --mem 4G': queue.pl is no program on PATH"):
        load("engine: wrapper\ncommand: queue.pl --mem 4G").require()


def test_place_with_a_percent_sign_is_refused_by_slurm(tmp_path):
    folder = tmp_path / "100%j"
    with pytest.raises(UserError, match="holds a %, which Slurm takes for a pattern"):
        Slurm(engine="slurm", time_min=1).run(shell_array(folder, "true"), 1, lambda *_: None)


@pytest.mark.parametrize(
    ("answer", "known", "of", "waiting"),
    [
        (
            "echo '1|RUNNING|None'; echo '0|PENDING|Resources'; echo '2|PENDING|JobArrayTaskLimit'",
            *(True, {0: "PENDING", 1: "RUNNING", 2: "PENDING"}, {"pending (Resources)": 1}),
        ),
        ("echo 'N/A|FAILED|NonZeroExitCode'", True, {0: "FAILED"}, {}),  # a single job is no array
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", True, {}, {}),
        ("echo 'error: no route' >&2; exit 1", False, {}, {"out of sight (error: no route)": 3}),
        ("exit 1", False, {}, {"out of sight (squeue failed)": 3}),
    ],
)
def test_what_squeue_says_of_an_array(tmp_path, monkeypatch, answer, known, of, waiting):
    """Also when it has forgotten the array, and when it cannot reach the controller: that is no end of a job."""
    (tmp_path / "squeue").write_text(f"#!/bin/sh\n{answer}\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    states = _states("7", 3)
    assert (states.known, states.of, states.waiting) == (known, of, waiting)
