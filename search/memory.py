"""`Memory`: what a searcher must not forget - its random generator and every config it has used.

Its JSON form is exact: a searcher restored from it draws the same numbers as one never stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from search.lattice import Index, Key, Lattice
from supernet.config import ChannelConfig


class Memory:
    """Seeded generator and the configs asked or told so far, in order.

    Attributes:
        rng: the searcher's only source of random numbers.
        seen: keys of the configs used; a dict for its order.
    """

    def __init__(self, lattice: Lattice, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.seen: dict[Key, None] = {}
        self._lattice = lattice

    def new(self, index: Index) -> list[Key]:
        """Keys of the distinct rows that were not used before, in order; nothing is added."""
        keys = self._lattice.keys(index)
        return list(dict.fromkeys(key for key in keys if key not in self.seen))

    def add(self, keys: Iterable[Key]) -> None:
        """Marks configs as used."""
        self.seen.update(dict.fromkeys(keys))

    def told(self, configs: Sequence[ChannelConfig]) -> None:
        """Marks those that lie in the space as used."""
        inside = [config for config in configs if config in self._lattice.space]
        self.add(self._lattice.keys(self._lattice.index(inside)))

    def state(self) -> dict[str, Any]:
        """JSON-able and complete."""
        return {"rng": self.rng.bit_generator.state, "seen": [list(key) for key in self.seen]}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.rng.bit_generator.state = state["rng"]
        self._lattice.unkey(state["seen"])
        self.seen = {tuple(key): None for key in state["seen"]}
