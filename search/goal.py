"""`Goal`: the least of a metric among configs whose estimate reaches a floor.

Searchers maximise one number. So they are told a merit: the estimate as long as it is below the
floor, and from there on what is saved. What they are told is not kept: histories hold estimates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from search.problem import Problem, SearchError
from search.searcher import Candidate
from supernet.arithmetic import encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Least `metric` with an estimate of at least `floor`.

    Attributes:
        most: the metric's cost of the dense network; sets the scale of what is saved.
    """

    metric: str
    floor: float
    most: float

    @classmethod
    def of(cls, problem: Problem, metric: str, floor: float) -> Goal:
        """The goal of a problem.

        Raises:
            SearchError: an unknown metric, or a floor that is not finite.
        """
        if metric not in problem.metrics:
            raise SearchError(
                f"a goal must be one of {', '.join(problem.metrics)}, but got {metric!r}"
            )
        if not math.isfinite(floor):
            raise SearchError(f"the estimate to reach must be finite, but got {floor}")
        dense = encode([problem.space.network.dense()])
        return cls(metric=metric, floor=floor, most=float(problem.costs(dense)[metric][0]))

    def told(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Candidates with merits in place of their estimates."""
        return [replace(c, estimate=self._merit(c)) for c in candidates]

    def pick(self, candidates: Sequence[Candidate], k: int) -> list[Candidate]:
        """Up to `k` scored candidates: the cheapest that reach the floor, then the best others."""
        known = [c for c in candidates if c.estimate is not None]
        return sorted(known, key=lambda c: -(self._merit(c) or 0.0))[:k]

    def _merit(self, candidate: Candidate) -> float | None:
        if candidate.estimate is None or candidate.estimate < self.floor:
            return candidate.estimate
        unit = abs(self.floor) or 1.0
        return self.floor + unit * (1 - candidate.costs[self.metric] / self.most)
