"""A table of a device whose cost is known: channels are rounded up to 8, with seeded noise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from latency_tables.table import LatencyTable, Measurement, NetworkRow, Target
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, parse_shape
from supernet.space import SearchSpace

EDGE = 8
SPEC = NetworkSpec(depths=(1, 2), width=0.5, stem="3x3/2", resolution=16, channels=1, classes=10)
TARGET = Target(
    device="paper", runtime="pencil", runtime_version="2", precision="fp32", batch=1, threads=1
)


def up(width: int) -> int:
    """Rounded up to the device's edge."""
    return math.ceil(width / EDGE) * EDGE


def true_cost(shape: Shape) -> float:
    """The device's latency in ms."""
    if not isinstance(shape, BlockShape):
        wide = shape.cin if isinstance(shape, HeadShape) else up(shape.cout)
        return 0.01 + 1e-4 * wide
    into, out = shape.size**2, shape.out_size**2
    work = into * up(shape.cin) * up(shape.w1) + 9 * out * up(shape.w1) * up(shape.w2)
    work += out * up(shape.w2) * up(shape.cout)
    if shape.shortcut == "projection":
        work += out * up(shape.cin) * up(shape.cout)
    return 0.02 + 2e-7 * work + 1e-6 * (into * shape.cin + out * shape.cout)


def network_cost(config: ChannelConfig) -> float:
    """Whole network: a run is started once, not once per piece."""
    shapes = SPEC.shapes(config)
    return sum(map(true_cost, shapes)) - 0.008 * (len(shapes) - 1)


def measurement(value: float, rng: np.random.Generator, noise: float) -> Measurement:
    """Seven rounds around `value`."""
    rounds = value * np.exp(noise * rng.standard_normal(7))
    low, median, high = np.quantile(rounds, [0.25, 0.5, 0.75])
    return Measurement(median=median, lo=low, hi=high, rounds=tuple(rounds.tolist()))


def sampled(geometry: str, dense: tuple[int, ...], rng: np.random.Generator, n: int) -> set[Shape]:
    """Random shapes of one geometry from an eighth of its dense widths on, and both corners."""
    low = np.array([max(1, w // 8) for w in dense])
    picks = [low, np.array(dense), *rng.integers(low, np.array(dense) + 1, size=(n, len(dense)))]
    if geometry.endswith("identity"):
        for pick in picks:
            pick[0] = pick[3]
    return {parse_shape(geometry, tuple(int(w) for w in pick)) for pick in picks}


def table(
    *,
    points: int = 40,
    networks: int = 50,
    noise: float = 0.003,
    network: Callable[[ChannelConfig], float] = network_cost,
) -> LatencyTable:
    """Rows of every geometry and networks in both roles."""
    rng = np.random.default_rng(0)
    shapes: set[Shape] = set()
    for shape in SPEC.shapes(SPEC.dense()):
        shapes |= sampled(shape.geometry, shape.widths, rng, points)
    space = SearchSpace.from_ratios(SPEC, np.linspace(0.25, 1, 25).tolist())
    configs = [space.sample(rng) for _ in range(networks)]
    ordered = sorted(shapes, key=lambda s: (s.geometry, s.widths))
    return LatencyTable(
        target=TARGET,
        network=SPEC,
        rows={s: measurement(true_cost(s), rng, noise) for s in ordered},
        networks=tuple(
            NetworkRow(
                config=config,
                measurement=measurement(network(config), rng, noise),
                role="fit" if index % 5 < 2 else "held-out",
            )
            for index, config in enumerate(configs)
        ),
        protocol={"rounds": 7},
        sentinel=(0.1, 0.1005, 0.0998, 0.1001),
    )
