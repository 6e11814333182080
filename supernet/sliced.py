"""`SlicedSupernet`: every config of a search space as slices of one set of weights.

A config uses the first k channels of every tensor (Yu and Huang 2019, "Universally Slimmable
Networks"; Yu et al. 2020, "BigNAS"). The config is an argument of `forward`, never state. Knows
nothing of training: which configs a step visits is the caller's choice.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from supernet.arithmetic import encode
from supernet.config import ChannelConfig, ConfigError
from supernet.resnet import Bottleneck, ResNet, convolve
from supernet.space import SearchSpace


class SlicedSupernet(nn.Module):
    """The weights of the largest config of a space, and every smaller config inside them.

    In training mode every config normalises by the statistics of its batch. Running statistics
    follow the largest config alone: those of a slice differ between configs, so no shared buffer
    could serve them, and each extracted network is recalibrated before it is judged.

    Attributes:
        full: the largest config as a plain network; it owns all weights, and takes torchvision's
            if it is dense.
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self.space = space
        # Channels last is both the fast layout of convolutions on CPU and the one that keeps the
        # outputs of a block sliced without moving memory.
        self.full = ResNet(space.network, space.largest())
        self.full.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, config: ChannelConfig) -> Tensor:
        """Logits [n, classes] of `config` for images [n, channels, resolution, resolution].

        Raises:
            ConfigError: a width is beyond the largest of the space, or the depths differ.
        """
        x = x.contiguous(memory_format=torch.channels_last)
        full = self.full
        if config == full.config:
            return full(x)  # type: ignore[no-any-return]
        self._check(config)
        x = functional.relu(_conv_bn(x, full.conv1, full.bn1, config.stem), inplace=True)
        x = full.maxpool(x)
        for (stage, _), (w1, w2), block in zip(
            self.space.network.positions(), config.inner, full.blocks(), strict=True
        ):
            if w1 and block is not None:
                x = _bottleneck(x, block, w1, w2, config.stages[stage])
        x = torch.flatten(full.avgpool(x), 1)
        return functional.linear(x, full.fc.weight[:, : x.shape[1]], full.fc.bias)

    def extract(self, config: ChannelConfig) -> ResNet:
        """A plain network with copies of the weights and running statistics of `config`.

        In evaluation mode its outputs equal the supernet's. It has the mode of the supernet.

        Raises:
            ConfigError: see `forward`.
        """
        self._check(config)
        weight = self.full.fc.weight
        with torch.device("meta"):
            net = ResNet(self.space.network, config)
        net.to_empty(device=weight.device).to(memory_format=torch.channels_last).to(weight.dtype)
        source = self.full.state_dict()
        with torch.no_grad():
            for name, tensor in net.state_dict().items():
                tensor.copy_(source[name][tuple(slice(k) for k in tensor.shape)])
        return net.train(self.training)

    def _check(self, config: ChannelConfig) -> None:
        self.space.network.check(config)
        largest = self.full.config
        widths, limits = encode([config])[0], encode([largest])[0]
        if (widths > limits).any():
            column = int((widths > limits).argmax())
            raise ConfigError(
                f"{self.space.names[self.space.columns[column]]} must be <= {limits[column]}, "
                f"the largest of the space, but got {widths[column]}"
            )


def _bottleneck(x: Tensor, block: Bottleneck, w1: int, w2: int, cout: int) -> Tensor:
    out = functional.relu(_conv_bn(x, block.conv1, block.bn1, w1), inplace=True)
    out = functional.relu(_conv_bn(out, block.conv2, block.bn2, w2), inplace=True)
    out = _conv_bn(out, block.conv3, block.bn3, cout)
    if block.downsample is None:
        out += x
    else:
        projection, norm = block.downsample
        assert isinstance(projection, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        out += _conv_bn(x, projection, norm, cout)
    return functional.relu(out, inplace=True)


def _conv_bn(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d, cout: int) -> Tensor:
    """The first `cout` outputs of convolution and batch norm, for the channels that `x` has."""
    # One copy here saves the three that forward and backward would each make of a strided weight.
    weight = conv.weight[:cout, : x.shape[1]].contiguous(memory_format=torch.channels_last)
    x = convolve(x, weight, conv)
    if norm.training:
        return functional.batch_norm(
            x, None, None, norm.weight[:cout], norm.bias[:cout], training=True, eps=norm.eps
        )
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return functional.batch_norm(
        x,
        norm.running_mean[:cout],
        norm.running_var[:cout],
        norm.weight[:cout],
        norm.bias[:cout],
        eps=norm.eps,
    )
