"""`sv.features.config` and the options of the front end: Kaldi's files are read strictly, and those of conf/ hold."""

from dataclasses import dataclass

import pytest
from kaldi_files import FEATURES, ROOT

from sv.errors import ConfigError
from sv.features.config import read_flags
from sv.features.front_ends import read_feature_config
from sv.features.kaldi import KaldiFeatures
from sv.features.kaldi_config import KaldiFeatureConfig
from sv.features.vad import EnergyVad, WebRtcVad, read_vad_config


@dataclass(frozen=True)
class Options:
    num_bins: int = 23
    low_freq: float = 20.0
    use_energy: bool = False
    window_type: str = "povey"


def read(tmp_path, text, into=Options, **given):
    path = tmp_path / "a.conf"
    path.write_text(text)
    return read_flags(path, into, **given)


def test_values_take_the_field_types(tmp_path):
    """One of each type, in Kaldi's spelling with dashes; what is not named keeps its default."""
    options = read(tmp_path, "--num-bins=64\n--low-freq=2e1\n--use-energy=true\n")
    assert options == Options(64, 20.0, True, "povey")
    assert isinstance(options.low_freq, float)


@pytest.mark.parametrize(
    ("word", "value"), [("true", True), ("T", True), ("1", True), ("false", False), ("f", False), ("0", False)]
)
def test_booleans_are_spelt_as_in_kaldi(tmp_path, word, value):
    assert read(tmp_path, f"--use-energy={word}").use_energy is value


def test_comments_and_empty_lines_say_nothing(tmp_path):
    text = "# whose it is\n\n  --num-bins=30  # more than usual\r\n#--low-freq=0\n"
    assert read(tmp_path, text) == Options(num_bins=30)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--num-bin=30", "a.conf:1: unknown option --num-bin; did you mean --num-bins?"),
        ("\n--colour=red", "a.conf:2: unknown option --colour"),
        ("--num-bins 30", "a.conf:1: '--num-bins 30' is not of the form --name=value"),
        ("num-bins=30", "is not of the form"),
        ("--num-bins=3.5", "a.conf:1: --num-bins takes a whole number, not '3.5'"),
        ("--num-bins=", "--num-bins takes a whole number, not ''"),
        ("--low-freq=low", "--low-freq takes a number, not 'low'"),
        ("--use-energy=yes", "--use-energy takes true or false, not 'yes'"),
        ("--num-bins=3\n--num-bins=4", "a.conf:2: --num-bins comes twice"),
        ("--low-freq=nan", "--low-freq takes a number, not 'nan'"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, text, said):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_given_field_is_not_an_option(tmp_path):
    with pytest.raises(ConfigError, match="unknown option --num-bins"):
        read(tmp_path, "--num-bins=3", num_bins=4)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.conf is missing"):
        read_flags(tmp_path / "none.conf", Options)


def test_text_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "a.conf").write_bytes(b"--window-type=\xff\n")
    with pytest.raises(ConfigError, match=r"a.conf.*UTF-8"):
        read_flags(tmp_path / "a.conf", Options)


@pytest.mark.parametrize(
    ("name", "kind", "dim", "rate"),
    [
        ("fbank64_16k", "fbank", 64, 16000),
        ("mfcc80_16k", "mfcc", 80, 16000),
        ("mfcc40_16k", "mfcc", 40, 16000),
        ("mfcc30_16k", "mfcc", 30, 16000),
        ("mfcc24_16k", "mfcc", 24, 16000),
        ("mfcc23_8k", "mfcc", 23, 8000),
        ("mfcc20_8k", "mfcc", 20, 8000),
    ],
)
def test_conf_features_are_what_their_names_say(name, kind, dim, rate):
    """Kind, numbers a frame and rate; 10 ms frames, one for every shift; no dither; a front end can be built."""
    config = read_feature_config(ROOT / f"conf/features/{name}.conf")
    assert (config.kind, config.dim, config.sample_frequency) == (kind, dim, rate)
    assert (config.num_frames(rate), config.dither) == (100, 0)
    KaldiFeatures(config)


