"""Tables of devices whose cost is known: channels are rounded up, with seeded noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np

from latency_tables import fitting
from latency_tables.features import links
from latency_tables.grain import Grain
from latency_tables.table import ChainRow, LatencyTable, Measurement, NetworkRow, Target
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape, parse_shape
from supernet.space import SearchSpace

EDGE = 8
SPEC = NetworkSpec(depths=(1, 2), width=0.5, stem="3x3/2", resolution=16, channels=1, classes=10)
TARGET = Target(
    device="paper", runtime="pencil", runtime_version="2", precision="fp32", batch=1, threads=1
)
LAUNCH = 0.008
"""Start of a run in ms: once per run, not once per piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device.

    Attributes:
        edge: channels are rounded up to it.
        align: input channels that are no multiple of it take another implementation.
        convert: ms that it costs to change an element's layout: aligned layers group channels,
            others, sums with theirs, images and results do not.
    """

    edge: int = EDGE
    align: int = 1
    convert: float = 0.0

    def up(self, width: int) -> int:
        """Rounded up to the device's edge."""
        return math.ceil(width / self.edge) * self.edge

    def inside(self, shape: Shape) -> float:
        """What a piece costs inside a network in ms."""
        if not isinstance(shape, BlockShape):
            wide = shape.cin if isinstance(shape, HeadShape) else self.up(shape.cout)
            return 0.002 + 1e-4 * wide
        work = 0.0
        for link in links(shape):
            assert link.source is not None
            assert link.target is not None
            source, target = shape.widths[link.source], shape.widths[link.target]
            # What does not align is computed one by one, and three times as slow.
            wide = 3 * source if source % self.align else self.up(source)
            work += link.macs * wide * self.up(target)
        into, out = shape.size**2, shape.out_size**2
        return 0.012 + 2e-7 * work + 1e-6 * (into * shape.cin + out * shape.cout)

    def run(self, pieces: Sequence[Shape]) -> float:
        """Pieces one after another in one run, in ms."""
        grouped, moved = False, 0
        for shape in pieces:
            if isinstance(shape, StemShape):
                grouped = shape.cout % self.edge == 0
            elif isinstance(shape, BlockShape):
                first, last = shape.cin % self.align == 0, shape.w2 % self.align == 0
                beside = grouped if shape.shortcut == "identity" else first
                moved += (first != grouped) * shape.size**2 * shape.cin
                moved += (beside != last) * shape.out_size**2 * shape.cout
                grouped = beside and last
        if grouped and not isinstance(shape, HeadShape):
            moved += shape.out_size**2 * shape.cout
        return LAUNCH + sum(map(self.inside, pieces)) + self.convert * moved

    def network(self, config: ChannelConfig) -> float:
        """A whole network in ms."""
        return self.run(SPEC.shapes(config))

    @property
    def grain(self) -> Grain:
        """What a fit should find."""
        return Grain(align=self.align, group=self.edge, batch=self.edge)


DEVICE = Device()


@contextmanager
def known_grain(device: Device = DEVICE) -> Iterator[None]:
    """Fits made inside are spared the search for the grain, which takes most of their time."""
    with patch.object(fitting, "grain_of", lambda groups: device.grain):
        yield


def true_cost(shape: Shape) -> float:
    """Latency of one piece alone on the usual device, in ms."""
    return DEVICE.run([shape])


def network_cost(config: ChannelConfig) -> float:
    """Latency of a whole network on the usual device, in ms."""
    return DEVICE.network(config)


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


def random_configs(count: int, rng: np.random.Generator, steps: int = 25) -> list[ChannelConfig]:
    """Networks as the table's are drawn: every width from a quarter to all of the dense one."""
    space = SearchSpace.from_ratios(SPEC, np.linspace(0.25, 1, steps).tolist())
    return [space.sample(rng) for _ in range(count)]


def cut(config: ChannelConfig, rng: np.random.Generator) -> tuple[Shape, ...]:
    """Two or three pieces that follow each other in a network."""
    shapes, length = SPEC.shapes(config), int(rng.integers(2, 4))
    first = int(rng.integers(0, len(shapes) - length + 1))
    return tuple(shapes[first : first + length])


def table(
    *,
    points: int = 40,
    networks: int = 50,
    chains: int = 0,
    noise: float = 0.003,
    device: Device = DEVICE,
    network: Callable[[ChannelConfig], float] | None = None,
    seed: int = 0,
) -> LatencyTable:
    """Rows of every geometry, chains, and networks in both roles; `network` prices the last."""
    rng = np.random.default_rng(seed)
    shapes: set[Shape] = set()
    for shape in SPEC.shapes(SPEC.dense()):
        shapes |= sampled(shape.geometry, shape.widths, rng, points)
    configs = random_configs(networks, rng)
    ordered = sorted(shapes, key=lambda s: (s.geometry, s.widths))
    price = network or device.network
    return LatencyTable(
        target=TARGET,
        network=SPEC,
        rows={s: measurement(device.run([s]), rng, noise) for s in ordered},
        networks=tuple(
            NetworkRow(
                config=config,
                measurement=measurement(price(config), rng, noise),
                role="fit" if index % 5 < 2 else "held-out",
            )
            for index, config in enumerate(configs)
        ),
        chains=tuple(
            ChainRow(pieces=pieces, measurement=measurement(device.run(pieces), rng, noise))
            for pieces in (cut(c, rng) for c in random_configs(chains, rng))
        ),
        protocol={"rounds": 7},
        sentinel=(0.1, 0.1005, 0.0998, 0.1001),
    )
