"""`Lattice`: a search space as a grid of small integers.

Gene g at index i has width `choices[g][i]`, so that "one width narrower" is index - 1 and whole
populations move by array arithmetic. Knows nothing of costs or limits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from search.problem import SearchError
from supernet.arithmetic import Rows, decode
from supernet.config import ChannelConfig
from supernet.space import SearchSpace

Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Key = tuple[int, ...]
"""One index row, hashable. Canonical rows of equal configs have equal keys."""


class Lattice:
    """Index rows [n, genes] of a space, and their widths.

    Attributes:
        choices: widths per gene, without those that no legal network has.
        sizes: number of choices per gene, [genes].
        pairs: where the inner widths are untied and a block may be removed, the columns of its
            two genes, [removable blocks, 2]; index 0 of either removes both.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        choices, self.pairs = _legal(space)
        self.sizes = np.array([len(widths) for widths in choices], dtype=np.int64)
        self._table = np.zeros((len(choices), self.sizes.max()), dtype=np.int64)
        for gene, widths in enumerate(choices):
            self._table[gene, : len(widths)] = widths
        self.choices = choices

    @property
    def log2_size(self) -> float:
        """Binary logarithm of the number of index rows."""
        return float(np.log2(self.sizes).sum())

    def smallest(self) -> Index:
        """The row with every gene at its smallest width, [1, genes]."""
        return np.zeros((1, len(self.sizes)), dtype=np.int64)

    def narrowest(self) -> Index:
        """`smallest`, but with every block present that need not be removed, [1, genes]."""
        return np.array([(self._table[:, 0] == 0) & (self.sizes > 1)], dtype=np.int64)

    def largest(self) -> Index:
        """The row with every gene at its largest width, [1, genes]."""
        return np.array([self.sizes - 1], dtype=np.int64)

    def canonical(self, index: Index) -> Index:
        """The rows with half-removed blocks removed whole."""
        if not len(self.pairs):
            return index
        result = index.copy()
        gone = (index[:, self.pairs] == 0).any(axis=2)
        row, block = np.nonzero(gone)
        result[row[:, None], self.pairs[block]] = 0
        return result

    def rows(self, index: Index) -> Rows:
        """Population rows, as the metrics take them."""
        genes = self._table[np.arange(len(self.sizes)), index]
        if len(self.pairs):
            return self.space.rows(genes)
        # No block's two genes may be 0 apart: nothing to put right. Contiguous, so that a metric
        # sums in the same order here as for encoded configs.
        return np.ascontiguousarray(genes[:, self.space.columns])

    def configs(self, index: Index) -> list[ChannelConfig]:
        """One config per row."""
        return [decode(self.space.network, row) for row in self.rows(index)]

    def index(self, configs: Sequence[ChannelConfig]) -> Index:
        """Index rows of configs that lie in the space."""
        if not configs:
            return np.zeros((0, len(self.sizes)), dtype=np.int64)
        return self.nearest(self.space.genes(configs))

    def nearest(self, genes: Rows) -> Index:
        """Gene widths as index rows, each width at its nearest choice; a tie goes down."""
        columns = []
        for widths, wanted in zip(self.choices, genes.T, strict=True):
            column = np.asarray(widths)
            above = np.searchsorted(column, wanted).clip(1, max(len(column) - 1, 1))
            above = above.clip(max=len(column) - 1)
            below = np.maximum(above - 1, 0)
            nearer = np.abs(column[above] - wanted) < np.abs(column[below] - wanted)
            columns.append(np.where(nearer, above, below))
        return np.stack(columns, axis=1).astype(np.int64)

    def keys(self, index: Index) -> list[Key]:
        """One key per row, equal for equal configs."""
        return [tuple(row) for row in self.canonical(index).tolist()]

    def unkey(self, keys: Iterable[Key]) -> Index:
        """The inverse of `keys`.

        Raises:
            SearchError: a key that is no row of this lattice.
        """
        rows = np.array(list(keys), dtype=np.int64).reshape(-1, len(self.sizes))
        if ((rows < 0) | (rows >= self.sizes)).any():
            raise SearchError(f"an index row has {self.sizes.tolist()} choices per gene")
        return rows

    def draw(self, rng: np.random.Generator, n: int, tilt: float = 0.0) -> Index:
        """`n` random rows; with `tilt`, each row leans to narrow or to wide as a whole.

        Independent uniform genes almost never give a net that is narrow (or wide) throughout;
        `tilt` is the deviation of the logarithm of the exponent that makes them.
        """
        uniform = rng.random((n, len(self.sizes)))
        exponent = np.exp(tilt * rng.standard_normal((n, 1)))
        index = (uniform**exponent * self.sizes).astype(np.int64)
        return self.canonical(np.minimum(index, self.sizes - 1))

    def neighbours(self, index: Index) -> Index:
        """Every row one choice away from a given row in one gene (or in one removed pair)."""
        unit = np.eye(len(self.sizes), dtype=np.int64)
        both = unit[self.pairs].sum(axis=1) if len(self.pairs) else unit[:0]
        steps = np.concatenate([unit, -unit, both])
        moved = (index[:, None] + steps).reshape(-1, len(self.sizes))
        legal = ((moved >= 0) & (moved < self.sizes)).all(axis=1)
        return self.canonical(moved[legal])

    def everything(self) -> Index:
        """Every distinct row; only for lattices that were checked to be small."""
        grid = np.indices(tuple(self.sizes)).reshape(len(self.sizes), -1).T
        return np.unique(self.canonical(np.ascontiguousarray(grid)), axis=0)


def _legal(space: SearchSpace) -> tuple[list[tuple[int, ...]], Index]:
    """Choices per gene, without a 0 that its partner cannot join, and the removable pairs."""
    choices = list(space.choices)
    first = 1 + len(space.network.depths)
    pairs = []
    if not space.tied:
        for gene in range(first, len(choices), 2):
            if choices[gene][0] == 0 and choices[gene + 1][0] == 0:
                pairs.append((gene, gene + 1))
            else:
                for half in (gene, gene + 1):
                    choices[half] = tuple(width for width in choices[half] if width)
    for name, widths in zip(space.names, choices, strict=True):
        if not widths:
            raise SearchError(f"{name} may only be 0, but its partner may not: no legal network")
    return choices, np.array(pairs, dtype=np.int64).reshape(-1, 2)


def is_small(lattice: Lattice, limit: int) -> bool:
    """Whether the lattice has at most `limit` rows, so that listing them is cheap."""
    return lattice.log2_size <= math.log2(limit)
