"""Whether any config meets the limits, answered before anything expensive starts.

MACs and params grow with every width, so their smallest reachable cost is exact. A measured
latency may rise where a width falls, so its smallest cost is the best of a descent from the
smallest config; a space small enough to be listed is answered exactly.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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
    """

    def __init__(
        self,
        message: str,
        *,
        unmet: tuple[Constraint, ...],
        reachable: dict[str, tuple[float, ChannelConfig]],
        nearest: ChannelConfig,
    ) -> None:
        super().__init__(message)
        self.unmet = unmet
        self.reachable = reachable
        self.nearest = nearest


def reachable(problem: Problem) -> dict[str, tuple[float, ChannelConfig]]:
    """Per metric, the smallest cost found and a config that attains it."""
    lattice = Lattice(problem.space)
    found = {}
    for name, metric in problem.metrics.items():
        cost, row = _cheapest(lattice, metric)
        found[name] = (cost, lattice.configs(row)[0])
    return found


def anchor(problem: Problem, lattice: Lattice) -> tuple[float, Index]:
    """The smallest excess over all limits that was found, and its row [1, genes]; 0 if feasible."""
    smallest = lattice.smallest()
    if not problem.excess(lattice.rows(smallest))[0]:
        return 0.0, smallest
    starts = [lattice.index([config]) for _, config in reachable(problem).values()]
    best = min((_excess(problem, lattice, start) for start in starts), key=lambda pair: pair[0])
    return best


def check(problem: Problem) -> None:
    """Returns when some config meets every limit.

    Raises:
        InfeasibleError: names each limit that cannot be met and what can be reached instead.
    """
    lattice = Lattice(problem.space)
    excess, row = anchor(problem, lattice)
    if not excess:
        return
    nearest = lattice.configs(row)[0]
    reach = reachable(problem)
    unmet = tuple(c for c in problem.constraints if reach[c.metric][0] > c.limit)
    if unmet:
        message = "; ".join(
            f"no config of the space has {c.metric} <= {c.limit:.12g}; the smallest reachable "
            f"is {reach[c.metric][0]:.12g}, by {reach[c.metric][1].to_json()}"
            for c in unmet
        )
    else:
        costs = problem.costs(lattice.rows(row))
        message = (
            "each limit can be met alone, but no config was found that meets all of "
            + ", ".join(f"{c.metric} <= {c.limit:.12g}" for c in problem.constraints)
            + "; the nearest has "
            + ", ".join(f"{c.metric} {costs[c.metric][0]:.12g}" for c in problem.constraints)
            + f" ({excess:.2%} over in sum), by {nearest.to_json()}"
        )
    raise InfeasibleError(message, unmet=unmet, reachable=reach, nearest=nearest)


def _cheapest(lattice: Lattice, metric: Metric) -> tuple[float, Index]:
    return _least(lattice, lambda index: np.asarray(metric(lattice.rows(index)), dtype=np.float64))


def _excess(problem: Problem, lattice: Lattice, start: Index) -> tuple[float, Index]:
    return _least(lattice, lambda index: problem.excess(lattice.rows(index)), start)


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
