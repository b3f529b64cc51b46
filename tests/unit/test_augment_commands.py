"""Stage 2 by its commands: corpora prepared, copies made, their features and VAD, and all put together."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from audio_files import wav_bytes
from augment_corpora import write_musan, write_rirs
from commands import refused, run_command
from data_dirs import write_data, write_lines
from kaldi_files import ROOT

from sv.augment.material import Material
from sv.data.ark import MatrixReader
from sv.data.datadir import DataDir
from sv.data.tables import read_table
from sv.data.validate import validate
from sv.features.files import FeatureReader, front_end, inputs
from sv.records import settings_of

KALDI, PARTIAL, SRE16 = (ROOT / f"conf/augment/{name}.yaml" for name in ("kaldi", "kaldi_partial", "kaldi_sre16"))
MFCC = ROOT / "conf/features/mfcc23_8k.conf"
ENERGY = ROOT / "conf/vad/energy.conf"
ENDINGS = ("reverb", "noise", "music", "babble")


@pytest.fixture
def command(monkeypatch, capsys):
    return lambda *words: run_command(monkeypatch, capsys, *words)


def prepare(corpus, root, out, *options):
    """local/prepare_CORPUS.py as the recipe runs it: (exit code, stdout, stderr)."""
    arguments = [sys.executable, ROOT / "local" / f"prepare_{corpus}.py", *options, root, out]
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Prepared synthetic corpora, below a path with blanks and a quote."""
    folder = tmp_path_factory.mktemp("a user's corpora")
    assert prepare("musan", write_musan(folder / "musan"), folder / "data" / "musan")[0] == 0
    assert prepare("rirs", write_rirs(folder / "rirs"), folder / "data" / "rirs")[0] == 0
    return folder


@pytest.fixture
def material(prepared, tmp_path):
    """Options of augment_data for a copy of them, to break."""
    folder = Path(shutil.copytree(prepared, tmp_path / "a user's corpora"))
    for table in (folder / "data").rglob("*"):
        if table.is_file() and table.suffix != ".json":
            table.write_text(table.read_text().replace(str(prepared), str(folder)))
    return ["--musan", folder / "data" / "musan", "--rirs", folder / "data" / "rirs"]


@pytest.fixture
def clean(tmp_path):
    """Four utterances of two speakers."""
    return write_data(tmp_path / "my data" / "train", {f"s{n % 2}-{n}": 12000 + 800 * n for n in (0, 2, 1, 3)})


def test_musan_is_a_data_directory_a_kind(prepared):
    """Valid by our checker, every file there with its length."""
    for kind in ("noise", "music", "speech"):
        folder = prepared / "data" / "musan" / kind
        assert list(validate(folder, audio=True, rate=16000)) == []
        assert read_table(folder / "reco2dur") == {
            f"{kind}-{n}": f"{(12000 + 1000 * n) / 16000:.10g}" for n in range(3)
        }


def test_rooms_are_kaldis_lists(prepared):
    """Each response once, its path as it is on disk."""
    lines = (prepared / "data" / "rirs" / "rir_list_smallroom").read_text().splitlines()
    folder = prepared / "rirs" / "simulated_rirs" / "smallroom"
    rooms = ("Room001", "Room002")
    want = [f"--rir-id smallroom-{r}-00001 --room-id smallroom-{r} {folder}/{r}/{r}-00001.wav" for r in rooms]
    assert lines == want


def test_a_kind_that_is_not_there_is_said_and_left_out(tmp_path):
    """And forgotten if it was there before; a second time nothing is done."""
    root, out = write_musan(tmp_path / "m"), tmp_path / "out"
    assert prepare("musan", root, out)[0] == 0
    assert (out / "music" / "wav.scp").exists()
    shutil.rmtree(root / "music")
    code, said, _ = prepare("musan", root, out)
    assert (code, f"{root}: there is no music; it is left out" in said) == (0, True)
    assert not (out / "music" / "wav.scp").exists()
    assert "unchanged, skipped" in prepare("musan", root, out)[1]
    code, said, _ = prepare("rirs", write_rirs(tmp_path / "r", rooms=["mediumroom"]), tmp_path / "rirs")
    assert (code, "nothing is in simulated_rirs/smallroom; it is left out" in said) == (0, True)
    assert [path.name for path in (tmp_path / "rirs").glob("rir_list*")] == ["rir_list_mediumroom"]


