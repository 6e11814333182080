"""Plain look-ups among measured widths: nearest rows, linear interpolation, a line in MACs.

Everything works on one geometry at a time, from isolated rows in ms. An identity shortcut has one
axis less than it has widths, since its input is as wide as its output. Knows nothing of networks.
Not run by itself; see `benchmarks.latency.rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import QhullError

from benchmarks.latency.cases import Floats, Prices
from latency_tables.fit import fit
from supernet.shapes import BlockShape, Shape

Lookup = Callable[[Sequence[Shape], Floats, Sequence[Shape]], Floats]
"""Measured shapes, their latencies, shapes asked for (all of one geometry) to latencies."""


def free_axes(shape: Shape) -> tuple[tuple[str, ...], ...]:
    """Axes that move on their own; those in one group move together."""
    if isinstance(shape, BlockShape) and shape.shortcut == "identity":
        return (("cin", "cout"), ("w1",), ("w2",))
    return tuple((axis,) for axis in shape.axes)


def moved(shape: Shape, widths: Mapping[tuple[str, ...], int]) -> Shape:
    """The shape with other widths on some of its free axes."""
    changes: dict[str, Any] = {axis: w for group, w in widths.items() for axis in group}
    return replace(shape, **changes)


def free_widths(shapes: Sequence[Shape]) -> Floats:
    """One column per free axis, [n, axes]."""
    groups = free_axes(shapes[0])
    return np.array([[getattr(s, group[0]) for group in groups] for s in shapes], dtype=np.float64)


def per_geometry(rows: Prices, asked: Sequence[Shape], lookup: Lookup) -> Floats:
    """Answers of `lookup`, [n]; nan for a geometry without any row."""
    answers = np.full(len(asked), np.nan)
    for geometry in {shape.geometry for shape in asked}:
        places = [i for i, shape in enumerate(asked) if shape.geometry == geometry]
        known = [shape for shape in rows if shape.geometry == geometry]
        if known:
            values = np.array([rows[shape] for shape in known])
            answers[places] = lookup(known, values, [asked[i] for i in places])
    return answers


def nearest(known: Sequence[Shape], values: Floats, asked: Sequence[Shape]) -> Floats:
    """The nearest row by logarithms of widths, times the ratio of MACs; exact where measured."""
    here, there = np.log(free_widths(known)), np.log(free_widths(asked))
    place = ((there[:, None, :] - here[None, :, :]) ** 2).sum(axis=2).argmin(axis=1)
    macs = np.array([shape.macs for shape in known], dtype=np.float64)
    wanted = np.array([shape.macs for shape in asked], dtype=np.float64)
    scaled: Floats = values[place] * wanted / macs[place]
    return scaled


def mean_of_nearest(count: int) -> Lookup:
    """A row where one was measured, else the plain mean of the `count` nearest rows.

    Nearest by widths relative to the largest measured one of each axis.
    """

    def lookup(known: Sequence[Shape], values: Floats, asked: Sequence[Shape]) -> Floats:
        here, there = free_widths(known), free_widths(asked)
        scale = here.max(axis=0)
        apart = (((there[:, None, :] - here[None, :, :]) / scale) ** 2).sum(axis=2)
        order = np.argsort(apart, axis=1, kind="stable")[:, :count]
        exact = apart[np.arange(len(asked)), order[:, 0]] == 0
        means: Floats = np.where(exact, values[order[:, 0]], values[order].mean(axis=1))
        return means

    return lookup


def interpolate(known: Sequence[Shape], values: Floats, asked: Sequence[Shape]) -> Floats:
    """Linear between rows; outside their hull, as `nearest`."""
    here, there = free_widths(known), free_widths(asked)
    outside = nearest(known, values, asked)
    if here.shape[1] == 1:
        order = np.argsort(here[:, 0])
        x, y = here[order, 0], values[order]
        inside = (there[:, 0] >= x[0]) & (there[:, 0] <= x[-1])
        return np.where(inside, np.interp(there[:, 0], x, y), outside)
    try:
        found = LinearNDInterpolator(here, values, rescale=True)(there)
    except (QhullError, ValueError):  # too few rows, or all in one plane: there is no hull
        return outside
    return np.where(np.isfinite(found), found, outside)


def macs_line(known: Sequence[Shape], values: Floats, asked: Sequence[Shape]) -> Floats:
    """a + b * MACs with a, b >= 0, fitted to the rows in relative error."""
    design = np.array([[1.0, shape.macs] for shape in known])
    line: Floats = np.array([[1.0, shape.macs] for shape in asked]) @ fit(design, values)
    return line
