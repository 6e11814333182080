"""Why nothing meets the limits: which of them binds, and the nearest that can be reached.

Proved in up to three steps: each limit alone against the cheapest config; all of them together
against a weighted sum that no config brings low enough (the dual); then by exhausting the chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from search.exact.dual import least
from search.exact.solve import Solver
from search.problem import Constraint
from search.terms import ROUNDING
from supernet.config import ChannelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """No config meets the limits.

    Attributes:
        binding: a limit that cannot be met while `given` are kept.
        reachable: of its metric the nearest to the limit that can be reached, `given` kept.
        config: attains it.
        given: the other limits, or none where `binding` cannot be met even alone.
        weights: where a weighted sum of the limited metrics, each in units of its limit, is the
            proof: the weights by metric, summing to 1.
    """

    binding: Constraint
    reachable: float
    config: ChannelConfig
    given: tuple[Constraint, ...] = ()
    weights: dict[str, float] | None = None

    def __str__(self) -> str:
        c, low = self.binding, self.reachable < self.binding.floor
        rule = f"{c.metric} >= {c.floor:.12g}" if low else f"{c.metric} <= {c.limit:.12g}"
        kept = f" with {' and '.join(map(str, self.given))}" if self.given else ""
        end = "largest" if low else "smallest"
        return (
            f"no config of the space{kept} has {rule}; the {end} reachable is "
            f"{self.reachable:.12g}, by {self.config.to_json()}"
        )


def prove(solver: Solver) -> list[Proof]:
    """Every limit that cannot be met alone, else one that cannot be met beside the others.

    Empty where some config meets them all.

    Raises:
        SearchError: neither a config nor a proof was found with the labels allowed.
    """
    limits = solver.problem.constraints
    if alone := [proof for c in limits if (proof := _alone(solver, c)) is not None]:
        return alone
    task, order = solver.program([np.zeros(len(la.cell)) for la in solver.chain.layers])
    dual = least(task)
    if dual.bound > -np.inf:
        if not limits or solver.cheapest(limits[0].metric) is not None:
            return []
        return [_together(solver, limits, None)]
    weights: dict[str, float] = {}
    for side, weight in zip(order, dual.prices.tolist(), strict=True):
        weights[side.name] = weights.get(side.name, 0.0) + weight
    ranked = sorted(limits, key=lambda c: -weights[c.metric])
    return [_together(solver, ranked, weights)]


def _alone(solver: Solver, constraint: Constraint) -> Proof | None:
    """The proof that a limit or a floor cannot be met whatever the others are."""
    metric, problem = constraint.metric, solver.problem
    low, row = solver.reachable(metric)
    if low > constraint.limit * (1 + ROUNDING):
        return Proof(binding=constraint, reachable=low, config=solver.lattice.configs(row)[0])
    if constraint.floor:
        shares = [layer.shares[metric] for layer in solver.chain.layers]
        row = solver.chain.row(solver.chain.best(shares)[1])
        high = float(problem.metrics[metric](solver.lattice.rows(row))[0])
        if high < constraint.floor * (1 - ROUNDING):
            return Proof(binding=constraint, reachable=high, config=solver.lattice.configs(row)[0])
    return None


def _together(
    solver: Solver, ranked: Sequence[Constraint], weights: dict[str, float] | None
) -> Proof:
    """A limit without which the others can be met, the heaviest first; else the heaviest alone."""
    for c in ranked:
        given = tuple(other for other in solver.problem.constraints if other is not c)
        rest = solver.under(replace(solver.problem, constraints=given))
        found = rest.cheapest(c.metric)
        if found is not None and found.value <= c.limit:
            found = rest.dearest(c.metric)
        if found is not None:
            return Proof(
                binding=c, reachable=found.value, config=found.config, given=given, weights=weights
            )
    low, row = solver.reachable(ranked[0].metric)
    config = solver.lattice.configs(row)[0]
    return Proof(binding=ranked[0], reachable=low, config=config, weights=weights)
