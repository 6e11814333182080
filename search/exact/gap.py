"""How far a search result is from the proved optimum of its accuracy."""

from __future__ import annotations

from dataclasses import dataclass

from search.exact.solve import Solution, Solver
from search.problem import Metric, SearchError
from supernet.arithmetic import encode
from supernet.config import ChannelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A config beside the optimum.

    Attributes:
        value: accuracy of the config.
        bound: what no config within the limits exceeds.
        optimum: the best config and what is proved of it.
    """

    value: float
    bound: float
    optimum: Solution

    @property
    def absolute(self) -> float:
        """Accuracy that the config may be missing, at most."""
        return max(0.0, self.bound - self.value)

    @property
    def relative(self) -> float:
        """The same as a share of the bound; 0 where the bound is 0."""
        return self.absolute / abs(self.bound) if self.bound else 0.0


def optimality_gap(solver: Solver, accuracy: Metric, config: ChannelConfig) -> Gap:
    """The gap of a searcher's result, by the accuracy that it was to maximise.

    Raises:
        ConfigError: the config lies outside the space.
        SearchError: it breaks a limit; or see `Solver.best`.
    """
    problem = solver.problem
    problem.space.check(config)
    rows = encode([config])
    if problem.excess(rows)[0]:
        costs = {name: float(cost[0]) for name, cost in problem.costs(rows).items()}
        slack = problem.slack(costs).items()
        broken = ", ".join(f"{name} by {-left:.6g}" for name, left in slack if left < 0)
        raise SearchError(f"a gap is that of a config within the limits, this breaks {broken}")
    optimum = solver.best(accuracy)
    if optimum is None:
        raise SearchError("a config within the limits was given, yet none was found")
    return Gap(value=float(accuracy(rows)[0]), bound=optimum.bound, optimum=optimum)