def test_counts_are_told_beside_the_published_ones(tmp_path):
    said = prepare("musan", write_musan(tmp_path / "m"), tmp_path / "musan")[1]
    assert f"{tmp_path}/musan/speech: 3 files (MUSAN has 426), 0.0 h\n" in said
    said = prepare("rirs", write_rirs(tmp_path / "r"), tmp_path / "rirs")[1]
    assert "rir_list_smallroom: 2 impulse responses (RIRS_NOISES has 20000)\n" in said


@pytest.mark.parametrize("corpus", ["musan", "rirs"])
def test_a_root_without_material_is_one_line(tmp_path, corpus):
    """An empty folder; nothing is written."""
    (tmp_path / "noise").mkdir()
    line = refused(prepare(corpus, tmp_path, tmp_path / "out"))
    assert f"{tmp_path} holds no .wav or .flac" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"RIFF", "noise-1.wav"), (wav_bytes(np.zeros(900, np.int16)), "noise-1.wav: is silent throughout")],
    ids=["unreadable", "zeros"],
)
def test_an_unusable_noise_is_told_or_dropped(tmp_path, content, says):
    """One line with the file and what to do; then without it, listed."""
    root, out = write_musan(tmp_path / "m"), tmp_path / "out"
    (root / "noise/made-up/noise-1.wav").write_bytes(content)
    line = refused(prepare("musan", root, out))
    assert says in line
    assert "--drop-bad-audio" in line
    assert not out.exists()
    assert prepare("musan", root, out, "--drop-bad-audio")[0] == 0
    assert sorted(read_table(out / "noise/wav.scp")) == ["noise-0", "noise-2"]
    assert list(read_table(out / "noise/dropped.txt")) == ["noise-1"]


def test_an_unreadable_response_is_told_or_dropped(tmp_path):
    """As a noise."""
    root, out = write_rirs(tmp_path / "r"), tmp_path / "out"
    (root / "simulated_rirs/smallroom/Room002/Room002-00001.wav").write_bytes(b"")
    assert "Room002-00001.wav: the file is empty" in refused(prepare("rirs", root, out))
    assert prepare("rirs", root, out, "--drop-bad-audio")[0] == 0
    assert (out / "rir_list_smallroom").read_text().count("\n") == 1
    assert list(read_table(out / "dropped.txt")) == ["smallroom-Room002-00001"]
    (root / "simulated_rirs/smallroom/Room001/Room001-00001.wav").write_bytes(b"")
    said = prepare("rirs", root, out, "--drop-bad-audio")[1]
    assert "nothing can be used of simulated_rirs/smallroom; it is left out" in said


@pytest.mark.parametrize(
    ("corpus", "write", "file"),
    [
        ("musan", write_musan, "noise/made-up/noise-1.wav"),
        ("rirs", write_rirs, "simulated_rirs/smallroom/Room002/Room002-00001.wav"),
    ],
)
def test_a_link_to_nowhere_is_told_or_dropped(tmp_path, corpus, write, file):
    """As any file that cannot be read."""
    root, out = write(tmp_path / "root"), tmp_path / "out"
    (root / file).unlink()
    (root / file).symlink_to(tmp_path / "gone.wav")
    assert "--drop-bad-audio" in refused(prepare(corpus, root, out))
    assert prepare(corpus, root, out, "--drop-bad-audio")[0] == 0
    assert "unchanged, skipped" in prepare(corpus, root, out, "--drop-bad-audio")[1]


def test_copies_are_a_valid_set_that_is_read_without_permission(command, clean, material):
    """Every recording of it can be opened by our reader, as long as the clean one; a second run does nothing."""
    out = clean.with_name("aug")
    code, said, _ = command("augment_data", "--conf", KALDI, *material, clean, out)
    assert (code, said.splitlines()[-1]) == (0, f"{out}: 16 of 16 copies ({', '.join(ENDINGS)}) of 4 utterances")
    assert list(validate(out, audio=True, rate=16000)) == []
    assert DataDir.read(out).pipes == []
    for utt in ("s0-2", "s1-3"):
        for ending in ENDINGS:
            got_N, _ = DataDir.read(out).read_audio(f"{utt}-{ending}")
            clean_N, _ = DataDir.read(clean).read_audio(utt)
            assert len(got_N) == len(clean_N)
            assert not np.array_equal(got_N, clean_N)
            if ending != "reverb":  # to the rounding of samples around 3,000
                assert np.mean(got_N**2) == pytest.approx(np.mean(clean_N**2), rel=1e-4)
    assert "unchanged, skipped" in command("augment_data", "--conf", KALDI, *material, clean, out)[1]


