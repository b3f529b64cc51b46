"""The processes that train one network together: what one sees of the others. One process alone is the usual case."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn

from sv.errors import ConfigError
from sv.training.progress import Sums
from sv.training.sampler import Batch, Chunks
from sv.training.sync_batch_norm import synchronised
from sv.training.unlabelled import WithUnlabelled

AGREE_EVERY = 10  # steps; a question to all processes holds them up
PATIENCE = datetime.timedelta(hours=2)  # with a process that reads, evaluates or writes while the others wait


@dataclass(frozen=True)
class Ranks:
    """This process's place, `index`, among `count`; they share every batch and compute the gradient of the whole.

    >>> ranks = Ranks.join(torch.device("cpu"))      # alone, unless torchrun started it
    >>> network = ranks.together(network)            # gradients and batch statistics are those of all processes

    Batches are the same whatever the number of processes, so the curves are those of one process but for rounding
    and, where a network draws itself (dropout, masks, layers that are left out), for its draws.
    """

    index: int = 0
    count: int = 1
    talk: dist.ProcessGroup | None = None  # for words between the processes, by the CPU: it does not hold up a GPU

    @classmethod
    def join(cls, device: torch.device) -> Ranks:
        """The place that torchrun's environment variables say; waits until all processes are there."""
        if "RANK" not in os.environ:
            return cls()
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        return cls(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo", timeout=PATIENCE))

    def leave(self) -> None:
        """Part from the others in order."""
        if self.count > 1:
            dist.destroy_process_group()

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.index == 0

    def together(self, network: torch.nn.Module) -> torch.nn.Module:
        """The network whose backward pass leaves the mean gradient of all processes.

        Where it `drops_layers`, some steps leave weights without a gradient, in some processes or in all.
        """
        if self.count == 1:
            return network
        return torch.nn.parallel.DistributedDataParallel(
            synchronised(network),
            broadcast_buffers=False,
            find_unused_parameters=getattr(network, "drops_layers", False),
        )

    def gathered(self, e_BE: torch.Tensor, sizes_R: Sequence[int]) -> torch.Tensor:
        """The embeddings of all processes' parts of a batch, with their gradients: (sum of B, E), by process.

        For losses that compare embeddings with one another, whose negatives are then those of the whole batch. The
        parts may be unequal: `sizes_R` are all of them (`Shard.sizes`), which spares asking.
        """
        if self.count == 1:
            return e_BE
        padded_ME = torch.cat([e_BE, e_BE.new_zeros(max(sizes_R) - len(e_BE), *e_BE.shape[1:])])
        parts_RME = dist.nn.functional.all_gather(padded_ME)
        return torch.cat([part_ME[:size] for part_ME, size in zip(parts_RME, sizes_R, strict=True)])

    def collect(self, sums: Sums) -> None:
        """Put the sums of all processes into the leader's, and none into the others'."""
        if self.count > 1:
            total = torch.tensor(sums.state(), dtype=torch.float64)
            dist.all_reduce(total, group=self.talk)
            sums.become(Sums.of_state(total.tolist() if self.leads else [0.0, 0, 0]))

    def mean(self, value: torch.Tensor) -> float:
        """The mean of a number over all processes, in each of them."""
        if self.count == 1:
            return float(value.detach())
        total = value.detach().double().cpu()
        dist.all_reduce(total, group=self.talk)
        return float(total) / self.count

    def agree(self, step: int, *questions: bool) -> list[bool]:
        """Of each question whether any process says yes; asked every ten steps, and "no" in between."""
        if self.count == 1:
            return list(questions)
        if step % AGREE_EVERY:
            return [False] * len(questions)
        answers = torch.tensor([float(question) for question in questions])
        dist.all_reduce(answers, dist.ReduceOp.MAX, group=self.talk)
        return [bool(answer) for answer in answers.tolist()]

    def told(self, value: Any) -> Any:
        """The leader's value."""
        values = [value]
        if self.count > 1:
            dist.broadcast_object_list(values, group=self.talk)
        return values[0]

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            dist.barrier(group=self.talk)


ALONE = Ranks()


def exchange(network: torch.nn.Module, now: bool) -> contextlib.AbstractContextManager:
    """The context of a pass forward and backward after which processes exchange gradients `now`, or keep them."""
    alone = not isinstance(network, torch.nn.parallel.DistributedDataParallel)
    return contextlib.nullcontext() if now or alone else network.no_sync()


class Shard:
    """The part of every batch that one of several processes takes: each chunk is in one part, and all are in one.

    Chunks of a speaker that stand side by side (`Chunks.together`) stay together.

    `share(index)` is by how much the mean loss of its chunks counts, so that the mean over processes is that of the
    batch, however unequal the parts. Raises ConfigError if a batch has fewer chunks, or groups of them, than there are
    processes.
    """

    def __init__(self, sampler: Chunks | WithUnlabelled, ranks: Ranks) -> None:
        self._sampler, self._ranks = sampler, ranks
        self.seed = sampler.seed
        smallest = min(sampler.size(index) for index in range(len(sampler)))
        if smallest // sampler.together < ranks.count:
            groups = f", {smallest // sampler.together} groups," if sampler.together > 1 else ""
            raise ConfigError(
                f"training.batch_size: a batch of {smallest} chunks{groups} cannot be shared by {ranks.count} processes"
            )

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._sampler)

    def batch(self, epoch: int, index: int) -> Batch:
        """This process's part of batch `index` of an epoch."""
        whole = self._sampler.batch(epoch, index)
        return Batch(whole.length, self._part(whole.chunks), self._part(whole.unlabelled), self._part(whole.places))

    def sizes(self, index: int) -> list[int]:
        """By process, the chunks of its part of batch `index` of any epoch."""
        together, count = self._sampler.together, self._ranks.count
        groups = self._sampler.size(index) // together
        return [len(range(rank, groups, count)) * together for rank in range(count)]

    def share(self, index: int) -> float:
        """The chunks of the part times the number of processes, over the chunks of the batch."""
        sizes_R = self.sizes(index)
        return sizes_R[self._ranks.index] * len(sizes_R) / sum(sizes_R)

    def _part(self, whole: list[Any]) -> list[Any]:
        """Every `count`-th group."""
        together, ranks = self._sampler.together, self._ranks
        return [item for place, item in enumerate(whole) if place // together % ranks.count == ranks.index]
