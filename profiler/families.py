"""All that a search space allows of one geometry: its dense shape, and the widths of every axis.

Plain arithmetic; measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from profiler.sweep import moved
from supernet.shapes import BlockShape, Shape
from supernet.space import SearchSpace

MULTIPLES = (1, 1, 4, 8, 16)
"""A drawn shape keeps to multiples of one of these: kernels favour some, spaces others."""


@dataclass(frozen=True, slots=True)
class Family:
    """One geometry of a space.

    Attributes:
        dense: every axis at its largest width.
        choices: widths per axis, ascending.
        tied: both inner widths move together in the space.
    """

    dense: Shape
    choices: dict[str, list[int]]
    tied: bool

    @property
    def sweeps(self) -> tuple[str, ...]:
        """Axes along which stairs are looked for, the inner ones first."""
        if not isinstance(self.dense, BlockShape):
            return self.dense.axes
        outer = ("cout",) if self.dense.shortcut == "identity" else ("cin", "cout")
        return (*(("w",) if self.tied else ("w", "w1", "w2")), *outer)

    def widths(self, axis: str) -> list[int]:
        """Widths of an axis; of `w` those that both inner axes have."""
        return self.choices["w1" if axis == "w" else axis]

    def corners(self) -> list[Shape]:
        """Every axis at its largest, and at its smallest width."""
        smallest: Shape = self.dense
        for axis, widths in self.choices.items():
            smallest = moved(smallest, axis, widths[0])
        return [self.dense, smallest]

    def draw(self, count: int, rng: np.random.Generator) -> list[Shape]:
        """Shapes from a Latin hypercube over the axes (McKay, Beckman and Conover 1979)."""
        drawn = [self.dense] * count
        multiples = rng.choice(MULTIPLES, size=count)
        axes = [a for a in self.choices if a in self.sweeps or a in ("w1", "w2")]
        for axis in axes or list(self.choices):
            places = (rng.permutation(count) + rng.random(count)) / max(count, 1)
            for index, (place, multiple) in enumerate(zip(places, multiples, strict=True)):
                fitting = [w for w in self.choices[axis] if w % multiple == 0]
                widths = fitting or self.choices[axis]
                width = widths[int(place * len(widths))]
                drawn[index] = moved(drawn[index], axis, width)
        return drawn


def families(space: SearchSpace) -> list[Family]:
    """One per distinct geometry, in network order."""
    dense: dict[str, Shape] = {}
    choices: dict[str, dict[str, set[int]]] = {}
    widths = dict(zip(space.names, space.choices, strict=True))
    shapes = space.network.shapes(space.network.dense())
    for shape, genes in zip(shapes, genes_of_shapes(space), strict=True):
        dense.setdefault(shape.geometry, shape)
        known = choices.setdefault(shape.geometry, {axis: set() for axis in shape.axes})
        for axis, gene in zip(shape.axes, genes, strict=True):
            known[axis] |= {w for w in widths[gene] if w}
    found = []
    for geometry, shape in dense.items():
        axes = {axis: sorted(known) for axis, known in choices[geometry].items()}
        for axis, kept in axes.items():
            shape = moved(shape, axis, kept[-1])
        found.append(Family(shape, axes, space.tied))
    return found


def genes_of_shapes(space: SearchSpace) -> Iterator[tuple[str, ...]]:
    """Per shape of the dense network, the gene of each of its axes."""
    stages = [f"stage{s + 1}" for s in range(len(space.network.depths))]
    yield ("stem",)
    for stage, index in space.network.positions():
        before = ("stem", *stages)[stage] if index == 0 else stages[stage]
        block = f"{stage + 1}.{index}"
        inner = (block, block) if space.tied else (f"{block}.w1", f"{block}.w2")
        yield (before, *inner, stages[stage])
    yield (stages[-1],)
