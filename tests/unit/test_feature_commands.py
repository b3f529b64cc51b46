"""make_feats and compute_vad: what they leave, and their one line for a mistake.

Most run in this process, their jobs one after the other, as starting torch takes seconds; two are real.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from audio_files import wav_bytes
from commands import refused, run_command
from data_dirs import write_data, write_lines, write_wav
from kaldi_files import FEATURES, ROOT

from sv.data.ark import MatrixReader
from sv.data.audio import read_audio
from sv.data.datadir import DataDir
from sv.data.resample import resample
from sv.data.tables import read_table
from sv.features.front_ends import read_feature_config
from sv.features.kaldi import KaldiFeatures
from sv.features.vad import read_vad_config

FBANK = ROOT / "conf/features/fbank64_16k.conf"
MFCC = ROOT / "conf/features/mfcc30_16k.conf"
MFCC_8K = ROOT / "conf/features/mfcc23_8k.conf"
ENERGY = ROOT / "conf/vad/energy.conf"
WEBRTC = ROOT / "conf/vad/webrtc.conf"


@pytest.fixture
def command(monkeypatch, capsys):
    return lambda *words: run_command(monkeypatch, capsys, *words)


def features_of(folder):
    """Matrices of a feature folder by utterance."""
    reader = MatrixReader()
    return {utt: reader.read(value) for utt, value in read_table(folder / "feats.scp").items()}


def computed(path, conf):
    """Features of a recording by the library, the whole at once."""
    config = read_feature_config(conf)
    wave_N, rate = read_audio(str(path))
    wave_N = resample(wave_N, rate, int(config.sample_frequency))
    return KaldiFeatures(config).compute(torch.from_numpy(wave_N)).numpy()


@pytest.fixture
def forced(monkeypatch):
    """Every command runs, whatever it left before."""
    monkeypatch.setenv("SV_FORCE", "1")


@pytest.fixture
def data(tmp_path):
    """Seven utterances of three speakers, 0.3 to 1.5 s, in a path with blanks."""
    lengths = {f"s{n % 3}-{n}": 4800 + 3200 * n for n in range(7)}
    return write_data(tmp_path / "my data" / "set", dict(sorted(lengths.items())))


@pytest.mark.parametrize("conf", [FBANK, MFCC, MFCC_8K], ids=lambda path: path.stem)
def test_features_are_those_of_the_library(command, data, conf):
    """Every utterance, resampled where the configuration says so; the folder is a Kaldi data directory."""
    code, out, _ = command("make_feats", "--nj", 2, "--conf", conf, data)
    folder = data / "feats" / conf.stem
    assert (code, out.splitlines()[-1]) == (0, f"{folder}: 7 utterances")
    features = features_of(folder)
    assert sorted(features) == DataDir.read(data).utterances
    for utt, features_TD in features.items():
        np.testing.assert_array_equal(features_TD, computed(data / "wav" / f"{utt}.wav", conf))
    assert read_table(folder / "utt2num_frames") == {utt: str(len(matrix)) for utt, matrix in features.items()}
    assert (folder / "feats.conf").read_bytes() == conf.read_bytes()
    assert not (folder / "dropped.txt").exists()
    assert DataDir.read(folder).spk2utt == DataDir.read(data).spk2utt


def test_number_of_jobs_changes_no_byte(command, forced, data):
    """1 and 3 jobs, with dither: each utterance's matrix to the byte, and the same tables."""
    conf = data.parent / "fbank23.conf"
    conf.write_text("--dither=1\n--snip-edges=false\n")
    folder, results = data / "feats/fbank23", []
    for jobs in (1, 3):
        command("make_feats", "--nj", jobs, "--conf", conf, data)
        results.append(
            ({u: f.tobytes() for u, f in features_of(folder).items()}, read_table(folder / "utt2num_frames"))
        )
    assert results[0] == results[1]
    command("make_feats", "--seed", 1, "--conf", conf, data)
    assert all(f.tobytes() != results[0][0][u] for u, f in features_of(folder).items())


