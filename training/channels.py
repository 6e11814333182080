"""What writes to the channels of a trained network, column by column, and how criteria share it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from supernet.layers import convolutions
from supernet.resnet import ResNet
from training.criterion import Importance


class Writer(NamedTuple):
    """A convolution whose outputs are the channels of a column, and the batch norm behind it."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d


def writers(net: ResNet) -> dict[int, list[Writer]]:
    """By column: one writer of an inner width, all those that add to a stage's residual stream."""
    modules, found = net.layers(), defaultdict(list)
    for shape in convolutions(net.network, net.config):
        found[shape.column].append(Writer(*modules[shape.block, shape.part]))
    return dict(found)


def filters(column: list[Writer]) -> Tensor:
    """All weights that make each channel, [channels, weights]."""
    return torch.cat([writer.conv.weight.detach().flatten(1) for writer in column], dim=1)


def scored(
    net: ResNet, score: Callable[[list[Writer]], Tensor], *, relative: bool = True
) -> Importance:
    """`score` [channels] of every column; `relative` to the column's mean.

    Weights of layers differ in scale by their initialisation alone, so that only shares of a
    layer's mean can be compared between layers (as Molchanov et al. 2017 found).
    """
    found = {}
    with torch.no_grad():
        for column, every in writers(net).items():
            values = score(every).double().cpu()
            if relative:
                values = values / values.mean().clamp_min(1e-30)
            found[column] = values.numpy()
    return found
