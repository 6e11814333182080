"""`Problem`: a search space with limits on what a config may cost.

Metrics are MACs, params and latency; a latency is the *upper bound* of a table's prediction,
so that what is accepted also meets the limit when measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from supernet.arithmetic import Rows
from supernet.space import SearchSpace

Floats = npt.NDArray[np.float64]
Metric = Callable[[Rows], npt.NDArray[np.float64] | Rows]
"""What each row of a population costs, [n]; growing in every width, up to measured steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """`metric` must not exceed `limit`."""

    metric: str
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What to search: space, metrics by name, and any number of limits on them."""

    space: SearchSpace
    metrics: Mapping[str, Metric]
    constraints: tuple[Constraint, ...]

    def costs(self, rows: Rows) -> dict[str, Floats]:
        """Every metric of every row, each [n]."""
        return {name: np.asarray(f(rows), dtype=np.float64) for name, f in self.metrics.items()}

    def violation(self, costs: Mapping[str, Floats]) -> Floats:
        """Summed relative excess over the limits, [n]; 0 where all hold."""
        excess = [np.maximum(costs[c.metric] / c.limit - 1, 0) for c in self.constraints]
        n = len(next(iter(costs.values())))
        return np.sum(excess, axis=0) if excess else np.zeros(n)
