"""`SlicedSupernet`: every config of a search space as slices of one set of weights.

A config uses the first k channels of every tensor (Yu and Huang 2019, "Universally Slimmable
Networks"; Yu et al. 2020, "BigNAS"). The config is an argument of `forward`, never state. Knows
nothing of training: which configs a step visits is the caller's choice.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from supernet.arithmetic import encode
from supernet.config import ChannelConfig, ConfigError
from supernet.cut import Size, cut
from supernet.functional import Layer, forward
from supernet.layers import convolutions
from supernet.resnet import ResNet
from supernet.source import WeightSource
from supernet.space import SearchSpace


class SlicedSupernet(WeightSource):
    """The weights of the largest config of a space, and every smaller config inside them.

    In training mode every config normalises by the statistics of its batch. Running statistics
    follow the largest config alone: those of a slice differ between configs, so no shared buffer
    could serve them, and each extracted network is recalibrated before it is judged.

    Attributes:
        full: the largest config as a plain network; it owns all weights, and takes torchvision's
            if it is dense.
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(space)
        # Channels last is both the fast layout of convolutions on CPU and the one that keeps the
        # outputs of a block sliced without moving memory.
        self.full = ResNet(space.network, space.largest())
        self.full.to(memory_format=torch.channels_last)

    def adopt(self, net: ResNet) -> None:
        """Starts from the weights of a trained network at least as wide as the largest config.

        Raises:
            ConfigError: it is narrower, or of other depths.
        """
        own, given = self.full.state_dict(), net.state_dict()
        for name, tensor in own.items():
            if name not in given or any(
                a > b for a, b in zip(tensor.shape, given[name].shape, strict=True)
            ):
                raise ConfigError(f"weights to start from must reach the largest config at {name}")
            tensor.copy_(given[name][tuple(slice(k) for k in tensor.shape)])

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
        return forward(self.space.network, config, x, self._layers(config))

    def _layers(self, config: ChannelConfig) -> Iterator[Layer]:
        """What `forward` needs of every layer of `config`, in order."""
        whole = self.full.layers()
        kept = [(c, *whole[c.block, c.part]) for c in convolutions(self.space.network, config)]
        tensors, sizes = [], []
        for shape, conv, norm in kept:
            tensors += [conv.weight, norm.weight, norm.bias]
            sizes += [(shape.cout, shape.cin), (shape.cout,), (shape.cout,)]
        head = self.full.fc
        width: Size = (head.out_features, config.stages[-1])
        parts = cut([*tensors, head.weight, head.bias], [*sizes, width, ()])
        for at, (shape, _, norm) in enumerate(kept):
            weight, gamma, beta = parts[3 * at : 3 * at + 3]
            mean = var = None
            if not norm.training:
                assert norm.running_mean is not None
                assert norm.running_var is not None
                mean, var = norm.running_mean[: shape.cout], norm.running_var[: shape.cout]
            yield Layer(weight, gamma, beta, mean, var)
        yield Layer(parts[-2], None, parts[-1])

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
