"""How many rows a predictor needs for an error, read off its learning curve.

Inside the curve by a straight line between its points in logarithms; beyond its end, up to ten
times as far, by a power law through all of it, which is marked as extrapolated. Not run by itself;
see `benchmarks.latency.points`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.latency.compare import OURS

SLACK = 1.05
"""Times our error with all rows counts as reaching it: held-out networks are too few for less."""
BEYOND = 10  # times the curve's last point; what lies further off is anybody's guess

Points = Sequence[tuple[float, float]]
"""Rows and error in percent, by rows."""


def needed(curves: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per predictor: rows for our errors with all rows (5 % more counts as reached), and rows that
    ours needs for the predictor's error with all rows.
    """
    names = list(dict.fromkeys(curve["name"] for curve in curves))
    mine = {what: points_of(curves, OURS, what) for what in ("network", "block")}
    found = []
    for name in names:
        entry: dict[str, Any] = {"name": name}
        for what in ("network", "block"):
            entry[what] = rows_for(points_of(curves, name, what), SLACK * _last(mine[what]))
        its = _last(points_of(curves, name, "network"))
        entry["ours_for_its_error"] = rows_for(mine["network"], its)
        found.append(entry)
    return found


def points_of(curves: Sequence[dict[str, Any]], name: str, what: str) -> Points:
    """The curve of a predictor over random parts."""
    mine = [c for c in curves if c["name"] == name and c["order"] == "random"]
    points = [(float(c["rows"]), float(c[f"{what}_mape_percent"])) for c in mine]
    return sorted(point for point in points if math.isfinite(point[1]))


def rows_for(points: Points, error: float) -> dict[str, Any]:
    """Rows for an error, how they were found, and both as text."""
    if not points or not math.isfinite(error):
        return _answer(None, "no curve", "-")
    if points[0][1] <= error:
        return _answer(points[0][0], "at most", f"<= {points[0][0]:.0f}")
    for (n, above), (more, below) in pairwise(points):
        if below <= error:
            share = math.log(above / error) / math.log(above / below)
            rows = n * (more / n) ** share
            return _answer(rows, "interpolated", f"{rows:.0f}")
    return _beyond(points, error)


def _beyond(points: Points, error: float) -> dict[str, Any]:
    last = points[-1][0]
    if len(points) > 2:
        n, errors = (np.log(np.array(column)) for column in zip(*points, strict=True))
        slope, start = np.polyfit(n, errors, 1)
        rows = math.exp(min(700.0, (math.log(error) - start) / slope)) if slope < 0 else math.inf
        if last < rows <= BEYOND * last:
            return _answer(rows, "extrapolated", f"> {last:.0f} (extrapolated {rows:,.0f})")
    return _answer(None, "not reached", f"> {last:.0f}")


def _answer(rows: float | None, how: str, text: str) -> dict[str, Any]:
    return {"rows": rows, "how": how, "text": text}


def _last(points: Points) -> float:
    return points[-1][1] if points else math.nan