@pytest.mark.parametrize("path", sorted((ROOT / "conf/features").glob("*.conf")), ids=lambda path: path.stem)
def test_conf_features_agree_with_the_reference_flags(path):
    """Where Kaldi's reference was made with a file of that name, ours has the same flags (resampling aside)."""
    reference = FEATURES / path.name
    if not reference.exists():
        pytest.skip("no reference of that name")

    def flags(file):
        lines = (line.split("#")[0].strip() for line in file.read_text().splitlines())
        return {line for line in lines if line and not line.startswith("--allow-")}

    assert flags(path) == flags(reference)


@pytest.mark.parametrize("path", sorted((ROOT / "conf/features").glob("*.conf")), ids=lambda path: path.stem)
def test_conf_features_say_whose_they_are(path):
    assert path.read_text().startswith("# ")


def test_kind_comes_from_the_file_name(tmp_path):
    (tmp_path / "plp.conf").write_text("--dither=0\n")
    with pytest.raises(ConfigError, match="starts with fbank, mfcc, melspec or wave"):
        read_feature_config(tmp_path / "plp.conf")
    assert read_feature_config(tmp_path / "plp.conf", name="fbank40").kind == "fbank"


def test_energy_is_on_for_mfcc_and_off_for_fbank():
    """Kaldi's defaults of --use-energy."""
    assert KaldiFeatureConfig("mfcc").use_energy
    assert not KaldiFeatureConfig("fbank").use_energy


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "plp"}, "kind is fbank or mfcc"),
        ({"window_type": "kaiser"}, "--window-type=kaiser is not one of povey"),
        ({"num_ceps": 24}, "--num-ceps=24 must lie in 1..--num-mel-bins=23"),
        ({"num_ceps": 0}, "--num-ceps=0"),
        ({"high_freq": 9000.0}, "--high-freq=9000"),
        ({"low_freq": 8000.0}, "--low-freq=8000"),
        ({"frame_shift": 0.01}, "--frame-shift=0.01"),
        ({"frame_length": 0.01}, "--frame-length=0.01"),
        ({"sample_frequency": 0.0}, "--sample-frequency=0"),
        ({"dither": -1.0}, "--dither=-1"),
        ({"preemphasis_coefficient": 1.5}, "--preemphasis-coefficient=1.5"),
        ({"num_mel_bins": 2, "num_ceps": 2}, "--num-mel-bins=2"),
    ],
)
def test_impossible_options_are_refused(options, said):
    """Where Kaldi's programs stop with an assertion."""
    with pytest.raises(ConfigError, match=said):
        KaldiFeatureConfig(**{"kind": "mfcc", **options})


@pytest.mark.parametrize(("kind", "option"), [("fbank", "num-ceps=13"), ("fbank", "cepstral-lifter=0")])
def test_options_of_the_other_kind_are_refused(tmp_path, kind, option):
    """compute-fbank-feats does not know them either: a flag that does nothing misleads."""
    path = tmp_path / f"{kind}.conf"
    path.write_text(f"--{option}\n")
    with pytest.raises(ConfigError, match=f"unknown option --{option.split('=')[0]}"):
        read_feature_config(path)


def test_too_many_mel_bins_are_refused():
    """A filter between two FFT bins would be the floor's logarithm in every frame."""
    with pytest.raises(ConfigError, match="catches no FFT bin"):
        KaldiFeatures(KaldiFeatureConfig("fbank", sample_frequency=8000.0, num_mel_bins=128))


def test_vad_kind_comes_from_the_file_name(tmp_path):
    for name, kind in (("energy", EnergyVad), ("energy_strict", EnergyVad), ("webrtc3", WebRtcVad)):
        path = tmp_path / f"{name}.conf"
        path.write_text("")
        assert isinstance(read_vad_config(path), kind)
    with pytest.raises(ConfigError, match="starts with energy or webrtc"):
        read_vad_config(tmp_path / "vad.conf")


@pytest.mark.parametrize(
    ("vad", "options"),
    [
        (EnergyVad, {"vad_frames_context": -1}),
        (EnergyVad, {"vad_proportion_threshold": 1.0}),
        (EnergyVad, {"vad_energy_mean_scale": -0.5}),
        (WebRtcVad, {"mode": 4}),
        (WebRtcVad, {"block_ms": 25}),
    ],
)
def test_impossible_vad_options_are_refused(vad, options):
    with pytest.raises(ConfigError, match="--"):
        vad(**options)