def test_a_rerun_with_fewer_jobs_leaves_no_old_parts(command, forced, data):
    """After 3 jobs and a VAD, 2 jobs: archives of two, no VAD that was made from the first features."""
    folder = data / "feats" / MFCC.stem
    command("make_feats", "--nj", 3, "--conf", MFCC, data)
    command("compute_vad", "--nj", 3, "--conf", ENERGY, data, MFCC.stem)
    assert command("make_feats", "--nj", 2, "--conf", MFCC, data)[0] == 0
    assert not (folder / "vad.scp").exists()
    assert sorted(path.name for path in (folder / "arks").glob("feats.*.ark")) == ["feats.1.ark", "feats.2.ark"]
    assert len(features_of(folder)) == 7
    assert command("compute_vad", "--nj", 1, "--conf", ENERGY, data, MFCC.stem)[0] == 0
    assert sorted(path.name for path in (folder / "arks").glob("vad_energy.*.ark")) == ["vad_energy.1.ark"]


def test_a_rerun_without_an_utterance_forgets_it(command, data):
    command("make_feats", "--conf", MFCC, data)
    DataDir.read(data).subset(speakers=["s1"]).write(data)
    command("make_feats", "--conf", MFCC, data)
    folder = data / "feats" / MFCC.stem
    for table in ("feats.scp", "utt2num_frames", "utt2spk"):
        assert set(read_table(folder / table)) == set(DataDir.read(data).utterances)


def test_compressed_features_are_near_and_small(command, data):
    """Kaldi's CM: within a 64th of a column's range, in less than a third of the space."""
    command("make_feats", "--conf", MFCC, data)
    folder = data / "feats" / MFCC.stem
    plain, size = features_of(folder), (folder / "arks/feats.1.ark").stat().st_size
    command("make_feats", "--compress", "--conf", MFCC, data)
    assert (folder / "arks/feats.1.ark").stat().st_size < size / 3
    for utt, features_TD in features_of(folder).items():
        span = np.ptp(plain[utt], axis=0)
        assert (np.abs(features_TD - plain[utt]) <= span / 64 + 1e-3).all()


def test_more_jobs_than_utterances_are_not_started(command, data):
    assert command("make_feats", "--nj", 20, "--conf", FBANK, data)[0] == 0
    assert len(list((data / "feats" / FBANK.stem / "arks").glob("*.ark"))) == 7


def test_segments_are_honoured(command, tmp_path):
    """Two utterances of one recording: features of the cut-out samples."""
    wave = (np.random.default_rng(0).normal(size=32000) * 1000).astype(np.int16)
    for name, part in (("r", wave), ("s-a", wave[4000:12000]), ("s-b", wave[16000:28000])):
        (tmp_path / f"{name}.wav").write_bytes(wav_bytes(part))
    data = tmp_path / "set"
    write_lines(data / "wav.scp", f"r {tmp_path}/r.wav")
    write_lines(data / "utt2spk", "s-a s", "s-b s")
    write_lines(data / "segments", "s-a r 0.25 0.75", "s-b r 1 1.75")
    assert command("make_feats", "--conf", FBANK, data)[0] == 0
    for utt, features_TD in features_of(data / "feats" / FBANK.stem).items():
        np.testing.assert_array_equal(features_TD, computed(tmp_path / f"{utt}.wav", FBANK))


def test_another_rate_is_one_line_that_says_what_to_do(command, data):
    """8 kHz audio for 16 kHz features; --drop-bad-audio does not take that for bad audio."""
    write_wav(data / "wav/s1-4.wav", rate=8000)
    for options in ([], ["--drop-bad-audio"]):
        said = refused(command("make_feats", *options, "--conf", FBANK, data))
        assert "s1-4 is sampled at 8000 Hz, the features at 16000" in said
        assert "--allow-upsample=true" in said
        assert not (data / "feats" / FBANK.stem / "feats.scp").exists()


def test_a_higher_rate_needs_allow_downsample(command, data):
    """16 kHz audio with Kaldi's 8 kHz flags as they are; ours of that name have the option."""
    said = refused(command("make_feats", "--conf", FEATURES / "mfcc23_8k.conf", data))
    assert "is sampled at 16000 Hz, the features at 8000; --allow-downsample=true" in said
    assert command("make_feats", "--conf", MFCC_8K, data)[0] == 0


