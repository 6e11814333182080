"""`Additive`: an accuracy that is a sum over genes and pairs of genes, given or fitted to scores.

Pairs must meet in one bottleneck: inner widths with each other, and with the widths before and
after. Knows nothing of limits or of how scores were made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from search.lattice import Index, Lattice
from search.problem import Floats, SearchError
from search.terms import Scope, scopes
from supernet.arithmetic import Rows


class Additive:
    """Accuracy of population rows as a sum; a `search.terms.Tabled`.

    Attributes:
        values: per gene, of each of its choices.
        pairs: per pair of genes (columns of an index row), of each pair of their choices.
    """

    def __init__(
        self,
        lattice: Lattice,
        values: Sequence[Sequence[float] | Floats],
        pairs: Mapping[tuple[int, int], Floats] | None = None,
    ) -> None:
        """Checks shapes.

        Raises:
            SearchError: not one finite value per choice, or a pair that meets in no bottleneck.
        """
        self.lattice = lattice
        self.values = [np.asarray(v, dtype=np.float64) for v in values]
        self.pairs = {k: np.asarray(v, dtype=np.float64) for k, v in (pairs or {}).items()}
        names, sizes = lattice.space.names, lattice.sizes.tolist()
        if len(self.values) != len(sizes):
            raise SearchError(f"values are needed for {len(sizes)} genes, got {len(self.values)}")
        for name, size, value in zip(names, sizes, self.values, strict=True):
            if value.shape != (size,) or not np.isfinite(value).all():
                raise SearchError(
                    f"{name} needs {size} finite values, one per choice, got {value.tolist()}"
                )
        self._homes = {pair: self._home(pair) for pair in self.pairs}

    def __call__(self, rows: Rows) -> Floats:
        """[n] of population rows [n, columns]."""
        kept = np.unique(self.lattice.space.columns, return_index=True)[1]
        return self.of(self.lattice.nearest(rows[:, kept]))

    def of(self, index: Index) -> Floats:
        """[n] of index rows [n, genes]."""
        total = np.zeros(len(index))
        for gene, value in enumerate(self.values):
            total += value[index[:, gene]]
        for (one, two), table in self.pairs.items():
            total += table[index[:, one], index[:, two]]
        return total

    def shares(self, scope: Scope) -> Floats:
        """What a bottleneck's genes add, in every cell; each gene counts where it is new."""
        index = self.lattice.canonical(scope.index(self.lattice.smallest()))
        total = np.zeros(scope.cells)
        for gene in scope.genes[scope.known :]:
            total += self.values[gene][index[:, gene]]
        for (one, two), table in self.pairs.items():
            if self._homes[one, two] == scope.number:
                total += table[index[:, one], index[:, two]]
        return total

    def _home(self, pair: tuple[int, int]) -> int:
        sizes = tuple(int(size) for size in self.lattice.sizes[list(pair)])
        if self.pairs[pair].shape != sizes or not np.isfinite(self.pairs[pair]).all():
            raise SearchError(f"a pair table of genes {pair} must be finite and of shape {sizes}")
        for scope in scopes(self.lattice):
            if set(pair) <= set(scope.genes):
                return scope.number
        names = " and ".join(self.lattice.space.names[gene] for gene in pair)
        raise SearchError(f"a pair must meet in one bottleneck, but {names} do not")


class Fit:
    """A Bayesian linear regression of scores on a few shapes of each gene's relative width.

    Shapes: square root, the width itself, and whether the block is there at all. The spread of the
    coefficients gives other models that explain the scores as well (`draw`).
    """

    def __init__(self, lattice: Lattice, index: Index, scores: Floats) -> None:
        """Fits scores [n] of index rows [n, genes]."""
        from sklearn.linear_model import BayesianRidge

        self._lattice = lattice
        self._shapes = [_shapes(np.asarray(widths)) for widths in lattice.choices]
        columns = [shape[index[:, gene]] for gene, shape in enumerate(self._shapes)]
        self._model = BayesianRidge().fit(np.hstack(columns), scores)

    def mean(self) -> Additive:
        """The most probable model."""
        return self._additive(self._model.coef_)

    def draw(self, rng: np.random.Generator) -> Additive:
        """A model drawn from the posterior."""
        spread = self._model.sigma_
        drawn = rng.multivariate_normal(self._model.coef_, spread, method="svd")
        return self._additive(drawn)

    def _additive(self, coefficients: Floats) -> Additive:
        ends = np.cumsum([shape.shape[1] for shape in self._shapes])[:-1]
        parts = np.split(coefficients, ends)
        values = [shape @ part for shape, part in zip(self._shapes, parts, strict=True)]
        values[0] = values[0] + float(self._model.intercept_)
        return Additive(self._lattice, values)


def _shapes(widths: Index) -> Floats:
    ratio = widths / max(int(widths.max()), 1)
    columns = [np.sqrt(ratio), ratio]
    if widths[0] == 0 and len(widths) > 1:
        columns.append((widths > 0).astype(np.float64))
    return np.stack(columns, axis=1)
