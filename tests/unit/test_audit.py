"""The audit of a set's recordings: every problem on recordings made to have it, and none on others."""

import csv
import os
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
import torch
from audio_files import noise, wav_bytes
from commands import refused, run_command
from data_dirs import write_lines
from kaldi_files import ROOT

from sv.audit.levels import clipped_fraction, content_hash, levels
from sv.audit.measure import measure_part, read_measured
from sv.audit.page import share
from sv.audit.speech import speech_s
from sv.data.audio import read_audio
from sv.data.tables import read_table
from sv.features.kaldi import KaldiFeatures
from sv.features.kaldi_config import KaldiFeatureConfig
from sv.features.vad import EnergyVad, WebRtcVad, read_vad_config

ENERGY, WEBRTC = ROOT / "conf/vad/energy.conf", ROOT / "conf/vad/webrtc.conf"
LISTS = (
    *("unreadable", "duplicate_speakers", "duplicates", "silent", "no_speech", "too_short", "clipped", "rate"),
    *("channels", "dc_offset"),
)


@pytest.fixture
def audit(monkeypatch, capsys):
    return lambda *words: run_command(monkeypatch, capsys, "audit", *words)


def write_set(folder, waves):
    """A data directory of recordings: {utterance: bytes of a WAV, or samples (N,) or (N, C) in int16 at 16 kHz}."""
    (folder / "wav").mkdir(parents=True)
    for utt, wave in waves.items():
        if not isinstance(wave, bytes):
            wave = wav_bytes(wave, channels=1 if wave.ndim == 1 else wave.shape[1])
        (folder / f"wav/{utt}.wav").write_bytes(wave)
    write_tables(folder, {utt: folder / f"wav/{utt}.wav" for utt in waves})
    return folder


def write_tables(folder, files):
    write_lines(folder / "wav.scp", *(f"{utt} {files[utt]}" for utt in sorted(files)))
    write_lines(folder / "utt2spk", *(f"{utt} {utt.split('-')[0]}" for utt in sorted(files)))


def nearly_empty():
    """Three seconds of zeros, a tenth of a second of which is sound."""
    wave = np.zeros(48000, np.int16)
    wave[20000:21600] = noise(1600, 50)
    return wave


def clipped(part=0.01):
    """Noise of which a part, in the middle, stands at full scale."""
    wave = noise(32000, 60)
    wave[10000 : 10000 + int(part * 32000)] = 32767
    return wave


@pytest.fixture
def mixed(tmp_path):
    """One recording of every problem, and three clean ones."""
    whole = wav_bytes(noise(32000, 70))
    waves = {f"a-clean{i}": noise(24000 + i, i) for i in range(3)}
    waves |= {
        "b-clipped": clipped(),
        "b-constant": np.full(32000, 700, np.int16),
        "b-dc": noise(32000, 71) + np.int16(500),
        "b-empty": nearly_empty(),
        "b-quiet": noise(32000, 72, scale=8),
        "b-rate": wav_bytes(noise(16000, 73), rate=8000),
        "b-short": noise(15000, 74),
        "b-stereo": noise(64000, 75).reshape(-1, 2),
        "b-torn": whole[:-1000],
        "b-zeros": np.zeros(32000, np.int16),
        "c-again": noise(32000, 76),
        "c-first": noise(32000, 76),
        "c-shared": noise(32000, 77),
        "d-shared": noise(32000, 77),
    }
    return write_set(tmp_path / "my set", waves)


def lists_of(out):
    """The problems of an audit: {problem: {utterance: reason}}; those that have no list are left out."""
    return {name: read_table(out / f"{name}.txt") for name in LISTS if (out / f"{name}.txt").exists()}


def rows_of(out):
    with (out / "audit.tsv").open() as file:
        return {row["utterance"]: row for row in csv.DictReader(file, delimiter="\t")}


def written(out):
    """What an audit leaves, but for logs, records and parts."""
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


# -- levels and speech ----------------------------------------------------------------------------------------


def test_levels_of_a_sine_with_an_offset():
    """By their definitions: the RMS of a sine is its amplitude over the root of 2, whatever its mean."""
    wave_N = (8192 * np.sin(2 * np.pi * 100 * np.arange(160000) / 16000) + 1024).astype(np.float32)
    of = levels(wave_N)
    assert of.rms_dbfs == pytest.approx(20 * np.log10(0.25 / np.sqrt(2)), abs=1e-3)
    assert of.peak_dbfs == pytest.approx(20 * np.log10(0.25 + 1 / 32), abs=1e-3)
    assert of.dc == pytest.approx(1 / 32, abs=1e-6)
    assert of.clipped == 0


