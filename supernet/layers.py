"""`convolutions`: every convolution of a config in the order in which a network computes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import StemShape


class Convolution(NamedTuple):
    """One convolution with the batch norm behind it.

    Attributes:
        block: number of its bottleneck among all, -1 for the stem.
        part: conv1, conv2, conv3 or shortcut.
        column: of a population row (`supernet.arithmetic`), the one that holds `cout`.
    """

    block: int
    part: str
    cin: int
    cout: int
    kernel: int
    column: int


def convolutions(network: NetworkSpec, config: ChannelConfig) -> Iterator[Convolution]:
    """Those of stem and kept bottlenecks; a shortcut's projection comes last in its bottleneck.

    Raises:
        ConfigError: the config does not fit the network.
    """
    network.check(config)
    stem = StemShape(network.stem, network.resolution, network.channels, 1)
    x = config.stem
    yield Convolution(-1, "conv1", network.channels, x, stem.kernel, 0)
    for number, (stage, index) in enumerate(network.positions()):
        w1, w2 = config.inner[number]
        if not w1:
            continue
        cout, column = config.stages[stage], 1 + len(network.depths) + 2 * number
        yield Convolution(number, "conv1", x, w1, 1, column)
        yield Convolution(number, "conv2", w1, w2, 3, column + 1)
        yield Convolution(number, "conv3", w2, cout, 1, 1 + stage)
        if index == 0:
            yield Convolution(number, "shortcut", x, cout, 1, 1 + stage)
        x = cout
