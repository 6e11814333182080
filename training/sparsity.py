"""Training that makes channels dispensable: a penalty on scales, and filters zeroed softly."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def scales_l1(model: nn.Module) -> Tensor:
    """L1 norm of all batch norms' scales (Liu et al. 2017, "Network Slimming", equation 1)."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    return torch.stack([norm.weight.abs().sum() for norm in norms]).sum()


@torch.no_grad()
def zero_smallest(model: nn.Module, rate: float) -> None:
    """Sets the share `rate` of each convolution's filters to zero, those of least L2 norm
    (He et al. 2018, "Soft Filter Pruning", algorithm 1)."""
    for module in model.modules():
        if rate and isinstance(module, nn.Conv2d):
            norms = module.weight.flatten(1).norm(dim=1)
            module.weight[norms.argsort(stable=True)[: int(rate * len(norms))]] = 0
