"""Sweeps: the rows of a table along which only one axis moves.

Axes are those of the shape, plus `w` (both inner widths together). With an identity shortcut the
input moves with the output, as `cout`. Knows nothing of plateaus; `latency_tables.stairs` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latency_tables.table import LatencyTable, Measurement, MissingShapeError
from supernet.shapes import BlockShape, Shape

Floats = npt.NDArray[np.float64]
MIN_POINTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Measured points of one axis, by ascending width; every other width is `fixed`.

    Widths may be dense in one part and far apart elsewhere.
    """

    geometry: str
    axis: str
    fixed: tuple[tuple[str, int], ...]
    widths: tuple[int, ...]
    shapes: tuple[Shape, ...]
    rows: tuple[Measurement, ...]

    @property
    def levels(self) -> Floats:
        """The latencies that stairs are found in: the rows' medians in ms, [n]."""
        return np.array([row.median for row in self.rows])

    @property
    def lo(self) -> Floats:
        """Lower ends of their 95 % intervals in ms, [n]."""
        return np.array([row.lo for row in self.rows])

    @property
    def hi(self) -> Floats:
        """Upper ends of their 95 % intervals in ms, [n]."""
        return np.array([row.hi for row in self.rows])

    @property
    def flagged(self) -> int:
        """How many points bear a flag."""
        return sum(bool(row.flags) for row in self.rows)

    @property
    def label(self) -> str:
        """What moves and what stands still, for titles: `block:14x14/1,identity  w (cout=64)`."""
        fixed = ", ".join(f"{name}={width}" for name, width in self.fixed)
        note = f"  [{self.flagged} of {len(self.rows)} points disturbed]" if self.flagged else ""
        return f"{self.geometry}  {self.axis}" + f" ({fixed})" * bool(fixed) + note


def axes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Names of the axes that can be swept, and the positions in `shape.widths` each moves."""
    if not isinstance(shape, BlockShape):
        return {shape.axes[0]: (0,)}
    inner = {"w": (1, 2), "w1": (1,), "w2": (2,)}
    if shape.shortcut == "identity":
        return {**inner, "cout": (0, 3)}
    return {**inner, "cin": (0,), "cout": (3,)}


def sweep(table: LatencyTable, geometry: str, axis: str) -> Sweep:
    """The longest sweep of `axis` in `geometry`; among equals, the one with the widest rest.

    Raises:
        MissingShapeError: no such geometry or axis, or fewer than `MIN_POINTS` rows along it;
            names what there is.
    """
    groups = table.by_geometry()
    if geometry not in groups:
        raise MissingShapeError(
            f"{geometry} is not in the table; it holds: {', '.join(groups) or 'nothing'}"
        )
    rows = groups[geometry]
    known = axes(next(iter(rows)))
    if axis not in known:
        raise MissingShapeError(f"axis of {geometry} must be one of {list(known)}, got {axis!r}")
    found = list(_lines(rows, known[axis]).items())
    fixed, line = max(found, key=lambda item: (len(item[1]), item[0]))
    if len(line) < MIN_POINTS:
        raise MissingShapeError(
            f"no sweep of {axis} in {geometry}: at least {MIN_POINTS} rows must differ in {axis} "
            f"alone, but at most {len(line)} of its {len(rows)} rows do"
        )
    names = [n for i, n in enumerate(next(iter(rows)).axes) if i not in known[axis]]
    widths = tuple(sorted(line))
    return Sweep(
        geometry=geometry,
        axis=axis,
        fixed=tuple(zip(names, fixed, strict=True)),
        widths=widths,
        shapes=tuple(line[width] for width in widths),
        rows=tuple(rows[line[width]] for width in widths),
    )


def sweeps(table: LatencyTable, geometry: str | None = None) -> Iterator[Sweep]:
    """Every sweep of a table, or of one of its geometries."""
    for name, rows in table.by_geometry().items():
        if geometry in (None, name):
            for axis in axes(next(iter(rows))):
                try:
                    yield sweep(table, name, axis)
                except MissingShapeError:
                    continue


def _lines(
    rows: Mapping[Shape, Measurement], moving: tuple[int, ...]
) -> dict[tuple[int, ...], dict[int, Shape]]:
    """Shapes by their fixed widths, then by the moving one; where those differ they fall out.

    Where two axes must move together, rows that agree in both are taken.
    """
    lines: dict[tuple[int, ...], dict[int, Shape]] = {}
    for shape in rows:
        fixed = tuple(w for i, w in enumerate(shape.widths) if i not in moving)
        line = lines.setdefault(fixed, {})
        if len({shape.widths[i] for i in moving}) == 1:
            line[shape.widths[moving[0]]] = shape
    return lines