def test_what_is_missing_stops_or_is_left_out(command, clean, material):
    """Without music: one line that names kind, folder and ways on; with kaldi_partial the others are made."""
    (material[1] / "music/wav.scp").unlink()
    out = clean.with_name("aug")
    line = refused(command("augment_data", "--conf", KALDI, *material, clean, out))
    for part in (
        f"music: {material[1]}/music/wav.scp is not there",
        "--data-root musan=DIR",
        "--set augment=kaldi_partial",
        "--set augment=null",
    ):
        assert part in line
    assert "--set augment=kaldi_sre16_partial" in refused(
        command("augment_data", "--conf", SRE16, *material, clean, out)
    )
    alone = clean.with_name("alone.yaml")
    alone.write_bytes(KALDI.read_bytes())
    assert "with --data-root musan=DIR, or train without copies" in refused(
        command("augment_data", "--conf", alone, *material, clean, out)
    )
    (material[3] / "rir_list_smallroom").unlink()
    line = refused(command("augment_data", "--conf", KALDI, *material, clean, out))
    assert "reverb: " in line
    assert "rir_list_smallroom is not there (RIRS_NOISES gives what it has of smallroom and mediumroom)" in line
    assert not out.exists()
    code, said, _ = command("augment_data", "--conf", PARTIAL, *material[:2], clean, out)
    assert code == 0
    assert "kaldi_partial: music: " in said
    assert "kaldi_partial: reverb: no impulse responses are given; these copies are left out" in said
    assert sorted(DataDir.read(out).utterances) == sorted(
        f"s{n % 2}-{n}-{e}" for n in range(4) for e in ("noise", "babble")
    )
    assert "no kind of copies has its material" in refused(
        command("augment_data", "--conf", PARTIAL, clean, clean.with_name("none"))
    )


@pytest.fixture
def stage2(command, clean, material):
    """The commands of stage 2 after those of stage 1, as the recipe gives them; returns what they printed."""
    aug, both = clean.with_name("aug"), clean.with_name("both")

    def run(*, after_features=lambda: None):
        results = [
            command("make_feats", "--conf", MFCC, clean),
            command("compute_vad", "--conf", ENERGY, clean, MFCC.stem),
            command("augment_data", "--conf", KALDI, *material, clean, aug),
            command("make_feats", "--nj", 2, "--conf", MFCC, aug),
        ]
        after_features()
        results += [
            command("compute_vad", "--copy-from", clean, "--conf", ENERGY, aug, MFCC.stem),
            command("combine_data", "--feats", MFCC.stem, "--vad", f"{MFCC.stem}/energy", both, clean, aug),
        ]
        return results

    return run, aug, both


def test_the_combined_set_is_read_as_one_that_was_made_whole(stage2, clean, material):
    """Features of clean and copies by their own ids, the clean VAD for every copy, the clean set's front end."""
    run, aug, both = stage2
    assert [code for code, _, _ in run()] == [0] * 6
    clean_feats, aug_feats, feats = (folder / "feats" / MFCC.stem for folder in (clean, aug, both))
    reader = MatrixReader()
    scp, vad = read_table(feats / "feats.scp"), read_table(feats / "vad.scp")
    assert len(scp) == len(DataDir.read(both)) == 20
    assert scp == read_table(clean_feats / "feats.scp") | read_table(aug_feats / "feats.scp")
    for copy, utt in read_table(aug / "utt2uniq").items():
        np.testing.assert_array_equal(reader.read_vector(vad[copy]), reader.read_vector(vad[utt]))
        assert reader.num_rows(scp[copy]) == reader.num_rows(scp[utt])
        assert not np.array_equal(reader.read(scp[copy]), reader.read(scp[utt]))
    assert front_end(feats, "energy") == front_end(clean_feats, "energy")
    assert settings_of("compute_vad_energy", feats) == settings_of("compute_vad_energy", clean_feats)
    assert all(path.exists() for path in inputs(feats, "energy"))
    assert len(inputs(feats, "energy")) == 2 + 5  # both records among them
    frames = FeatureReader(feats, "energy")
    assert frames.whole("s0-0-babble").shape == frames.whole("s0-0").shape
    assert list(validate(both)) == []
    assert not list((both / "feats").rglob("*.ark"))


def test_a_second_time_everything_is_skipped(stage2):
    """Every line of every command says so."""
    run, *_ = stage2
    run()
    lines = [line for _, said, _ in run() for line in said.splitlines()]
    assert len(lines) == 5 + 3
    assert all(line.endswith("unchanged, skipped") for line in lines), lines


