"""Whole networks to measure: spread over the range of MACs, in the space and off its grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from supernet.arithmetic import Rows
from supernet.config import ChannelConfig
from supernet.space import SearchSpace

MULTIPLE = 8
"""Off-grid widths avoid multiples of this, which most kernels and spaces favour."""


def draw_networks(
    space: SearchSpace,
    count: int,
    rng: np.random.Generator,
    taken: Sequence[ChannelConfig] = (),
) -> list[ChannelConfig]:
    """`count` distinct networks, none of them in `taken`.

    Every second one is in the space; the others have unaligned widths within its range. Each
    scatters around its own level, one level per equal part of the range: widths drawn freely
    would all give about the same MACs. Fewer come back only where the space runs out.
    """
    found: dict[ChannelConfig, None] = {}
    levels = (rng.permutation(count) + rng.random(count)) / max(count, 1)
    for number, level in enumerate(levels):
        for attempt in range(20):
            scatter = min(1.0, 0.5 * rng.random() + 0.05 * attempt)
            draw = _in_space if number % 2 == 0 else _off_grid
            config = space.config(draw(space, _places(space, float(level), scatter, rng), rng))
            if config not in found and config not in taken:
                found[config] = None
                break
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
    for widths, place in zip(space.choices, places, strict=True):
        kept = [w for w in widths if w] or [0]
        low, high = kept[0], kept[-1]
        width = round(low + place * (high - low))
        if width % MULTIPLE == 0 and low < high:
            near = [w for w in (width - 1, width + 1) if low <= w <= high]
            width = int(rng.choice(near))
        genes.append(width)
    return np.array(genes, dtype=np.int64)
