"""Evolution: MetaPruning's search (Liu et al. 2019, section 3.2), made sound and stronger.

Top-k parents, mutation, crossover. Here nothing is asked twice, children are repaired instead
of redrawn until they fit, then widened at random until a limit stops them, and every attempt is
bounded, so that it ends on any space.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search.breeding import crossover, mutate
from search.lattice import Index, Key
from search.memory import Memory
from search.problem import Problem, SearchError
from search.sampling import Sampler
from search.searcher import Candidate
from search.seeds import seed_keys
from supernet.config import ChannelConfig

_ATTEMPTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of evolution."""

    first: int = field(
        default=24, metadata={"help": "configs sampled before the first are bred, seeds among them"}
    )
    parents: int = field(default=10, metadata={"help": "best configs that are bred from"})
    pressure: float = field(
        default=1.5, metadata={"help": "1 draws all parents alike, more prefers the better ones"}
    )
    mutation: float = field(
        default=0.06, metadata={"help": "chance of each gene to change in a mutation"}
    )
    step: float = field(
        default=0.5,
        metadata={"help": "share of mutations to a neighbouring width instead of any width"},
    )
    crossover: float = field(
        default=0.7, metadata={"help": "share of children with two parents instead of one"}
    )
    grow: float = field(
        default=0.95,
        metadata={"help": "share of children that are widened until a limit stops them"},
    )
    immigrants: float = field(
        default=0.0, metadata={"help": "share of random configs in every generation"}
    )
    seeds: Sequence[ChannelConfig] = field(
        default=(), metadata={"help": "configs asked first, narrowed to the limits if need be"}
    )

    def __post_init__(self) -> None:
        for name in ("first", "parents"):
            if getattr(self, name) < 1:
                raise SearchError(f"{name} must be >= 1, but got {getattr(self, name)}")
        if not self.pressure >= 1:
            raise SearchError(f"pressure must be >= 1, but got {self.pressure}")
        for name in ("mutation", "step", "crossover", "grow", "immigrants"):
            if not 0 <= getattr(self, name) <= 1:
                raise SearchError(f"0 <= {name} <= 1 must hold, but got {getattr(self, name)}")


class Plugin:
    """Searcher `evolution`."""

    summary = "top-k parents, mutation, crossover and repair (MetaPruning's, made sound)"

    def __init__(self, problem: Problem, seed: int, **options: Any) -> None:
        self._options = Options(**options)
        self._problem = problem
        self._sampler = Sampler(problem)
        self._memory = Memory(self._sampler.lattice, seed)
        self._pending = seed_keys(self._sampler, self._memory, self._options.seeds)
        self._best: list[tuple[float, float, int, Key]] = []
        self._told = 0

    def ask(self, n: int) -> Sequence[ChannelConfig]:
        if self._sampler.anchor is None:
            return []
        memory = self._memory
        seeds = [key for key in self._pending if key not in memory.seen]
        keys, self._pending = seeds[:n], seeds[n:]
        if self._best and len(memory.seen) >= self._options.first:
            self._breed(n - int(memory.rng.binomial(n, self._options.immigrants)), keys)
        return self._sampler.fill(memory, keys, n)

    def tell(self, candidates: Sequence[Candidate]) -> None:
        lattice = self._sampler.lattice
        inside = [c for c in candidates if c.config in lattice.space]
        index = lattice.index([c.config for c in inside])
        keys = lattice.keys(index)
        excess = self._problem.excess(lattice.rows(index)).tolist() if inside else []
        known = {key for *_, key in self._best}
        for candidate, key, over in zip(inside, keys, excess, strict=True):
            if candidate.estimate is not None and key not in known:
                known.add(key)
                # Least excess first, then best estimate, then the earliest told.
                self._best.append((over, -candidate.estimate, self._told, key))
                self._told += 1
        self._best = heapq.nsmallest(self._options.parents, self._best)
        self._memory.add(keys)

    def state(self) -> dict[str, Any]:
        best = [[over, cost, order, list(key)] for over, cost, order, key in self._best]
        return {
            "memory": self._memory.state(),
            "best": best,
            "told": self._told,
            "pending": [list(key) for key in self._pending],
        }

    def restore(self, state: dict[str, Any]) -> None:
        best = [(over, cost, order, tuple(key)) for over, cost, order, key in state["best"]]
        self._sampler.lattice.unkey(key for *_, key in best)
        pending = [tuple(key) for key in state["pending"]]
        self._sampler.lattice.unkey(pending)
        self._memory.restore(state["memory"])
        self._pending = pending
        self._told, self._best = int(state["told"]), best

    def _breed(self, n: int, keys: list[Key]) -> None:
        """Fills `keys` up to `n` with new children, as far as a few attempts find any."""
        for _ in range(_ATTEMPTS):
            if (missing := n - len(keys)) > 0:
                children = self._memory.new(self._children(2 * missing))
                keys += [key for key in children if key not in keys][:missing]

    def _children(self, n: int) -> Index:
        """`n` feasible children of the parents."""
        rng, lattice, options = self._memory.rng, self._sampler.lattice, self._options
        parents = lattice.unkey(key for *_, key in self._best)
        one, two = parents[(len(parents) * rng.random((2, n)) ** options.pressure).astype(int)]
        paired = rng.random(n) < options.crossover
        child = np.where(
            paired[:, None],
            crossover(lattice, one, two, rng),
            mutate(lattice, one, rng, options.mutation, options.step),
        )
        child = self._sampler.repair(child, rng)
        grown = rng.random(n) < options.grow
        child[grown] = self._sampler.grow(child[grown], rng)
        return lattice.canonical(child)
