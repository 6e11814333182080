"""`Solver`: proved optima of a problem whose metrics and accuracy are sums over bottlenecks.

Most accuracy under the limits, or least of a metric above an accuracy; with a bound, and what one
more unit of each limit would buy. Why nothing fits is said by `search.exact.proof`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from search.exact.chain import Chain, build
from search.exact.dual import Program, least
from search.exact.labels import search
from search.exact.sides import Side, program, sides, unit_prices
from search.lattice import Index
from search.prices import Prices
from search.problem import Floats, Metric, Problem, SearchError
from search.terms import ROUNDING, Terms, tabulate
from supernet.arithmetic import Rows, decode
from supernet.config import ChannelConfig

MOST = 1_000_000  # labels at a time: at most a GB, with their origins
ACCURACY = "accuracy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A config and how good it can be at most.

    Attributes:
        value: its accuracy, or the cost that was to be least.
        costs: every metric.
        slack: per limited metric, what is left of it; see `Problem.slack`.
        bound: no config within the limits has a better value.
        shadow_prices: per limited metric, what one more unit of its limit is worth at the optimum
            of the relaxed problem (the Lagrange multiplier): accuracy, or saved cost. 0: it does
            not bind.
        accuracy_price: where a cost was least: cost of one more unit of accuracy.
        labels: how many partial configs were looked at.
    """

    config: ChannelConfig
    value: float
    costs: dict[str, float]
    slack: dict[str, float]
    bound: float
    shadow_prices: dict[str, float]
    accuracy_price: float
    labels: int

    @property
    def gap(self) -> float:
        """How much better than `value` an optimum could be; 0 where it is one."""
        return abs(self.bound - self.value)

    @property
    def proved(self) -> bool:
        """Whether it is an optimum, up to rounding."""
        return self.gap <= ROUNDING * max(abs(self.value), abs(self.bound))