@pytest.mark.parametrize("jobs", [1, 3])
def test_bad_audio_may_be_dropped(command, data, jobs):
    """A truncated file and one that is missing go to dropped.txt with the reason, whichever job has them."""
    path = data / "wav/s0-0.wav"
    path.write_bytes(path.read_bytes()[:1000])
    (data / "wav/s0-3.wav").unlink()
    (data / "wav/s0-6.wav").unlink()  # with them a job of three has nothing left
    code, out, _ = command("make_feats", "--drop-bad-audio", "--nj", jobs, "--conf", FBANK, data)
    folder = data / "feats" / FBANK.stem
    assert (code, out.splitlines()[-1]) == (0, f"{folder}: 4 utterances, 3 dropped: see dropped.txt")
    dropped = read_table(folder / "dropped.txt")
    assert sorted(dropped) == ["s0-0", "s0-3", "s0-6"]
    assert "wav/s0-0.wav: truncated, has 478 of 4800 samples" in dropped["s0-0"]
    assert (
        set(read_table(folder / "utt2spk"))
        == set(features_of(folder))
        == set(DataDir.read(data).utt2spk) - set(dropped)
    )


def test_bad_audio_is_told_with_what_goes_on_without_it(command, data):
    (data / "wav/s0-3.wav").unlink()
    said = refused(command("make_feats", "--conf", FBANK, data))
    assert f"s0-3: {data}/wav/s0-3.wav: cannot open" in said
    assert said.endswith("; or go on without it: --drop-bad-audio\n")


def test_too_short_utterances_are_dropped(command, data):
    """Fewer samples than a frame needs: with the reason, without being asked."""
    write_wav(data / "wav/s1-4.wav", 60)
    assert command("make_feats", "--conf", FBANK, data)[0] == 0
    assert read_table(data / "feats" / FBANK.stem / "dropped.txt") == {"s1-4": "60 samples are too few for one frame"}


def test_no_utterance_left_is_one_line(command, data):
    for path in (data / "wav").iterdir():
        path.unlink()
    said = refused(command("make_feats", "--drop-bad-audio", "--conf", FBANK, data))
    assert "no utterance is left; the first was dropped as: s0-0: " in said


def test_an_empty_set_is_one_line(command, data):
    write_lines(data / "utt2spk")
    assert "utt2spk holds no utterances" in refused(command("make_feats", "--conf", FBANK, data))


@pytest.mark.parametrize("options", [[], ["--drop-bad-audio"]])
def test_commands_are_refused_before_any_work(command, data, options):
    """Nothing is run and nothing dropped; the line says how to allow them."""
    trace = data.parent / "ran"
    lines = (data / "wav.scp").read_text().splitlines()
    write_lines(data / "wav.scp", f"s0-0 touch '{trace}' |", *lines[1:])
    said = refused(command("make_feats", *options, "--conf", FBANK, data))
    assert "(s0-0)" in said
    assert "pass --allow-pipes if you trust it" in said
    assert not trace.exists()
    assert not (data / "feats").exists()


def test_commands_run_where_they_are_allowed(command, data):
    """Through a pipe, the features of the file; the WebRTC VAD too."""
    command("make_feats", "--conf", MFCC, data)
    expected = features_of(data / "feats" / MFCC.stem)
    write_lines(data / "wav.scp", *(f"{utt} cat '{data}/wav/{utt}.wav' |" for utt in expected))
    assert command("make_feats", "--allow-pipes", "--conf", MFCC, data)[0] == 0
    assert {u: f.tobytes() for u, f in features_of(data / "feats" / MFCC.stem).items()} == {
        u: f.tobytes() for u, f in expected.items()
    }
    assert "--allow-pipes" in refused(command("compute_vad", "--conf", WEBRTC, data, MFCC.stem))
    assert command("compute_vad", "--allow-pipes", "--conf", WEBRTC, data, MFCC.stem)[0] == 0


@pytest.mark.parametrize(
    ("conf", "text", "said"),
    [
        ("fbank.conf", None, "fbank.conf is missing"),
        ("plp.conf", "", "starts with fbank, mfcc, melspec or wave"),
        ("fbank.conf", "--num-mel-bin=3\n", "did you mean --num-mel-bins?"),
    ],
)
def test_a_wrong_configuration_is_told_before_any_work(command, data, conf, text, said):
    if text is not None:
        (data.parent / conf).write_text(text)
    assert said in refused(command("make_feats", "--conf", data.parent / conf, data))
    assert not (data / "feats").exists()


