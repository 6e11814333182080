"""`ResNet`: the plain network of one `ChannelConfig`, with torchvision's state_dict names.

Knows nothing of weight sharing, data or training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, StemShape


def conv(cin: int, cout: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias, padded so that stride alone decides the size of its output."""
    return nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False)


FEWEST_STRIDED = 16


def convolve(x: Tensor, weight: Tensor, stride: tuple[int, ...]) -> Tensor:
    """[n, cin, h, w] with [cout, cin, k, k], padded so that stride alone decides the size.

    The backward pass of a strided 1x1 convolution over fewer than 8 channels, channels last, writes
    out of bounds on AVX2 (oneDNN issue 6035). Below 16 channels it is therefore computed as the
    same convolution of every second pixel.
    """
    padding = weight.shape[2] // 2
    few = weight.shape[1] < FEWEST_STRIDED and weight.shape[2:] == (1, 1)
    if few and stride != (1, 1) and torch.is_grad_enabled():
        x, stride = x[:, :, :: stride[0], :: stride[1]], (1, 1)
    return functional.conv2d(x, weight, None, stride, padding)


class Projection(nn.Conv2d):
    """The 1x1 convolution of a shortcut; see `convolve`."""

    def forward(self, x: Tensor) -> Tensor:
        return convolve(x, self.weight, self.stride)


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1, each with batch norm; shortcut; ReLU (ResNet v1.5)."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.conv1 = conv(shape.cin, shape.w1, 1)
        self.bn1 = nn.BatchNorm2d(shape.w1)
        self.conv2 = conv(shape.w1, shape.w2, 3, shape.stride)
        self.bn2 = nn.BatchNorm2d(shape.w2)
        self.conv3 = conv(shape.w2, shape.cout, 1)
        self.bn3 = nn.BatchNorm2d(shape.cout)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(
                Projection(shape.cin, shape.cout, 1, shape.stride, bias=False),
                nn.BatchNorm2d(shape.cout),
            )
            if shape.shortcut == "projection"
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """[n, cin, h, w] to [n, cout, h / stride, w / stride]."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """ResNet v1.5 (He et al. 2016, as in torchvision) with the widths of one config.

    The dense ResNet-50/101/152 with the 7x7 stem takes torchvision's weights unchanged. A removed
    block is an `nn.Identity`, so that later blocks keep their names.
    """

    def __init__(
        self, network: NetworkSpec, config: ChannelConfig, *, zero_init_residual: bool = True
    ) -> None:
        """Builds the network with torchvision's initialisation (Kaiming normal, fan-out).

        Args:
            zero_init_residual: start every block as its shortcut (Goyal et al. 2017, 5.1).

        Raises:
            ConfigError: the config does not fit the network.
        """
        super().__init__()
        self.network, self.config = network, config
        stem, *blocks, head = network.shapes(config)
        assert isinstance(stem, StemShape)
        assert isinstance(head, HeadShape)
        self.conv1 = conv(stem.channels, stem.cout, stem.kernel, stem.stride)
        self.bn1 = nn.BatchNorm2d(stem.cout)
        self.relu = nn.ReLU(inplace=True)
        pooled = stem.kind == "7x7/2+maxpool"
        self.maxpool = nn.MaxPool2d(3, 2, 1) if pooled else nn.Identity()
        self.stages = tuple(f"layer{stage + 1}" for stage in range(len(network.depths)))
        layers: list[list[nn.Module]] = [[] for _ in self.stages]
        kept = iter(blocks)
        for (stage, _), (width, _) in zip(network.positions(), config.inner, strict=True):
            shape = next(kept) if width else None
            layers[stage].append(
                Bottleneck(shape) if isinstance(shape, BlockShape) else nn.Identity()
            )
        for name, modules in zip(self.stages, layers, strict=True):
            self.add_module(name, nn.Sequential(*modules))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(head.cin, head.classes)
        self._initialise(zero_init_residual)

    def forward(self, x: Tensor) -> Tensor:
        """Images [n, channels, resolution, resolution] to logits [n, classes]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for name in self.stages:
            x = getattr(self, name)(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))  # type: ignore[no-any-return]

    def blocks(self) -> list[Bottleneck | None]:
        """The bottlenecks in the order of `config.inner`; None where one is removed."""
        found = (block for name in self.stages for block in self.get_submodule(name).children())
        return [block if isinstance(block, Bottleneck) else None for block in found]

    def layers(self) -> dict[tuple[int, str], tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """Every convolution with its batch norm, by block and part (`supernet.layers`)."""
        found = {(-1, "conv1"): (self.conv1, self.bn1)}
        for number, block in enumerate(self.blocks()):
            if block is None:
                continue
            found[number, "conv1"] = (block.conv1, block.bn1)
            found[number, "conv2"] = (block.conv2, block.bn2)
            found[number, "conv3"] = (block.conv3, block.bn3)
            if block.downsample is not None:
                projection, norm = block.downsample
                assert isinstance(projection, nn.Conv2d)
                assert isinstance(norm, nn.BatchNorm2d)
                found[number, "shortcut"] = (projection, norm)
        return found

    def _initialise(self, zero_init_residual: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if zero_init_residual:
            for block in self.blocks():
                if block is not None:
                    nn.init.zeros_(block.bn3.weight)
