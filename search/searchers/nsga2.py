"""NSGA-II (Deb et al. 2002): a front of estimate against one cost instead of a single best.

Ranking and crowding are pymoo's; mutation, crossover and repair are this package's, so that every
child lies in the space and meets the limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search.breeding import crossover, mutate
from search.lattice import Index, Key
from search.memory import Memory
from search.problem import Floats, Problem, SearchError
from search.sampling import Sampler
from search.searcher import Candidate
from search.seeds import seed_keys
from supernet.config import ChannelConfig

_ATTEMPTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of NSGA-II."""

    population: int = field(default=48, metadata={"help": "configs that survive a generation"})
    metric: str = field(
        default="", metadata={"help": "cost that is minimised beside; by default the last metric"}
    )
    mutation: float = field(
        default=0.05, metadata={"help": "chance of each gene to change in a mutation"}
    )
    step: float = field(
        default=0.7,
        metadata={"help": "share of mutations to a neighbouring width instead of any width"},
    )
    crossover: float = field(
        default=0.9, metadata={"help": "share of children with two parents instead of one"}
    )
    seeds: Sequence[ChannelConfig] = field(
        default=(), metadata={"help": "configs asked first, narrowed to the limits if need be"}
    )

    def __post_init__(self) -> None:
        if self.population < 2:
            raise SearchError(f"population must be >= 2, but got {self.population}")
        for name in ("mutation", "step", "crossover"):
            if not 0 <= getattr(self, name) <= 1:
                raise SearchError(f"0 <= {name} <= 1 must hold, but got {getattr(self, name)}")


class Plugin:
    """Searcher `nsga2`."""

    summary = "a Pareto front of estimate against a cost (pymoo's NSGA-II with repair)"

    def __init__(self, problem: Problem, seed: int, **options: Any) -> None:
        self._options = Options(**options)
        self._rank = _Survival()
        self._problem = problem
        self._metric = self._options.metric or list(problem.metrics)[-1]
        if self._metric not in problem.metrics:
            raise SearchError(
                f"metric must be one of {', '.join(problem.metrics)}, but got {self._metric!r}"
            )
        self._sampler = Sampler(problem)
        self._memory = Memory(self._sampler.lattice, seed)
        self._pending = seed_keys(self._sampler, self._memory, self._options.seeds)
        self._population: list[tuple[Key, float]] = []

    def ask(self, n: int) -> Sequence[ChannelConfig]:
        if self._sampler.anchor is None:
            return []
        memory = self._memory
        seeds = [key for key in self._pending if key not in memory.seen]
        keys, self._pending = seeds[:n], seeds[n:]
        if self._population and len(memory.seen) >= self._options.population:
            self._breed(n, keys)
        return self._sampler.fill(memory, keys, n)

    def tell(self, candidates: Sequence[Candidate]) -> None:
        lattice = self._sampler.lattice
        inside = [c for c in candidates if c.config in lattice.space]
        index = lattice.index([c.config for c in inside])
        keys, fits = lattice.keys(index), self._sampler.feasible(index)
        known = {key for key, _ in self._population}
        for candidate, key, fit in zip(inside, keys, fits.tolist(), strict=True):
            if fit and candidate.estimate is not None and key not in known:
                known.add(key)
                self._population.append((key, candidate.estimate))
        self._memory.add(keys)
        if len(self._population) > self._options.population:
            kept = self._rank.survivors(self._objectives(), self._options.population)
            self._population = [self._population[at] for at in sorted(kept)]

    def state(self) -> dict[str, Any]:
        return {
            "memory": self._memory.state(),
            "pending": [list(key) for key in self._pending],
            "population": [[list(key), estimate] for key, estimate in self._population],
        }

    def restore(self, state: dict[str, Any]) -> None:
        population = [(tuple(key), float(estimate)) for key, estimate in state["population"]]
        pending = [tuple(key) for key in state["pending"]]
        self._sampler.lattice.unkey([*pending, *(key for key, _ in population)])
        self._memory.restore(state["memory"])
        self._pending, self._population = pending, population

    def _objectives(self) -> Floats:
        """Minus estimate and cost of the population, [n, 2]."""
        lattice = self._sampler.lattice
        rows = lattice.rows(lattice.unkey(key for key, _ in self._population))
        cost = np.asarray(self._problem.metrics[self._metric](rows), dtype=np.float64)
        return np.stack([[-estimate for _, estimate in self._population], cost], axis=1)

    def _breed(self, n: int, keys: list[Key]) -> None:
        """Fills `keys` up to `n` with new children, as far as a few attempts find any."""
        rank, crowding = self._rank.order(self._objectives())
        for _ in range(_ATTEMPTS):
            if (missing := n - len(keys)) > 0:
                children = self._memory.new(self._children(2 * missing, rank, crowding))
                keys += [key for key in children if key not in keys][:missing]

    def _children(self, n: int, rank: Floats, crowding: Floats) -> Index:
        """`n` feasible children of the winners of binary tournaments."""
        rng, lattice, options = self._memory.rng, self._sampler.lattice, self._options
        parents = lattice.unkey(key for key, _ in self._population)
        first, second = rng.integers(len(parents), size=(2, 2, n))
        wins = (rank[first] < rank[second]) | (
            (rank[first] == rank[second]) & (crowding[first] >= crowding[second])
        )
        one, two = parents[np.where(wins, first, second)]
        paired = rng.random(n) < options.crossover
        child = np.where(paired[:, None], crossover(lattice, one, two, rng), one)
        child = mutate(lattice, child, rng, options.mutation, options.step)
        return lattice.canonical(self._sampler.repair(child, rng))


class _Survival:
    """pymoo's ranking, with every tie broken by order."""

    def __init__(self) -> None:
        try:
            from pymoo.core.population import Population
            from pymoo.core.problem import Problem as Objectives
            from pymoo.operators.survival.rank_and_crowding import RankAndCrowding
        except ModuleNotFoundError:
            raise SearchError(
                "searcher nsga2 needs pymoo: pip install 'stairprune[nsga2]'"
            ) from None
        self._population, self._survival = Population, RankAndCrowding()
        self._objectives = Objectives(n_var=1, n_obj=2)

    def survivors(self, objectives: Floats, n: int) -> list[int]:
        """Places of the `n` that survive."""
        return self._do(objectives, n)[0]

    def order(self, objectives: Floats) -> tuple[Floats, Floats]:
        """Front and crowding distance of every row, each [n]."""
        places, population = self._do(objectives, len(objectives))
        rank, crowding = np.empty(len(places)), np.empty(len(places))
        rank[places], crowding[places] = population.get("rank"), population.get("crowding")
        return rank, crowding

    def _do(self, objectives: Floats, n: int) -> tuple[list[int], Any]:
        population = self._population.new(F=objectives, place=np.arange(len(objectives)))
        survived = self._survival.do(
            self._objectives, population, n_survive=n, random_state=np.random.default_rng(0)
        )
        return [int(place) for place in survived.get("place")], survived
