"""The Pareto front of accuracy against one metric, each point proved, under the other limits.

One limit after another is set on the metric, each below what the last optimum cost (epsilon
constraint; Haimes et al. 1971).
"""

from __future__ import annotations

from dataclasses import replace

from search.exact.solve import Solution, Solver
from search.problem import Constraint, Metric, SearchError
from search.terms import ROUNDING

MOST_POINTS = 10_000


def front(
    solver: Solver, accuracy: Metric, metric: str, *, step: float = 0.0, most: int = MOST_POINTS
) -> list[Solution]:
    """Optima from the most accurate down to the cheapest; empty where nothing is within the limits.

    Args:
        solver: of the problem; its own limits hold for every point.
        step: relative distance in `metric` from one point to the limit of the next. 0: the whole
            front. Above 0: whatever is within the limits, some point is as accurate and costs at
            most 1 / (1 - step) times as much.
        most: points at most; the front ends early there.

    Raises:
        SearchError: see `Solver.best`; or a step that is not in [0, 1).
    """
    if not 0 <= step < 1:
        raise SearchError(f"0 <= step < 1 must hold, but got {step}")
    solver.require(metric)
    points: list[Solution] = []
    limited = solver
    while len(points) < most and (found := limited.best(accuracy)) is not None:
        cost = found.costs[metric]
        if points and found.value >= points[-1].value:
            points.pop()  # as accurate, and cheaper
        points.append(found)
        # Rounding apart, a cost must fall for a point to be another one.
        below = cost * (1 - max(step, 2 * ROUNDING))
        if below <= 0:
            break
        tighter = Constraint(metric=metric, limit=below)
        limits = (*solver.problem.constraints, tighter)
        limited = solver.under(replace(solver.problem, constraints=limits))
    return points
