"""Trees of LDC corpora for tests, written by hand: small SPHERE files, and the programs run on them."""

import subprocess
import sys

from audio_files import sphere_bytes
from kaldi_files import ROOT


def write_sph(path, channels=2, coding="ulaw", data=None):
    """A recording of four samples a channel: mu-law bytes 0, 1, 2, … unless `data` is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width = 1 if "law" in coding else 2
    data = bytes(range(4 * channels * width)) if data is None else data
    path.write_bytes(sphere_bytes(data, coding, 4, channels=channels, width=width))


def prepare(program, *words, path=None):
    """A program of local/, as a recipe runs it: (exit code, stdout, stderr)."""
    command = [sys.executable, str(ROOT / "local" / f"{program}.py"), *map(str, words)]
    env = {"PYTHONPATH": str(ROOT)} | ({"PATH": str(path)} if path else {})
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    return done.returncode, done.stdout, done.stderr


def prepared(program, *words):
    """What it says when all goes well."""
    code, stdout, stderr = prepare(program, *words)
    assert (code, stderr) == (0, "")
    return stdout


def refused(program, *words, out):
    """The one line of a program that failed and wrote nothing."""
    code, _, stderr = prepare(program, *words)
    assert code == 1
    assert stderr.startswith(f"{program}: ")
    assert stderr.count("\n") == 1
    assert not list(out.rglob("utt2spk"))
    return stderr
