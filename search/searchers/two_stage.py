"""Two stages: collect configs inside a band under the MACs and params, then keep the fastest.

The strategy of the system that this one follows. Stage 1 draws configs whose MACs and params lie
just below their limits, with widths on the space's choices, which are right edges where the space
was narrowed; stage 2 prices them on the target and asks the fastest first. Learns nothing from
estimates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search.lattice import Index, Key, Mask
from search.memory import Memory
from search.problem import Floats, Problem, SearchError
from search.sampling import Sampler
from search.searcher import Candidate
from supernet.config import ChannelConfig

BANDED = ("macs", "params")
_DRAWS = 8  # at most so many times the pool is drawn before it is what it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of the two stages."""

    band: float = field(
        default=0.05, metadata={"help": "width of the band below each limit, as a share of it"}
    )
    banded: Sequence[str] = field(
        default=BANDED, metadata={"help": "metrics whose limits have a band"}
    )
    price: str = field(
        default="", metadata={"help": "metric of stage 2; by default the last that has no band"}
    )
    pool: int = field(default=2000, metadata={"help": "configs collected in stage 1"})

    def __post_init__(self) -> None:
        if not 0 < self.band <= 1:
            raise SearchError(f"0 < band <= 1 must hold, but got {self.band}")
        if self.pool < 1:
            raise SearchError(f"pool must be >= 1, but got {self.pool}")


class Plugin:
    """Searcher `two_stage`."""

    summary = "collects configs just below the MACs and params limits, asks the fastest first"

    def __init__(self, problem: Problem, seed: int, **options: Any) -> None:
        self._options = Options(**options)
        self._problem = problem
        self._price = self._metric()
        self._sampler = Sampler(problem)
        self._memory = Memory(self._sampler.lattice, seed)
        self._pool: list[Key] = []
        self._dry = False

    def ask(self, n: int) -> Sequence[ChannelConfig]:
        if self._sampler.anchor is None:
            return []
        memory = self._memory
        self._pool = [key for key in self._pool if key not in memory.seen]
        if len(self._pool) < n and not self._dry:
            self._pool = self._fastest(max(self._options.pool, n))
            self._dry = len(self._pool) < n
        keys, self._pool = self._pool[:n], self._pool[n:]
        return self._sampler.fill(memory, keys, n)

    def tell(self, candidates: Sequence[Candidate]) -> None:
        self._memory.told([candidate.config for candidate in candidates])

    def state(self) -> dict[str, Any]:
        return {
            "memory": self._memory.state(),
            "pool": [list(key) for key in self._pool],
            "dry": self._dry,
        }

    def restore(self, state: dict[str, Any]) -> None:
        pool = [tuple(key) for key in state["pool"]]
        self._sampler.lattice.unkey(pool)
        self._memory.restore(state["memory"])
        self._pool, self._dry = pool, bool(state["dry"])

    def _metric(self) -> str:
        """The metric of stage 2."""
        known, options = list(self._problem.metrics), self._options
        given = [options.price] if options.price else []
        if tuple(options.banded) != BANDED:
            given += options.banded
        if wrong := [name for name in given if name not in known]:
            raise SearchError(f"a metric must be one of {', '.join(known)}, but got {wrong[0]!r}")
        free = [name for name in known if name not in options.banded]
        return options.price or (free or known)[-1]

    def _fastest(self, size: int) -> list[Key]:
        """Stage 1 and stage 2: up to `size` new configs in the band, the fastest first."""
        sampler, memory = self._sampler, self._memory
        lattice = sampler.lattice
        found: dict[Key, None] = {}
        for _ in range(_DRAWS):
            drawn = sampler.draw(memory.rng, size, near=1.0)
            found.update(dict.fromkeys(memory.new(drawn[self._banded(drawn)])))
            if len(found) >= size:
                break
        keys = list(found)[:size]
        if not keys:
            return []
        price = np.asarray(self._problem.metrics[self._price](lattice.rows(lattice.unkey(keys))))
        return [keys[at] for at in np.argsort(price, kind="stable").tolist()]

    def _banded(self, index: Index) -> Mask:
        """Whether the banded metrics lie just below their limits, [n]."""
        rows = self._sampler.lattice.rows(index)
        inside = np.ones(len(index), dtype=np.bool_)
        for constraint in self._problem.constraints:
            if constraint.metric in self._options.banded:
                cost: Floats = np.asarray(self._problem.metrics[constraint.metric](rows), float)
                inside &= cost >= (1 - self._options.band) * constraint.limit
        return inside
