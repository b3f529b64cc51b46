"""Seeds of torch for what is random at a place: a step's dropout, a network's first weights, an utterance's draw."""

from __future__ import annotations

import numpy as np


def torch_seed(*address: int) -> int:
    """A seed that is the address's own: the same after a resume, and whatever is drawn elsewhere."""
    return int(np.random.SeedSequence(address).generate_state(1, np.uint64)[0] >> 1)
