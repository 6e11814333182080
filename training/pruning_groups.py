"""Criteria of the package torch-pruning, column by column (extra `criteria`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from supernet.resnet import ResNet
from training.channels import writers
from training.criterion import Importance


def unavailable() -> str | None:
    """Why torch-pruning cannot be used, None if it can."""
    if importlib.util.find_spec("torch_pruning") is None:
        return "torch-pruning is not installed: pip install 'stairprune[criteria]'"
    return None


def grouped(net: ResNet, images: Tensor, score: Callable[[Any], Tensor]) -> Importance:
    """`score` of the group that each column's channels belong to.

    Args:
        images: [1, channels, resolution, resolution], to trace the network with.
        score: a torch-pruning importance: a group to [channels].
    """
    import torch_pruning

    graph = torch_pruning.DependencyGraph().build_dependency(net, example_inputs=images)
    found = {}
    for column, every in writers(net).items():
        conv = every[0].conv
        group = graph.get_pruning_group(
            conv, torch_pruning.prune_conv_out_channels, idxs=list(range(conv.out_channels))
        )
        values = score(group).detach().double().cpu()
        if not bool(torch.isfinite(values).all()) or len(values) != conv.out_channels:
            raise RuntimeError(f"torch-pruning gave no importance for column {column}")
        found[column] = (values / values.mean().clamp_min(1e-30)).numpy()
    return found