@pytest.mark.parametrize("value", [0.0, 700.0, -32768.0, 0.1])
def test_a_constant_has_no_level(value):
    assert levels(np.full(100_000, value, np.float32)).rms_dbfs == -np.inf


def brute_clipped(wave_N):
    """Runs counted one by one."""
    count, start = 0, 0
    values = [min(max(v, -32767), 32767) for v in wave_N.tolist()]
    for i in range(1, len(values) + 1):
        if i == len(values) or values[i] != values[start]:
            if i - start >= 3 and abs(values[start]) >= 0.98 * 32768:
                count += i - start
            start = i
    return count / len(values)


def test_clipped_samples_are_those_of_runs_at_full_scale():
    """Against counting run by run, on values that often stand at, near and beyond full scale."""
    rng = np.random.default_rng(0)
    values = np.array([-40000, -32768, -32767, -32124, -32000, 0, 32000, 32124, 32766, 32767, 32768.5], np.float32)
    for _ in range(50):
        wave_N = np.repeat(values[rng.integers(len(values), size=80)], rng.integers(1, 5, 80))
        assert clipped_fraction(wave_N) == pytest.approx(brute_clipped(wave_N))


def test_a_peak_at_full_scale_is_not_clipping():
    """A low tone normalised to its peak, as 16 bits round it."""
    wave_N = np.rint(32767 * np.sin(2 * np.pi * 100 * np.arange(16000) / 16000)).astype(np.float32)
    assert levels(wave_N).clipped == 0
    assert levels(np.clip(1.2 * wave_N, -32768, 32767)).clipped > 0.2


def test_the_hash_is_of_the_samples(tmp_path):
    """WAV, FLAC, 24 bits and floats of the same samples; one sample more or another one is another."""
    wave = noise(8000)
    wave[5] = 0
    (tmp_path / "a.wav").write_bytes(wav_bytes(wave))
    soundfile.write(tmp_path / "b.flac", wave, 16000)
    soundfile.write(tmp_path / "c.wav", wave / 32768, 16000, subtype="PCM_24")
    as_floats = wave / 32768
    as_floats[5] = -0.0
    soundfile.write(tmp_path / "d.wav", as_floats, 16000, subtype="FLOAT")
    hashes = {content_hash(read_audio(str(tmp_path / name))[0]) for name in ("a.wav", "b.flac", "c.wav", "d.wav")}
    assert len(hashes) == 1
    changed = wave.copy()
    changed[4000] += 1
    assert len(hashes | {content_hash(x.astype(np.float32)) for x in (changed, wave[:-1])}) == 3


def test_log_energies_are_those_of_the_features():
    """The first column of MFCCs, bit for bit, so that the VAD decides as it does on them."""
    wave_N = torch.from_numpy(noise(30000, 3).astype(np.float32) + 200)
    front_end = KaldiFeatures(KaldiFeatureConfig("mfcc", snip_edges=False))
    assert torch.equal(front_end.log_energy(wave_N), front_end.compute(wave_N)[:, 0])


