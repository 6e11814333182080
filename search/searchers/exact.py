"""Exact: the optimum of an additive accuracy, given or fitted to what was scored.

Given values are maximised as they are. Otherwise a Bayesian linear model is fitted to the scores;
each batch holds its optimum, the optima of models drawn from its posterior (Thompson 1933), and
their feasible relatives. Every optimum is proved by `search.exact`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search.breeding import mutate
from search.exact.accuracy import Additive, Fit
from search.exact.solve import Solver
from search.lattice import Index, Key
from search.memory import Memory
from search.problem import Problem, SearchError
from search.sampling import Sampler
from search.searcher import Candidate
from supernet.config import ChannelConfig

_ATTEMPTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of exact search."""

    first: int = field(default=48, metadata={"help": "random configs scored before the first fit"})
    draws: int = field(
        default=4, metadata={"help": "models drawn per batch beside the most probable one"}
    )
    mutation: float = field(
        default=0.1, metadata={"help": "chance of each gene to change in a relative of an optimum"}
    )
    values: Sequence[Sequence[float]] = field(
        default=(), metadata={"help": "accuracy of each choice of each gene, instead of a fit"}
    )

    def __post_init__(self) -> None:
        if self.first < 2 or self.draws < 0:
            raise SearchError(
                f"first >= 2 and draws >= 0 must hold, but got {self.first} and {self.draws}"
            )
        if not 0 <= self.mutation <= 1:
            raise SearchError(f"0 <= mutation <= 1 must hold, but got {self.mutation}")


class Plugin:
    """Searcher `exact`."""

    summary = "proved optima of an additive model of what was scored (Thompson sampling)"

    def __init__(self, problem: Problem, seed: int, **options: Any) -> None:
        self._options = Options(**options)
        self._sampler = Sampler(problem)
        self._solver = Solver(problem, prices=self._sampler.prices)
        self._memory = Memory(self._sampler.lattice, seed)
        self._scored: dict[Key, float] = {}
        values = self._options.values
        self._given = Additive(self._sampler.lattice, values) if values else None

    def ask(self, n: int) -> Sequence[ChannelConfig]:
        if self._sampler.anchor is None:
            return []
        memory, keys = self._memory, list[Key]()
        if self._given is not None or len(self._scored) >= self._options.first:
            self._propose(n, keys)
        return self._sampler.fill(memory, keys, n)

    def tell(self, candidates: Sequence[Candidate]) -> None:
        lattice = self._sampler.lattice
        inside = [c for c in candidates if c.config in lattice.space]
        keys = lattice.keys(lattice.index([c.config for c in inside]))
        for candidate, key in zip(inside, keys, strict=True):
            if candidate.estimate is not None:
                self._scored[key] = candidate.estimate
        self._memory.add(keys)

    def state(self) -> dict[str, Any]:
        scored = [[list(key), score] for key, score in self._scored.items()]
        return {"memory": self._memory.state(), "scored": scored}

    def restore(self, state: dict[str, Any]) -> None:
        scored = {tuple(key): float(score) for key, score in state["scored"]}
        self._sampler.lattice.unkey(scored)
        self._memory.restore(state["memory"])
        self._scored = scored

    def _propose(self, n: int, keys: list[Key]) -> None:
        """Fills `keys` up to `n` with new optima and their relatives, as far as there are any."""
        optima = [row for model in self._models() if (row := self._optimum(model)) is not None]
        if not optima:
            return
        index = np.concatenate(optima)
        keys += self._memory.new(index)[:n]
        rng, sampler = self._memory.rng, self._sampler
        for _ in range(_ATTEMPTS):
            if (missing := n - len(keys)) > 0:
                parents = index[rng.integers(len(index), size=2 * missing)]
                children = mutate(sampler.lattice, parents, rng, self._options.mutation, 0.7)
                children = sampler.grow(sampler.repair(children, rng), rng)
                keys += [k for k in self._memory.new(children) if k not in keys][:missing]

    def _models(self) -> list[Additive]:
        if self._given is not None:
            return [self._given]
        lattice = self._sampler.lattice
        scores = np.array(list(self._scored.values()))
        fit = Fit(lattice, lattice.unkey(self._scored), scores)
        drawn = [fit.draw(self._memory.rng) for _ in range(self._options.draws)]
        return [fit.mean(), *drawn]

    def _optimum(self, model: Additive) -> Index | None:
        found = self._solver.best(model)
        return None if found is None else self._sampler.lattice.index([found.config])
