"""`sort_channels`: a network's channels in order of importance, without changing what it computes.

A sliced supernet keeps the first channels; sorted, those are the ones that a trained network needs
most (Cai et al. 2020, "Once-for-All", section 3.3). Importance is the L1 norm of the weights that
make a channel, summed over all convolutions that write to it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from supernet.resnet import Bottleneck, ResNet


@torch.no_grad()
def sort_channels(net: ResNet) -> None:
    """Reorders stem, stage outputs and inner widths of `net`, most important first.

    In evaluation mode its outputs stay the same up to the order of sums.
    """
    blocks = net.blocks()
    order = _descending(_norms(net.conv1))
    _outputs(net.conv1, net.bn1, order)
    residual = order
    for (_, index), block in zip(net.network.positions(), blocks, strict=True):
        if block is None:
            continue
        if index == 0:
            into, residual = residual, _descending(_written(net, block))
        else:
            into = residual
        _sort_block(block, into, residual)
    net.fc.weight.copy_(net.fc.weight[:, residual])


def _sort_block(block: Bottleneck, into: Tensor, residual: Tensor) -> None:
    first, second = _descending(_norms(block.conv1)), _descending(_norms(block.conv2))
    _inputs(block.conv1, into)
    _outputs(block.conv1, block.bn1, first)
    _inputs(block.conv2, first)
    _outputs(block.conv2, block.bn2, second)
    _inputs(block.conv3, second)
    _outputs(block.conv3, block.bn3, residual)
    if block.downsample is not None:
        projection, norm = block.downsample
        assert isinstance(projection, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        _inputs(projection, into)
        _outputs(projection, norm, residual)


def _written(net: ResNet, first: Bottleneck) -> Tensor:
    """Importance of a stage's outputs, [cout]: all that the blocks of the stage write there."""
    blocks = net.blocks()
    start = next(at for at, block in enumerate(blocks) if block is first)
    stages = [stage for stage, _ in net.network.positions()]
    total = torch.zeros(first.conv3.out_channels, device=first.conv3.weight.device)
    for stage, block in zip(stages, blocks, strict=True):
        if stage != stages[start] or block is None:
            continue
        total += _norms(block.conv3)
        if block.downsample is not None:
            projection = block.downsample[0]
            assert isinstance(projection, nn.Conv2d)
            total += _norms(projection)
    return total


def _norms(conv: nn.Conv2d) -> Tensor:
    return conv.weight.abs().sum(dim=(1, 2, 3))


def _descending(scores: Tensor) -> Tensor:
    return torch.argsort(scores, descending=True, stable=True)


def _outputs(conv: nn.Conv2d, norm: nn.BatchNorm2d, order: Tensor) -> None:
    conv.weight.copy_(conv.weight[order])
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        assert tensor is not None
        tensor.copy_(tensor[order])


def _inputs(conv: nn.Conv2d, order: Tensor) -> None:
    conv.weight.copy_(conv.weight[:, order])
