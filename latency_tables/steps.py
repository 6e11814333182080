"""Where along a sweep the cost of having at least so many channels jumps, and by how much at least.

Change points under the measured noise, and which of them count as steps. Knows nothing of tables;
`latency_tables.stairs` makes plateaus of them.
"""

from __future__ import annotations

import numpy as np

from latency_tables.resampling import FLOOR
from latency_tables.sweeps import Floats

SHARE = 0.5  # a step lower than this share of the typical one is part of the plateau's slope
STEEP = 1.5  # a step is steeper than this many times the sweep's mean rise per channel


def at_least(y: Floats) -> Floats:
    """The smallest latency at a width or to its right, along the last axis."""
    least: Floats = np.minimum.accumulate(y[..., ::-1], axis=-1)[..., ::-1]
    return least


def sigma_of(y: Floats, low: Floats, high: Floats) -> float:
    """Relative standard error of a point.

    A few disturbed rounds blow intervals up, so no more is believed than the points scatter;
    the median absolute deviation of their differences is blind to the few that are steps.
    """
    interval = float(np.median((high - low) / (2 * 1.96 * y)))
    rises = np.diff(y) / y[:-1]
    scatter = float(np.median(np.abs(rises - np.median(rises)))) / 0.6745 / np.sqrt(2)
    return max(FLOOR, min(interval, scatter) if len(y) > 3 else interval)


def change_points(w: Floats, least: Floats, sigma: float, slope: float) -> list[int]:
    """Indices where a new segment begins, ascending, under noise `sigma` (relative)."""
    level = (least - slope * (w - w[0])) / least.mean()
    return partition(level, 2 * sigma**2 * np.log(len(w)))


def partition(y: Floats, penalty: float) -> list[int]:
    """Where to cut `y` so that squares about the segments' means, plus `penalty` a cut, are least.

    Exact, by dynamic programming over all ends (optimal partitioning, Jackson et al. 2005; PELT
    finds the same). A sweep has hundreds of points, and numpy alone keeps the statistics package
    that has PELT, and a second of imports, out of the server.

    Returns:
        Indices where a new segment begins, ascending, without 0.
    """
    sums = np.concatenate([[0.0], (y - y.mean()).cumsum()])
    squares = np.concatenate([[0.0], ((y - y.mean()) ** 2).cumsum()])
    best, begins = np.zeros(len(y) + 1), np.zeros(len(y) + 1, dtype=np.int64)
    for end in range(1, len(y) + 1):
        inside = squares[end] - squares[:end]
        inside = inside - (sums[end] - sums[:end]) ** 2 / np.arange(end, 0, -1)
        costs = best[:end] + inside + penalty * (np.arange(end) > 0)
        begins[end] = costs.argmin()
        best[end] = costs[begins[end]]
    cuts, end = [], int(begins[-1])
    while end:
        cuts.append(end)
        end = int(begins[end])
    return cuts[::-1]


def significant(
    w: Floats, least: Floats, noise: Floats, slope: float, candidates: list[int]
) -> dict[int, float]:
    """Change points whose step exceeds the noise and is no mere part of the slope.

    Returns:
        For each, what a step must exceed there to count, beyond the slope, in ms.
    """
    gap = {i: float(w[i] - w[i - 1]) for i in candidates}
    rise = {i: float(least[i] - least[i - 1]) - slope * gap[i] for i in candidates}
    mean = float((least[-1] - least[0]) / (w[-1] - w[0]))
    # Between far points much is gained anyway: where they jump cannot be told from a slope.
    needed = {i: max(float(noise[i]), STEEP * mean * gap[i]) for i in candidates}
    beyond = {i: r for i, r in rise.items() if r > needed[i]}
    # For the same reason steps are held against those located at least as well.
    typical = {
        size: _typical([r for i, r in beyond.items() if gap[i] <= size])
        for size in {gap[i] for i in beyond}
    }
    floors = {i: max(needed[i], SHARE * typical[gap[i]]) for i in beyond}
    return {i: floor for i, floor in floors.items() if rise[i] >= floor}


def _typical(steps: list[float]) -> float:
    """The height at which half of the whole rise is reached (as N50 is)."""
    heights = np.sort(np.array(steps))[::-1]
    return float(heights[np.searchsorted(heights.cumsum(), heights.sum() / 2)])


def unresolved(w: Floats, least: Floats, noise: Floats, slope: float) -> list[int]:
    """Indices behind widths that were not measured, over which the cost rises."""
    gap = np.diff(w)
    rise = np.diff(least) - slope * gap
    return [int(i) + 1 for i in np.flatnonzero((gap > 1) & (rise > noise[1:]))]


def until(w: Floats, y: Floats, noise: Floats, end: int) -> int:
    """Largest width at which the right edge may lie that was found before index `end`.

    Nothing that was measured matches the width before `end`. What was not measured might, as far
    as the most efficient widths, which lie on the lower convex hull of the points, do.
    """
    level = y[end - 1 :].min() + noise[end - 1]
    asked = np.arange(w[end - 1] + 1, w[-1])
    hull = np.interp(asked, *_lower_hull(w, y))
    open_to = asked[(hull <= level) & ~np.isin(asked, w)]
    return int(max(w[end] - 1, open_to.max(initial=0)))


def _lower_hull(w: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Corners of the lower convex hull of the points (Andrew 1979)."""
    corners: list[int] = []
    for i in range(len(w)):
        while len(corners) > 1:
            a, b = corners[-2:]
            if (y[b] - y[a]) * (w[i] - w[a]) < (y[i] - y[a]) * (w[b] - w[a]):
                break
            corners.pop()
        corners.append(i)
    return w[corners], y[corners]
