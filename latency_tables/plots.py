"""Plots of a latency table: its stairs, and predicted against measured networks.

`.png` is drawn by matplotlib, `.html` by plotly as one file that needs no network connection.
What is drawn lives in `latency_tables.drawing_png` and `latency_tables.drawing_html`.
"""

from __future__ import annotations

from pathlib import Path

from latency_tables.predict import Predictor
from latency_tables.stairs import Staircase, stairs
from latency_tables.sweeps import MIN_POINTS, Sweep, sweep, sweeps
from latency_tables.table import LatencyTable, MissingShapeError, TableError

FORMATS = (".html", ".png")


def plot_stairs(
    table: LatencyTable, path: Path, *, geometry: str | None = None, axis: str | None = None
) -> None:
    """Latency against width, with intervals, rounds and right edges; one panel per sweep.

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
    draw(found, f"Latency against channels: {table.target}", path)


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
    return [(s, stairs(s.widths, s.levels, s.lo, s.hi)) for s in found]


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
    draw(points, predictor.held_out, predictor.bound.factor, str(predictor.table.target), path)


def _check(path: Path) -> None:
    if path.suffix not in FORMATS:
        raise TableError(f"a plot is {' or '.join(FORMATS)}, but got {path.name!r}")
