"""Seeds by address: others for another address, the same for the same, within what torch takes."""

import torch

from sv.torch_seed import torch_seed


def test_an_address_has_a_seed_of_its_own():
    addresses = [(seed, what, index) for seed in range(3) for what in (2, 8) for index in range(50)]
    seeds = [torch_seed(*address) for address in addresses]
    assert len(set(seeds)) == len(seeds)
    assert seeds == [torch_seed(*address) for address in addresses]
    assert all(0 <= seed < 2**63 for seed in seeds)
    torch.manual_seed(max(seeds))


def test_seeds_stay_what_they_are():
    """A training that was begun earlier goes on to the same bytes only if its steps keep their seeds."""
    assert torch_seed(1, 2, 0, 0) == SEED_OF_THE_FIRST_STEP


SEED_OF_THE_FIRST_STEP = 7764949442709860949
