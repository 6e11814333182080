"""`Sampler`: random configs that meet every limit, by construction and in bounded time.

A row that breaks a limit is joined to a feasible anchor (the smallest net) by a random path of
single width steps, and the path is bisected: the feasible end is priced at every halving, so
the result holds all limits even where a measured latency is not monotone. Raising towards the
limits is the same walk, from a feasible row towards the largest net.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from search.exact.accuracy import Additive
from search.exact.solve import Solver
from search.feasibility import LISTED, anchor, check
from search.lattice import Index, Key, Lattice, Mask, is_small
from search.memory import Memory
from search.prices import Prices
from search.problem import Problem, SearchError
from supernet.arithmetic import Rows
from supernet.config import ChannelConfig

_CHUNK = 2**20  # random step times drawn at once
_ROUNDS = 6
_SOURCES = 256
_TILT = 0.7
_LABELS = 20_000  # of an exact optimum; one with a gap will do
_MISSES = 8


class Sampler:
    """Feasible index rows of a problem.

    Attributes:
        lattice: the grid that the rows lie on.
        anchor: a feasible row [1, genes]; None when the limits cannot be met.
        prices: the metrics, compiled; None where the space is too large for that.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.lattice = Lattice(problem.space)
        excess, row = anchor(problem, self.lattice)
        self.anchor: Index | None = None if excess else row
        self.prices = _compiled(problem, self.lattice)

    def feasible(self, index: Index) -> Mask:
        """Whether each row meets every limit, [n]."""
        if self.prices is not None:
            excess = self.prices.excess(index)
        else:
            excess = self.problem.excess(self.lattice.rows(index))
        fits: Mask = excess == 0
        return fits

    def repair(self, index: Index, rng: np.random.Generator) -> Index:
        """Rows that meet every limit, each as near to the given one as its random path allows.

        Raises:
            InfeasibleError: no config meets the limits.
        """
        if self.anchor is None:
            check(self.problem)
            return index
        result = self.lattice.canonical(index).copy()
        broken = np.flatnonzero(~self.feasible(result))
        if len(broken):
            safe = np.broadcast_to(self.anchor, (len(broken), self.anchor.shape[1]))
            result[broken] = self._walk(safe, result[broken], rng)
        return result

    def grow(self, index: Index, rng: np.random.Generator, rounds: int = 2) -> Index:
        """Feasible rows widened along random paths until a limit stops them, `rounds` times."""
        wide = np.broadcast_to(self.lattice.largest(), index.shape)
        for _ in range(rounds):
            index = self._walk(index, wide, rng)
        return index

    def draw(self, rng: np.random.Generator, n: int, near: float = 0.5) -> Index:
        """`n` feasible rows, perhaps some equal; the share `near` of them is grown to the limits.

        Raises:
            InfeasibleError: no config meets the limits.
        """
        index = self.repair(self.lattice.draw(rng, n, _TILT), rng)
        grown = rng.random(n) < near
        index[grown] = self.grow(index[grown], rng)
        return self.lattice.canonical(index)

    def fresh(
        self, rng: np.random.Generator, n: int, seen: Collection[Key], near: float = 0.5
    ) -> list[Key]:
        """Up to `n` distinct feasible rows that are not in `seen`.

        Fewer come only when no feasible row is left: of the whole space where it is small enough
        to be listed, else among all that single width steps reach from `seen`, the anchor, and the
        exact optima of random accuracies.
        """
        found: dict[Key, None] = {}
        if self.anchor is None:
            return []
        for _ in range(_ROUNDS):
            if len(found) >= n:
                break
            missing = n - len(found)
            drawn = self.lattice.keys(self.draw(rng, missing + missing // 8 + 4, near))
            found.update((key, None) for key in drawn if key not in seen)
        if len(found) < n:
            self._complete(rng, n, seen, found)
        return list(found)[:n]

    def fill(
        self, memory: Memory, keys: Sequence[Key], n: int, near: float = 0.5
    ) -> Sequence[ChannelConfig]:
        """Configs of `keys`, filled up to `n` with fresh ones; the memory has them all then."""
        taken = memory.seen | dict.fromkeys(keys)
        keys = [*keys, *self.fresh(memory.rng, n - len(keys), taken, near)]
        memory.add(keys)
        return self.lattice.configs(self.lattice.unkey(keys))

    def _complete(
        self, rng: np.random.Generator, n: int, seen: Collection[Key], found: dict[Key, None]
    ) -> None:
        """Adds rows by listing the space, or by widening around the rows that are known."""
        if is_small(self.lattice, LISTED):
            self._add(rng, self.lattice.everything(), seen, found)
            return
        assert self.anchor is not None
        self._widen(rng, n, [*self.lattice.keys(self.anchor), *seen, *found], seen, found)
        if len(found) < n:
            known = len(found)
            self._optimise(rng, n, seen, found)
            self._widen(rng, n, list(found)[known:], seen, found)

    def _optimise(
        self, rng: np.random.Generator, n: int, seen: Collection[Key], found: dict[Key, None]
    ) -> None:
        """Adds optima of random accuracies, until a few in a row are nothing new."""
        try:
            solver = Solver(self.problem, _LABELS, self.prices)
        except SearchError:
            return
        misses = 0
        while len(found) < n and misses < _MISSES:
            values = [rng.random(size) for size in self.lattice.sizes]
            try:
                best = solver.best(Additive(self.lattice, values))
            except SearchError:
                best = None
            known = len(found)
            if best is not None:
                self._add(rng, self.lattice.index([best.config]), seen, found)
            misses = 0 if len(found) > known else misses + 1

    def _widen(
        self,
        rng: np.random.Generator,
        n: int,
        sources: list[Key],
        seen: Collection[Key],
        found: dict[Key, None],
    ) -> None:
        """Adds what single width steps reach from `sources`, and from what is added."""
        while sources and len(found) < n:
            known = len(found)
            batch, sources = sources[:_SOURCES], sources[_SOURCES:]
            rows = self.lattice.unkey(batch)
            self._add(rng, np.concatenate([rows, self.lattice.neighbours(rows)]), seen, found)
            sources += list(found)[known:]

    def _add(
        self,
        rng: np.random.Generator,
        index: Index,
        seen: Collection[Key],
        found: dict[Key, None],
    ) -> None:
        keys = self.lattice.keys(index[self.feasible(index)])
        new = list(dict.fromkeys(k for k in keys if k not in seen and k not in found))
        found.update((new[at], None) for at in rng.permutation(len(new)))

    def _walk(self, start: Index, goal: Index, rng: np.random.Generator) -> Index:
        """Per row, the last feasible row that bisecting a random path from `start` finds."""
        step = max(1, _CHUNK // int(self.lattice.sizes.sum()))
        parts = [
            self._bisect(start[at : at + step], goal[at : at + step], rng)
            for at in range(0, len(start), step)
        ]
        return np.concatenate(parts) if parts else start

    def _bisect(self, start: Index, goal: Index, rng: np.random.Generator) -> Index:
        """`_walk` for one chunk. Each unit step of a path happens at its own random time in [0, 1).

        A row at time t has taken every step whose time is below t; `start` must be feasible.
        """
        span = np.abs(goal - start)
        times = rng.random((*span.shape, int(span.max(initial=0)))).astype(np.float32)
        times[np.arange(times.shape[2]) >= span[:, :, None]] = np.inf
        sign = np.sign(goal - start)
        arrived = self.feasible(goal)
        low, high = arrived.astype(np.float64), np.ones(len(start))
        best = np.where(arrived[:, None], goal, start)
        for _ in range(2 + int(np.log2(1 + span.sum(axis=1).max(initial=0)))):
            middle = (low + high) / 2
            taken = (times < middle[:, None, None]).sum(axis=2)
            row = start + sign * taken
            fits = self.feasible(row)
            best[fits] = row[fits]
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        return best


def _compiled(problem: Problem, lattice: Lattice) -> Prices | None:
    """None where the space is too large to be tabulated."""
    try:
        return Prices(problem, lattice)
    except SearchError:
        return None


def sample_feasible(
    problem: Problem, rng: np.random.Generator, n: int, near: float = 0.5
) -> list[ChannelConfig]:
    """Up to `n` distinct configs that meet every limit, the share `near` grown to the limits.

    Fewer than `n` only when the feasible configs are exhausted; see `Sampler.fresh`.

    Raises:
        InfeasibleError: no config meets the limits.
    """
    sampler = Sampler(problem)
    if sampler.anchor is None:
        check(problem)
    return sampler.lattice.configs(sampler.lattice.unkey(sampler.fresh(rng, n, (), near)))


def repair(problem: Problem, genes: Rows, rng: np.random.Generator) -> Rows:
    """Gene widths [n, genes] moved into the space and narrowed until every limit holds.

    Rows of the space that hold all limits come back unchanged.

    Raises:
        InfeasibleError: no config meets the limits.
    """
    sampler = Sampler(problem)
    fixed = sampler.repair(sampler.lattice.nearest(genes), rng)
    return problem.space.genes(sampler.lattice.configs(fixed))
