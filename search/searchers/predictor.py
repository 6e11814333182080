"""Predictor: score few, fit a light model to them, search the model, score what it finds.

The loop of LINAS (Cummings et al. 2022) with an additive Gaussian process as the model. Half of
the proposals climb its mean from the best configs, half climb functions drawn from its posterior
(Thompson sampling), which differ where too little is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from search.basis import Basis
from search.breeding import mutate
from search.climb import Limits, Visited, climb
from search.lattice import Index, Key
from search.memory import Memory
from search.problem import Floats, Problem, SearchError
from search.sampling import Sampler
from search.searcher import Candidate
from search.seeds import seed_keys
from search.surrogate import Model, Surrogate
from supernet.config import ChannelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of the predictor."""

    first: int = field(
        default=48, metadata={"help": "configs sampled before the first fit, seeds among them"}
    )
    climbs: int = field(
        default=12, metadata={"help": "climbs per generation, by the mean and by drawn functions"}
    )
    rounds: int = field(default=12, metadata={"help": "most moves of a climb"})
    explore: float = field(
        default=0.5, metadata={"help": "share of climbs by functions drawn from the posterior"}
    )
    front: float = field(
        default=0.0,
        metadata={"help": "share of climbs under tightened limits, for a front instead of a point"},
    )
    most: int = field(
        default=800, metadata={"help": "best configs that the model is fitted to, at most"}
    )
    seeds: Sequence[ChannelConfig] = field(
        default=(), metadata={"help": "configs asked first, narrowed to the limits if need be"}
    )

    def __post_init__(self) -> None:
        for name, least in (("first", 2), ("climbs", 1), ("rounds", 1), ("most", 2)):
            if getattr(self, name) < least:
                raise SearchError(f"{name} must be >= {least}, but got {getattr(self, name)}")
        for name in ("explore", "front"):
            if not 0 <= getattr(self, name) <= 1:
                raise SearchError(f"0 <= {name} <= 1 must hold, but got {getattr(self, name)}")


_TIGHTEST = 0.7
_RETUNE = 1.25  # hyperparameters are looked for anew when so many times more rows are known
_RARER = 0.2  # chance that a climb starts from the best row, then from the next, ...
_KICK = 0.15  # chance of each gene to change before a climb
_START = (2, 2)  # places on the grids of search.surrogate


