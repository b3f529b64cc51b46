"""hold_out and validate_data: what they leave, and their one line for a mistake."""

import pytest
from commands import refused, run_command
from data_dirs import write_data, write_lines

from sv.data.datadir import DataDir
from sv.data.tables import read_table


@pytest.fixture
def command(monkeypatch, capsys):
    return lambda *words: run_command(monkeypatch, capsys, *words)


@pytest.fixture
def data(tmp_path):
    """Seven utterances of three speakers, in a path with blanks."""
    return write_data(tmp_path / "my data" / "set", {f"s{n // 3}-{n}": 4800 for n in range(7)})


def test_hold_out_writes_both_sides(command, data):
    code, out, _ = command("hold_out", "--fraction", 0.3, data, data.parent / "train", data.parent / "valid")
    rest, held = DataDir.read(data.parent / "train"), DataDir.read(data.parent / "valid")
    assert code == 0
    assert sorted(rest.utterances + held.utterances) == DataDir.read(data).utterances
    assert f"{len(rest)} utterances" in out


def test_valid_data_is_one_line(command, data):
    (data / "problems.txt").write_text("of an earlier time\n")
    code, out, _ = command("validate_data", "--audio", "--rate", 16000, data)
    assert (code, out) == (0, f"{data}: 7 utterances of 3 speakers, valid\n")
    assert not (data / "problems.txt").exists()


def test_problems_are_listed_and_the_first_is_told(command, data):
    (data / "wav/s0-0.wav").unlink()
    (data / "wav/s1-3.wav").write_bytes(b"")
    said = refused(command("validate_data", "--audio", data))
    problems = (data / "problems.txt").read_text().splitlines()
    assert len(problems) == 2
    assert problems[0].startswith(f"wav.scp: s0-0: {data}/wav/s0-0.wav: cannot open")
    assert said == f"validate_data: {data}: {problems[0]} (and 1 more: {data}/problems.txt)\n"


def test_bad_audio_may_be_taken_out_of_the_set(command, data):
    """The rest is valid, sorted or not before; dropped.txt says why, and a later check keeps what it says."""
    (data / "wav/s0-0.wav").unlink()
    lines = (data / "wav.scp").read_text().splitlines()
    write_lines(data / "wav.scp", *reversed(lines))
    write_lines(data / "trials_x", "s0-0 s0-1 target")
    assert command("validate_data", "--audio", "--drop-bad-audio", data)[0] == 0
    (data / "wav/s1-4.wav").write_bytes(b"")
    assert command("validate_data", "--audio", "--drop-bad-audio", data)[0] == 0
    assert sorted(read_table(data / "dropped.txt")) == ["s0-0", "s1-4"]
    assert len(DataDir.read(data)) == 5
    assert command("validate_data", "--audio", "--drop-bad-audio", data)[0] == 0
    assert sorted(read_table(data / "dropped.txt")) == ["s0-0", "s1-4"]


def test_other_mistakes_are_not_dropped(command, data):
    """Unsorted lists and another rate stay problems under --drop-bad-audio."""
    lines = (data / "wav.scp").read_text().splitlines()
    write_lines(data / "wav.scp", *reversed(lines))
    said = refused(command("validate_data", "--audio", "--rate", 8000, "--drop-bad-audio", data))
    assert "not sorted" in said
    assert len(DataDir.read(data)) == 7


def test_shared_speakers_are_told(command, data):
    other = write_data(data.parent / "train", {"s1-x": 4000})
    said = refused(command("validate_data", "--disjoint-from", other, data))
    assert f"utt2spk: s1: is a speaker of {other} too" in said
