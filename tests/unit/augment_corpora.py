"""A MUSAN and a RIRS_NOISES for tests: synthetic noises and impulse responses in the layout of the corpora."""

import numpy as np
from audio_files import wav_bytes
from data_dirs import write_wav


def write_musan(root, kinds=("noise", "music", "speech"), files=3, num_samples=12000):
    """ROOT/KIND/made-up/KIND-N.wav: noise of about a second, at 16 kHz."""
    for k, kind in enumerate(kinds):
        for n in range(files):
            write_wav(root / kind / "made-up" / f"{kind}-{n}.wav", num_samples + 1000 * n, seed=10 * k + n)
    return root


def write_rirs(root, rooms=("smallroom", "mediumroom"), files=2, rate=16000):
    """ROOT/simulated_rirs/ROOM/Room00N/Room00N-00001.wav: decaying noise behind a peak."""
    for room in rooms:
        for n in range(1, files + 1):
            tail = np.random.default_rng(n).normal(size=1600) * np.exp(-np.arange(1600) / (100 * n)) * 3000
            tail[20 * n] = 25000
            path = root / "simulated_rirs" / room / f"Room{n:03d}" / f"Room{n:03d}-00001.wav"
            path.parent.mkdir(parents=True)
            path.write_bytes(wav_bytes(tail.astype(np.int16), rate))
    return root
