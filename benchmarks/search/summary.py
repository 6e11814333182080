"""Figures of many runs: medians and quartiles over seeds. Not run by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.search.cases import Case
from benchmarks.search.methods import Method
from benchmarks.search.runs import CHECKPOINTS, Scale, best_after, first_above

GOAL = 0.99
QUARTILES = (25, 50, 75)


def summarise(case: Case, scale: Scale, method: Method, runs: Sequence[dict[str, Any]]) -> Any:
    """One method on one case, ready for JSON."""
    goal = scale.floor + GOAL * (scale.top - scale.floor)
    reached = [first_above(run, goal) for run in runs]
    points = [n for n in CHECKPOINTS if n <= case.evaluations]
    return {
        "method": method.name,
        "what": method.what,
        "ours": method.ours,
        "seeds": len(runs),
        "score": {str(n): quartiles([scale(best_after(run, n)) for run in runs]) for n in points},
        "end": quartiles([scale(best_after(run, case.evaluations)) for run in runs]),
        "evaluations_to_goal": quartiles(reached),
        "reached_goal": int(np.isfinite(reached).sum()),
        "reached_goal_within": {
            str(n): int((np.array(reached) <= n).sum()) for n in (200, 400, 800)
        },
        "evaluations": quartiles([run["evaluations"] for run in runs]),
        "share_feasible": quartiles([run["feasible"] / run["evaluations"] for run in runs]),
        "ms_per_evaluation": quartiles(
            [1000 * run["cpu_seconds"] / run["evaluations"] for run in runs]
        ),
        "out_of_time": sum(run["out_of_time"] for run in runs),
    }


def quartiles(values: Sequence[float]) -> list[float]:
    """Lower quartile, median, upper quartile; each a value that occurred, so that inf may."""
    return [float(v) for v in np.percentile(values, QUARTILES, method="inverted_cdf")]


def best_known(optimum: dict[str, Any], runs: Sequence[dict[str, Any]], budget: int) -> float:
    """The best accuracy of a case that anything found: the solver or any run."""
    best: float = max([optimum["accuracy"], *(best_after(run, budget) for run in runs)])
    return best
