"""`stairprune search exact`: the proved optimum of a job's search, and how far its best is from it.

Proved is what is best by an additive accuracy: the objective itself where that is additive (MACs),
else a model fitted to everything the search has scored, with its own error beside it. That error,
not the gap, then says how much to trust the optimum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table

if TYPE_CHECKING:
    from search.exact.solve import Solution, Solver
    from search.history import History
    from search.problem import Metric, Problem

_FOLDS = 5
_FEWEST = 10  # scored configs; fewer say nothing of 20 genes


def describe(
    problem: Problem, history: History, objective: str, metric: str | None, step: float
) -> dict[str, Any]:
    """Optimum, gap, shadow prices and, for a `metric`, the front, as JSON-able data.

    Args:
        metric: cost of the front; None for no front.
        step: relative distance between points of the front, in [0, 1).

    Raises:
        SearchError: too little was scored, nothing is within the limits, or no such metric.
    """
    from search.exact.front import front
    from search.exact.gap import optimality_gap
    from search.exact.solve import Solver
    from search.problem import SearchError

    if history.best is None:
        raise SearchError("nothing was scored yet, so there is nothing to compare")
    solver = Solver(problem)
    accuracy, error = _accuracy(solver, history, objective)
    gap = optimality_gap(solver, accuracy, history.best.config)
    found: dict[str, Any] = {
        "accuracy": objective
        if error is None
        else f"additive model of {len(history.scored)} scores",
        "left_out_error": error,
        "best": {"config": history.best.config.to_json(), "value": gap.value},
        "optimum": _solution(gap.optimum),
        "gap": {"absolute": gap.absolute, "relative": gap.relative, "bound": gap.bound},
    }
    if metric is not None:
        points = front(solver, accuracy, metric, step=step)
        found["front"] = {"metric": metric, "points": [_solution(point) for point in points]}
    return found


def _accuracy(solver: Solver, history: History, objective: str) -> tuple[Metric, float | None]:
    """What is maximised and, if fitted, its error at left-out configs per deviation of scores."""
    from search.exact.accuracy import Fit
    from search.metrics import Macs
    from search.problem import SearchError

    if objective == "macs":
        return Macs(network=solver.problem.space.network), None
    scored = [c for c in history.scored if c.config in solver.lattice.space]
    if len(scored) < _FEWEST:
        raise SearchError(f"a fit needs >= {_FEWEST} scored configs, but got {len(scored)}")
    index = solver.lattice.index([c.config for c in scored])
    scores = np.array([c.estimate for c in scored], dtype=np.float64)
    fold, left = np.arange(len(scored)) % _FOLDS, np.empty(len(scored))
    for number in range(_FOLDS):
        out = fold == number
        mean = Fit(solver.lattice, index[~out], scores[~out]).mean()
        left[out] = mean(solver.lattice.rows(index[out]))
    deviation = float(scores.std()) or 1.0
    error = float(np.sqrt(np.mean((left - scores) ** 2))) / deviation
    return Fit(solver.lattice, index, scores).mean(), error


def _solution(found: Solution) -> dict[str, Any]:
    return {
        "config": found.config.to_json(),
        "value": found.value,
        "bound": found.bound,
        "proved": found.proved,
        "costs": found.costs,
        "slack": found.slack,
        "shadow_prices": found.shadow_prices,
    }


def render(found: dict[str, Any]) -> RenderableType:
    """The same for a person.

    Args:
        found: as `describe` gives it.
    """
    optimum, gap = found["optimum"], found["gap"]
    lines = [f"accuracy: {found['accuracy']}"]
    if found["left_out_error"] is not None:
        lines.append(
            f"the model errs by {found['left_out_error']:.0%} of the scores' deviation at configs "
            "left out: trust the optimum no further than that"
        )
    lines += [
        f"best of the search {found['best']['value']:.6g}, optimum {optimum['value']:.6g}"
        + (" (proved)" if optimum["proved"] else f" (at most {optimum['bound']:.6g})")
        + f": the search misses at most {gap['absolute']:.6g} ({gap['relative']:.2%})",
        f"optimum: {optimum['config']}",
    ]
    table = Table()
    for column in ("limit on", "optimum has", "left", "one more unit is worth"):
        table.add_column(column, justify="right")
    for name, left in optimum["slack"].items():
        price = optimum["shadow_prices"].get(name, 0.0)
        table.add_row(
            name, f"{optimum['costs'][name]:,.6g}", f"{left:,.6g}", f"{price:.3g}" if price else "0"
        )
    return Group(*lines, table, *_front(found))


def _front(found: dict[str, Any]) -> list[RenderableType]:
    if "front" not in found:
        return []
    points = found["front"]["points"]
    table = Table(title=f"proved front of accuracy against {found['front']['metric']}")
    costs = list(points[0]["costs"]) if points else []
    for column in ("accuracy", *costs):
        table.add_column(column, justify="right")
    for point in points:
        table.add_row(f"{point['value']:.6g}", *(f"{point['costs'][c]:,.6g}" for c in costs))
    return [table]
