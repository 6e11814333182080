"""`Prices`: a problem's metrics compiled for its space, so that populations are priced by gathers.

One table per bottleneck over the choices of its genes holds every metric; an index row is priced
by as many look-ups as it has bottlenecks. What is no sum over bottlenecks is asked as it is.
"""

from __future__ import annotations

import numpy as np

from search.lattice import Index, Lattice
from search.problem import Floats, Problem
from search.terms import ROUNDING, Scope, Terms, scopes, tabulate_all

_CHUNK = 4096  # rows whose intermediate arrays stay in the cache


class Prices:
    """Prices of index rows of a problem's lattice.

    Attributes:
        problem: what is priced.
        lattice: the grid of its space.
        terms: the tables of every metric that has them.
    """

    def __init__(self, problem: Problem, lattice: Lattice | None = None) -> None:
        """Compiles; tens of milliseconds for a ResNet50.

        Raises:
            SearchError: the space is too large to be tabulated.
            MissingShapeError: the space reaches beyond what a latency table measured.
        """
        self.problem = problem
        self.lattice = lattice or Lattice(problem.space)
        self.scopes = scopes(self.lattice)
        self.terms = tabulate_all(problem.metrics, self.lattice)

    def costs(self, index: Index) -> dict[str, Floats]:
        """Every metric of every row, each [n]; as `Problem.costs` up to the last bits."""
        return self._costs(index, tuple(self.problem.metrics))

    def excess(self, index: Index) -> Floats:
        """As `Problem.excess`, [n]; rows within rounding of a limit are asked of the metrics."""
        problem = self.problem
        limited = tuple(dict.fromkeys(c.metric for c in problem.constraints))
        if not limited or not len(index):
            return np.zeros(len(index))
        costs = self._costs(index, limited)
        excess = problem.violation(costs)
        edges = [(c.metric, edge) for c in problem.constraints for edge in c.edges]
        near = np.any([np.abs(costs[m] - e) <= ROUNDING * abs(e) for m, e in edges], axis=0)
        if near.any():
            excess[near] = problem.excess(self.lattice.rows(index[near]))
        return excess

    def _costs(self, index: Index, names: tuple[str, ...]) -> dict[str, Floats]:
        tabled = [self.terms[name] for name in names if name in self.terms]
        totals = np.zeros((len(tabled), len(index)))
        for at in range(0, len(index), _CHUNK):
            columns = np.ascontiguousarray(index[at : at + _CHUNK].T, dtype=np.intp)
            _gather(self.scopes, tabled, columns, totals[:, at : at + _CHUNK])
        found = {}
        done = iter(totals)
        for name in names:
            if name in self.terms:
                found[name] = self.terms[name].total(next(done))
            else:
                metric = self.problem.metrics[name]
                found[name] = np.asarray(metric(self.lattice.rows(index)), dtype=np.float64)
        return found


def _gather(scopes: tuple[Scope, ...], tabled: list[Terms], columns: Index, into: Floats) -> None:
    """Adds the terms of index columns [genes, n] to `into`, [metrics, n]."""
    n = columns.shape[1]
    bits = [np.zeros(n, dtype=np.intp) if terms.out is not None else None for terms in tabled]
    looked_up = np.empty(n)
    for number, scope in enumerate(scopes):
        cell = columns[scope.genes[0]]
        for gene, size in zip(scope.genes[1:], scope.sizes[1:], strict=True):
            cell = cell * size + columns[gene]
        for at, terms in enumerate(tabled):
            bit, place = bits[at], cell
            if bit is not None and terms.out is not None:
                place = 2 * cell + bit
                bits[at] = terms.out[number].ravel().take(place).astype(np.intp)
            # "clip" spares the buffer that "raise" needs; no place lies outside.
            terms.cost[number].ravel().take(place, out=looked_up, mode="clip")
            into[at] += looked_up
