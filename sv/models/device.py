"""Where networks run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sv.errors import UserError


def pick_device(ngpu: int | None, index: int | None = None) -> torch.device:
    """The CPU for 0, else a GPU; for None a GPU if there is one.

    Of several processes each takes its own: the `index`-th modulo `ngpu`, by default the one that torchrun says.
    Raises UserError for GPUs that are not there.
    """
    if ngpu is None:
        ngpu = int(torch.cuda.is_available())
    if ngpu < 0:
        raise UserError(f"--ngpu is a number of GPUs, 0 for the CPU, not {ngpu}")
    if ngpu > torch.cuda.device_count():
        raise UserError(
            f"--ngpu {ngpu}, but torch sees {torch.cuda.device_count()} GPUs here; use --ngpu 0, or check the driver"
            " with nvidia-smi"
        )
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32, in convolutions as in products of matrices
    if index is None:
        index = int(os.environ.get("LOCAL_RANK", 0))
    return torch.device("cuda", index % ngpu) if ngpu else torch.device("cpu")


@contextmanager
def within_memory(what_to_do: str) -> Iterator[None]:
    """Raises UserError, which ends with what to do, if what is done within it takes more than a GPU's memory."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise UserError(f"the GPU's memory is full; {what_to_do}, or see whether others use it too") from None
