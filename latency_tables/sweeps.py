"""Sweeps: the rows of a table along which only one axis moves.

Axes are those of the shape, plus `w` (both inner widths together). With an identity shortcut the
input moves with the output, as `cout`. Knows nothing of plateaus; `latency_tables.stairs` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from latency_tables.table import LatencyTable, Measurement, MissingShapeError
from supernet.shapes import BlockShape, Shape

Floats = npt.NDArray[np.float64]
MIN_POINTS = 5
MANY_ROUNDS = 80
FAST = 0.05
RESAMPLES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Measured points of one axis, by ascending width; every other width is `fixed`."""

    geometry: str
    axis: str
    fixed: tuple[tuple[str, int], ...]
    widths: tuple[int, ...]
    rows: tuple[Measurement, ...]

    @property
    def disturbed(self) -> bool:
        """Whether flagged rows, and rounds enough, make the fast end the better figure."""
        return any(row.flags for row in self.rows) and all(
            len(row.rounds) >= MANY_ROUNDS for row in self.rows
        )

    @property
    def levels(self) -> Floats:
        """The latencies that stairs are found in, ms, [n].

        Medians of the rounds; where `disturbed` their 5 % quantile, since disturbances only
        add time: on a busy machine medians of one block moved by 40 %, their fast end by 3 %.
        """
        return self._column(0)

    @property
    def lo(self) -> Floats:
        """Lower ends of the levels' 95 % intervals in ms, [n]."""
        return self._column(1)

    @property
    def hi(self) -> Floats:
        """Upper ends of the levels' 95 % intervals in ms, [n]."""
        return self._column(2)

    def _column(self, number: int) -> Floats:
        if not self.disturbed:
            return np.array([(row.median, row.lo, row.hi)[number] for row in self.rows])
        return np.array([_fast_end(row.rounds)[number] for row in self.rows])

    @property
    def figure(self) -> str:
        """What `levels` are, in words."""
        return "fastest twentieth of the rounds" if self.disturbed else "median"

    @property
    def label(self) -> str:
        """What moves and what stands still, for titles: `block:14x14/1,identity  w (cout=64)`."""
        fixed = ", ".join(f"{name}={width}" for name, width in self.fixed)
        note = f"  [disturbed: {self.figure}]" if self.disturbed else ""
        return f"{self.geometry}  {self.axis}" + f" ({fixed})" * bool(fixed) + note


@lru_cache(maxsize=4096)
def _fast_end(rounds: tuple[float, ...]) -> tuple[float, float, float]:
    """The `FAST` quantile with its 95 % percentile-bootstrap interval."""
    values = np.array(rounds)
    draws = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(np.quantile(values[draws], FAST, axis=1), (0.025, 0.975))
    level = float(np.quantile(values, FAST))
    return level, min(float(low), level), max(float(high), level)


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
        rows=tuple(line[width] for width in widths),
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
    rows: dict[Shape, Measurement], moving: tuple[int, ...]
) -> dict[tuple[int, ...], dict[int, Measurement]]:
    """Rows by their fixed widths, then by the moving one; rows whose moving widths differ fall out.

    Where two axes must move together, rows that agree in both are taken.
    """
    lines: dict[tuple[int, ...], dict[int, Measurement]] = {}
    for shape, row in rows.items():
        fixed = tuple(w for i, w in enumerate(shape.widths) if i not in moving)
        line = lines.setdefault(fixed, {})
        if len({shape.widths[i] for i in moving}) == 1:
            line[shape.widths[moving[0]]] = row
    return lines
