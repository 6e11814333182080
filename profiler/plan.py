"""Which shapes and networks to measure for a search space.

Per distinct geometry: fine sweeps of each width with the others dense, because stairs are seen
along one axis only; random interior points, because the widths interact; and the two corners.
Whole networks calibrate and judge the prediction, spread over the range of MACs and also off
the grid that hardware likes. Measures nothing; every draw comes from the seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from profiler.plan_networks import draw_networks
from profiler.sweep import moved
from supernet.config import ChannelConfig, ConfigError
from supernet.shapes import BlockShape, Shape
from supernet.space import SearchSpace

Role = Literal["fit", "held-out"]

INNER_SHARE, OUTER_SHARE = 0.35, 0.2
"""Parts of a geometry's points spent on the inner sweeps, and on those of cin and cout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure, in no particular order; the same seed gives the same plan."""

    shapes: tuple[Shape, ...]
    networks: tuple[tuple[ChannelConfig, Role], ...]


@dataclass(frozen=True, slots=True)
class _Family:
    """All a space allows of one geometry: its dense shape, and widths per axis, ascending."""

    dense: Shape
    choices: dict[str, list[int]]


def plan(
    space: SearchSpace,
    points_per_geometry: int = 50,
    networks_fit: int = 20,
    networks_held_out: int = 30,
    seed: int = 0,
) -> Plan:
    """The plan of a table for `space`.

    Args:
        points_per_geometry: shapes per distinct bottleneck; fewer where the space has fewer,
            and for the stem and the head, which have one width.

    Raises:
        ConfigError: fewer than 2 points, or a negative number of networks.
    """
    if points_per_geometry < 2 or networks_fit < 0 or networks_held_out < 0:
        raise ConfigError(
            "points_per_geometry >= 2 and networks >= 0 must hold, "
            f"but got {points_per_geometry}, {networks_fit} and {networks_held_out}"
        )
    rng = np.random.default_rng(seed)
    shapes: dict[Shape, None] = {}
    for family in _families(space):
        shapes.update(dict.fromkeys(_points(family, points_per_geometry, space.tied, rng)))
    fit = draw_networks(space, networks_fit, rng)
    held_out = draw_networks(space, networks_held_out, rng, taken=fit)
    roles: list[tuple[ChannelConfig, Role]] = [(config, "fit") for config in fit]
    roles.extend((config, "held-out") for config in held_out)
    return Plan(shapes=tuple(shapes), networks=tuple(roles))


def _families(space: SearchSpace) -> list[_Family]:
    """One per distinct geometry, in network order."""
    families: dict[str, _Family] = {}
    widths = dict(zip(space.names, space.choices, strict=True))
    for shape, genes in zip(
        space.network.shapes(space.network.dense()), _genes(space), strict=True
    ):
        family = families.setdefault(
            shape.geometry, _Family(shape, {axis: [] for axis in shape.axes})
        )
        for axis, gene in zip(shape.axes, genes, strict=True):
            known = family.choices[axis]
            known[:] = sorted({*known, *(w for w in widths[gene] if w)})
    return [
        _Family(_largest(family.dense, family.choices), family.choices)
        for family in families.values()
    ]


def _genes(space: SearchSpace) -> Iterator[tuple[str, ...]]:
    """Per shape of the dense network, the gene of each of its axes."""
    stages = [f"stage{s + 1}" for s in range(len(space.network.depths))]
    yield ("stem",)
    for stage, index in space.network.positions():
        before = ("stem", *stages)[stage] if index == 0 else stages[stage]
        block = f"{stage + 1}.{index}"
        inner = (block, block) if space.tied else (f"{block}.w1", f"{block}.w2")
        yield (before, *inner, stages[stage])
    yield (stages[-1],)


def _points(family: _Family, count: int, tied: bool, rng: np.random.Generator) -> list[Shape]:
    """About `count` distinct shapes, at most as many as the family has."""
    dense, choices = family.dense, family.choices
    if not isinstance(dense, BlockShape):
        ((axis, widths),) = choices.items()
        return [moved(dense, axis, w) for w in _spread(widths, max(2, count // 3), rng)]
    smallest: Shape = dense
    for axis, widths in choices.items():
        smallest = moved(smallest, axis, widths[0])
    found = dict.fromkeys([dense, smallest])
    inner = ["w"] if tied else ["w1", "w2"]
    outer = ["cout"] if dense.shortcut == "identity" else ["cin", "cout"]
    for names, share in ((inner, INNER_SHARE), (outer, OUTER_SHARE)):
        for axis in names:
            widths = choices["w1" if axis == "w" else axis]
            kept = _spread(widths, round(share * count / len(names)), rng)
            found.update(dict.fromkeys(moved(dense, axis, width) for width in kept))
    axes = {axis: choices["w1" if axis == "w" else axis] for axis in (*inner, *outer)}
    for _ in range(20):  # duplicates make a round of draws fall short; a small space ends early
        missing = count - len(found)
        if missing <= 0:
            break
        found.update(dict.fromkeys(_interior(dense, axes, missing, rng)))
    return list(found)[: max(count, 2)]


def _interior(
    dense: Shape, axes: dict[str, list[int]], count: int, rng: np.random.Generator
) -> list[Shape]:
    """A Latin hypercube over the choices of the axes (McKay, Beckman and Conover 1979)."""
    shapes = [dense] * count
    for axis, widths in axes.items():
        places = (rng.permutation(count) + rng.random(count)) / count
        drawn = [widths[int(place * len(widths))] for place in places]
        shapes = [moved(shape, axis, w) for shape, w in zip(shapes, drawn, strict=True)]
    return shapes


def _spread(widths: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """Up to `count` of the widths: both ends, and a random one from each equal part between.

    Random, because equal steps would see stairs only at multiples of the step.
    """
    if len(widths) <= max(count, 2):
        return list(widths)
    bounds = np.linspace(1, len(widths) - 1, max(count, 2) - 1).round().astype(int)
    middle = [int(rng.integers(a, b)) for a, b in pairwise(bounds)]
    return [widths[0], *(widths[i] for i in middle), widths[-1]]


def _largest(shape: Shape, choices: dict[str, list[int]]) -> Shape:
    for axis, widths in choices.items():
        shape = moved(shape, axis, widths[-1])
    return shape
