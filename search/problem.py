"""`Problem`: a search space with limits on what a config may cost.

Metrics are MACs, params and latency; a latency is the *upper bound* of a table's prediction,
so that what is accepted also meets the limit when measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from supernet.arithmetic import Rows
from supernet.space import SearchSpace

Floats = npt.NDArray[np.float64]
Metric = Callable[[Rows], npt.NDArray[np.float64] | Rows]
"""What each row of a population costs, [n]; growing in every width, up to measured steps."""


class SearchError(ValueError):
    """A search that cannot be run as asked; the message names the field and the valid choices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """`metric` must not exceed `limit`, nor fall below `floor`: a band, where that is above 0."""

    metric: str
    limit: float
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.limit) and self.limit > 0):
            raise SearchError(f"limit of {self.metric} must be finite and > 0, got {self.limit}")
        if not 0 <= self.floor <= self.limit:
            raise SearchError(
                f"0 <= floor <= limit must hold for {self.metric}, but got floor {self.floor} "
                f"and limit {self.limit}"
            )

    @property
    def edges(self) -> tuple[float, ...]:
        """The values at which it begins or ceases to hold."""
        return (self.floor, self.limit) if self.floor else (self.limit,)

    def __str__(self) -> str:
        low = f"{self.floor:.12g} <= " if self.floor else ""
        return f"{low}{self.metric} <= {self.limit:.12g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What to search: space, metrics by name, and any number of limits on them."""

    space: SearchSpace
    metrics: Mapping[str, Metric]
    constraints: tuple[Constraint, ...]

    def __post_init__(self) -> None:
        if not self.metrics:
            raise SearchError("a problem needs at least one metric, but got none")
        for constraint in self.constraints:
            if constraint.metric not in self.metrics:
                raise SearchError(
                    f"a limit must be on one of {', '.join(self.metrics)}, "
                    f"but got {constraint.metric!r}"
                )

    def costs(self, rows: Rows) -> dict[str, Floats]:
        """Every metric of every row, each [n]."""
        return {name: np.asarray(f(rows), dtype=np.float64) for name, f in self.metrics.items()}

    def violation(self, costs: Mapping[str, Floats]) -> Floats:
        """Summed relative excess over the limits and shortfall of floors, [n]; 0 where all hold."""
        excess = [np.maximum(costs[c.metric] / c.limit - 1, 0) for c in self.constraints]
        bands = [c for c in self.constraints if c.floor]
        excess += [np.maximum(1 - costs[c.metric] / c.floor, 0) for c in bands]
        n = len(next(iter(costs.values())))
        return np.sum(excess, axis=0) if excess else np.zeros(n)

    def slack(self, costs: Mapping[str, float]) -> dict[str, float]:
        """What each limited metric of a config leaves unused, in its own unit; < 0 where it breaks.

        Of several limits on a metric, and of a limit and a floor, the tighter counts.
        """
        found: dict[str, float] = {}
        for c in self.constraints:
            sides = [c.limit - costs[c.metric]]
            if c.floor:
                sides.append(costs[c.metric] - c.floor)
            found[c.metric] = min(found.get(c.metric, math.inf), *sides)
        return found

    def excess(self, rows: Rows) -> Floats:
        """`violation` of each row, [n], pricing only what is limited."""
        limited = {c.metric: self.metrics[c.metric] for c in self.constraints}
        costs = {name: np.asarray(f(rows), dtype=np.float64) for name, f in limited.items()}
        return self.violation(costs) if costs else np.zeros(len(rows))
