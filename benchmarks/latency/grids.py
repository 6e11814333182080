"""How many points a dense grid over a table's measured ranges would have. Computed, not measured.

Three kinds: every bottleneck with its two inner widths equal; with both free; and every convolution
by its own two widths, which is the smallest table that prices any network by look-up, as those of
SMCP, HALP and MDP do. Each over all widths, multiples of 8, and 31 widths an axis (the ratios of
MetaPruning's space). Not run by itself; see `benchmarks.latency.points`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from benchmarks.latency.cases import GRID, Case
from latency_tables.features import links
from supernet.shapes import BlockShape, Shape

RATIOS = 31

Count = Callable[[int, int], int]
"""Smallest and largest width of an axis, to how many widths a grid has there."""

STEPS: dict[str, Count] = {
    "every width": lambda low, high: high - low + 1,
    "every 8th width": lambda low, high: high // GRID - (low - 1) // GRID,
    "31 widths an axis": lambda low, high: min(RATIOS, high - low + 1),
}


def sizes(case: Case) -> list[dict[str, str | int]]:
    """One entry per step and kind, ready for JSON."""
    found: list[dict[str, str | int]] = []
    for step, count in STEPS.items():
        totals = {"bottlenecks, w1 = w2": 0, "bottlenecks, w1 and w2 free": 0, "convolutions": 0}
        for rows in case.table.by_geometry().values():
            shape = next(iter(rows))
            columns = zip(*(s.widths for s in rows), strict=True)
            each = [count(min(column), max(column)) for column in columns]
            for kind, points in zip(totals, _points(shape, each), strict=True):
                totals[kind] += points
        found += [{"step": step, "of": kind, "points": points} for kind, points in totals.items()]
    return found


def _points(shape: Shape, each: list[int]) -> tuple[int, int, int]:
    if not isinstance(shape, BlockShape):
        return each[0], each[0], each[0]
    outer = each[3] if shape.shortcut == "identity" else each[0] * each[3]
    pairs = [(link.source, link.target) for link in links(shape)]
    layers = sum(prod(each[axis] for axis in pair if axis is not None) for pair in pairs)
    return outer * each[1], outer * each[1] * each[2], layers
