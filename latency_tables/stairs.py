"""Stairs: plateaus, right edges and step heights of latency along one width, as measured.

The curve is no plain step function: inside a plateau it rises gently, and at its right edge it may
fall. So what is segmented is the cost of having *at least* w channels (the smallest latency at w or
to its right), freed of the gentle slope; a right edge then is a width that nothing wider matches.
Knows nothing of the hardware: edges come from the points alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import ruptures

from latency_tables.sweeps import Floats, sweep
from latency_tables.table import LatencyTable

FLOOR = 0.002  # no timer and no machine repeats better than this, relative
SHARE = 0.5  # a step lower than this share of the typical one is part of the plateau's slope
STEEP = 1.5  # a step is steeper than this many times the sweep's mean rise per channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau:
    """Widths that cost about the same.

    Attributes:
        left, right: smallest and largest *measured* width on it.
        level_ms: latency at the right edge.
        step_ms: how much more the next measured width costs at least; 0 for the last plateau.
        exact: the width right + 1 was measured, so the edge lies at `right` and not beyond.
    """

    left: int
    right: int
    level_ms: float
    step_ms: float
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Staircase:
    """Plateaus of one sweep from left to right.

    Attributes:
        noise_ms: the smallest difference of two points that counts as one.
        slope_ms: rise per channel inside the plateaus.
    """

    plateaus: tuple[Plateau, ...]
    noise_ms: float
    slope_ms: float

    @property
    def right_edges(self) -> tuple[int, ...]:
        """Largest width of every plateau; the last measured width ends the last one."""
        return tuple(plateau.right for plateau in self.plateaus)

    @property
    def period(self) -> int | None:
        """Most frequent distance between right edges, or None with fewer than two steps."""
        gaps = np.diff(self.right_edges)
        if len(gaps) < 2:
            return None
        values, counts = np.unique(gaps, return_counts=True)
        return int(values[counts.argmax()])


def stairs(
    widths: npt.ArrayLike, medians: npt.ArrayLike, lo: npt.ArrayLike, hi: npt.ArrayLike
) -> Staircase:
    """Finds the plateaus of a sweep by change points (PELT, Killick et al. 2012).

    Args:
        widths: ascending widths, [n].
        medians: latency of each in ms, [n].
        lo, hi: its 95 % interval in ms, [n].

    Raises:
        ValueError: fewer than two points, widths that do not ascend, or lengths that differ.
    """
    w = np.asarray(widths, dtype=np.float64)
    y, low, high = (np.asarray(v, dtype=np.float64) for v in (medians, lo, hi))
    if len(w) < 2 or not len(w) == len(y) == len(low) == len(high) or (np.diff(w) <= 0).any():
        raise ValueError(
            "stairs need at least 2 ascending widths with as many medians and intervals, "
            f"got {len(w)} widths, {len(y)} medians, {len(low)} and {len(high)} bounds"
        )
    least = np.minimum.accumulate(y[::-1])[::-1]
    sigma = _sigma(w, y, low, high)
    noise = 1.96 * np.sqrt(2) * sigma * least  # of a difference of two points
    slope = max(0.0, float(np.median(np.diff(least) / np.diff(w))))
    cuts = _significant(w, least, noise, slope, _change_points(w, least, sigma, slope))
    return Staircase(
        plateaus=_plateaus(w, least, cuts),
        noise_ms=float(np.median(noise)),
        slope_ms=slope,
    )


def staircase(table: LatencyTable, geometry: str, axis: str) -> Staircase:
    """Stairs of the longest sweep of `axis` in `geometry`.

    Raises:
        MissingShapeError: the table holds no such sweep; see `latency_tables.sweeps.sweep`.
    """
    found = sweep(table, geometry, axis)
    return stairs(found.widths, found.levels, found.lo, found.hi)


def _sigma(w: Floats, y: Floats, low: Floats, high: Floats) -> float:
    """Relative standard error of a point.

    A few disturbed rounds blow intervals up, so no more is believed than the points scatter;
    the median absolute deviation of their differences is blind to the few that are steps.
    """
    interval = float(np.median((high - low) / (2 * 1.96 * y)))
    rises = np.diff(y) / y[:-1]
    scatter = float(np.median(np.abs(rises - np.median(rises)))) / 0.6745 / np.sqrt(2)
    return max(FLOOR, min(interval, scatter) if len(y) > 3 else interval)


def _change_points(w: Floats, least: Floats, sigma: float, slope: float) -> list[int]:
    """Indices where a new segment begins, ascending, under noise `sigma` (relative)."""
    level = (least - slope * (w - w[0])) / least.mean()
    penalty = 2 * sigma**2 * np.log(len(w))
    fitted = ruptures.Pelt(model="l2", min_size=1, jump=1).fit(level[:, None])
    return [int(index) for index in fitted.predict(pen=penalty)[:-1]]


def _significant(
    w: Floats, least: Floats, noise: Floats, slope: float, candidates: list[int]
) -> list[int]:
    """Change points whose step exceeds the noise and is no mere part of the slope."""
    rise = {i: least[i] - least[i - 1] - slope * (w[i] - w[i - 1]) for i in candidates}
    mean = (least[-1] - least[0]) / (w[-1] - w[0])
    # Between far points much is gained anyway: where they jump cannot be told from a slope.
    beyond = {i: r for i, r in rise.items() if r > max(noise[i], STEEP * mean * (w[i] - w[i - 1]))}
    if not beyond:
        return []
    # The typical step is the one at which half of the whole rise is reached (as N50 is).
    heights = np.sort(np.array(list(beyond.values())))[::-1]
    typical = heights[np.searchsorted(heights.cumsum(), heights.sum() / 2)]
    return [i for i, r in beyond.items() if r >= SHARE * typical]


def _plateaus(w: Floats, least: Floats, cuts: list[int]) -> tuple[Plateau, ...]:
    ends = [*cuts, len(w)]
    result = []
    for begin, end in zip([0, *cuts], ends, strict=True):
        last = end == len(w)
        result.append(
            Plateau(
                left=int(w[begin]),
                right=int(w[end - 1]),
                level_ms=float(least[end - 1]),
                step_ms=0.0 if last else float(least[end] - least[end - 1]),
                exact=not last and w[end] == w[end - 1] + 1,
            )
        )
    return tuple(result)
