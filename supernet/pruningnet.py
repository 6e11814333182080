"""`PruningNet`: the weights of every config, generated from its widths (Liu et al. 2019,
"MetaPruning", section 3.1).

Two fully connected layers per convolution turn the widths of its bottleneck into the full weight,
of which the config uses the first channels. Batch norm has no affine part, and running statistics
of its own for every width that the space allows. At full width of ResNet50 this takes 32 times the
network's parameters, about 0.8 G: a matter for GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from supernet.config import ChannelConfig
from supernet.cut import cut
from supernet.functional import Layer, forward
from supernet.layers import Convolution, convolutions
from supernet.resnet import ResNet
from supernet.source import WeightSource
from supernet.space import SearchSpace

HIDDEN = 32


class Generator(nn.Module):
    """Widths of a bottleneck to the weight of one of its layers, and that layer's statistics.

    Attributes:
        table: [cout, cin, k * k * HIDDEN], the second layer's matrix, so that a part of it makes a
            part of the weight.
        mean, var: running statistics [widths allowed, cout].
    """

    mean: Tensor
    var: Tensor

    def __init__(self, cin: int, cout: int, kernel: int, codes: int, widths: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.first = nn.Linear(codes, HIDDEN)
        start = torch.empty(cout, cin, kernel, kernel)
        nn.init.kaiming_normal_(start, mode="fan_out", nonlinearity="relu")
        # Starts as a drawn weight that widths hardly change; the code's share is learned.
        self.bias = nn.Parameter(start.flatten(2))
        scale = start.std() if start.numel() > 1 else torch.ones(())
        table = torch.randn(cout, cin, kernel**2 * HIDDEN) * scale * HIDDEN**-0.5
        self.table = nn.Parameter(table)
        self.register_buffer("mean", torch.zeros(widths, cout))
        self.register_buffer("var", torch.ones(widths, cout))

    def weight(self, code: Tensor, table: Tensor, bias: Tensor) -> Tensor:
        """[cout, cin, k, k] of a part of table and bias, for the code [codes]."""
        hidden = functional.relu(self.first(code))
        cout, cin, area = bias.shape
        made = bias + (table.view(cout, cin, area, HIDDEN) @ hidden)
        weight = made.view(cout, cin, self.kernel, self.kernel)
        return weight.contiguous(memory_format=torch.channels_last)


class PruningNet(WeightSource):
    """See the module.

    Attributes:
        convolutions: a generator for each of the largest config, by block and part.
        head: generates the weight of the fully connected layer; its bias is learned as it is.
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(space)
        self.widest = space.largest()
        self.convolutions = nn.ModuleDict()
        for shape in convolutions(space.network, self.widest):
            widths = len(space.choices[space.columns[shape.column]])
            codes = len(self._code(shape, self.widest))
            self.convolutions[_name(shape)] = Generator(
                shape.cin, shape.cout, shape.kernel, codes, widths
            )
        self.head = Generator(self.widest.stages[-1], space.network.classes, 1, 1, 0)
        self.bias = nn.Parameter(torch.zeros(space.network.classes))

    def forward(self, x: Tensor, config: ChannelConfig) -> Tensor:
        """See `WeightSource.forward`; in training mode the statistics of its widths follow."""
        self.space.check(config)
        x = x.contiguous(memory_format=torch.channels_last)
        return forward(self.space.network, config, x, self._layers(config))

    def extract(self, config: ChannelConfig) -> ResNet:
        """See `WeightSource.extract`; batch norm's affine part is 1 and 0."""
        self.space.check(config)
        with torch.device("meta"):
            net = ResNet(self.space.network, config)
        net.to_empty(device=self.bias.device).to(memory_format=torch.channels_last)
        kept = net.layers()
        with torch.no_grad():
            *layers, head = self._layers(config)
            shapes = convolutions(self.space.network, config)
            for shape, layer in zip(shapes, layers, strict=True):
                conv, norm = kept[shape.block, shape.part]
                norm.reset_parameters()
                conv.weight.copy_(layer.weight)
                for buffer, value in (
                    (norm.running_mean, layer.mean),
                    (norm.running_var, layer.var),
                ):
                    assert buffer is not None
                    assert value is not None
                    buffer.copy_(value)
            net.fc.weight.copy_(head.weight)
            net.fc.bias.copy_(self.bias)
        return net.train(self.training)

    def _layers(self, config: ChannelConfig) -> Iterator[Layer]:
        """What `forward` needs of every layer of `config`, in order."""
        shapes = list(convolutions(self.space.network, config))
        found = [self.convolutions[_name(shape)] for shape in shapes]
        makers = [maker for maker in [*found, self.head] if isinstance(maker, Generator)]
        classes, width = self.space.network.classes, config.stages[-1]
        sizes = [*((shape.cout, shape.cin) for shape in shapes), (classes, width)]
        codes = [
            *(self._code(shape, config) for shape in shapes),
            (width / self.widest.stages[-1],),
        ]
        tensors = [tensor for maker in makers for tensor in (maker.table, maker.bias)]
        parts = cut(tensors, [size for size in sizes for _ in range(2)])
        weights = [
            maker.weight(torch.tensor(code, device=self.bias.device), *parts[2 * at : 2 * at + 2])
            for at, (maker, code) in enumerate(zip(makers, codes, strict=True))
        ]
        for shape, maker, weight in zip(shapes, makers, weights, strict=False):
            choices = self.space.choices[self.space.columns[shape.column]]
            row = choices.index(shape.cout)
            mean, var = maker.mean[row, : shape.cout], maker.var[row, : shape.cout]
            yield Layer(weight, None, None, mean, var, follow=self.training)
        yield Layer(weights[-1].flatten(1), None, self.bias)

    def _code(self, shape: Convolution, config: ChannelConfig) -> tuple[float, ...]:
        """The widths that a layer's weight depends on, as shares of the widest."""
        return tuple(
            now / widest
            for now, widest in zip(
                _around(self.space, shape, config),
                _around(self.space, shape, self.widest),
                strict=True,
            )
        )


def _around(space: SearchSpace, shape: Convolution, config: ChannelConfig) -> tuple[int, ...]:
    """The stem's width, or a bottleneck's input, inner and output widths."""
    if shape.block < 0:
        return (config.stem,)
    stage, index = list(space.network.positions())[shape.block]
    into = (config.stem, *config.stages)[stage + (index > 0)]
    return (into, *config.inner[shape.block], config.stages[stage])


def _name(shape: Convolution) -> str:
    return f"block{shape.block}_{shape.part}" if shape.block >= 0 else "stem"