def bursts(rate=16000):
    """Two seconds of faint noise with a loud half second."""
    wave_N = noise(2 * rate, 4, scale=2).astype(np.float32)
    wave_N[rate // 2 : rate] += noise(rate // 2, 5, scale=4000)
    return wave_N


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_speech_is_what_the_energy_vad_leaves(rate):
    """Against MFCCs and the VAD on them; about the half second, with the neighbours that the VAD adds."""
    vad, wave_N = read_vad_config(ENERGY), bursts(rate)
    config = KaldiFeatureConfig("mfcc", sample_frequency=rate, snip_edges=False)
    mfcc_TD = KaldiFeatures(config).compute(torch.from_numpy(wave_N)).numpy()
    expected = vad.voiced(mfcc_TD[:, 0]).sum() * config.shift / rate
    assert speech_s(wave_N, rate, vad) == pytest.approx(expected)
    assert expected == pytest.approx(0.5, abs=0.1)


def test_speech_of_another_rate_for_webrtc():
    """Rates that it does not take are resampled: what it says of 48 kHz, which it takes, it about says of 44.1."""
    vad = WebRtcVad()
    at_48, at_44 = (speech_s(bursts(rate), rate, vad) for rate in (48000, 44100))
    assert 0 < at_44 < 2
    assert at_44 == pytest.approx(at_48, abs=0.2)


def test_what_is_too_short_for_a_frame_holds_no_speech():
    assert speech_s(np.full(40, 5000, np.float32), 16000, EnergyVad()) == 0


# -- the command ----------------------------------------------------------------------------------------------


def test_every_problem_is_found_and_no_other(audit, mixed, tmp_path):
    """The lists hold what was made to be wrong; the terminal has a line for each, and where the page is."""
    out = tmp_path / "out"
    code, said, _ = audit("--nj", 2, mixed, out)
    assert code == 0
    found = lists_of(out)
    assert {name: sorted(reasons) for name, reasons in found.items()} == {
        "unreadable": ["b-torn"],
        "duplicate_speakers": ["c-shared", "d-shared"],
        "duplicates": ["c-first"],
        "silent": ["b-constant", "b-quiet", "b-zeros"],
        "no_speech": ["b-empty"],
        "too_short": ["b-short"],
        "clipped": ["b-clipped"],
        "rate": ["b-rate"],
        "channels": ["b-stereo"],
        "dc_offset": ["b-constant", "b-dc"],
    }
    assert "truncated, has 31500 of 32000 samples" in found["unreadable"]["b-torn"]
    assert found["duplicate_speakers"]["c-shared"] == "the same samples as d-shared of speaker d"
    assert found["duplicates"]["c-first"] == "the same samples as c-again"
    assert found["clipped"]["b-clipped"] == "1 % of its samples are clipped"
    assert found["rate"]["b-rate"] == "sampled at 8000 Hz"
    lines = said.splitlines()
    assert lines[-1] == str(out / "audit.html")
    assert sum(f"{out}/{name}.txt" in line for line in lines for name in LISTS) == len(LISTS)


def test_the_table_has_the_figures_of_all(audit, mixed, tmp_path):
    """Sorted, a line each, the unreadable one too; figures against those of the samples."""
    out = tmp_path / "out"
    audit(mixed, out)
    rows = rows_of(out)
    assert list(rows) == sorted(read_table(mixed / "utt2spk"))
    assert {utt for utt, row in rows.items() if row["problems"] == "-"} == {
        "a-clean0",
        "a-clean1",
        "a-clean2",
        "c-again",
    }
    assert rows["b-constant"]["problems"] == "silent,dc_offset"
    assert (rows["b-torn"]["seconds"], rows["b-torn"]["content"]) == ("nan", "-")
    assert (rows["b-stereo"]["channels"], rows["b-rate"]["rate"], rows["b-rate"]["seconds"]) == ("2", "8000", "2.000")
    wave_N = noise(24000, 0).astype(np.float64)
    clean = rows["a-clean0"]
    assert clean["speaker"] == "a"
    assert float(clean["rms_dbfs"]) == pytest.approx(20 * np.log10(wave_N.std() / 32768), abs=0.006)
    assert float(clean["speech_s"]) == pytest.approx(1.5, abs=0.011)


def test_clean_recordings_have_no_problem(audit, tmp_path):
    """No list is written, and those of an earlier audit of other recordings go."""
    folder = write_set(tmp_path / "set", {"a-1": noise(32000, 1), "a-2": np.zeros(32000, np.int16)})
    out = tmp_path / "out"
    audit(folder, out)
    assert list(lists_of(out)) == ["silent"]
    (folder / "wav/a-2.wav").write_bytes(wav_bytes(noise(32000, 2)))
    code, said, _ = audit(folder, out)
    assert (code, lists_of(out)) == (0, {})
    assert f"{folder}: 2 utterances of 1 speakers, 0 with a problem" in said


def test_duplicates_in_another_container_and_of_several_speakers(audit, tmp_path):
    """A FLAC and a WAV of the same samples; groups across speakers stand first and hold all their names."""
    folder = write_set(
        tmp_path / "set", {u: noise(32000, i) for i, u in enumerate(("a-1", "a-2", "b-1", "b-2", "c-1"))}
    )
    files = {utt: folder / f"wav/{utt}.wav" for utt in ("a-1", "a-2", "b-1", "b-2", "c-1")}
    for utt, of in (("b-3", 0), ("c-2", 0), ("a-3", 1)):
        files[utt] = folder / f"wav/{utt}.flac"
        soundfile.write(files[utt], noise(32000, of), 16000)
    write_tables(folder, files)
    out = tmp_path / "out"
    assert audit(folder, out)[0] == 0
    assert {name: sorted(reasons) for name, reasons in lists_of(out).items()} == {
        "duplicate_speakers": ["a-1", "b-3", "c-2"],
        "duplicates": ["a-3"],
    }
    header, *groups = [line.split("\t") for line in (out / "duplicate_groups.tsv").read_text().splitlines()]
    assert header == ["content", "num_speakers", "speakers", "utterances"]
    assert [group[1:] for group in groups] == [["3", "a b c", "a-1 b-3 c-2"], ["1", "a", "a-2 a-3"]]


def test_segments_are_judged_by_themselves(audit, tmp_path):
    """A channel that is named is no problem; one that is not there cannot be read; the same stretch twice is."""
    folder = write_set(tmp_path / "set", {"r": noise(128000, 1).reshape(-1, 2)})
    segments = {
        "a-1": "r 0 2 0",
        "a-2": "r 0 2 1",
        "a-3": "r 2 4",
        "a-4": "r 0 2 2",
        "b-1": "r 0 2 0",
        "b-2": "r 9 11 0",
    }
    write_lines(folder / "segments", *(f"{utt} {segments[utt]}" for utt in sorted(segments)))
    write_lines(folder / "utt2spk", *(f"{utt} {utt[0]}" for utt in sorted(segments)))
    out = tmp_path / "out"
    assert audit(folder, out)[0] == 0
    found = lists_of(out)
    assert {name: sorted(reasons) for name, reasons in found.items()} == {
        "unreadable": ["a-4", "b-2"],
        "duplicate_speakers": ["a-1", "b-1"],
        "channels": ["a-3"],
    }
    assert "there is no channel 2" in found["unreadable"]["a-4"]
    assert "is not within its 4.00 s" in found["unreadable"]["b-2"]


def test_unreadable_files_are_listed_and_the_rest_goes_on(audit, tmp_path):
    """Of every kind, with the line that reading them gives; also where nothing else is left."""
    folder = write_set(
        tmp_path / "set", {"a-1": noise(32000, 1), "a-2": b"", "a-3": b"no sound at all", "a-4": b"RIFF"}
    )
    soundfile.write(folder / "wav/a-5.wav", np.full(32000, np.nan), 16000, subtype="FLOAT")
    files = {f"a-{i}": folder / f"wav/a-{i}.wav" for i in (1, 2, 3, 4, 5)} | {"a-6": folder / "gone.wav"}
    write_tables(folder, files)
    assert audit(folder, tmp_path / "out")[0] == 0
    found = lists_of(tmp_path / "out")
    assert list(found) == ["unreadable"]
    said = {"a-2": "0 bytes", "a-3": "cannot be decoded", "a-4": "", "a-5": "NaN", "a-6": "No such file"}
    assert found["unreadable"].keys() == said.keys()
    assert all(text in found["unreadable"][utt] for utt, text in said.items())
    write_tables(folder, {utt: files[utt] for utt in said})
    assert audit(folder, tmp_path / "out")[0] == 0
    assert len(rows_of(tmp_path / "out")) == 5


def test_what_a_library_does_not_expect_is_listed_too(audit, tmp_path, monkeypatch):
    """A failure that is no AudioError, as a header that promises more than the memory holds."""
    folder = write_set(tmp_path / "set", {"a-1": noise(32000, 1), "a-2": noise(32000, 2)})

    def fails(wave_N):
        if len(wave_N) and wave_N[0] == noise(32000, 2)[0]:
            raise MemoryError("Unable to allocate\n1 PiB")
        return levels(wave_N)

    monkeypatch.setattr("sv.audit.measure.levels", fails)
    assert audit(folder, tmp_path / "out")[0] == 0
    assert lists_of(tmp_path / "out") == {"unreadable": {"a-2": "MemoryError: Unable to allocate 1 PiB"}}


def test_number_of_jobs_changes_no_byte(audit, mixed, tmp_path):
    for jobs in (1, 3):
        assert audit("--nj", jobs, mixed, tmp_path / f"out{jobs}")[0] == 0
    one, three = (written(tmp_path / f"out{jobs}") for jobs in (1, 3))
    assert "audit.html" in one
    assert one == three


def test_a_rerun_skips_and_other_limits_measure_nothing_again(audit, mixed, tmp_path):
    """Another number of jobs neither; the parts stay as they were, the lists change."""
    out = tmp_path / "out"
    audit("--nj", 2, mixed, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    code, said, _ = audit("--nj", 3, mixed, out)
    assert (code, said) == (0, f"audit_measure {out}: unchanged, skipped\naudit {out}: unchanged, skipped\n")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before
    limits = ("--rate", 8000, "--min-s", 0.5, "--max-dc", 1, "--silent-dbfs", -90, "--max-clipped", 0.5)
    said = audit(*limits, "--min-speech-s", 0, mixed, out)[1]
    assert f"audit_measure {out}: unchanged, skipped\n" in said
    found = lists_of(out)
    assert found.keys() == {"unreadable", "duplicate_speakers", "duplicates", "silent", "rate", "channels"}
    assert found["silent"].keys() == {"b-constant", "b-zeros"}
    assert len(found["rate"]) == len(rows_of(out)) - 2  # all but that of 8 kHz and the unreadable one
    parts = [path for path in before if path.parent.name == "measured"]
    assert all(path.stat().st_mtime_ns == before[path] for path in parts)
    (mixed / "wav/a-clean0.wav").write_bytes(wav_bytes(noise(20000)))
    assert "the recordings have changed" in audit("--nj", 2, mixed, out)[1]
    assert rows_of(out)["a-clean0"]["seconds"] == "1.250"


def test_after_a_killed_array_only_the_missing_job_runs(audit, mixed, tmp_path, monkeypatch):
    """Job 3 of 3 is stopped the first time: nothing is judged; the second run starts that one alone."""
    audit("--nj", 3, mixed, tmp_path / "whole")
    out = tmp_path / "out"

    def killed(data, *rest):
        if "d-shared" in data.utt2spk:
            raise KeyboardInterrupt
        return measure_part(data, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("sv.cli.audit.measure_part", killed)
        assert audit("--nj", 3, mixed, out)[0] == 130
    assert not (out / "audit.tsv").exists()
    first = {path.name: path.stat().st_mtime_ns for path in (out / "measured").iterdir()}
    assert {name.split(".")[1] for name in first} == {"1", "2"}
    assert audit("--nj", 3, mixed, out)[0] == 0
    again = {path.name for path in (out / "measured").iterdir() if first.get(path.name) != path.stat().st_mtime_ns}
    assert {name.split(".")[1] for name in again} == {"3"}
    assert written(out) == written(tmp_path / "whole")


def test_without_a_vad_nothing_is_said_about_speech(audit, mixed, tmp_path):
    out = tmp_path / "out"
    assert audit("--no-vad", mixed, out)[0] == 0
    assert "no_speech" not in lists_of(out)
    assert {row["speech_s"] for row in rows_of(out).values()} == {"nan"}
    text = (out / "audit.html").read_text()
    assert "No VAD was asked for" in text
    assert "Hardly any speech" not in text
    assert f"audit_measure {out}: runs again (vad is " in audit("--vad", WEBRTC, mixed, out)[1]
    assert all(float(row["speech_s"]) >= 0 for utt, row in rows_of(out).items() if utt != "b-torn")


def test_a_list_leaves_its_utterances_out(audit, mixed, tmp_path, monkeypatch, capsys):
    """Lists serve steps/subset_data.sh; a set without all of them has no problem left."""
    out = tmp_path / "out"
    audit(mixed, out)
    options = [word for name in lists_of(out) for word in ("--without", out / f"{name}.txt")]
    rest = tmp_path / "rest"
    assert run_command(monkeypatch, capsys, "subset_data", *options, mixed, rest)[0] == 0
    assert sorted(read_table(rest / "utt2spk")) == ["a-clean0", "a-clean1", "a-clean2", "c-again"]
    audit(rest, tmp_path / "out again")
    assert lists_of(tmp_path / "out again") == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--min-s", "-1"], "--min-s is in seconds from 0, not -1"),
        (["--max-clipped", "2"], "--max-clipped is a part of the whole, 0 to 1, not 2"),
        (["--silent-dbfs", "nan"], "--silent-dbfs is in dB below full scale, 0 or less, not nan"),
        (["--rate", "0"], "--rate is in Hz, not 0"),
        (["--nj", "0"], "--nj is a number of jobs from 1, not 0"),
        (["--vad", "no/energy.conf"], "no/energy.conf is missing"),
        (["--vad", str(ENERGY), "--no-vad"], "not allowed with argument"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(audit, mixed, tmp_path, options, said):
    assert said in refused(audit(*options, mixed, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_commands_are_run_only_where_they_are_allowed(audit, tmp_path):
    folder = write_set(tmp_path / "set", {"a-1": noise(32000, 1)})
    write_lines(folder / "wav.scp", f"a-1 cat {folder}/wav/a-1.wav |")
    assert "--allow-pipes" in refused(audit(folder, tmp_path / "out"))
    assert audit("--allow-pipes", folder, tmp_path / "out")[0] == 0
    os.remove(folder / "wav.scp")
    assert "wav.scp is missing" in refused(audit(folder, tmp_path / "other"))


# -- the page -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "under 0.01 %"),
        (200, "0.2 %"),
        (12_345, "12 %"),
        (99_600, "99.6 %"),
        (99_999, "over 99.99 %"),
        (100_000, "100 %"),
    ],
)
def test_shares_are_short_and_whole_only_of_all(count, said):
    assert share(count, 100_000) == said


def test_the_page_is_well_formed_and_asks_for_nothing(audit, mixed, tmp_path):
    """As XML, which is stricter than HTML; every picture is in it, and no address of another file is."""
    out = tmp_path / "out"
    write_lines(mixed / "SYNTHETIC.txt", "Made by <a program> & no person")
    audit(mixed, out)
    text = (out / "audit.html").read_text()
    root = ElementTree.fromstring(text)
    assert root.findtext("head/title") == "Audit of my set"
    assert "SYNTHETIC" in root.findtext(".//header/h1/span")
    assert "Made by <a program> & no person" in "".join(root.itertext())
    assert "http" not in text
    assert "url(" not in text
    links = [value for each in root.iter() for name, value in each.items() if name in ("src", "href", "srcset")]
    assert links
    assert all(link.startswith("data:image/png;base64,") for link in links)
    assert [each.get("id") for each in root.iter("article")] == [name for name in LISTS if lists_of(out).get(name)]
    shown = [each.text for each in root.iterfind(".//figcaption/code")]
    assert len(shown) == len(set(shown))
    assert {"c-shared", "b-clipped", "b-empty", "b-short", "b-rate", "b-stereo", "b-dc"} < set(shown)
    assert "prefers-color-scheme: dark" in text


def test_the_page_escapes_names(audit, tmp_path):
    """Of utterances, speakers, files and the folder."""
    folder = write_set(tmp_path / "a <b> & c", {"s<1>&-x": noise(4000, 1), "s<1>&-y": b"", "s<2>-\"'": noise(32000, 3)})
    out = tmp_path / "out"
    assert audit(folder, out)[0] == 0
    root = ElementTree.fromstring((out / "audit.html").read_text())
    assert root.findtext("head/title") == "Audit of a <b> & c"
    text = "".join(root.itertext())
    assert "s<1>&-x" in text
    assert re.search(r"s<1>&-y\s.*the file is empty", text)


def test_the_page_says_what_the_set_is(audit, mixed, tmp_path):
    """Counts, speakers with few utterances, and a set that has no problem."""
    audit(mixed, tmp_path / "out")
    text = (tmp_path / "out/audit.html").read_text()
    assert "<th>speakers with fewer than 8</th><td>3 (75 %)</td>" in text
    assert "<th>most</th><td>10</td>" in text
    folder = write_set(tmp_path / "clean", {"a-1": noise(32000, 1)})
    audit(folder, tmp_path / "clean out")
    text = (tmp_path / "clean out/audit.html").read_text()
    assert "Not found: Unreadable; Same samples under different speakers;" in text
    assert "SYNTHETIC" not in text


def test_a_recording_that_is_gone_when_the_page_is_made(audit, mixed, tmp_path, monkeypatch):
    """It keeps its figures; only its picture lacks."""
    out = tmp_path / "out"

    def read_and_remove(parts):
        os.remove(mixed / "wav/b-dc.wav")
        return read_measured(parts)

    monkeypatch.setattr("sv.cli.audit.read_measured", read_and_remove)
    assert audit(mixed, out)[0] == 0
    assert (out / "audit.html").read_text().count("It could not be read again.") == 1
