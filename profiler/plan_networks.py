"""Whole networks to measure, and chains cut from such: in the space, and off its grid.

Four kinds in turn, because users' networks come in all of them: near one level of the space;
near one level with unaligned widths; every width on its own, all multiples of one number; every
width on its own. Each level has its own part of the range: widths drawn freely would all give
about the same MACs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from supernet.arithmetic import Rows
from supernet.config import ChannelConfig
from supernet.shapes import BlockShape, Shape
from supernet.space import SearchSpace

MULTIPLE = 8
"""Off-grid widths avoid multiples of this, which most kernels and spaces favour."""
ALIGNED = (2, 4, 8, 16)
LONGEST = 4
"""Bottlenecks of a chain at most, and two at least."""

Draw = Callable[[SearchSpace, list[float], np.random.Generator], Rows]


def draw_networks(
    space: SearchSpace,
    count: int,
    rng: np.random.Generator,
    taken: Sequence[ChannelConfig] = (),
) -> list[ChannelConfig]:
    """`count` distinct networks, none of them in `taken`; fewer only where the space runs out."""
    kinds: tuple[Draw, ...] = (_in_space, _off_grid, _multiples, _free)
    found: dict[ChannelConfig, None] = {}
    levels = (rng.permutation(count) + rng.random(count)) / max(count, 1)
    for number, level in enumerate(levels):
        draw = kinds[number % len(kinds)]
        for attempt in range(20):
            scatter = min(1.0, 0.5 * rng.random() + 0.05 * attempt)
            config = space.config(draw(space, _places(space, float(level), scatter, rng), rng))
            if config not in found and config not in taken:
                found[config] = None
                break
    return list(found)


def draw_chains(
    space: SearchSpace, count: int, rng: np.random.Generator
) -> list[tuple[Shape, ...]]:
    """Bottlenecks that follow each other in drawn networks, distinct."""
    found: dict[tuple[Shape, ...], None] = {}
    for config in draw_networks(space, count, rng):
        blocks = [s for s in space.network.shapes(config) if isinstance(s, BlockShape)]
        length = min(int(rng.integers(2, LONGEST + 1)), len(blocks))
        first = int(rng.integers(0, len(blocks) - length + 1))
        if length > 1:
            found[tuple(blocks[first : first + length])] = None
    return list(found)


def _places(
    space: SearchSpace, level: float, scatter: float, rng: np.random.Generator
) -> list[float]:
    """Per gene, where in its range [0, 1] it lies."""
    drawn = level + scatter * (rng.random(len(space.choices)) - 0.5)
    return [float(place) for place in np.clip(drawn, 0, 1)]


def _in_space(space: SearchSpace, places: list[float], rng: np.random.Generator) -> Rows:
    genes = []
    removal = 0.3 * rng.random()
    for widths, place in zip(space.choices, places, strict=True):
        kept = [w for w in widths if w]
        drop = 0 in widths and (not kept or rng.random() < removal)
        genes.append(0 if drop else kept[min(int(place * len(kept)), len(kept) - 1)])
    return np.array(genes, dtype=np.int64)


def _off_grid(space: SearchSpace, places: list[float], rng: np.random.Generator) -> Rows:
    genes = []
    for (low, high), place in zip(_ranges(space), places, strict=True):
        width = round(low + place * (high - low))
        if width % MULTIPLE == 0 and low < high:
            near = [w for w in (width - 1, width + 1) if low <= w <= high]
            width = int(rng.choice(near))
        genes.append(width)
    return np.array(genes, dtype=np.int64)


def _multiples(space: SearchSpace, places: list[float], rng: np.random.Generator) -> Rows:
    multiple = int(rng.choice(ALIGNED))
    genes = []
    for low, high in _ranges(space):
        first, last = -(-low // multiple), high // multiple
        free = int(rng.integers(low, high + 1))
        genes.append(multiple * int(rng.integers(first, last + 1)) if first <= last else free)
    return np.array(genes, dtype=np.int64)


def _free(space: SearchSpace, places: list[float], rng: np.random.Generator) -> Rows:
    return np.array([rng.integers(low, high + 1) for low, high in _ranges(space)], dtype=np.int64)


def _ranges(space: SearchSpace) -> list[tuple[int, int]]:
    """Smallest and largest width of every gene, other than 0."""
    kept = [[w for w in widths if w] or [0] for widths in space.choices]
    return [(widths[0], widths[-1]) for widths in kept]
