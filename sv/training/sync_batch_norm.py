"""Batch normalisation by the statistics of all processes' parts of a batch, on the CPU as on GPUs."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch.distributed.nn.functional import all_reduce


def synchronised(network: torch.nn.Module) -> torch.nn.Module:
    """The network with its batch normalisations made to see all processes; weights and names stay."""
    if next(network.parameters()).is_cuda:
        return torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                setattr(module, name, _AllBatchNorm.of(child))
    return network


class _AllBatchNorm(torch.nn.modules.batchnorm._BatchNorm):
    """torch.nn.SyncBatchNorm knows no CPU; this one is for tests and for training without a GPU."""

    @classmethod
    def of(cls, other: torch.nn.BatchNorm1d | torch.nn.BatchNorm2d) -> _AllBatchNorm:
        made = cls(other.num_features, other.eps, other.momentum, other.affine, other.track_running_stats)
        made.load_state_dict(other.state_dict())
        for name, parameter in other.named_parameters():  # the optimiser holds the very tensors
            setattr(made, name, parameter)
        for name, buffer in other.named_buffers():
            setattr(made, name, buffer)
        return made.train(other.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Activations (B, C, …), normalised by the mean and variance over all but C, of all processes."""
        if not self.training:
            return super().forward(x)
        dims = [0, *range(2, x.dim())]
        count = torch.tensor(float(x.numel() // x.shape[1]), device=x.device)
        dist.all_reduce(count)
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean_C = all_reduce(x.sum(dims)) / count
        centred = x - mean_C.view(shape)
        variance_C = all_reduce(centred.square().sum(dims)) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean_C, self.momentum)
            self.running_var.lerp_(variance_C * count / (count - 1), self.momentum)
        y = centred * torch.rsqrt(variance_C + self.eps).view(shape)
        return y if self.weight is None else y * self.weight.view(shape) + self.bias.view(shape)

    def _check_input_dim(self, x: torch.Tensor) -> None:
        """Any number of dimensions will do."""