def test_a_failed_run_leaves_no_finished_folder(command, data):
    """Features and VAD of a first run go when a second one fails; compute_vad then says what is missing."""
    command("make_feats", "--conf", MFCC, data)
    command("compute_vad", "--conf", ENERGY, data, MFCC.stem)
    (data / "wav/s0-0.wav").unlink()
    refused(command("make_feats", "--conf", MFCC, data))
    assert not (data / "feats" / MFCC.stem / "feats.scp").exists()
    assert not (data / "feats" / MFCC.stem / "vad.scp").exists()
    assert "make_feats was begun and has not ended; run its stage again" in refused(
        command("compute_vad", "--conf", ENERGY, data, MFCC.stem)
    )


@pytest.mark.parametrize("jobs", [1, 3])
def test_energy_vad_is_that_of_the_features(command, data, jobs):
    """Decisions and their counts against the library's on the matrices in the archive."""
    command("make_feats", "--conf", MFCC, data)
    code, out, _ = command("compute_vad", "--nj", jobs, "--conf", ENERGY, data, MFCC.stem)
    folder = data / "feats" / MFCC.stem
    assert (code, out.splitlines()[-1]) == (0, f"{folder}: VAD energy of 7 utterances, 0 without a voiced frame")
    reader, vad = MatrixReader(), read_vad_config(ENERGY)
    decisions = {utt: reader.read_vector(value) for utt, value in read_table(folder / "vad.scp").items()}
    for utt, features_TD in features_of(folder).items():
        np.testing.assert_array_equal(decisions[utt], vad.voiced(features_TD[:, 0]))
    assert read_table(folder / "utt2num_voiced") == {utt: str(int(d.sum())) for utt, d in decisions.items()}


def test_webrtc_vad_has_its_own_tables(command, data):
    """Beside the energy VAD's: as many decisions as frames, at 8 kHz from 16 kHz audio; silence is counted."""
    write_wav(data / "wav/s1-4.wav", 16000).write_bytes(wav_bytes(np.zeros(16000, np.int16)))
    command("make_feats", "--conf", MFCC_8K, data)
    command("compute_vad", "--conf", ENERGY, data, MFCC_8K.stem)
    code, out, _ = command("compute_vad", "--nj", 2, "--conf", WEBRTC, data, MFCC_8K.stem)
    assert code == 0
    assert "VAD webrtc of 7 utterances" in out
    folder = data / "feats" / MFCC_8K.stem
    assert {"vad.scp", "vad_webrtc.scp", "utt2num_voiced", "utt2num_voiced_webrtc"} <= set(os.listdir(folder))
    reader, counts = MatrixReader(), read_table(folder / "utt2num_frames")
    for utt, value in read_table(folder / "vad_webrtc.scp").items():
        assert reader.num_rows(value) == int(counts[utt])
    assert read_table(folder / "utt2num_voiced_webrtc")["s1-4"] == "0"


def test_energy_vad_without_energy_is_refused(command, data):
    """fbank has no energy column: told at once, with the features' name."""
    command("make_feats", "--conf", FBANK, data)
    said = refused(command("compute_vad", "--conf", ENERGY, data, FBANK.stem))
    assert "vad energy decides on the log-energy, which fbank64_16k does not have (--use-energy)" in said


def test_vad_of_features_that_are_not_there_is_refused(command, data):
    assert "mfcc80_16k is not a data directory" in refused(command("compute_vad", "--conf", ENERGY, data, "mfcc80_16k"))


def test_a_real_run_equals_the_one_in_this_process(command, forced, data):
    """Through processes, with blanks in the path: the same matrices; logs are there."""
    command("make_feats", "--conf", FBANK, data)
    expected = features_of(data / "feats" / FBANK.stem)
    arguments = ["--nj", "2", "--conf", str(FBANK), str(data)]
    subprocess.run([sys.executable, "-m", "sv.cli.make_feats", *arguments], check=True, cwd=ROOT, capture_output=True)
    for utt, features_TD in features_of(data / "feats" / FBANK.stem).items():
        np.testing.assert_array_equal(features_TD, expected[utt])
    assert len(list((data / "feats" / FBANK.stem / "log").iterdir())) == 2


