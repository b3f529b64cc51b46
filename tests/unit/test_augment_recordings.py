"""Augmented recordings in a wav.scp: lines that are complete, read without a shell, and equal to the command's WAV."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from audio_files import noise, wav_bytes
from data_dirs import write_lines, write_wav

from sv.augment.material import Material
from sv.augment.recording import augmented
from sv.augment.spec import Spec
from sv.augment.waves import Noise, add_noises, looped, reverberate
from sv.data.audio import audio_info, read_audio
from sv.data.datadir import DataDir
from sv.data.own_commands import files_of, own_command, runs_commands
from sv.data.recordings import recordings_digest
from sv.data.resample import resample
from sv.errors import AudioError

ROOT = Path(__file__).parents[2]
AWKWARD = 'it\'s a "noise" $(touch owned) `x` \\ ü; |.wav'


@pytest.fixture
def wavs(tmp_path):
    """Speech, two noises and an impulse response, all synthetic."""
    files = {name: write_wav(tmp_path / f"{name}.wav", n, seed=s) for s, (name, n) in enumerate(SIZES.items())}
    room = np.zeros(1600)
    room[[40, 300, 900]] = 20000, 9000, -5000
    files["room"] = tmp_path / "room.wav"
    files["room"].write_bytes(wav_bytes(room.astype(np.int16)))
    return {name: str(path) for name, path in files.items()}


SIZES = {"speech": 16000, "short": 4000, "long": 40000}


def specs(wavs):
    return {
        "reverb": Spec(wavs["speech"], reverb=wavs["room"]),
        "background": Spec(wavs["speech"], background=((10.0, wavs["short"]), (5.0, wavs["long"]))),
        "foreground": Spec(wavs["speech"], foreground=((0.0, 0.0, wavs["short"]), (15.0, 0.75, wavs["long"]))),
    }


def samples(path):
    return read_audio(path)[0]


def test_what_is_read_is_what_the_spec_says(wavs):
    """Each kind against the functions of waveforms on the files' samples, rounded to the samples of a WAV."""
    speech_N, short_N, long_N = (samples(wavs[name]) for name in SIZES)
    want = {
        "reverb": reverberate(speech_N, samples(wavs["room"])),
        "background": add_noises(speech_N, [Noise(looped(short_N, 16000), 10.0), Noise(long_N[:16000], 5.0)]),
        "foreground": add_noises(speech_N, [Noise(short_N, 0.0, 0), Noise(long_N, 15.0, 12000)]),
    }
    for kind, spec in specs(wavs).items():
        got_N, rate = read_audio(spec.line())
        assert rate == 16000
        np.testing.assert_array_equal(got_N, np.rint(want[kind]), err_msg=kind)


@pytest.mark.parametrize("kind", ["reverb", "background", "foreground"])
def test_a_shell_that_runs_the_line_prints_the_same_samples(wavs, tmp_path, kind):
    """As Kaldi's programs run it; to the bit, and the noise's name is only a name to the shell too."""
    awkward = write_wav(tmp_path / AWKWARD.replace("/", ""), 3000, seed=9)
    spec = specs(wavs)[kind]
    if kind == "background":
        spec = Spec(spec.source, background=((3.5, str(awkward)),))
    env = {**os.environ, "SV_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    command = spec.line().removesuffix("|")
    printed = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=env, capture_output=True, check=True).stdout
    out = tmp_path / "printed.wav"
    out.write_bytes(printed)
    np.testing.assert_array_equal(samples(str(out)), samples(spec.line()))
    assert not (tmp_path / "owned").exists()


def test_a_line_gives_its_spec_back(wavs, tmp_path):
    """Awkward names, fractions and a source that is a command itself."""
    for spec in (
        *specs(wavs).values(),
        Spec(AWKWARD, background=((7.25, AWKWARD), (-3.0, "b"))),
        Spec("sph2pipe -f wav 'a b.sph' |", foreground=((0.0, 12.0625, "n.wav"),)),
    ):
        own = own_command(spec.line())
        assert Spec.parse(own.words) == (spec, "-")


def test_a_part_is_read_out_of_the_whole(wavs):
    """A segment of an augmented recording is that stretch of it: the ratio is over the whole."""
    line = specs(wavs)["foreground"].line()
    np.testing.assert_array_equal(read_audio(line, start_s=0.25, end_s=0.5)[0], samples(line)[4000:8000])
    assert audio_info(line) == (16000, 16000, 1)


def test_channels_are_augmented_each_by_itself(wavs, tmp_path):
    """Two channels of a telephone call: each gets the noise at the ratio to its own loudness."""
    stereo = tmp_path / "stereo.wav"
    left, right = noise(8000, 1, 3000), noise(8000, 2, 300)
    stereo.write_bytes(wav_bytes(np.stack([left, right], 1), channels=2))
    line = Spec(str(stereo), background=((5.0, wavs["long"]),)).line()
    for channel, wave in enumerate((left, right)):
        want_N = add_noises(wave.astype(np.float32), [Noise(samples(wavs["long"])[:8000], 5.0)])
        np.testing.assert_array_equal(read_audio(line, channel=channel)[0], np.rint(want_N))


def test_material_at_another_rate_is_resampled(wavs, tmp_path):
    """Noise and impulse response at 8 kHz for speech at 16."""
    slow = str(write_wav(tmp_path / "slow.wav", 16000, rate=8000, seed=4))
    slow_N = resample(samples(slow), 8000, 16000)
    want_N = add_noises(samples(wavs["speech"]), [Noise(slow_N[:16000], 10.0)])
    np.testing.assert_array_equal(samples(Spec(wavs["speech"], background=((10.0, slow),)).line()), np.rint(want_N))
    want_N = reverberate(samples(wavs["speech"]), slow_N)
    np.testing.assert_array_equal(
        samples(Spec(wavs["speech"], reverb=slow).line()), np.rint(want_N).clip(-32768, 32767)
    )


