"""`Chain`: a graph whose paths are the configs of a space, and the best path through it.

Between two bottlenecks a state says what those to come depend on: the stage's width, and how the
residual stream travels. An edge is one choice of a bottleneck's widths. Sums along a path are the
metrics. Knows nothing of limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.lattice import Index, Lattice
from search.problem import Floats
from search.terms import Scope, Terms, scopes

Path = list[int]
"""One edge per layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The edges of one bottleneck, sorted by source; all arrays are per edge.

    Attributes:
        source, target: states before and behind.
        cell: of the bottleneck's scope, which says the widths.
        starts: where the edges of each source begin, [states before].
        back: the edges sorted by target.
        back_starts: where those of each target begin in `back`, [states behind].
        shares: per metric, what the edge adds to its sum.
    """

    source: Index
    target: Index
    cell: Index
    starts: Index
    back: Index
    back_starts: Index
    shares: Mapping[str, Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """All configs of a lattice."""

    lattice: Lattice
    scopes: tuple[Scope, ...]
    layers: tuple[Layer, ...]

    @property
    def edges(self) -> int:
        """Number of edges."""
        return sum(len(layer.source) for layer in self.layers)

    def row(self, path: Sequence[int]) -> Index:
        """The index row of a path, [1, genes]."""
        row = self.lattice.smallest()
        for scope, layer, edge in zip(self.scopes, self.layers, path, strict=True):
            row[0, scope.genes] = np.unravel_index(layer.cell[edge], scope.sizes)
        return self.lattice.canonical(row)

    def behind(self, scores: Sequence[Floats]) -> list[Floats]:
        """Per boundary, the most that a path from each state to the end scores.

        Args:
            scores: per layer, of every edge: [edges], or [edges, k] for k scores at once.
        """
        found = [np.zeros((int(self.layers[-1].target.max()) + 1, *scores[-1].shape[1:]))]
        for layer, score in zip(reversed(self.layers), reversed(scores), strict=True):
            found.append(np.maximum.reduceat(score + found[-1][layer.target], layer.starts, axis=0))
        return found[::-1]

    def best(self, scores: Sequence[Floats]) -> tuple[float, Path]:
        """The highest score of a path, and a path that has it."""
        ahead = self.behind(scores)
        state, path = 0, []
        for layer, score, after in zip(self.layers, scores, ahead[1:], strict=True):
            start = int(layer.starts[state])
            more = state + 1 < len(layer.starts)
            stop = int(layer.starts[state + 1]) if more else len(layer.source)
            here = score[start:stop] + after[layer.target[start:stop]]
            edge = start + int(np.argmax(here))
            path.append(edge)
            state = int(layer.target[edge])
        return float(ahead[0][0]), path


def build(lattice: Lattice, terms: Mapping[str, Terms]) -> Chain:
    """The chain of a lattice with the sums of these metrics."""
    parts = scopes(lattice)
    bits = [name for name, found in terms.items() if found.out is not None]
    codes = np.zeros(1, dtype=np.int64)  # of the states: width * 2^bits + bits
    layers = []
    for scope in parts:
        layer, codes = _layer(lattice, scope, terms, bits, codes)
        layers.append(layer)
    return Chain(lattice=lattice, scopes=parts, layers=tuple(layers))


def _layer(
    lattice: Lattice, scope: Scope, terms: Mapping[str, Terms], bits: list[str], codes: Index
) -> tuple[Layer, Index]:
    """The edges from the states with these codes, and the codes of the states they reach."""
    width, kinds = np.divmod(codes, 1 << len(bits))
    choices, cells = scope.choices(), np.arange(scope.cells)
    if len(lattice.pairs):
        index = scope.index(lattice.smallest())
        cells = np.flatnonzero((lattice.canonical(index) == index).all(axis=1))
    # The first bottleneck of all has one source, whatever the stem; others begin at a width.
    before = choices[0][cells] if scope.known else np.zeros_like(cells)
    source, at = _equal(width, before)
    cell = cells[at]
    code, shares = choices[scope.after][cell], {}
    for name, found in terms.items():
        if found.out is None:
            shares[name] = found.cost[scope.number][cell, 0]
            continue
        bit = (kinds[source] >> (len(bits) - 1 - bits.index(name))) & 1
        shares[name] = found.cost[scope.number][cell, bit]
        code = 2 * code + found.out[scope.number][cell, bit]
    reached, target = np.unique(code, return_inverse=True)
    # Few states: small integers are sorted by counting.
    back = np.argsort(target.astype(np.min_scalar_type(len(reached))), kind="stable")
    layer = Layer(
        source=source,
        target=target,
        cell=cell,
        starts=np.searchsorted(source, np.arange(len(codes))),
        back=back,
        back_starts=np.searchsorted(target[back], np.arange(len(reached))),
        shares=shares,
    )
    return layer, reached


def _equal(wanted: Index, among: Index) -> tuple[Index, Index]:
    """Every pair of places where `wanted` equals the sorted `among`, by the first."""
    low = np.searchsorted(among, wanted, side="left")
    counts = np.searchsorted(among, wanted, side="right") - low
    source = np.repeat(np.arange(len(wanted)), counts)
    shift = np.repeat(low - (np.cumsum(counts) - counts), counts)
    return source, np.arange(len(source)) + shift
