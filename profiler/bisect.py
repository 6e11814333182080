"""Where along an axis the steps are: bisection between neighbours that differ, then every width.

Plain arithmetic over measured rows; measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np

from latency_tables.table import Measurement
from profiler.families import Family
from profiler.sweep import moved
from supernet.shapes import Shape

STEPS = 2
"""Steps of an axis that are located exactly."""
AROUND = 16
"""Widths on either side of the steepest inner step that are all measured."""


def edges_wanted(family: Family, rows: Mapping[Shape, Measurement]) -> Iterator[Shape]:
    """Shapes that would say more exactly where the steps of a geometry are."""
    for axis in family.sweeps:
        line = _line(family, axis, rows)
        if len(line) < 3:
            continue
        places, located = _halves(family.widths(axis), line)
        if not places and located is not None and axis == family.sweeps[0]:
            places = _around(family.widths(axis), located, line)
        if places:  # one axis after another: a located step is worth more than five begun
            yield from (moved(family.dense, axis, width) for width in places)
            return


def _line(family: Family, axis: str, rows: Mapping[Shape, Measurement]) -> dict[int, Measurement]:
    """Measured widths of an axis while all others are dense."""
    found = {}
    for width in family.widths(axis):
        if (row := rows.get(moved(family.dense, axis, width))) is not None:
            found[width] = row
    return found


def _halves(choices: list[int], line: Mapping[int, Measurement]) -> tuple[list[int], int | None]:
    """Widths halfway inside the steepest intervals, and the steepest step that is located."""
    widths = sorted(line)
    rises = [line[b].median - line[a].median for a, b in pairwise(widths)]
    slope = max(
        0.0,
        float(np.median([r / (b - a) for r, (a, b) in zip(rises, pairwise(widths), strict=True)])),
    )
    steps = []
    for rise, (a, b) in zip(rises, pairwise(widths), strict=True):
        step = rise - slope * (b - a)
        noise = (line[a].hi - line[a].lo + line[b].hi - line[b].lo) / 2
        if step > noise:
            steps.append((step, a, b))
    steps.sort(reverse=True)
    places, located = [], None
    for _, a, b in steps[:STEPS]:
        between = [w for w in choices if a < w < b]
        if between:
            places.append(between[len(between) // 2])
        elif located is None:
            located = a
    return places, located


def _around(choices: list[int], edge: int, line: Mapping[int, Measurement]) -> list[int]:
    """Choices near `edge` that were not measured."""
    place = choices.index(edge)
    near = choices[max(0, place - AROUND) : place + AROUND + 1]
    return [width for width in near if width not in line]