class Solver:
    """A problem compiled for exact answers.

    Attributes:
        problem: what is solved.
        prices: its metrics, compiled.
        lattice: the grid of its space.
        terms: its metrics, tabulated; those that are no sums over bottlenecks are missing.
    """

    def __init__(self, problem: Problem, most: int = MOST, prices: Prices | None = None) -> None:
        """Compiles: a fraction of a second for a ResNet50.

        Args:
            most: partial configs kept at a time; where more are needed, answers have a gap.
            prices: of the problem, where they are compiled already.

        Raises:
            SearchError: a limited metric is no sum over bottlenecks, or the space is too large.
            MissingShapeError: the space reaches beyond what a latency table measured.
        """
        self.problem, self.most = problem, most
        self.prices = prices or Prices(problem)
        self.lattice, self.terms = self.prices.lattice, self.prices.terms
        self._least: dict[str, tuple[float, Index]] = {}
        for constraint in problem.constraints:
            self.require(constraint.metric)

    @cached_property
    def chain(self) -> Chain:
        """The space as a graph."""
        return build(self.lattice, self.terms)

    def require(self, name: str) -> Terms:
        """The terms of a metric.

        Raises:
            SearchError: unknown, or no sum over bottlenecks.
        """
        if name not in self.problem.metrics:
            raise SearchError(
                f"metric must be one of {', '.join(self.problem.metrics)}, but got {name!r}"
            )
        if name not in self.terms:
            raise SearchError(f"{name} is no sum over bottlenecks, which an exact answer needs")
        return self.terms[name]

    def best(self, accuracy: Metric) -> Solution | None:
        """The most accurate config within the limits; None where none is within them.

        Raises:
            SearchError: the accuracy is no sum over bottlenecks; or with the labels allowed
                nothing was found, nor proved to be absent.
        """
        gain = self._gain(accuracy)
        return self._solve(gain, (), lambda value: value, lambda row: _one(accuracy, row))

    def cheapest(
        self, metric: str, accuracy: Metric | None = None, at_least: float = 0.0
    ) -> Solution | None:
        """The config of least `metric` within the limits, with an accuracy of `at_least` if given.

        Errors and None as of `best`.
        """
        terms = self.require(metric)
        gain = [-layer.shares[metric] for layer in self.chain.layers]
        floors: tuple[Side, ...] = ()
        if accuracy is not None:
            if not np.isfinite(at_least):
                raise SearchError(f"at_least must be finite, but got {at_least}")
            shares = tuple(self._gain(accuracy))
            floors = (Side(name=ACCURACY, sign=-1, edge=at_least, shares=shares),)
        return self._solve(
            gain,
            floors,
            lambda value: float(terms.total(np.array([-value]))[0]),
            lambda row: _one(self.problem.metrics[metric], row),
        )

    def dearest(self, metric: str) -> Solution | None:
        """The config of most `metric` within the limits; errors and None as of `best`."""
        terms = self.require(metric)
        return self._solve(
            [layer.shares[metric] for layer in self.chain.layers],
            (),
            lambda value: float(terms.total(np.array([value]))[0]),
            lambda row: _one(self.problem.metrics[metric], row),
        )

    def program(
        self, gain: Sequence[Floats], floors: Sequence[Side] = (), inward: float = 0.0
    ) -> tuple[Program, list[Side]]:
        """The path problem of a gain per edge, and its limits in order."""
        limits = sides(self.chain, self.terms, self.problem.constraints, inward) + list(floors)
        return program(self.chain, gain, limits), limits

    def under(self, problem: Problem) -> Solver:
        """The same for a problem that differs in its limits only; nothing is compiled again."""
        other = copy(self)
        other.problem = problem
        for constraint in problem.constraints:
            other.require(constraint.metric)
        return other

    def reachable(self, metric: str) -> tuple[float, Index]:
        """The smallest cost of any config, limits aside, and its index row [1, genes]."""
        self.require(metric)
        if metric not in self._least:
            _, path = self.chain.best([-layer.shares[metric] for layer in self.chain.layers])
            row = self.chain.row(path)
            self._least[metric] = _one(self.problem.metrics[metric], self.lattice.rows(row)), row
        return self._least[metric]

    def _gain(self, accuracy: Metric) -> list[Floats]:
        terms = tabulate(accuracy, self.lattice)
        if terms is None or terms.out is not None:
            raise SearchError("the accuracy is no sum over bottlenecks, as exact answers need")
        return [
            terms.cost[scope.number][layer.cell, 0]
            for scope, layer in zip(self.chain.scopes, self.chain.layers, strict=True)
        ]

    def _solve(
        self,
        gain: Sequence[Floats],
        floors: Sequence[Side],
        shown: Callable[[float], float],
        value: Callable[[Rows], float],
        inward: float = 0.0,
    ) -> Solution | None:
        """Solves, and asks the metrics themselves about what was found."""
        task, limits = self.program(gain, floors, inward)
        dual = least(task)
        if dual.bound == -np.inf:
            return None
        found = search(task, dual, self.most)
        if found.path is None:
            if found.bound > -np.inf:
                raise SearchError(
                    f"with {self.most} labels no config was found, nor proved to be absent; "
                    "allow more"
                )
            return None
        rows = self.lattice.rows(self.chain.row(found.path))
        if not inward and self.problem.excess(rows)[0]:
            # Over by the rounding of another order of summation: aim a little lower.
            return self._solve(gain, floors, shown, value, ROUNDING)
        costs = {name: float(cost[0]) for name, cost in self.problem.costs(rows).items()}
        prices = unit_prices(limits, dual.prices)
        return Solution(
            config=decode(self.problem.space.network, rows[0]),
            value=value(rows),
            costs=costs,
            slack=self.problem.slack(costs),
            bound=shown(found.bound),
            shadow_prices={name: price for name, price in prices.items() if name != ACCURACY},
            accuracy_price=-prices[ACCURACY] if ACCURACY in prices else 0.0,
            labels=found.labels,
        )


def _one(metric: Metric, rows: Rows) -> float:
    return float(metric(rows)[0])
