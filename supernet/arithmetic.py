"""MACs and params of channel configs: exact for one, vectorised for a population.

MACs are the multiply-adds of convolutions and the fully connected layer (papers call them FLOPs).
Params are convolution weights, batch-norm weight and bias, and the fully connected layer.
A population is an integer array [n, 1 + stages + 2 * bottlenecks] as `encode` writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import StemShape

Rows = npt.NDArray[np.int64]


def encode(configs: Sequence[ChannelConfig]) -> Rows:
    """Configs as rows: stem, stages, then w1, w2 of every bottleneck."""
    return np.array(
        [(c.stem, *c.stages, *(w for pair in c.inner for w in pair)) for c in configs],
        dtype=np.int64,
    )


def decode(network: NetworkSpec, row: Sequence[int] | Rows) -> ChannelConfig:
    """The inverse of `encode` for one row."""
    widths = [int(w) for w in row]
    stages = len(network.depths)
    inner = widths[1 + stages :]
    pairs = tuple(zip(inner[::2], inner[1::2], strict=True))
    return ChannelConfig(widths[0], tuple(widths[1 : 1 + stages]), pairs)


def macs(network: NetworkSpec, rows: Rows) -> Rows:
    """MACs of each row, [n]."""
    return _sum(macs_share, network, rows)


def params(network: NetworkSpec, rows: Rows) -> Rows:
    """Params of each row, [n]."""
    return _sum(params_share, network, rows)


def macs_share(network: NetworkSpec, rows: Rows, number: int) -> Rows:
    """MACs of bottleneck `number` in each row, [n].

    The first bears the stem as well, the last stage's first the head.
    """
    stage, index, cin, w1, w2, cout = _block(network, rows, number)
    area, out = network.sizes()[stage + (index > 0)] ** 2, network.sizes()[stage + 1] ** 2
    total: Rows = area * cin * w1 + out * (9 * w1 * w2 + w2 * cout)
    if index == 0:
        total = total + out * cin * cout
    if number == 0:
        stem = StemShape(network.stem, network.resolution, network.channels, 1)
        total = total + rows[:, 0] * stem.macs
    if (stage, index) == (len(network.depths) - 1, 0):
        total = total + rows[:, len(network.depths)] * network.classes
    return total


def params_share(network: NetworkSpec, rows: Rows, number: int) -> Rows:
    """Params of bottleneck `number` in each row, [n]; stem and head as in `macs_share`."""
    stage, index, cin, w1, w2, cout = _block(network, rows, number)
    total: Rows = cin * w1 + 9 * w1 * w2 + w2 * cout + 2 * (w1 + w2 + cout * (w1 > 0))
    if index == 0:
        total = total + cin * cout + 2 * cout
    if number == 0:
        kernel = StemShape(network.stem, network.resolution, network.channels, 1).kernel
        total = total + rows[:, 0] * (kernel**2 * network.channels + 2)
    if (stage, index) == (len(network.depths) - 1, 0):
        total = total + (rows[:, len(network.depths)] + 1) * network.classes
    return total


def count(network: NetworkSpec, config: ChannelConfig) -> tuple[int, int]:
    """(MACs, params) of one config.

    Raises:
        ConfigError: the config does not fit the network.
    """
    network.check(config)
    rows: Rows = encode([config]).astype(object)  # whole numbers of any size: nothing wraps
    return int(macs(network, rows)[0]), int(params(network, rows)[0])


def _sum(share: Callable[[NetworkSpec, Rows, int], Rows], network: NetworkSpec, rows: Rows) -> Rows:
    total = share(network, rows, 0)
    for number in range(1, sum(network.depths)):
        total = total + share(network, rows, number)
    return total


def _block(
    network: NetworkSpec, rows: Rows, number: int
) -> tuple[int, int, Rows, Rows, Rows, Rows]:
    """Of one bottleneck: stage, index, and the columns cin, w1, w2, cout."""
    stage, index = list(network.positions())[number]
    first = 1 + len(network.depths) + 2 * number
    cin = rows[:, stage] if index == 0 else rows[:, stage + 1]
    return stage, index, cin, rows[:, first], rows[:, first + 1], rows[:, stage + 1]
