"""What several tests stand on."""

import numpy as np
import pytest


@pytest.fixture
def one_thread():
    """Networks as small as the tests' are slower on two."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def put(tmp_path):
    """Write bytes to a file whose path has a space; returns the path."""

    def write(data, name="a file.wav"):
        (tmp_path / "some dir").mkdir(exist_ok=True)
        path = tmp_path / "some dir" / name
        path.write_bytes(data)
        return str(path)

    return write


@pytest.fixture
def chirp():
    """10.0077 s at 16 kHz, tonal, so that an encoder has nothing to replace by noise; int16."""
    t = np.arange(160123) / 16000
    return (8000 * np.sin(2 * np.pi * t * (300 + 50 * t))).astype(np.int16)
