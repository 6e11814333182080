"""Stems, bottlenecks, heads, whole networks and a roofline's two limits as plain torch modules.

Batch norm is folded into the convolutions' biases, as every inference runtime does. Weights are
random. Knows nothing of timing; imports torch, so it is imported only where torch is used.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape


class Bottleneck(nn.Module):
    """Three convolutions with bias, and the shortcut (ResNet v1.5)."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.conv1 = convolution(shape.cin, shape.w1, 1)
        self.conv2 = convolution(shape.w1, shape.w2, 3, shape.stride)
        self.conv3 = convolution(shape.w2, shape.cout, 1)
        self.shortcut: nn.Module = (
            convolution(shape.cin, shape.cout, 1, shape.stride)
            if shape.shortcut == "projection"
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """[n, cin, size, size] to [n, cout, out_size, out_size]."""
        y = functional.relu(self.conv1(x), inplace=True)
        y = functional.relu(self.conv2(y), inplace=True)
        y = self.conv3(y)
        y += self.shortcut(x)
        return functional.relu(y, inplace=True)


class Copy(nn.Module):
    """Reads `elements` values and writes as many, always to the same place."""

    def __init__(self, elements: int) -> None:
        super().__init__()
        self.result: Tensor
        self.register_buffer("result", torch.empty(elements))

    def forward(self, x: Tensor) -> Tensor:
        """[elements] to [elements]."""
        return torch.neg(x, out=self.result)


def convolution(cin: int, cout: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution with bias, padded so that stride alone decides the size of its output."""
    return nn.Conv2d(cin, cout, kernel, stride, kernel // 2)


def piece(shape: Shape) -> nn.Module:
    """One stem, bottleneck or head."""
    match shape:
        case StemShape():
            conv = convolution(shape.channels, shape.cout, shape.kernel, shape.stride)
            pooled = shape.kind == "7x7/2+maxpool"
            pool = [nn.MaxPool2d(3, stride=2, padding=1)] if pooled else []
            return nn.Sequential(conv, nn.ReLU(inplace=True), *pool)
        case BlockShape():
            return Bottleneck(shape)
        case HeadShape():
            linear = nn.Linear(shape.cin, shape.classes)
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)


def network_of(network: NetworkSpec, config: ChannelConfig) -> nn.Module:
    """All pieces of a config, one after another.

    Raises:
        ConfigError: the config does not fit the network.
    """
    return nn.Sequential(*(piece(shape) for shape in network.shapes(config)))


def gemm(side: int) -> nn.Module:
    """[side, side] times constant weights [side, side]."""
    return nn.Linear(side, side, bias=False)


def initialised(module: nn.Module, seed: int = 0) -> nn.Module:
    """`module` for inference, with He-scaled weights (He et al. 2015).

    So activations neither vanish into denormals, which are slow on a CPU, nor overflow.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            fan_in = weight[0].numel() if weight.dim() > 1 else 2
            weight.normal_(0, math.sqrt(2 / fan_in), generator=generator)
    return module.eval().requires_grad_(False)
