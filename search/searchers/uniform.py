"""Uniform widths: one multiplier for the whole network, then one per stage, on the space's widths.

The baseline of slimmable networks and of every hand-made config. Where the space was narrowed to
right edges, a multiplier lands on them. Learns nothing from estimates; ends with random configs
once every combination was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search.lattice import Index, Key, Lattice
from search.memory import Memory
from search.problem import Problem, SearchError
from search.sampling import Sampler
from search.searcher import Candidate
from supernet.config import ChannelConfig

_STAGEWISE = 4096
_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of uniform widths."""

    steps: int = field(
        default=256, metadata={"help": "multipliers tried between the narrowest and the widest"}
    )

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise SearchError(f"steps must be >= 2, but got {self.steps}")


class Plugin:
    """Searcher `uniform`."""

    summary = "width multipliers: one for the network, then one per stage"

    def __init__(self, problem: Problem, seed: int, **options: Any) -> None:
        self._options = Options(**options)
        self._sampler = Sampler(problem)
        self._memory = Memory(self._sampler.lattice, seed)
        self._pending = [] if self._sampler.anchor is None else self._uniform()
        self._stagewise = 0

    def ask(self, n: int) -> Sequence[ChannelConfig]:
        if self._sampler.anchor is None:
            return []
        memory, lattice = self._memory, self._sampler.lattice
        while len(self._pending) < n and self._stagewise < _STAGEWISE:
            self._stagewise += _BATCH
            drawn = self._feasible(_staged(lattice, memory.rng, _BATCH))
            self._pending = list(dict.fromkeys([*self._pending, *drawn]))
        pending = [key for key in self._pending if key not in memory.seen]
        keys, self._pending = pending[:n], pending[n:]
        return self._sampler.fill(memory, keys, n)

    def tell(self, candidates: Sequence[Candidate]) -> None:
        self._memory.told([candidate.config for candidate in candidates])

    def state(self) -> dict[str, Any]:
        return {
            "memory": self._memory.state(),
            "pending": [list(key) for key in self._pending],
            "stagewise": self._stagewise,
        }

    def restore(self, state: dict[str, Any]) -> None:
        pending = [tuple(key) for key in state["pending"]]
        self._sampler.lattice.unkey(pending)
        self._memory.restore(state["memory"])
        self._pending, self._stagewise = pending, int(state["stagewise"])

    def _uniform(self) -> list[Key]:
        """Every multiplier of the whole network that meets the limits, widest first."""
        lattice = self._sampler.lattice
        ratios = np.linspace(1, 0, self._options.steps)
        return self._feasible(_scaled(lattice, np.repeat(ratios[:, None], len(lattice.sizes), 1)))

    def _feasible(self, index: Index) -> list[Key]:
        return self._memory.new(index[self._sampler.feasible(index)])


def _staged(lattice: Lattice, rng: np.random.Generator, n: int) -> Index:
    """Random rows with one multiplier per stage, which its inner widths share."""
    depths = lattice.space.network.depths
    tied = 1 if lattice.space.tied else 2
    stage = np.concatenate(
        [[0], np.arange(len(depths)), np.repeat(np.arange(len(depths)), np.array(depths) * tied)]
    )
    return _scaled(lattice, rng.random((n, len(depths)))[:, stage])


def _scaled(lattice: Lattice, ratios: np.ndarray[Any, np.dtype[np.float64]]) -> Index:
    """Rows whose widths lie nearest to these shares between each gene's ends, [n, genes].

    A block is removed only where all its choices are 0.
    """
    narrow, wide = (
        lattice.space.genes(lattice.configs(row))[0]
        for row in (lattice.narrowest(), lattice.largest())
    )
    columns = []
    for gene, size in enumerate(lattice.sizes.tolist()):
        # Where a lattice leaves out a choice of its space, it is the 0 that comes first.
        widths = np.array(lattice.space.choices[gene][-size:])
        wanted = narrow[gene] + ratios[:, gene] * (wide[gene] - narrow[gene])
        columns.append(np.abs(wanted[:, None] - widths).argmin(axis=1))
    index = np.stack(columns, axis=1)
    return lattice.canonical(np.maximum(index, lattice.narrowest()))
