"""Random search by constrained sampling: the baseline that every other searcher must beat.

Never learns from estimates; see `search.sampling` for how its configs are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from search.memory import Memory
from search.problem import Problem, SearchError
from search.sampling import Sampler
from search.searcher import Candidate
from supernet.config import ChannelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of random search."""

    near: float = field(
        default=0.5, metadata={"help": "share of configs that are widened until a limit stops them"}
    )

    def __post_init__(self) -> None:
        if not 0 <= self.near <= 1:
            raise SearchError(f"0 <= near <= 1 must hold, but got {self.near}")


class Plugin:
    """Searcher `random`."""

    summary = "distinct random configs under the limits, half of them close to a limit"

    def __init__(self, problem: Problem, seed: int, **options: Any) -> None:
        self._options = Options(**options)
        self._sampler = Sampler(problem)
        self._memory = Memory(self._sampler.lattice, seed)

    def ask(self, n: int) -> Sequence[ChannelConfig]:
        return self._sampler.fill(self._memory, [], n, self._options.near)

    def tell(self, candidates: Sequence[Candidate]) -> None:
        self._memory.told([candidate.config for candidate in candidates])

    def state(self) -> dict[str, Any]:
        return self._memory.state()

    def restore(self, state: dict[str, Any]) -> None:
        self._memory.restore(state)
