"""Plots of a latency table: its stairs, its blocks under the roof, networks against predictions.

`.png` is drawn by matplotlib, `.html` by plotly as one file that needs no network connection.
What is drawn lives in `latency_tables.drawing_png` and `latency_tables.drawing_html`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from latency_tables.predict import Predictor
from latency_tables.roofline import RoofPoint, roofline
from latency_tables.stairs import Staircase, stairs_of
from latency_tables.sweeps import MIN_POINTS, Sweep, sweep, sweeps
from latency_tables.table import LatencyTable, MissingShapeError, TableError
from supernet.shapes import Shape

FORMATS = (".html", ".png")


def plot_stairs(
    table: LatencyTable, path: Path, *, geometry: str | None = None, axis: str | None = None
) -> None:
    """Latency against width, with intervals, rounds and right edges; one panel per sweep.

    Where the table holds a roof, a panel beside each shows the same blocks against it.

    Args:
        table: measured rows.
        path: a .png or .html file.
        geometry: only this one; by default all.
        axis: only this one (`w`, `w1`, `w2`, `cin`, `cout`); needs `geometry`.

    Raises:
        MissingShapeError: there is no such sweep; says what there is.
        TableError: another suffix.
    """
    _check(path)
    found = cases(table, geometry, axis)
    if path.suffix == ".png":
        from latency_tables.drawing_png import stairs as draw
    else:
        from latency_tables.drawing_html import stairs as draw
    draw(found, f"Latency against channels: {table.target}", path, roof_points(table))


def cases(
    table: LatencyTable, geometry: str | None = None, axis: str | None = None
) -> list[tuple[Sweep, Staircase]]:
    """The sweeps of a table with their stairs; arguments and errors as in `plot_stairs`."""
    if axis is not None:
        if geometry is None:
            raise TableError(f"axis {axis!r} needs a geometry, but got none")
        found = [sweep(table, geometry, axis)]
    else:
        if geometry is not None and geometry not in (known := table.by_geometry()):
            raise MissingShapeError(f"{geometry} is not in the table; it holds: {', '.join(known)}")
        found = list(sweeps(table, geometry))
    if not found:
        raise MissingShapeError(
            f"nothing to plot: no {MIN_POINTS} rows of {geometry or 'any geometry'} differ in one "
            "axis alone"
        )
    return [(s, stairs_of(s)) for s in found]


def roof_points(table: LatencyTable) -> dict[Shape, RoofPoint] | None:
    """Every row against the table's roof; None where it holds none."""
    return None if table.roof is None else {point.shape: point for point in roofline(table)}


def plot_roofline(table: LatencyTable, path: Path) -> None:
    """Multiply-adds per second of every row against multiply-adds per byte, under the roof.

    Raises:
        TableError: another suffix than .png or .html, or the table holds no roof.
        MissingShapeError: the table holds no rows.
    """
    _check(path)
    points = roofline(table)
    if not points or (roof := table.roof) is None:
        raise MissingShapeError("nothing to plot: the table holds no rows")
    groups: dict[str, list[RoofPoint]] = {}
    for point in points:
        groups.setdefault(point.shape.geometry, []).append(point)
    if path.suffix == ".png":
        from latency_tables.drawing_png_roof import roofline as draw
    else:
        from latency_tables.drawing_html import roofline as draw
    draw(
        {_label(name, group): group for name, group in groups.items()},
        roof,
        f"{table.target}\npeak {roof.gmacs:.3g} GMAC/s, {roof.gbytes:.3g} GB/s",
        path,
    )


def plot_networks(source: LatencyTable | Predictor, path: Path) -> None:
    """Predicted against measured latency of the table's whole networks.

    Raises:
        MissingShapeError: the table holds no network that can be predicted.
        TableError: another suffix than .png or .html.
    """
    _check(path)
    predictor = Predictor(source) if isinstance(source, LatencyTable) else source
    points = predictor.networks()
    if not points:
        raise MissingShapeError("nothing to plot: the table holds no network it can predict")
    if path.suffix == ".png":
        from latency_tables.drawing_png import networks as draw
    else:
        from latency_tables.drawing_html import networks as draw
    draw(points, predictor.held_out, predictor.bound.factor, predictor.table.target, path)


def _label(geometry: str, points: Sequence[RoofPoint]) -> str:
    return f"{geometry}: {100 * median(point.share for point in points):.0f} % of the roof"


def _check(path: Path) -> None:
    if path.suffix not in FORMATS:
        raise TableError(f"a plot is {' or '.join(FORMATS)}, but got {path.name!r}")
