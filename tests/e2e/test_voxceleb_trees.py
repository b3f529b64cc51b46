"""Trees of 2,000 recordings in each of VoxCeleb's layouts, one in fifty broken: prepared, audited, written anew."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import noise, write_m4a

from sv.data.datadir import DataDir
from sv.data.tables import read_table

ROOT = Path(__file__).parents[2]
SPEAKERS, VIDEOS, FILES, EVERY, RATE = 40, 5, 10, 50, 16000


def speech(number):
    """Noise in syllables, 1.2 s; as loud as speech, and another one for every recording."""
    n = int(1.2 * RATE)
    wave = noise(n, number, scale=1500) * (0.55 + 0.45 * np.sin(np.arange(n) * 2 * np.pi * 4 / RATE))
    return wave.astype(np.int16)


def write(path, wave, rate=RATE):
    if path.suffix == ".m4a":
        write_m4a(path, wave, rate)
    else:
        soundfile.write(path, wave, rate)


def clipped(wave):
    return (wave.astype(np.int32) * 60).clip(-32768, 32767).astype(np.int16)


# What is done to a recording, and the lists of the audit that it may be in for it.
BREAKAGES = {
    "empty": (lambda path, wave: path.write_bytes(b""), {"unreadable"}),
    "cut short": (lambda path, wave: path.write_bytes(path.read_bytes()[:-2000]), {"unreadable"}),
    "a page of a web server": (lambda path, wave: path.write_bytes(b"<html>403 Forbidden</html>"), {"unreadable"}),
    "a link to nowhere": (lambda path, wave: (path.unlink(), path.symlink_to("/gone")), {"unreadable"}),
    "the first bytes only": (lambda path, wave: path.write_bytes(path.read_bytes()[:30]), {"unreadable"}),
    "another rate": (lambda path, wave: write(path, wave[::2].copy(), RATE // 2), {"rate"}),
    "silence": (lambda path, wave: write(path, 0 * wave), {"silent"}),
    "clipped": (lambda path, wave: write(path, clipped(wave)), {"clipped"}),
    "two channels": (lambda path, wave: soundfile.write(path, np.stack([wave, wave], 1), RATE), {"channels"}),
    "a tenth of a second": (lambda path, wave: write(path, wave[:1600]), {"too_short"}),
}


def write_tree(folder, part, coding):
    """A part's tree below `folder`; {utterance: how it is broken}."""
    broken = {}
    kinds = [kind for kind in BREAKAGES if not (coding == "m4a" and kind in ("two channels", "clipped"))]
    for number in range(SPEAKERS * VIDEOS * FILES):
        speaker, video, n = f"id{part}{number // 50:04d}", f"video{number // FILES % VIDEOS:06d}", number % FILES + 1
        path = folder / speaker / video / f"{n:05d}.{coding}"
        path.parent.mkdir(parents=True, exist_ok=True)
        wave = speech(number)
        write(path, wave)
        if number % EVERY == EVERY // 2:
            kind = kinds[number // EVERY % len(kinds)]
            BREAKAGES[kind][0](path, wave)
            broken[f"{speaker}-{video}-{n:05d}"] = kind
    return broken


def command(name, *arguments):
    env = {**os.environ, "SV_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    words = [ROOT / name] if name.startswith("steps") else [sys.executable, ROOT / name]
    return subprocess.run([*map(str, [*words, *arguments])], capture_output=True, text=True, env=env, check=False)


LAYOUTS = {
    "voxceleb1": ("dev/wav", "wav", "prepare_voxceleb1", "vox1_dev"),
    "voxceleb1 merged": ("wav", "flac", "prepare_voxceleb1", "vox1_dev"),
    "voxceleb2": ("dev/aac", "m4a", "prepare_voxceleb2", "vox2_dev"),
    "voxceleb2 merged": ("wav", "wav", "prepare_voxceleb2", "vox2_dev"),
    "voxceleb2 converted": ("dev", "flac", "prepare_voxceleb2", "vox2_dev"),
}


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_broken_recording_is_named_and_no_other(layout, tmp_path):
    below, coding, program, name = LAYOUTS[layout]
    root, out = tmp_path / "a corpus", tmp_path / "data"
    broken = write_tree(root / below, 1, coding)
    assert len(broken) == SPEAKERS * VIDEOS * FILES // EVERY
    speakers = [f"id1{number:04d}" for number in range(SPEAKERS)]
    if program == "prepare_voxceleb1":
        for n in (1, 2):
            path = root / ("wav" if "merged" in layout else "test/wav") / f"id90000/video/{n:05d}.{coding}"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, speech(5000 + n))
        (root / "veri_test.txt").write_text("1 id90000/video/00001.wav id90000/video/00002.wav\n")
    elif "merged" in layout:
        rows = [f"{speaker} ,n1 ,f ,dev " for speaker in speakers]
        (root / "vox2_meta.csv").write_text("\n".join(["VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set", *rows, ""]))
    prepared = command(f"local/{program}.py", root, out)
    assert prepared.returncode == 0, prepared.stderr
    data = DataDir.read(out / name)
    assert (len(data), data.num_speakers) == (SPEAKERS * VIDEOS * FILES, SPEAKERS)

    audited = command("steps/audit.sh", "--nj", 2, "--rate", RATE, out / name, tmp_path / "audit")
    assert audited.returncode == 0, audited.stderr
    lists = {path.stem: set(read_table(path)) for path in (tmp_path / "audit").glob("*.txt")}
    assert set().union(*lists.values()) == broken.keys()
    for utt, kind in broken.items():
        assert {problem for problem, utts in lists.items() if utt in utts} & BREAKAGES[kind][1], (utt, kind)

    unreadable = lists["unreadable"]
    stored = tmp_path / "stored"
    options = ("--nj", 2, "--to", "flac", "--rate", RATE)
    refused = command("steps/convert_audio.sh", *options, out / name, stored)
    assert refused.returncode == 1
    assert f"{len(unreadable)} of {len(data)} recordings cannot be converted" in refused.stderr
    assert set(read_table(stored / "failed.txt")) == unreadable
    converted = command("steps/convert_audio.sh", *options, "--drop-bad-audio", out / name, stored)
    assert converted.returncode == 0, converted.stderr
    assert set(DataDir.read(stored).utterances) == set(data.utterances) - unreadable
    files = {path.stem for path in (stored / "audio").rglob("*.flac")}
    assert files == set(data.utterances) - unreadable

    checked = command("steps/validate_data.sh", "--audio", "--rate", RATE, out / name)
    assert checked.returncode == 1
    named = (out / name / "problems.txt").read_text()
    of_header = {"empty", "a page of a web server", "a link to nowhere", "the first bytes only", "another rate"}
    of_header |= {"cut short"} if coding != "flac" else set()  # its header says nothing of bytes
    assert all(utt in named for utt, kind in broken.items() if kind in of_header)
