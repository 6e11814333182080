"""Metrics as sums of terms, one per bottleneck, tabulated over what its genes may be.

A bottleneck's term depends on the widths before it, inside it and after it, and at most on one bit
that the bottleneck before hands on (`Walked`). Any other function of population rows is taken apart
by asking it: bottleneck after bottleneck leaves the largest net, and what changes is its term.
Whether the terms then add up is checked on random rows. Knows nothing of limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from search.lattice import Index, Lattice
from search.problem import Floats, Metric, SearchError
from supernet.arithmetic import Rows

Mask = npt.NDArray[np.bool_]
MOST_CELLS = 1 << 20  # of all terms; a ResNet50 of 31 widths per tied gene needs 2^17
ROUNDING = 1e-9  # relative; sums in another order differ by less
_PROBES = 256


@runtime_checkable
class Walked(Protocol):
    """A metric that gives its own terms; see `search.metrics.Latency`."""

    def __call__(self, rows: Rows) -> Floats: ...

    def term(self, number: int, rows: Rows) -> tuple[Floats, Mask]:
        """Share of bottleneck `number` in rows and the bit handed on, [n, 2] by the bit coming.

        Both [n, 1] where no bit matters.
        """

    def total(self, sums: Floats) -> Floats:
        """From sums to the metric, rising."""

    def sum_at(self, cost: float) -> float:
        """The largest sum whose `total` is `cost`."""


@runtime_checkable
class Tabled(Protocol):
    """A metric that tabulates itself; see `search.exact.accuracy.Additive`."""

    def __call__(self, rows: Rows) -> Floats: ...

    def shares(self, scope: Scope) -> Floats:
        """Share of one bottleneck in every cell, [cells]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The genes that one bottleneck's term depends on, the grid of their choices flattened.

    Attributes:
        number: of the bottleneck, from 0.
        genes: the width before (first of a stage only), the width after, the inner widths.
        sizes: number of choices of each.
        known: leading genes that earlier bottlenecks had already.
        after: which of the genes is the width behind it.
    """

    number: int
    genes: tuple[int, ...]
    sizes: tuple[int, ...]
    known: int
    after: int

    @property
    def cells(self) -> int:
        """Size of the grid."""
        return int(np.prod(self.sizes))

    def index(self, start: Index) -> Index:
        """Copies of row `start` [1, genes], one per cell, with its choices, [cells, genes]."""
        rows = np.broadcast_to(start, (self.cells, start.shape[1])).copy()
        for gene, choices in zip(self.genes, self.choices(), strict=True):
            rows[:, gene] = choices
        return rows

    def rows(self, lattice: Lattice) -> Rows:
        """Population rows of all cells, every other gene at its largest, [cells, columns]."""
        start = lattice.largest()
        if len(lattice.pairs):
            return lattice.rows(self.index(start))
        columns = lattice.rows(start)[0]
        rows = np.broadcast_to(columns[:, None], (len(columns), self.cells)).copy()
        for gene, choices in zip(self.genes, self.choices(), strict=True):
            rows[lattice.space.columns == gene] = np.asarray(lattice.choices[gene])[choices]
        return rows.T  # by columns, as terms read them

    def choices(self) -> Index:
        """The choice of every gene in every cell, [genes, cells]; by the first gene, rising."""
        return np.indices(self.sizes).reshape(len(self.sizes), -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """One metric on one lattice.

    Attributes:
        metric: what was tabulated.
        cost: per bottleneck the share of every cell, [cells, 1], or [cells, 2] by the bit coming.
        out: the bit handed on, likewise; None where no bit matters.
    """

    metric: Metric
    cost: tuple[Floats, ...]
    out: tuple[Mask, ...] | None

    def total(self, sums: Floats) -> Floats:
        """From sums of terms to the metric."""
        return self.metric.total(sums) if isinstance(self.metric, Walked) else sums

    def sum_at(self, cost: float) -> float:
        """The largest sum of terms at which the metric is `cost`."""
        return self.metric.sum_at(cost) if isinstance(self.metric, Walked) else cost


def scopes(lattice: Lattice) -> tuple[Scope, ...]:
    """One per bottleneck, in order.

    Raises:
        SearchError: the grids are too large to be tabulated.
    """
    network, inner = lattice.space.network, 1 if lattice.space.tied else 2
    found = []
    for number, (stage, at) in enumerate(network.positions()):
        first = 1 + len(network.depths) + inner * number
        outer = (stage, stage + 1) if at == 0 else (stage + 1,)
        genes = (*outer, *range(first, first + inner))
        sizes = tuple(int(lattice.sizes[gene]) for gene in genes)
        found.append(
            Scope(
                number=number,
                genes=genes,
                sizes=sizes,
                known=int(number > 0),
                after=len(outer) - 1,
            )
        )
    if (cells := sum(scope.cells for scope in found)) > MOST_CELLS:
        raise SearchError(
            f"a space is tabulated with at most {MOST_CELLS} cells, but has {cells}; "
            "narrow it or tie the inner widths"
        )
    return tuple(found)


def tabulate(metric: Metric, lattice: Lattice) -> Terms | None:
    """The terms of a metric; None where it is no sum of such terms.

    Raises:
        SearchError: see `scopes`.
        MissingShapeError: the space reaches beyond what a latency table measured.
    """
    return tabulate_all({"": metric}, lattice).get("")


def tabulate_all(metrics: Mapping[str, Metric], lattice: Lattice) -> dict[str, Terms]:
    """The terms of every metric that is a sum of such terms; errors as of `tabulate`."""
    parts = scopes(lattice)
    walked = {name: metric for name, metric in metrics.items() if isinstance(metric, Walked)}
    asked = _ask(walked, lattice, parts)
    rng = np.random.default_rng(0)
    probes = np.concatenate([lattice.draw(rng, _PROBES, 1.0), lattice.smallest()])
    found = {}
    for name, metric in metrics.items():
        if isinstance(metric, Tabled):
            shares = tuple(metric.shares(scope)[:, None] for scope in parts)
            found[name] = Terms(metric=metric, cost=shares, out=None)
            continue
        terms = asked[name] if name in asked else _take_apart(metric, lattice)
        if _adds_up(terms, lattice, parts, probes):
            found[name] = terms
    return found


def _adds_up(terms: Terms, lattice: Lattice, parts: tuple[Scope, ...], index: Index) -> bool:
    metric = terms.metric
    truth = np.asarray(metric(lattice.rows(index)), dtype=np.float64)
    found = terms.total(sums(terms, parts, index))
    return np.allclose(found, truth, rtol=ROUNDING, atol=0)


def sums(terms: Terms, parts: tuple[Scope, ...], index: Index) -> Floats:
    """Summed terms of index rows, [n]."""
    total, bit = np.zeros(len(index)), np.zeros(len(index), dtype=np.intp)
    for at, scope in enumerate(parts):
        cell = np.ravel_multi_index(tuple(index[:, scope.genes].T), scope.sizes)
        total += terms.cost[at][cell, bit]
        if terms.out is not None:
            bit = terms.out[at][cell, bit].astype(np.intp)
    return total


def _ask(
    metrics: Mapping[str, Walked], lattice: Lattice, parts: tuple[Scope, ...]
) -> dict[str, Terms]:
    """The terms that metrics give of themselves; bottleneck by bottleneck, to keep memory small."""
    cost: dict[str, list[Floats]] = {name: [] for name in metrics}
    out: dict[str, list[Mask]] = {name: [] for name in metrics}
    for scope in parts if metrics else ():
        rows = scope.rows(lattice)
        for name, metric in metrics.items():
            share, leaving = metric.term(scope.number, rows)
            cost[name].append(np.ascontiguousarray(share))
            out[name].append(np.ascontiguousarray(leaving))
    return {name: _terms(metric, cost[name], out[name]) for name, metric in metrics.items()}


def _terms(metric: Walked, cost: list[Floats], out: list[Mask]) -> Terms:
    if all((share[:, 0] == share[:, -1]).all() for share in cost):
        return Terms(metric=metric, cost=tuple(share[:, :1].copy() for share in cost), out=None)
    return Terms(metric=metric, cost=tuple(cost), out=tuple(out))


def _take_apart(metric: Metric, lattice: Lattice) -> Terms:
    """Telescoping: each term is what its genes change once all bottlenecks before are set."""
    cost = []
    for scope in scopes(lattice):
        index = scope.index(lattice.largest())
        share = np.asarray(metric(lattice.rows(index)), dtype=np.float64)
        if scope.known:
            before = np.repeat(lattice.largest(), scope.sizes[0], axis=0)
            before[:, scope.genes[0]] = np.arange(scope.sizes[0])
            base = np.asarray(metric(lattice.rows(before)), dtype=np.float64)
            share = share - np.repeat(base, scope.cells // scope.sizes[0])
        cost.append(share[:, None])
    return Terms(metric=metric, cost=tuple(cost), out=None)
