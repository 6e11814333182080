"""MACs and params of channel configs: exact for one, vectorised for a population.

MACs are the multiply-adds of convolutions and the fully connected layer (papers call them FLOPs).
Params are convolution weights, batch-norm weight and bias, and the fully connected layer.
A population is an integer array [n, 1 + stages + 2 * bottlenecks] as `encode` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    stem = StemShape(network.stem, network.resolution, network.channels, 1)
    total: Rows = rows[:, 0] * stem.macs
    sizes = network.sizes()
    for stage, index, cin, w1, w2, cout in _blocks(network, rows):
        area, out = sizes[stage + (index > 0)] ** 2, sizes[stage + 1] ** 2
        total += area * cin * w1 + out * (9 * w1 * w2 + w2 * cout)
        if index == 0:
            total += out * cin * cout
    return total + rows[:, len(network.depths)] * network.classes


def params(network: NetworkSpec, rows: Rows) -> Rows:
    """Params of each row, [n]."""
    kernel = StemShape(network.stem, network.resolution, network.channels, 1).kernel
    total: Rows = rows[:, 0] * (kernel**2 * network.channels + 2)
    for _, index, cin, w1, w2, cout in _blocks(network, rows):
        total += cin * w1 + 9 * w1 * w2 + w2 * cout + 2 * (w1 + w2 + cout * (w1 > 0))
        if index == 0:
            total += cin * cout + 2 * cout
    return total + (rows[:, len(network.depths)] + 1) * network.classes


def count(network: NetworkSpec, config: ChannelConfig) -> tuple[int, int]:
    """(MACs, params) of one config.

    Raises:
        ConfigError: the config does not fit the network.
    """
    network.check(config)
    rows: Rows = encode([config]).astype(object)  # whole numbers of any size: nothing wraps
    return int(macs(network, rows)[0]), int(params(network, rows)[0])


def _blocks(network: NetworkSpec, rows: Rows) -> list[tuple[int, int, Rows, Rows, Rows, Rows]]:
    """Per bottleneck: stage, index, and the columns cin, w1, w2, cout."""
    first = 1 + len(network.depths)
    blocks = []
    for number, (stage, index) in enumerate(network.positions()):
        cin = rows[:, stage] if index == 0 else rows[:, stage + 1]
        w1, w2 = rows[:, first + 2 * number], rows[:, first + 2 * number + 1]
        blocks.append((stage, index, cin, w1, w2, rows[:, stage + 1]))
    return blocks
