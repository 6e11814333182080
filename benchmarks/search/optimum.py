"""The true optimum of a case by mixed-integer programming, with its proof or its bound.

Limits and oracle are sums over genes and pairs of genes (`benchmarks.search.tables`). One binary
variable says which width a gene has, one continuous variable which widths a pair has. HiGHS solves
it through scipy.
Not run by itself; see `benchmarks.search`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from benchmarks.search.cases import Case
from benchmarks.search.tables import Decomposed, decompose
from search.lattice import Index, Lattice
from search.problem import Floats, Metric


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """The best config that was found, its accuracy, and what none can exceed.

    Attributes:
        index: the row, [1, genes].
        bound: proved upper bound of the accuracy of every feasible config.
        worst: largest relative error of the decomposed limits.
    """

    index: Index
    accuracy: float
    bound: float
    worst: float

    @property
    def proved(self) -> bool:
        """Whether nothing better exists, up to the solver's tolerance."""
        return self.bound - self.accuracy <= 1e-5 * abs(self.accuracy)


def solve(case: Case, seconds: float = 60.0) -> Optimum:
    """The optimum, or the best of `seconds` with its bound."""
    problem, lattice = case.problem, case.lattice
    limited = {c.metric: problem.metrics[c.metric] for c in problem.constraints}
    costs = {name: decompose(_priced(metric, lattice), lattice) for name, metric in limited.items()}
    value = decompose(case.oracle, lattice)
    pairs = sorted({p for d in (*costs.values(), value) for p in d.pairs})
    layout = _Layout(lattice.sizes, pairs)
    limits = [
        (layout.vector(costs[c.metric]), c.limit - costs[c.metric].constant)
        for c in problem.constraints
    ]
    found = milp(
        -layout.vector(value),
        constraints=[
            *layout.consistent(),
            *(LinearConstraint((v / u)[None], -np.inf, 1.0) for v, u in limits),
        ],
        integrality=layout.integrality,
        bounds=Bounds(0, 1),
        options={"time_limit": seconds, "mip_rel_gap": 1e-6},
    )
    if found.x is None:
        raise RuntimeError(f"{case.name}: no config within {seconds} s: {found.message}")
    index = layout.row(found.x)
    return Optimum(
        index=index,
        accuracy=float(case.oracle(index)[0]),
        bound=value.constant - float(found.mip_dual_bound),
        worst=max(d.worst for d in costs.values()),
    )


def _priced(metric: Metric, lattice: Lattice) -> Callable[[Index], Floats]:
    return lambda index: np.asarray(metric(lattice.rows(index)), dtype=np.float64)


class _Layout:
    """Where each variable of the program lies: choices of genes, then of pairs."""

    def __init__(self, sizes: Index, pairs: list[tuple[int, int]]) -> None:
        self.sizes, self.pairs = sizes, pairs
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        areas = [int(sizes[a] * sizes[b]) for a, b in pairs]
        self.offsets = self.starts[-1] + np.concatenate([[0], np.cumsum(areas)]).astype(int)
        self.integrality = np.zeros(self.offsets[-1])
        self.integrality[: self.starts[-1]] = 1

    def vector(self, function: Decomposed) -> Floats:
        """Its tables as coefficients of the variables."""
        result = np.zeros(self.offsets[-1])
        for gene, size in enumerate(self.sizes):
            result[self.starts[gene] : self.starts[gene + 1]] = function.genes[gene, :size]
        for number, pair in enumerate(self.pairs):
            if pair in function.pairs:
                table = function.pairs[pair].ravel()
                result[self.offsets[number] : self.offsets[number + 1]] = table
        return result

    def consistent(self) -> list[LinearConstraint]:
        """One width per gene; a pair has the widths that its genes have."""
        rows: list[int] = []
        columns: list[int] = []
        values: list[float] = []
        right: list[float] = []

        def equation(plus: Index, minus: Index, total: float) -> None:
            rows.extend([len(right)] * (len(plus) + len(minus)))
            columns.extend([*plus, *minus])
            values.extend([1.0] * len(plus) + [-1.0] * len(minus))
            right.append(total)

        nothing = np.zeros(0, dtype=np.int64)
        for gene in range(len(self.sizes)):
            equation(np.arange(self.starts[gene], self.starts[gene + 1]), nothing, 1.0)
        for number, (one, two) in enumerate(self.pairs):
            shape = (self.sizes[one], self.sizes[two])
            grid = np.arange(self.offsets[number], self.offsets[number + 1]).reshape(shape)
            for choice in range(shape[0]):
                equation(grid[choice], np.array([self.starts[one] + choice]), 0.0)
            for choice in range(shape[1]):
                equation(grid[:, choice], np.array([self.starts[two] + choice]), 0.0)
        matrix = sparse.csr_array(
            (values, (rows, columns)), shape=(len(right), int(self.offsets[-1]))
        )
        return [LinearConstraint(matrix, right, right)]

    def row(self, solution: Floats) -> Index:
        """The config of a solution as an index row, [1, genes]."""
        bounds = zip(self.starts[:-1], self.starts[1:], strict=True)
        return np.array([[int(np.argmax(solution[a:b])) for a, b in bounds]])
