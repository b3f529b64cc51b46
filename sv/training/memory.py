"""What a training step takes in memory, measured in a process of its own, and how large a batch may be by that."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from sv.errors import UserError
from sv.models.device import pick_device
from sv.run import Run
from sv.source import Source
from sv.training.loop import Network
from sv.training.precision import Precision
from sv.training.ranks import ALONE
from sv.training.task import build_sampler, build_state, read_set, same_bytes_each_time


@dataclass(frozen=True)
class Measured:
    """The most memory that steps of `chunks` chunks of `length` frames held, of what was free before, in bytes.

    On the CPU it is all that the process held; on a GPU, what torch had taken of it. `most_chunks` is what a batch has
    at most for want of speakers; None if it is any number.
    """

    chunks: int
    length: int
    peak: int
    free: int
    device: str
    most_chunks: int | None


@dataclass(frozen=True)
class Fit:
    """The line through two measurements: bytes of every step, and of a chunk.

    >>> Fit.of(Measured(8, 200, 300, ...), Measured(24, 200, 460, ...)).largest(1000, together=2)
    78

    Raises UserError if the larger step took no more.
    """

    fixed: float
    per_chunk: float

    @classmethod
    def of(cls, small: Measured, large: Measured) -> Fit:
        """Through both."""
        per_chunk = (large.peak - small.peak) / (large.chunks - small.chunks)
        if per_chunk <= 0:
            raise UserError(
                f"{large.chunks} chunks took no more memory than {small.chunks}; measure larger batches by --measure"
            )
        return cls(small.peak - per_chunk * small.chunks, per_chunk)

    def largest(self, limit: float, together: int = 1) -> int:
        """Chunks, in whole groups of `together`, that stay within a limit in bytes; 0 if none do."""
        return max(0, int((limit - self.fixed) / self.per_chunk)) // together * together


def measure(run: Path, data_dir: Path, ngpu: int | None, chunks: int) -> Measured:
    """Measure in a new process, as memory that one step has used may stay taken.

    Raises UserError if so many chunks do not fit.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_measure, run, data_dir, ngpu, chunks).result()
        except (BrokenProcessPool, MemoryError):
            raise UserError(f"steps of {chunks} chunks do not fit into memory; measure fewer by --measure") from None


def _measure(run: Path, data_dir: Path, ngpu: int | None, chunks: int) -> Measured:
    """Three steps on the longest chunk of the training set, as often as asked."""
    same_bytes_each_time()
    this, device = Run.open(run), pick_device(ngpu)
    settings = this.system.training
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _available() + _of_process("VmRSS")
    source = Source(this, data_dir)
    reader, utt2spk = read_set(source)
    together = settings.groups.utterances if settings.groups else 1
    of_one_group = settings.model_copy(update={"batch_size": together})  # the size asked for may be what is wrong
    sampler = build_sampler(of_one_group, reader, utt2spk, this.seed)

    precision = Precision.of(settings.precision, device)
    utt = max(reader.num_frames, key=lambda utt: reader.num_frames[utt])
    length = min(sampler.chunk_frames[1], reader.num_frames[utt])
    x = torch.from_numpy(reader.chunk(utt, 0, length))
    try:
        state = build_state(this, source, reader, sampler, precision)
        network = Network(state.model, state.head, state.domain, ALONE).train()
        x = x.expand(chunks * (2 if settings.adversarial else 1), *x.shape).to(device)
        speaker_B = (torch.arange(chunks) // together % len(sampler.speakers)).to(device)
        prepare = source.prepare(device)
        for _ in range(3):
            with precision.autocast():
                loss, _, domain = network(prepare(x), speaker_B, 0.0, [chunks])
            state.optimiser.zero_grad(set_to_none=True)
            state.scaler.scale(loss + domain[0] if domain else loss).backward()
            state.scaler.step(state.optimiser)
            state.scaler.update()
    except torch.OutOfMemoryError:
        raise MemoryError from None
    peak = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else _of_process("VmHWM")
    most = len(sampler.speakers) * together if settings.groups and settings.groups.distinct_speakers else None
    return Measured(chunks, source.num_frames(length), peak, free, str(device), most)


def _available() -> int:
    """Memory of this machine that processes can still have, in bytes."""
    return _kilobytes("/proc/meminfo", "MemAvailable")


def _of_process(what: str) -> int:
    """Memory that this process holds (VmRSS) or held at most (VmHWM), in bytes."""
    return _kilobytes("/proc/self/status", what)


def _kilobytes(table: str, name: str) -> int:
    lines = Path(table).read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
