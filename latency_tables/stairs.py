"""Stairs: plateaus, right edges and step heights of latency along one width, as measured.

The curve is no plain step function: inside a plateau it rises gently, and at its right edge it may
fall. So what is segmented is the cost of having *at least* w channels (the smallest latency at w or
to its right), freed of the gentle slope; a right edge then is a width that nothing wider matches.
Where widths lie far apart, a rise between two of them may be one step, several or a slope: it ends
a plateau, and is called an edge only where it is much steeper than the sweep.
Knows nothing of the hardware: edges come from the points alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from latency_tables.resampling import draws
from latency_tables.steps import at_least, change_points, sigma_of, significant, unresolved, until
from latency_tables.sweeps import Floats, Sweep, sweep
from latency_tables.table import LatencyTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau:
    """Widths that cost about the same.

    Attributes:
        left, right: smallest and largest *measured* width on it.
        until: the largest width at which the plateau may end: `right`, unless widths behind it
            were not measured that could still be as fast.
        level_ms: latency at `right`.
        step_ms: how much more the next measured width costs at least; 0 for the last plateau.
        step_lo_ms, step_hi_ms: its 95 % interval.
        edge: a right edge lies in `right`..`until`. Else the plateau is the last one, or the rise
            behind it spans widths that were not measured, and may be more than one step.
        confidence: share of the sweeps that were as likely to be measured in which the step counts
            by the same rules; about a half where it barely does, 0 without an edge.
    """

    left: int
    right: int
    until: int
    level_ms: float
    step_ms: float
    step_lo_ms: float
    step_hi_ms: float
    edge: bool
    confidence: float

    @property
    def exact(self) -> bool:
        """The edge lies at `right` and not beyond."""
        return self.edge and self.until == self.right


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
    def edges(self) -> tuple[Plateau, ...]:
        """The plateaus that end in a right edge."""
        return tuple(plateau for plateau in self.plateaus if plateau.edge)

    @property
    def right_edges(self) -> tuple[int, ...]:
        """The widths of `edges`, and the last measured width, which ends the last plateau."""
        return (*(plateau.right for plateau in self.edges), self.plateaus[-1].right)

    @property
    def period(self) -> int | None:
        """Most frequent width of a plateau between two exact edges; None without any."""
        exact = [plateau.right if plateau.exact else None for plateau in self.plateaus]
        gaps = [b - a for a, b in pairwise(exact) if a is not None and b is not None]
        if not gaps:
            return None
        values, counts = np.unique(gaps, return_counts=True)
        return int(values[counts.argmax()])


def stairs(
    widths: npt.ArrayLike,
    medians: npt.ArrayLike,
    lo: npt.ArrayLike,
    hi: npt.ArrayLike,
    rounds: Sequence[Sequence[float]] | None = None,
) -> Staircase:
    """Finds the plateaus of a sweep by change points (optimal partitioning, Jackson et al. 2005).

    Args:
        widths: ascending widths, [n].
        medians: latency of each in ms, [n].
        lo, hi: its 95 % interval in ms, [n].
        rounds: its rounds in ms, freed of drift, any number each; they say how sure an edge is.
            By default the intervals do.

    Raises:
        ValueError: fewer than two points, widths that do not ascend, or lengths that differ.
    """
    w = np.asarray(widths, dtype=np.float64)
    y, low, high = (np.asarray(v, dtype=np.float64) for v in (medians, lo, hi))
    given = len(w) if rounds is None else len(rounds)
    alike = len(w) == len(y) == len(low) == len(high) == given
    if len(w) < 2 or not alike or (np.diff(w) <= 0).any():
        raise ValueError(
            "stairs need at least 2 ascending widths with as many medians, intervals and rounds, "
            f"got {len(w)} widths, {len(y)} medians, {len(low)} and {len(high)} bounds, "
            f"{given} rounds"
        )
    least = at_least(y)
    sigma = sigma_of(y, low, high)
    noise = 1.96 * np.sqrt(2) * sigma * least  # of a difference of two points
    slope = max(0.0, float(np.median(np.diff(least) / np.diff(w))))
    floors = significant(w, least, noise, slope, change_points(w, least, sigma, slope))
    drawn = at_least(draws(y, low, high, rounds, sigma))
    rises = np.diff(drawn, axis=1) - slope * np.diff(w)
    confidence = {i: float((rises[:, i - 1] >= floor).mean()) for i, floor in floors.items()}
    cuts = {*confidence, *unresolved(w, least, noise, slope)}
    ends = {i: until(w, y, noise, i) for i in cuts}
    return Staircase(
        plateaus=_plateaus(w, least, drawn, confidence, ends),
        noise_ms=float(np.median(noise)),
        slope_ms=slope,
    )


def stairs_of(found: Sweep) -> Staircase:
    """Stairs of a sweep, with its rounds."""
    rounds = [row.adjusted for row in found.rows]
    return stairs(found.widths, found.levels, found.lo, found.hi, rounds)


def staircase(table: LatencyTable, geometry: str, axis: str) -> Staircase:
    """Stairs of the longest sweep of `axis` in `geometry`.

    Raises:
        MissingShapeError: the table holds no such sweep; see `latency_tables.sweeps.sweep`.
    """
    return stairs_of(sweep(table, geometry, axis))


def _plateaus(
    w: Floats,
    least: Floats,
    drawn: Floats,
    confidence: Mapping[int, float],
    ends: Mapping[int, int],
) -> tuple[Plateau, ...]:
    """From one cut to the next.

    Args:
        least: cost of having at least each width.
        drawn: the same of sweeps as likely to be measured.
        confidence: of each edge, by where the next plateau begins.
        ends: how far each plateau may reach, by where the next one begins.
    """
    bounds = [0, *sorted(ends), len(w)]
    result = []
    for begin, end in pairwise(bounds):
        last = end == len(w)
        step = 0.0 if last else float(least[end] - least[end - 1])
        steps = np.zeros(1) if last else drawn[:, end] - drawn[:, end - 1]
        low, high = np.quantile(steps, (0.025, 0.975))
        result.append(
            Plateau(
                left=int(w[begin]),
                right=int(w[end - 1]),
                until=ends.get(end, int(w[-1])),
                level_ms=float(least[end - 1]),
                step_ms=step,
                step_lo_ms=min(float(low), step),
                step_hi_ms=max(float(high), step),
                edge=end in confidence,
                confidence=confidence.get(end, 0.0),
            )
        )
    return tuple(result)
