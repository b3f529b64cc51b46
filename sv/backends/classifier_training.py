"""How the second network of the modular approach is trained.

Shapes: N training vectors, D dimensions, S speakers, B of a batch, K outputs of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from time import monotonic as seconds

import numpy as np
import torch

from sv.errors import DataError
from sv.models.build import build_head
from sv.systems.backends import ClassifierBackend
from sv.torch_seed import torch_seed
from sv.training.optimiser import build_optimiser
from sv.training.schedule import rate

SAID_OF = 100  # the last steps, of which loss and accuracy are told


def train_layers(
    x_ND: np.ndarray,
    speaker_N: np.ndarray,
    settings: ClassifierBackend,
    seed: int,
    log: Callable[[str], None] = lambda line: None,
) -> tuple[np.ndarray, ...]:
    """The layers of a `Classifier`, each (K, D + 1), trained in float32 to tell the speakers of vectors apart.

    The number of steps is fixed: to end early on held-out speakers would take these from the training. A step's batch
    and dropout are functions of (seed, step), and all is computed on one thread, so that the result has the same bytes
    whatever the number of threads.

    Args:
        x_ND: training vectors, projected and normalised.
        speaker_N: the speaker's index of each.
    Raises:
        DataError: fewer than two speakers, or a loss or weight that is no longer a number.
    """
    speaker_N = np.unique(speaker_N, return_inverse=True)[1]
    num_speakers = int(speaker_N.max(initial=-1)) + 1
    if num_speakers < 2:
        raise DataError(f"a classifier learns to tell speakers apart; the training set has {num_speakers}")
    batches = Batches(speaker_N, settings.batch_size, seed)
    began, losses, right = seconds(), [], []
    with _one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, 1))
        network = build_network(x_ND.shape[1], settings)
        head = build_head(settings.loss, settings.embedding_dim, num_speakers)
        optimiser = build_optimiser(settings.optimiser, [*network.parameters(), *head.parameters()])
        for step in range(settings.steps):
            for group in optimiser.param_groups:
                group["lr"] = settings.optimiser.lr * rate(settings.schedule, step, settings.steps, ())
            torch.manual_seed(torch_seed(seed, 2, step))
            row_B = batches.rows(step)
            x_BD = torch.from_numpy(x_ND[row_B].astype(np.float32))
            speaker_B = torch.from_numpy(speaker_N[row_B])
            outcome = head(network(x_BD), speaker_B)
            optimiser.zero_grad(set_to_none=True)
            outcome.loss.backward()
            optimiser.step()
            losses.append(outcome.loss.item())
            right.append(outcome.accuracy.item())
            if not math.isfinite(losses[-1]):
                raise _not_a_number(step, settings.optimiser.lr)
        layers = layers_of(network)
    if not all(np.isfinite(layer_KD1).all() for layer_KD1 in layers):  # the last step spoilt the weights
        raise _not_a_number(step, settings.optimiser.lr)
    last = slice(-SAID_OF, None)
    log(
        f"classifier of {num_speakers} speakers, {settings.steps} steps in {seconds() - began:.1f} s; of the last"
        f" {len(losses[last])}: loss {np.mean(losses[last]):.3f}, {100 * np.mean(right[last]):.1f} % classified right"
    )
    return layers


class Batches:
    """Rows of vectors to train on: of every speaker alike, however many he has.

    >>> Batches(speaker_N, batch_size=128, seed=1).rows(step=7).shape
    (128,)

    A batch's speakers are drawn with equal chances, and a vector of each with equal chances among his.
    """

    def __init__(self, speaker_N: np.ndarray, batch_size: int, seed: int) -> None:
        self._count_S = np.bincount(speaker_N)
        self._first_S = np.cumsum(self._count_S) - self._count_S
        self._by_speaker_N = np.argsort(speaker_N, kind="stable")
        self._size, self._seed = batch_size, seed

    def rows(self, step: int) -> np.ndarray:
        """Of a step's batch, int (B,)."""
        rng = np.random.default_rng([self._seed, 0, step])
        speaker_B = rng.integers(len(self._count_S), size=self._size)
        return self._by_speaker_N[self._first_S[speaker_B] + rng.integers(self._count_S[speaker_B])]


def build_network(input_dim: int, settings: ClassifierBackend) -> torch.nn.Sequential:
    """Hidden layers with ReLU and dropout, and the linear layer whose output is the embedding."""
    layers: list[torch.nn.Module] = []
    sizes = (input_dim, *settings.hidden_dims)
    for before, size in pairwise(sizes):
        layers += [torch.nn.Linear(before, size), torch.nn.ReLU(), torch.nn.Dropout(settings.dropout)]
    return torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], settings.embedding_dim))


def layers_of(network: torch.nn.Sequential) -> tuple[np.ndarray, ...]:
    """The affine layers of a network, float64 (K, D + 1) each, the offset in the last column."""
    affine = [module for module in network if isinstance(module, torch.nn.Linear)]
    return tuple(torch.cat([layer.weight, layer.bias[:, None]], 1).detach().double().numpy() for layer in affine)


def _not_a_number(step: int, lr: float) -> DataError:
    return DataError(f"the loss is no longer a number (step {step + 1}); lower its optimiser.lr, which is {lr:g}")


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
