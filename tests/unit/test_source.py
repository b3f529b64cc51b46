"""Where a network's input comes from: features on disk, or recordings, with the same front end."""

import dataclasses

import numpy as np
import pytest
import torch
from commands import run_command
from data_dirs import write_data
from kaldi_files import ROOT

from sv.errors import ConfigError
from sv.features.front_ends import read_feature_config
from sv.run import Run
from sv.source import Source
from sv.systems.reading import find_systems, load_system

pytestmark = pytest.mark.usefixtures("one_thread")

SYSTEMS = find_systems(ROOT / "conf")
CONF = ROOT / "conf/features/melspec64_16k.conf"
CPU = torch.device("cpu")


@pytest.fixture
def command(monkeypatch, capsys):
    return lambda *words: run_command(monkeypatch, capsys, *words)


@pytest.fixture
def sources(tmp_path, command):
    """Of the same recordings: as arks, and as waves."""
    data = write_data(tmp_path / "set", {"s1-a": 48000, "s2-b": 40000})
    assert command("make_feats", "--conf", CONF, data)[0] == 0
    assert command("measure_audio", "--rate", 16000, data)[0] == 0
    waveform = {"features": dataclasses.asdict(read_feature_config(CONF)), "augment_online": None}
    of_waves = Run.plan(tmp_path, "Q1", 1, load_system(SYSTEMS["Q1"]), waveform)
    of_arks = Run.plan(tmp_path, "Q1", 1, load_system(SYSTEMS["Q1"], sets=["input=null"]))
    return Source(of_arks, data), Source(of_waves, data)


def test_whole_utterances_are_the_same_either_way(sources):
    for utt in ("s1-a", "s2-b"):
        arks_TF, waves_TF = (
            source.prepare(CPU)(torch.from_numpy(source.reader().whole(utt))[None])[0] for source in sources
        )
        torch.testing.assert_close(arks_TF, waves_TF, atol=1e-4, rtol=0)


def test_chunks_are_the_same_away_from_three_edge_frames(sources):
    """Features and waves of the same stretch of time; the wave's first frame is the features' first."""
    arks, waves = sources
    arks_TF = arks.reader().chunk("s1-a", 50, 151)
    wave_N = waves.reader().chunk("s1-a", 50 * 160, 150 * 160)
    waves_TF = waves.prepare(CPU)(torch.from_numpy(wave_N)[None])[0].numpy()
    assert waves.num_frames(len(wave_N)) == len(waves_TF) == len(arks_TF)
    np.testing.assert_allclose(waves_TF[3:-3], arks_TF[3:-3], atol=1e-4)


def test_both_say_how_what_they_read_was_made_and_what_it_depends_on(sources):
    arks, waves = sources
    assert arks.front_end() == waves.front_end()
    assert arks.folder == waves.data_dir / "feats/melspec64_16k"
    assert waves.folder == waves.data_dir
    assert {path.name for path in waves.inputs()} >= {"utt2spk", "wav.scp"}
    assert arks.dim(arks.reader()) == waves.dim(waves.reader()) == 64


@pytest.mark.parametrize(
    ("name", "setting", "said"),
    [
        ("Q1", "vad=energy", "vad: only of features on disk, not with input: waveform"),
        ("Q1", "cmn={window: 300}", "cmn: only of features on disk"),
        ("Q1", "augment=kaldi", "augment: only of features on disk"),
        ("R28-softmax", "augment_online=voxsrc", "augment_online: it is of waveforms; set input to waveform"),
        ("vox1-ivector", "normalise={variance: true}", None),
    ],
)
def test_settings_of_the_other_input_are_refused(name, setting, said):
    if said is None:
        assert load_system(SYSTEMS[name], sets=[setting]).normalise is None
        return
    with pytest.raises(ConfigError, match=said):
        load_system(SYSTEMS[name], sets=[setting])
