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
        reads: the column that holds `cin`, -1 for the image.
    """

    block: int
    part: str
    cin: int
    cout: int
    kernel: int
    column: int
    reads: int


def convolutions(network: NetworkSpec, config: ChannelConfig) -> Iterator[Convolution]:
    """Those of stem and kept bottlenecks; a shortcut's projection comes last in its bottleneck.

    Raises:
        ConfigError: the config does not fit the network.
    """
    network.check(config)
    stem = StemShape(network.stem, network.resolution, network.channels, 1)
    x, stream = config.stem, 0
    yield Convolution(-1, "conv1", network.channels, x, stem.kernel, 0, -1)
    for number, (stage, index) in enumerate(network.positions()):
        w1, w2 = config.inner[number]
        if not w1:
            continue
        cout, inner, out = config.stages[stage], 1 + len(network.depths) + 2 * number, 1 + stage
        yield Convolution(number, "conv1", x, w1, 1, inner, stream)
        yield Convolution(number, "conv2", w1, w2, 3, inner + 1, inner)
        yield Convolution(number, "conv3", w2, cout, 1, out, inner + 1)
        if index == 0:
            yield Convolution(number, "shortcut", x, cout, 1, out, stream)
        x, stream = cout, out
