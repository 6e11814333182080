"""Whether any config meets the limits, answered before anything expensive starts.

Metrics that are sums over bottlenecks, as MACs, params and the latency of a table are, are answered
exactly, with a proof (`search.exact.proof`). Of any other metric, the smallest cost is the best of
a descent from the smallest config; a space small enough to be listed is answered exactly too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np

from search.exact.proof import Proof, prove
from search.exact.solve import Solver
from search.lattice import Index, Lattice, is_small
from search.problem import Constraint, Floats, Metric, Problem, SearchError
from supernet.config import ChannelConfig

LISTED = 2**14
_WINDOW = 8
_MOVES = 64


class InfeasibleError(SearchError):
    """No config meets the limits.

    Attributes:
        unmet: the limits that cannot be met at all; empty when only their conjunction fails.
        reachable: per metric, its smallest reachable cost and a config that attains it.
        nearest: the config with the smallest summed relative excess that was found.
        proofs: why; empty where no config was found, but none proved to be absent either.
    """

    def __init__(
        self,
        message: str,
        *,
        unmet: tuple[Constraint, ...],
        reachable: dict[str, tuple[float, ChannelConfig]],
        nearest: ChannelConfig,
        proofs: tuple[Proof, ...] = (),
    ) -> None:
        super().__init__(message)
        self.proofs = proofs
        self.unmet = unmet
        self.reachable = reachable
        self.nearest = nearest


def reachable(problem: Problem) -> dict[str, tuple[float, ChannelConfig]]:
    """Per metric, the smallest cost, or the smallest found, and a config that attains it."""
    return _reachable(problem, Lattice(problem.space), _solver(problem))


def anchor(problem: Problem, lattice: Lattice) -> tuple[float, Index]:
    """The smallest excess over all limits that was found, and its row [1, genes]; 0 if feasible."""
    smallest = lattice.smallest()
    if not problem.excess(lattice.rows(smallest))[0]:
        return 0.0, smallest
    return _anchor(problem, lattice, _solver(problem))


def check(problem: Problem) -> None:
    """Returns when some config meets every limit.

    Raises:
        InfeasibleError: names each limit that cannot be met and what can be reached instead.
    """
    lattice = Lattice(problem.space)
    if not problem.excess(lattice.rows(lattice.smallest()))[0]:
        return
    solver = _solver(problem)
    excess, row = _anchor(problem, lattice, solver)
    if not excess:
        return
    nearest, reach = lattice.configs(row)[0], _reachable(problem, lattice, solver)
    unmet = tuple(c for c in problem.constraints if reach[c.metric][0] > c.limit)
    proofs: list[Proof] = []
    if solver is not None:
        proofs = _proofs(solver)
        message = "; ".join(map(str, proofs))
        unmet = tuple(proof.binding for proof in proofs if not proof.given)
    else:
        message = _unproved(problem, reach, unmet)
    if not unmet:
        costs = problem.costs(lattice.rows(row))
        message = (
            "each limit can be met alone, but no config "
            + ("meets all of " if proofs else "was found that meets all of ")
            + ", ".join(map(str, problem.constraints))
            + (f": {message}" if message else "")
            + "; the nearest has "
            + ", ".join(f"{c.metric} {costs[c.metric][0]:.12g}" for c in problem.constraints)
            + f" ({excess:.2%} over in sum), by {nearest.to_json()}"
        )
    raise InfeasibleError(
        message, unmet=unmet, reachable=reach, nearest=nearest, proofs=tuple(proofs)
    )


def _proofs(solver: Solver) -> list[Proof]:
    """None where a proof would take more labels than allowed."""
    try:
        return prove(solver)
    except SearchError:
        return []


def _unproved(
    problem: Problem,
    reach: dict[str, tuple[float, ChannelConfig]],
    unmet: tuple[Constraint, ...],
) -> str:
    return "; ".join(
        f"no config of the space has {c.metric} <= {c.limit:.12g}; the smallest reachable "
        f"is {reach[c.metric][0]:.12g}, by {reach[c.metric][1].to_json()}"
        for c in unmet
    )


def _solver(problem: Problem) -> Solver | None:
    """For exact answers; None where a limited metric or the size of the space forbids them."""
    try:
        return Solver(problem)
    except SearchError:
        return None


def _reachable(
    problem: Problem, lattice: Lattice, solver: Solver | None
) -> dict[str, tuple[float, ChannelConfig]]:
    found = {}
    for name, metric in problem.metrics.items():
        exact = solver is not None and name in solver.terms
        cost, row = solver.reachable(name) if exact and solver else _cheapest(lattice, metric)
        found[name] = (cost, lattice.configs(row)[0])
    return found


def _anchor(problem: Problem, lattice: Lattice, solver: Solver | None) -> tuple[float, Index]:
    """The best of descents from the cheapest configs and the largest; a proved one if they fail."""
    cheapest = [config for _, config in _reachable(problem, lattice, solver).values()]
    starts = [lattice.index([config]) for config in cheapest]
    if any(c.floor for c in problem.constraints):
        starts.append(lattice.largest() // 2)
    price = solver.prices.excess if solver else lambda index: problem.excess(lattice.rows(index))
    best = min((_least(lattice, price, start) for start in starts), key=lambda pair: pair[0])
    if best[0] and solver is not None and problem.constraints:
        with suppress(SearchError):
            found = solver.cheapest(problem.constraints[0].metric)
            if found is not None:
                return 0.0, lattice.index([found.config])
    return best


def _cheapest(lattice: Lattice, metric: Metric) -> tuple[float, Index]:
    return _least(lattice, lambda index: np.asarray(metric(lattice.rows(index)), dtype=np.float64))


def _least(
    lattice: Lattice, objective: Callable[[Index], Floats], start: Index | None = None
) -> tuple[float, Index]:
    """The least objective and its row: exact on a listed lattice, else by coordinate descent."""
    if is_small(lattice, LISTED):
        everything = lattice.everything()
        values = objective(everything)
        at = int(np.argmin(values))
        return float(values[at]), everything[at : at + 1]
    row = lattice.smallest() if start is None else start
    value = float(objective(row)[0])
    for _ in range(_MOVES):
        moves = _moves(lattice, row[0])
        values = objective(moves)
        at = int(np.argmin(values))
        if not values[at] < value:
            break
        value, row = float(values[at]), moves[at : at + 1]
    return value, row


def _moves(lattice: Lattice, row: Index) -> Index:
    """Rows that differ from `row` in one gene, by up to `_WINDOW` choices either way."""
    steps = np.array([s for s in range(-_WINDOW, _WINDOW + 1) if s])
    genes = len(row)
    moved = np.broadcast_to(row, (genes, len(steps), genes)).copy()
    each = np.arange(genes)
    moved[each, :, each] += steps
    flat = moved.reshape(-1, genes)
    legal = ((flat >= 0) & (flat < lattice.sizes)).all(axis=1)
    kept = lattice.canonical(flat[legal])
    return kept if len(kept) else row[None]