def test_finished_features_and_vad_are_not_made_again(command, data):
    """Not by another number of jobs either; a recording, a setting or a damaged archive makes them anew."""
    folder = data / "feats" / MFCC.stem
    make, vad = ("make_feats", "--nj", 2, "--conf", MFCC, data), ("compute_vad", "--conf", ENERGY, data, MFCC.stem)
    command(*make)
    command(*vad)
    first = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert command("make_feats", "--nj", 3, "--conf", MFCC, data)[1] == f"make_feats {folder}: unchanged, skipped\n"
    assert command(*vad)[1] == f"compute_vad_energy {folder}: unchanged, skipped\n"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == first

    archive = folder / "arks" / "feats.2.ark"
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-4] + b"\0\0\0\0")
    assert "feats.2.ark is not what make_feats wrote; run the stage that makes it again" in refused(command(*vad))
    first_part = (folder / "arks" / "feats.1.ark").stat().st_mtime_ns
    assert f"runs again ({archive} is not what was written)" in command(*make)[1]
    assert archive.read_bytes() == whole
    assert (folder / "arks" / "feats.1.ark").stat().st_mtime_ns == first_part  # its job had nothing to do
    assert "vad.scp is missing" in command(*vad)[1]

    write_wav(data / "wav/s1-4.wav", 5000)
    assert "the recordings have changed" in command(*make)[1]
    conf = data.parent / MFCC.name
    conf.write_text(MFCC.read_text() + "--cepstral-lifter=0\n")
    assert "features.cepstral_lifter is 0.0, was 22.0" in command("make_feats", "--nj", 2, "--conf", conf, data)[1]


def test_after_a_killed_array_only_the_missing_jobs_run(command, data, monkeypatch):
    """Job 3 of 3 fails the first time: the second run starts that one alone and ends with the same bytes."""
    folder = data / "feats" / FBANK.stem
    command("make_feats", "--nj", 3, "--conf", FBANK, data)
    expected = {path.name: path.read_bytes() for path in (folder / "arks").iterdir()}
    monkeypatch.setenv("SV_FORCE", "1")
    wav = data / "wav/s2-2.wav"
    sound, mtime = wav.read_bytes(), wav.stat().st_mtime_ns
    wav.write_bytes(bytes(len(sound)))
    os.utime(wav, ns=(mtime, mtime))
    refused(command("make_feats", "--nj", 3, "--conf", FBANK, data))
    monkeypatch.delenv("SV_FORCE")
    assert not (folder / "feats.scp").exists()
    wav.write_bytes(sound)
    os.utime(wav, ns=(mtime, mtime))
    started = {path.name: path.stat().st_mtime_ns for path in (folder / "arks").iterdir()}
    assert command("make_feats", "--nj", 3, "--conf", FBANK, data)[0] == 0
    assert {path.name: path.read_bytes() for path in (folder / "arks").iterdir()} == expected
    again = {path.name for path in (folder / "arks").iterdir() if path.stat().st_mtime_ns != started.get(path.name)}
    assert {name.split(".")[1] for name in again} == {"3"}


def test_a_truncated_recording_stops_a_real_run_with_one_line(data):
    """Exit code 1, one line that names utterance, file and log; no feats.scp, no traceback."""
    path = data / "wav/s1-4.wav"
    path.write_bytes(path.read_bytes()[:5000])
    arguments = ["--nj", "2", "--conf", str(FBANK), str(data)]
    done = subprocess.run(
        [sys.executable, "-m", "sv.cli.make_feats", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"s1-4: {path}: truncated" in done.stderr
    assert "log/make_feats.2.log" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (data / "feats" / FBANK.stem / "feats.scp").exists()


def test_options_are_not_guessed(command, data):
    """--conf must be there, --con is not --conf, 0 jobs are none."""
    for result in (
        command("make_feats", data),
        command("make_feats", "--con", FBANK, data),
        command("make_feats", "--nj", 0, "--conf", FBANK, data),
    ):
        assert refused(result)


def test_reference_flags_are_accepted(command, data):
    """Kaldi's own conf files of the reference serve as they are."""
    for conf in sorted(FEATURES.glob("*16k*.conf")):
        assert command("make_feats", "--conf", conf, data)[0] == 0
