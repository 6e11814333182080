"""MetaPruning's genetic search, re-implemented from its behaviour; no code of it is used.

Liu et al. 2019, section 3.2: the best ten of everything seen are mutated (each gene anew with
chance 0.1) and crossed (each gene from either parent); whatever breaks a limit or was seen before
is thrown away and tried again, up to ten times the number wanted; random configs fill up. The
original limits the FLOPs alone; here all limits together decide. Not run by itself; see
`benchmarks.search`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.search.budget import Budget
from search.lattice import Index, Key

POPULATION, KEPT, MUTATED, CROSSED = 50, 10, 25, 25
CHANCE = 0.1
TRIES = 10


def run(budget: Budget, seed: int) -> None:
    """Generations until the budget is spent."""
    rng = np.random.default_rng(seed)
    lattice = budget.case.lattice
    seen: set[Key] = set()
    best: list[tuple[float, Key]] = []

    def wanted(make: Callable[[int], Index], n: int, tries: int = TRIES) -> list[Key]:
        """Up to `n` new feasible rows of `make` in so many times as many attempts."""
        found: list[Key] = []
        for _ in range(tries):
            rows = make(n)
            for key in lattice.keys(rows[budget.case.feasible(rows)]):
                if key not in seen and len(found) < n:
                    seen.add(key)
                    found.append(key)
        return found

    def parents(n: int) -> Index:
        return lattice.unkey(key for _, key in best)[rng.integers(len(best), size=n)]

    def mutated(n: int) -> Index:
        rows = parents(n)
        return np.where(rng.random(rows.shape) < CHANCE, lattice.draw(rng, n), rows)

    def crossed(n: int) -> Index:
        one, two = parents(n), parents(n)
        return np.where(rng.random(one.shape) < 0.5, one, two)

    while True:
        keys: list[Key] = []
        if best:
            keys = [*wanted(mutated, MUTATED), *wanted(crossed, CROSSED)]
        missing = POPULATION - len(keys)
        keys += wanted(lambda n: lattice.draw(rng, n), missing, tries=10 * TRIES)
        if not keys:
            return
        values = budget.score(lattice.unkey(keys))
        told = [*best, *zip(values.tolist(), keys, strict=True)]
        best = sorted(told, key=lambda pair: -pair[0])[:KEPT]
