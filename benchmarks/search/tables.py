"""`Decomposed`: a function of configs as a sum over genes and pairs of genes, in tables.

The tables are read off the function by its differences at the smallest config and checked on
random configs. Not run by itself; see `benchmarks.search`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from search.lattice import Index, Lattice
from search.problem import Floats

_CHECKS = 500
_TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Decomposed:
    """A function of index rows as constant, genes and pairs.

    Attributes:
        genes: by gene and choice, [genes, choices], 0 at choice 0.
        pairs: by two genes and their choices, [choices, choices], 0 where either is at choice 0.
        worst: largest relative error on random rows.
    """

    constant: float
    genes: Floats
    pairs: dict[tuple[int, int], Floats]
    worst: float = 0.0

    def __call__(self, index: Index) -> Floats:
        """The function at index rows, [n]."""
        total: Floats = self.constant + self.genes[np.arange(index.shape[1]), index].sum(axis=1)
        for (one, two), table in self.pairs.items():
            total += table[index[:, one], index[:, two]]
        return total


def decompose(function: Callable[[Index], Floats], lattice: Lattice) -> Decomposed:
    """Reads the tables of `function`, which maps index rows to numbers."""
    sizes, base = lattice.sizes, lattice.smallest()
    constant = float(function(base)[0])
    genes = np.zeros((len(sizes), int(sizes.max())))
    for gene, size in enumerate(sizes.tolist()):
        rows = np.repeat(base, size, axis=0)
        rows[:, gene] = np.arange(size)
        genes[gene, :size] = function(rows) - constant
    pairs = {}
    for one, two in combinations(range(len(sizes)), 2):
        first, second = (a.ravel() for a in np.indices((sizes[one], sizes[two])))
        rows = np.repeat(base, len(first), axis=0)
        rows[:, one], rows[:, two] = first, second
        rest = function(rows) - constant - genes[one, first] - genes[two, second]
        if np.abs(rest).max() > _TOLERANCE * abs(constant):
            pairs[one, two] = rest.reshape(sizes[one], sizes[two])
    summed = Decomposed(constant=constant, genes=genes, pairs=pairs)
    drawn = lattice.draw(np.random.default_rng(0), _CHECKS)
    worst = float(np.max(np.abs(summed(drawn) - function(drawn))) / np.max(np.abs(function(drawn))))
    return Decomposed(constant=constant, genes=genes, pairs=pairs, worst=worst)
