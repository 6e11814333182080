"""`forward`: the computation of a config with weights from anywhere.

Knows nothing of where the weights come from: slices of shared ones, or a generator's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.resnet import convolve
from supernet.shapes import StemShape

EPS, MOMENTUM = 1e-5, 0.1
"""Of batch norm, as in torch and torchvision."""


class Layer(NamedTuple):
    """A convolution with its batch norm, or, last, the fully connected layer.

    Attributes:
        weight: [cout, cin, k, k], or [classes, cin].
        gamma, beta: [cout]; None for batch norm without affine. The head's bias is its beta.
        mean, var: running statistics [cout] to normalise by, or with `follow` to be moved towards
            the batch's; None to use the batch's alone.
    """

    weight: Tensor
    gamma: Tensor | None = None
    beta: Tensor | None = None
    mean: Tensor | None = None
    var: Tensor | None = None
    follow: bool = False


def forward(
    network: NetworkSpec, config: ChannelConfig, x: Tensor, layers: Iterator[Layer]
) -> Tensor:
    """Logits [n, classes] of images [n, channels, resolution, resolution].

    Args:
        layers: stem, then conv1, conv2, conv3 and, for the first of a stage, the shortcut's
            projection of every bottleneck that `config` keeps, then the head.
    """
    stem = StemShape(network.stem, network.resolution, network.channels, 1)
    x = functional.relu(_conv_bn(x, next(layers), stem.stride), inplace=True)
    if stem.kind == "7x7/2+maxpool":
        x = functional.max_pool2d(x, 3, 2, 1)
    for (stage, index), (width, _) in zip(network.positions(), config.inner, strict=True):
        if not width:
            continue
        stride = 2 if stage and not index else 1
        out = functional.relu(_conv_bn(x, next(layers)), inplace=True)
        out = functional.relu(_conv_bn(out, next(layers), stride), inplace=True)
        out = _conv_bn(out, next(layers))
        out += x if index else _conv_bn(x, next(layers), stride)
        x = functional.relu(out, inplace=True)
    head = next(layers)
    x = torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1)
    return functional.linear(x, head.weight, head.beta)


def _conv_bn(x: Tensor, layer: Layer, stride: int = 1) -> Tensor:
    weight, gamma, beta, mean, var, follow = layer
    x = convolve(x, weight, (stride, stride))
    training = follow or mean is None
    return functional.batch_norm(x, mean, var, gamma, beta, training, MOMENTUM, EPS)