class Plugin:
    """Searcher `predictor`."""

    summary = "fits an additive Gaussian process and climbs it: the fewest evaluations"

    def __init__(self, problem: Problem, seed: int, **options: Any) -> None:
        self._options = Options(**options)
        self._sampler = Sampler(problem)
        self._limits = Limits(self._sampler)
        self._memory = Memory(self._sampler.lattice, seed)
        self._basis = Basis(self._sampler.lattice)
        self._pending = seed_keys(self._sampler, self._memory, self._options.seeds)
        self._scored: dict[Key, float] = {}
        self._choice, self._tuned = _START, 0

    def ask(self, n: int) -> Sequence[ChannelConfig]:
        if self._sampler.anchor is None:
            return []
        memory = self._memory
        seeds = [key for key in self._pending if key not in memory.seen]
        keys, self._pending = seeds[:n], seeds[n:]
        if len(keys) < n and len(memory.seen) >= self._options.first and len(self._scored) > 1:
            # Small matrices: threads would cost more than they save, and change the last bits.
            with threadpool_limits(1, user_api="blas"):
                keys += self._promising(n - len(keys), keys)
        return self._sampler.fill(memory, keys, n)

    def tell(self, candidates: Sequence[Candidate]) -> None:
        lattice = self._sampler.lattice
        inside = [c for c in candidates if c.config in lattice.space]
        keys = lattice.keys(lattice.index([c.config for c in inside]))
        for candidate, key in zip(inside, keys, strict=True):
            if candidate.estimate is not None:
                self._scored.setdefault(key, candidate.estimate)
        self._memory.add(keys)

    def state(self) -> dict[str, Any]:
        return {
            "memory": self._memory.state(),
            "scored": [[list(key), estimate] for key, estimate in self._scored.items()],
            "pending": [list(key) for key in self._pending],
            "choice": list(self._choice),
            "tuned": self._tuned,
        }

    def restore(self, state: dict[str, Any]) -> None:
        scored = {tuple(key): float(estimate) for key, estimate in state["scored"]}
        pending = [tuple(key) for key in state["pending"]]
        self._sampler.lattice.unkey([*scored, *pending])
        first, second = state["choice"]
        self._memory.restore(state["memory"])
        self._scored, self._pending = scored, pending
        self._choice, self._tuned = (int(first), int(second)), int(state["tuned"])

    def _promising(self, n: int, taken: Sequence[Key]) -> list[Key]:
        """Up to `n` new rows that the climbs found, the best of each climb in turn."""
        index, estimates = self._best()
        surrogate = self._fit(index, estimates)
        climbs = min(self._options.climbs, n)
        drawn = round(self._options.explore * climbs)
        mean = surrogate.mean()
        models: list[Model] = [mean] * (climbs - drawn)
        models += [surrogate.sample(self._memory.rng) for _ in range(drawn)]
        start, tight = self._starts(index, climbs, climbs - drawn)
        visited = climb(
            self._limits, self._basis, models, start, tight=tight, rounds=self._options.rounds
        )
        return self._in_turn(visited, n, set(taken))

    def _best(self) -> tuple[Index, Floats]:
        """The best scored rows, best first, with their estimates."""
        order = sorted(self._scored.items(), key=lambda item: -item[1])[: self._options.most]
        lattice = self._sampler.lattice
        return lattice.unkey(key for key, _ in order), np.array([value for _, value in order])

    def _fit(self, index: Index, estimates: Floats) -> Surrogate:
        tune = len(estimates) >= _RETUNE * self._tuned
        surrogate = Surrogate(self._basis, index, estimates, self._choice, tune=tune)
        if tune:
            self._choice, self._tuned = surrogate.choice, len(estimates)
        return surrogate

    def _starts(self, index: Index, n: int, kicked: int) -> tuple[Index, Floats]:
        """Rows to climb from, and how much of the limits each climb may use.

        The first starts at the best row, the others the more rarely the worse a row is. The first
        `kicked` but one are mutated, so that the mean is not climbed to the same peak every time.
        """
        assert self._sampler.anchor is not None
        rng = self._memory.rng
        used = self._limits.shares(index).max(axis=1, initial=0)
        used[~self._sampler.feasible(index)] = np.inf
        tight = np.where(
            rng.random(n) < self._options.front, rng.uniform(_TIGHTEST, 1, n), np.ones(n)
        )
        places = rng.geometric(_RARER, n) - 1
        places[0] = 0
        rows = []
        for at, place in enumerate(places.tolist()):
            good = np.flatnonzero(used <= tight[at])
            if not len(good):
                tight[at], good = 1.0, np.flatnonzero(used <= 1)
            rows.append(
                index[good[min(place, len(good) - 1)]] if len(good) else self._sampler.anchor[0]
            )
        start = np.array(rows)
        kick = np.flatnonzero((np.arange(n) > 0) & (np.arange(n) < kicked) & (tight == 1))
        mutated = mutate(self._sampler.lattice, start[kick], rng, _KICK, step=0.5)
        start[kick] = self._sampler.repair(mutated, rng)
        return start, tight

    def _in_turn(self, visited: Sequence[Visited], n: int, taken: set[Key]) -> list[Key]:
        chosen: list[Key] = []
        lines = [self._fresh(found) for found in visited]
        while lines and len(chosen) < n:
            for line in list(lines):
                key = next((k for k in line if k not in taken), None)
                if key is None:
                    lines.remove(line)
                elif len(chosen) < n:
                    taken.add(key)
                    chosen.append(key)
        return chosen

    def _fresh(self, found: Visited) -> Iterator[Key]:
        """The new rows of a climb, best first."""
        order = np.argsort(-found.values, kind="stable")
        return iter(self._memory.new(found.rows[order]))
