"""What several tests stand on."""

import pytest


@pytest.fixture
def one_thread():
    """Networks as small as the tests' are slower on two."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
