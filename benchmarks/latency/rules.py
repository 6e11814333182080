"""The rivals: how others would price a network from the same measured points.

Each is a rule that prices isolated pieces; a network is the sum of its pieces, then (as a courtesy
that most of the originals lack) a line a + b * sum fitted to the fit networks. The rules of SMCP
(Humble et al., ECCV 2022) and MDP (Sun et al., CVPR 2025) were written for tables with one key per
convolution on a dense grid; here they answer from bottlenecks measured at scattered widths, once as
their published programs behave and once in the most favourable reading. Knows nothing of our own
models. Not run by itself; see `benchmarks.latency.rivals`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from benchmarks.latency.cases import GRID, Floats, Prices
from benchmarks.latency.widths import (
    free_axes,
    interpolate,
    macs_line,
    mean_of_nearest,
    moved,
    nearest,
    per_geometry,
)
from supernet.shapes import Shape

NEIGHBOURS = 8  # keys that MDP's program looks at around a missing one

Price = Callable[[Prices, Sequence[Shape]], Floats]
"""Rows in ms and shapes asked for, to their prices, [n]; nan where the rule has no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """One rule.

    Attributes:
        name: short.
        rule: what exactly is done.
        price: see `Price`.
        uses: whether a row takes part.
        calibrated: the sum passes through a line fitted to the fit networks.
        missing: what a piece without an answer costs, in ms; nan: its network has no price.
        milliseconds: prices are latencies, so they can be held against measured rows.
    """

    name: str
    rule: str
    price: Price
    uses: Callable[[Shape], bool] = lambda shape: True
    calibrated: bool = True
    missing: float = float("nan")
    milliseconds: bool = True


def flops(rows: Prices, asked: Sequence[Shape]) -> Floats:
    """MACs; no row is looked at."""
    return np.array([float(shape.macs) for shape in asked])


def block_lines(rows: Prices, asked: Sequence[Shape]) -> Floats:
    """A line in MACs for each geometry."""
    return per_geometry(rows, asked, macs_line)


def isolated(rows: Prices, asked: Sequence[Shape]) -> Floats:
    """The row, else the nearest one scaled by MACs."""
    return per_geometry(rows, asked, nearest)


def smcp(rows: Prices, asked: Sequence[Shape]) -> Floats:
    """The row of exactly these widths, else of some of them rounded up to 8; nan without one."""
    found = [next((rows[key] for key in _smcp_keys(s) if key in rows), np.nan) for s in asked]
    return np.array(found)


def smcp_interpolated(rows: Prices, asked: Sequence[Shape]) -> Floats:
    """All widths rounded up to 8, then interpolated between rows."""
    return per_geometry(rows, [_up(shape) for shape in asked], interpolate)


def mdp(rows: Prices, asked: Sequence[Shape]) -> Floats:
    """The row, else the mean of rows with widths at most one channel off; nan without one."""
    answers = []
    for shape in asked:
        near = [rows[key] for key in _within_one(shape) if key in rows]
        answers.append(rows[shape] if shape in rows else float(np.mean(near)) if near else np.nan)
    return np.array(answers)


def mdp_nearest(rows: Prices, asked: Sequence[Shape]) -> Floats:
    """The row, else the mean of the nearest ones."""
    return per_geometry(rows, asked, mean_of_nearest(NEIGHBOURS))


def grid(rows: Prices, asked: Sequence[Shape]) -> Floats:
    """Interpolated between the rows given."""
    return per_geometry(rows, asked, interpolate)


def on_grid(shape: Shape) -> bool:
    """Whether all widths are multiples of 8."""
    return all(width % GRID == 0 for width in shape.widths)


def _ceil(width: int) -> int:
    return -(-width // GRID) * GRID


def _up(shape: Shape) -> Shape:
    return moved(shape, {g: _ceil(getattr(shape, g[0])) for g in free_axes(shape)})


def _smcp_keys(shape: Shape) -> Iterator[Shape]:
    groups = free_axes(shape)
    for count in range(len(groups) + 1):
        for chosen in combinations(groups, count):
            yield moved(shape, {g: _ceil(getattr(shape, g[0])) for g in chosen})


def _within_one(shape: Shape) -> Iterator[Shape]:
    groups = free_axes(shape)
    for steps in product((-1, 0, 1), repeat=len(groups)):
        widths = [getattr(shape, g[0]) + step for g, step in zip(groups, steps, strict=True)]
        if min(widths) > 0:
            yield moved(shape, dict(zip(groups, widths, strict=True)))


RIVALS = (
    Rival(
        name="FLOPs-linear",
        rule="a + b * MACs of the whole network, fitted to the fit networks; no rows.",
        price=flops,
        uses=lambda shape: False,
        milliseconds=False,
    ),
    Rival(
        name="FLOPs-linear per geometry",
        rule="For every geometry a line in MACs fitted to its rows; summed; a + b * sum.",
        price=block_lines,
    ),
    Rival(
        name="isolated sum",
        rule="Sum of measured rows; a piece without one takes the row nearest by logarithms of "
        "widths, times the ratio of their MACs. Not calibrated.",
        price=isolated,
        calibrated=False,
    ),
    Rival(
        name="isolated sum + line",
        rule="The isolated sum, then a + b * sum (a courtesy).",
        price=isolated,
    ),
    Rival(
        name="SMCP rule, as is",
        rule="The row of these widths, else of some or all of them rounded up to a multiple of 8; "
        "a key that is still missing costs 0 ms, as in its program. Then a + b * sum (a courtesy).",
        price=smcp,
        missing=0.0,
    ),
    Rival(
        name="SMCP rule, interpolated",
        rule="All widths rounded up to a multiple of 8, then linear interpolation between all rows "
        "(outside their hull: nearest row scaled by MACs). Then a + b * sum (a courtesy).",
        price=smcp_interpolated,
    ),
    Rival(
        name="MDP rule, as is",
        rule="The row, else the mean of rows whose widths are at most one channel off; without any "
        "its program divides by zero, so the network has no price. Then a + b * sum (a courtesy).",
        price=mdp,
    ),
    Rival(
        name="MDP rule, nearest 8",
        rule="The row, else the mean of the 8 nearest rows (widths relative to the largest), since "
        "its program averages up to 8 neighbours. Then a + b * sum (a courtesy).",
        price=mdp_nearest,
    ),
    Rival(
        name="every-8 grid, linear",
        rule="Linear interpolation between the rows whose widths are all multiples of 8 (outside "
        "their hull: nearest such row scaled by MACs). Then a + b * sum (a courtesy).",
        price=grid,
        uses=on_grid,
    ),
    Rival(
        name="all rows, linear",
        rule="Linear interpolation between all rows (outside their hull: nearest row scaled by "
        "MACs). Then a + b * sum (a courtesy).",
        price=grid,
    ),
)