def test_what_was_read_before_does_not_matter(wavs):
    """A noise that is kept from a longer utterance, or partly, gives the same samples as one read anew."""
    long_N = samples(wavs["long"])
    material = Material()
    for at_most in (100, 20000, 50, None, 16000):
        got_N = material.read(wavs["long"], 16000, at_most)[:at_most]
        np.testing.assert_array_equal(got_N, long_N[:at_most])


def test_memory_is_bounded(tmp_path):
    """Of ten files of 4,000 samples no more stay than fit; the one used last is among them."""
    material = Material(max_bytes=40_000)
    paths = [str(write_wav(tmp_path / f"{n}.wav", 4000, seed=n)) for n in range(10)]
    waves = {path: material.read(path, 16000) for path in paths}
    for path in paths:
        Path(path).unlink()
    assert material.read(paths[-1], 16000) is waves[paths[-1]]
    assert material.read(paths[-2], 16000) is waves[paths[-2]]
    for path in paths[:-2]:
        with pytest.raises(AudioError):
            material.read(path, 16000)


def test_clipping_as_in_a_wav(wavs, tmp_path):
    """Full-scale speech with a click: samples beyond 16 bits are cut off, not wrapped."""
    loud = tmp_path / "loud.wav"
    loud.write_bytes(wav_bytes(np.where(np.arange(8000) % 2, 32767, -32768).astype(np.int16)))
    spec = Spec(str(loud), background=((0.0, wavs["long"]),))
    got_N = samples(spec.line())
    assert got_N.max() == 32767
    assert got_N.min() == -32768
    assert np.abs(augmented(samples(str(loud)), 16000, spec)).max() > 33000


def test_ours_are_read_without_permission_and_others_are_not(wavs, tmp_path):
    """Only lines that are ours to the word, around a clean file; a command within is refused like any other."""
    line = specs(wavs)["reverb"].line()
    piped = Spec(f"cat {wavs['speech']} |", reverb=wavs["room"]).line()
    others = [line.replace('"$SV_PYTHON"', "python"), line.replace("augment_wav", "make_feats"), "touch owned |", piped]
    assert not runs_commands(line)
    for other in others:
        assert runs_commands(other)
        with pytest.raises(AudioError, match="--allow-pipes"):
            read_audio(other)
    np.testing.assert_array_equal(read_audio(piped, allow_pipes=True)[0], samples(line))
    data = DataDir({"a-1": "a", "a-2": "a"}, {"a-1": line, "a-2": piped})
    assert data.pipes == ["a-2"]


def test_a_shell_never_sees_a_line_of_ours(wavs, tmp_path, monkeypatch):
    """What a shell would expand or run in a line is a word to us, with permission too."""
    monkeypatch.chdir(tmp_path)
    line = specs(wavs)["reverb"].line()
    for tail in ("; touch owned |", "$(touch owned) |", "&& touch owned - |"):
        for allow in (False, True):
            with pytest.raises(AudioError):
                read_audio(line.removesuffix("|") + tail, allow_pipes=allow)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: Path(f["short"]).unlink(), "short.wav: cannot open the recording"),
        (lambda f: Path(f["short"]).write_bytes(Path(f["short"]).read_bytes()[:5000]), "short.wav: truncated"),
        (lambda f: Path(f["speech"]).unlink(), "speech.wav: cannot open the recording"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(wavs, change, says):
    """The noise or the clean recording itself, whichever it is."""
    change(wavs)
    with pytest.raises(AudioError, match=says):
        samples(specs(wavs)["foreground"].line())


def test_an_impulse_response_of_zeros_is_named(wavs, tmp_path):
    """It is only seen when it is read."""
    mute = tmp_path / "mute.wav"
    mute.write_bytes(wav_bytes(np.zeros(100, np.int16)))
    with pytest.raises(AudioError, match=r"mute.wav: an impulse response of zeros"):
        samples(Spec(wavs["speech"], reverb=str(mute)).line())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("a.wav -", "either --reverb or noises"),
        ("--reverb r.wav --background 3 n.wav a.wav -", "either --reverb or noises"),
        ("--background loud n.wav a.wav -", "loud"),
        ("--background nan n.wav a.wav -", "nan is not a number"),
        ("--foreground 3 -1 n.wav a.wav -", "cannot begin at -1 s"),
        ("--reverb r.wav a.wav", "SOURCE and OUT"),
        ("--revrb r.wav a.wav -", "--revrb is not expected"),
    ],
)
def test_a_malformed_line_is_refused(words, says):
    """One line that says why."""
    with pytest.raises(AudioError, match=says):
        read_audio(f'"$SV_PYTHON" -m sv.cli.augment_wav {words} |')


def test_the_digest_of_recordings_sees_every_file_of_a_line(wavs, tmp_path):
    """Touch speech, noise and response, each by itself: another digest each time; and the files by name."""
    lines = {kind: spec.line() for kind, spec in specs(wavs).items()}
    write_lines(tmp_path / "data/wav.scp", *(f"a-{kind} {line}" for kind, line in sorted(lines.items())))
    assert list(files_of(lines["foreground"])) == [wavs["speech"], wavs["short"], wavs["long"]]
    digests = {recordings_digest(tmp_path / "data")["recordings"]}
    for name in ("speech", "short", "long", "room"):
        os.utime(wavs[name], ns=(1, len(digests)))
        digests.add(recordings_digest(tmp_path / "data")["recordings"])
    assert len(digests) == 5
