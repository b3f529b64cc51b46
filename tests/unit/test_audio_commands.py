"""`sv.data.audio`: commands of wav.scp, and sph2pipe where a coding needs it."""

import os
import stat

import numpy as np
import pytest
import soundfile
from audio_files import (
    noise,
    refuses,
    sphere_bytes,
    wav_bytes,
    write_m4a,
)

from sv.data.audio import read_audio

# Commands


def test_command_needs_leave(tmp_path):
    """It is not run, and the line says why and what to pass."""
    refuses(f"touch {tmp_path}/ran |", "must not run commands.*--allow-pipes")
    assert os.listdir(tmp_path) == []


def test_command_output_is_read(tmp_path):
    """WAV with sizes, FLAC, SPHERE and m4a as a command prints them, and a segment of each."""
    x = noise(30000)
    soundfile.write(tmp_path / "x.wav", x, 16000)
    soundfile.write(tmp_path / "x.flac", x, 16000)
    (tmp_path / "x.sph").write_bytes(sphere_bytes(x.tobytes(), "pcm", 30000, rate=16000))
    write_m4a(tmp_path / "x.m4a", x)
    for name in ("x.wav", "x.flac", "x.sph", "x.m4a"):
        whole, rate = read_audio(f"cat {tmp_path}/{name} | ", allow_pipes=True)
        assert rate == 16000
        np.testing.assert_array_equal(whole, read_audio(str(tmp_path / name))[0])
        part, _ = read_audio(f"cat {tmp_path}/{name} |", allow_pipes=True, start_s=0.5, end_s=1)
        np.testing.assert_array_equal(part, whole[8000:16000])


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("echo one >&2; echo two >&2; exit 3 |", r"failed \(exit code 3\): two"),
        ("no-such-program-here x.sph |", r"failed \(exit code 127\): .*not found"),
        ("(echo broken >&2; exit 4) | cat |", r"failed \(exit code 4\): broken"),
        ("true |", "printed no audio: it says nothing on stderr"),
        ("echo hello |", "cannot be decoded"),
    ],
)
def test_command_failure_is_told(command, says):
    refuses(command, says, allow_pipes=True)


def test_truncated_wav_from_a_command(put):
    """A header with a true size is held to it on a pipe too."""
    path = put(wav_bytes(noise(1000))[:-100])
    refuses(f"cat '{path}' |", "truncated, has 950 of 1000", allow_pipes=True)


# sph2pipe


@pytest.fixture
def shortened_mulaw(put):
    """A header that says mu-law by shorten; what follows is for sph2pipe alone."""
    return put(sphere_bytes(b"ajkg\2....", "ulaw,embedded-shorten-v2.00", 1000, width=1), "x.sph")


def fake_sph2pipe(folder, monkeypatch, script):
    program = folder / "bin" / "sph2pipe"
    program.parent.mkdir()
    program.write_text("#!/bin/bash\n" + script)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_mulaw_shorten_without_sph2pipe(shortened_mulaw, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    refuses(shortened_mulaw, "needs sph2pipe, which is not on PATH; install it .* or convert the file to WAV")


def test_mulaw_shorten_by_sph2pipe(tmp_path, shortened_mulaw, monkeypatch):
    """The program is asked for a 16-bit WAV of this file, and its output is read."""
    x = noise(1000)
    (tmp_path / "out.wav").write_bytes(wav_bytes(x, 8000))
    script = f'[ "$*" = "-p -f wav {shortened_mulaw}" ] && cat {tmp_path}/out.wav'
    fake_sph2pipe(tmp_path, monkeypatch, script)
    np.testing.assert_array_equal(read_audio(shortened_mulaw)[0], x)


def test_sph2pipe_failure_is_told(tmp_path, shortened_mulaw, monkeypatch):
    fake_sph2pipe(tmp_path, monkeypatch, "echo bad block >&2; exit 2")
    refuses(shortened_mulaw, r"sph2pipe failed \(exit code 2\): bad block")


def test_sph2pipe_short_output_is_told(tmp_path, shortened_mulaw, monkeypatch):
    """Fewer samples than the SPHERE header has, although the program ended well."""
    (tmp_path / "out.wav").write_bytes(wav_bytes(noise(600), 8000))
    fake_sph2pipe(tmp_path, monkeypatch, f"cat {tmp_path}/out.wav")
    refuses(shortened_mulaw, "truncated, has 600 of 1000 samples")
