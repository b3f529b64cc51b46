"""Where networks run."""

from __future__ import annotations

import torch

from sv.errors import UserError


def pick_device(ngpu: int | None) -> torch.device:
    """The CPU for 0, the GPU for 1; for None a GPU if there is one. UserError for what is not there."""
    if ngpu is None:
        ngpu = int(torch.cuda.is_available())
    if ngpu not in (0, 1):
        raise UserError(f"--ngpu is 0 or 1 (one process trains on one device), not {ngpu}")
    if ngpu and not torch.cuda.is_available():
        raise UserError("--ngpu 1, but torch sees no GPU here; use --ngpu 0, or check the driver with nvidia-smi")
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32, in convolutions as in products of matrices
    return torch.device("cuda" if ngpu else "cpu")
