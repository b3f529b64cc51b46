"""The generated corpus stays what results were measured on: version 1, compared with what was kept of it.

If this fails on purpose, raise VERSION in local/generate_mini.py and keep the new ones: run this file as a program.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "local"))

import generate_mini  # noqa: E402

KEPT = ROOT / "tests/data/mini"
OPTIONS = ["--dev-speakers=1", "--test-speakers=4", "--sessions=2", "--utts-per-session=1", "--trials=8", "--nj=1"]
EVERY = 8  # samples of which one is kept


def made(folder):
    """A small corpus: its list, and its recordings by path."""
    assert generate_mini.main([str(folder), *OPTIONS]) == 0
    waves = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*.wav"))}
    return (folder / "veri_test2.txt").read_bytes(), waves


def test_recordings_and_list_are_those_of_version_1(tmp_path):
    """Names and trials exactly; samples within the two steps that another machine's sines may move them."""
    assert generate_mini.VERSION == 1
    trials, waves = made(tmp_path / "corpus")
    names = "\n".join(waves).encode()
    digests = hashlib.sha256(trials).hexdigest(), hashlib.sha256(names).hexdigest()
    assert "\n".join(digests) == (KEPT / "digests.txt").read_text().strip()
    with np.load(KEPT / "samples.npz") as kept:
        for number, path in enumerate(waves.values()):
            samples, _ = soundfile.read(path, dtype="int16")
            theirs = kept[str(number)]
            assert len(samples[::EVERY]) == len(theirs)
            assert np.abs(samples[::EVERY].astype(int) - theirs).max() <= 2


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as work:
        trials, waves = made(Path(work, "corpus"))
        KEPT.mkdir(exist_ok=True)
        digests = (hashlib.sha256(trials).hexdigest(), hashlib.sha256("\n".join(waves).encode()).hexdigest())
        (KEPT / "digests.txt").write_text("\n".join(digests) + "\n")
        arrays = {str(n): soundfile.read(path, dtype="int16")[0][::EVERY] for n, path in enumerate(waves.values())}
        np.savez_compressed(KEPT / "samples.npz", **arrays)
