"""`local/prepare_unlabelled.py`: from a folder of recordings, from a data directory of Kaldi's, and what is refused."""

import os
import subprocess
import sys

import pytest
from data_dirs import write_lines
from kaldi_files import ROOT

from sv.data.datadir import DataDir


def prepare(root, out):
    words = [sys.executable, ROOT / "local" / "prepare_unlabelled.py", root, out]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([*map(str, words)], capture_output=True, text=True, env=environment)


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"not read here")


def test_every_recording_below_a_folder_is_a_speaker_of_its_own(tmp_path):
    """Whatever its name; other files are not recordings; again is skipped; a new one is seen."""
    root = tmp_path / "my calls"
    for name in ("a/1.wav", "a/b c/2.FLAC", "3.sph", "notes.txt"):
        touch(root / name)
    (root / "SYNTHETIC.txt").write_text("made up\n")
    out = tmp_path / "adapt"
    assert prepare(root, out).stdout == f"{out}: 3 utterances of unknown speakers\n"
    data = DataDir.read(out)
    assert data.utt2spk == {utt: utt for utt in ("3", "a-1", "a-b-c-2")}
    assert data.wav["a-b-c-2"] == str(root / "a" / "b c" / "2.FLAC")
    assert data.synthetic == "made up\n"
    assert "unchanged, skipped" in prepare(root, out).stdout
    touch(root / "4.wav")
    assert prepare(root, out).stdout.splitlines()[-1] == f"{out}: 4 utterances of unknown speakers"


def test_speakers_of_a_kaldi_directory_are_not_looked_at(tmp_path):
    root = tmp_path / "major"
    write_lines(root / "wav.scp", "rec1 /x/1.wav")
    write_lines(root / "segments", "s1-u1 rec1 0 1", "s1-u2 rec1 1 2")
    write_lines(root / "utt2spk", "s1-u1 s1", "s1-u2 s1")
    assert prepare(root, tmp_path / "adapt").returncode == 0
    data = DataDir.read(tmp_path / "adapt")
    assert data.utt2spk == {"s1-u1": "s1-u1", "s1-u2": "s1-u2"}
    assert data.segments["s1-u2"].start_s == 1


def test_a_wav_scp_alone_will_do(tmp_path):
    write_lines(tmp_path / "in" / "wav.scp", "b /x/2.wav", "a /x/1.wav")
    assert prepare(tmp_path / "in", tmp_path / "out").returncode == 0
    assert DataDir.read(tmp_path / "out").utt2spk == {"a": "a", "b": "b"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["x.txt"], "in: no .wav, .flac or .sph below it, and no wav.scp in it"),
        (["a/1.wav", "a-1.wav"], "would both be called a-1; rename one"),
        (["wav.scp", "segments"], "in: segments without an utt2spk"),
        ([], "in is not a folder"),
    ],
)
def test_what_cannot_be_taken_is_one_line(tmp_path, files, message):
    for file in files:
        touch(tmp_path / "in" / file)
    ended = prepare(tmp_path / "in", tmp_path / "out")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert message in ended.stderr
    assert not (tmp_path / "out").exists()
