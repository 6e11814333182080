"""`Budget`: the only way to an accuracy. It counts, keeps the best feasible one, and stops in time.

Every method pays for each config that it has scored, feasible or not; prices are free. Knows
nothing of methods. Not run by itself; see `benchmarks.search`.
"""

from __future__ import annotations

import math
import time

import numpy as np

from benchmarks.search.cases import Case
from search.lattice import Index
from search.problem import Floats


class Spent(Exception):
    """All evaluations were made, or the time is over."""


class Budget:
    """Evaluations of one run.

    Attributes:
        trace: best feasible accuracy after each evaluation; -inf before any.
        feasible: how many evaluated configs met every limit.
        late: whether the time ended before the evaluations did.
    """

    def __init__(self, case: Case, seconds: float = math.inf) -> None:
        self.case = case
        self.trace: list[float] = []
        self.feasible = 0
        self.late = False
        self._end = time.monotonic() + seconds

    def score(self, index: Index) -> Floats:
        """Accuracies of index rows, [n].

        Raises:
            Spent: after these, or part of them, nothing is left.
        """
        left = self.case.evaluations - len(self.trace)
        values, fits = self.case.oracle(index), self.case.feasible(index)
        best = self.trace[-1] if self.trace else -math.inf
        for value, fit in zip(values[:left].tolist(), fits[:left].tolist(), strict=True):
            best = max(best, value) if fit else best
            self.trace.append(best)
            self.feasible += fit
        if len(index) >= left:
            raise Spent
        self.check()
        return values

    def check(self) -> None:
        """Raises Spent when the time is over."""
        if time.monotonic() > self._end:
            self.late = True
            raise Spent

    def shares(self, index: Index) -> Floats:
        """Costs over limits, [n, limits]; 1 is the most. Free of charge."""
        problem, rows = self.case.problem, self.case.lattice.rows(index)
        return np.stack(
            [
                np.asarray(problem.metrics[c.metric](rows), dtype=np.float64) / c.limit
                for c in problem.constraints
            ],
            axis=1,
        )