def test_a_changed_noise_file_makes_the_copies_features_anew(stage2, material):
    """The audio behind the lines is an input of make_feats, as of any set."""
    run, *_ = stage2
    run()
    for file in (material[1].parents[1] / "musan" / "speech").rglob("*.wav"):
        os.utime(file, ns=(1, 1))
    said = [said for _, said, _ in run()]
    assert "runs again (the recordings have changed)" in said[3]
    assert "runs again" not in said[0] + said[1]


def test_a_noise_that_vanished_is_one_line(stage2, clean, material, command, monkeypatch):
    """make_feats names the copy and the file, and what goes on without."""
    run, aug, _ = stage2
    run()
    monkeypatch.setattr("sv.augment.recording._material", Material())  # a job begins with none
    for file in (material[1].parents[1] / "musan" / "music").rglob("*.wav"):
        file.unlink()
    line = refused(command("make_feats", "--conf", MFCC, aug))
    assert "s0-0-music: " in line
    assert "cannot open the recording" in line
    assert command("make_feats", "--drop-bad-audio", "--conf", MFCC, aug)[0] == 0
    assert len(read_table(aug / "feats" / MFCC.stem / "dropped.txt")) == 4


def test_vad_is_not_copied_for_copies_of_nothing(stage2, clean, command):
    """A clean utterance vanished after the copies were made."""
    run, aug, _ = stage2
    run()
    tables = {name: (clean / name).read_text().splitlines() for name in ("utt2spk", "wav.scp")}
    for name, lines in tables.items():
        write_lines(clean / name, *(line for line in lines if not line.startswith("s1-3 ")))
    command("make_feats", "--conf", MFCC, clean)
    command("compute_vad", "--conf", ENERGY, clean, MFCC.stem)
    line = refused(command("compute_vad", "--copy-from", clean, "--conf", ENERGY, aug, MFCC.stem))
    assert "4 utterances are copies of none in" in line
    assert "s1-3-babble" in line


def test_vad_is_not_copied_where_frames_differ(stage2, command, clean):
    """Other features are as long for no reason; told with both counts."""
    run, aug, _ = stage2

    def shorten():
        path = aug / "feats" / MFCC.stem / "utt2num_frames"
        frames = read_table(path)
        write_lines(path, *(f"{utt} {int(n) - (utt == 's0-0-noise')}" for utt, n in frames.items()))
        (aug / "feats" / MFCC.stem / ".done/make_feats.json").unlink()  # as if other programs had made it

    code, _, err = run(after_features=shorten)[4]
    assert code == 1
    assert "1 utterances have not as many frames as what they are copies of (s0-0-noise: " in err
    assert err.count("\n") == 1


def test_vad_is_copied_only_if_it_is_the_one_asked_for(stage2, command, clean, tmp_path):
    """Other settings than those that the clean set's was made with, or none there."""
    run, aug, _ = stage2
    run()
    other = tmp_path / "conf" / "energy.conf"
    other.parent.mkdir()
    other.write_text(ENERGY.read_text().replace("0.12", "0.5"))
    line = refused(command("compute_vad", "--copy-from", clean, "--conf", other, aug, MFCC.stem))
    assert f"has no VAD by {other} as it is now; run stage 1" in line


def test_features_made_otherwise_are_not_combined(stage2, command, clean, monkeypatch):
    """Compressed copies beside whole ones; the line names the setting and both values."""
    run, aug, both = stage2
    run()
    assert command("make_feats", "--compress", "--conf", MFCC, aug)[0] == 0
    line = refused(command("combine_data", "--feats", MFCC.stem, both, clean, aug))
    assert "compress = True" in line
    assert "make both alike" in line
    line = refused(command("combine_data", "--feats", "mfcc30_16k", clean.with_name("c"), clean, aug))
    assert "no record of make_feats; make it first" in line


def test_a_clean_command_needs_permission(command, clean, material):
    """A wav.scp that runs commands: the length of a recording is asked for, so it is refused, then allowed."""
    lines = (clean / "wav.scp").read_text().splitlines()
    write_lines(clean / "wav.scp", *(f"{line.split()[0]} cat '{line.split(None, 1)[1]}' |" for line in lines))
    out = clean.with_name("aug")
    assert "--allow-pipes" in refused(command("augment_data", "--conf", KALDI, *material, clean, out))
    assert command("augment_data", "--allow-pipes", "--conf", KALDI, *material, clean, out)[0] == 0
    assert "pass --allow-pipes" in refused(command("make_feats", "--conf", MFCC, out))
    assert command("make_feats", "--allow-pipes", "--conf", MFCC, out)[0] == 0
