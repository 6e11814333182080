"""Seeds: configs that a searcher is given to ask first."""

from __future__ import annotations

from collections.abc import Sequence

from search.lattice import Key
from search.memory import Memory
from search.problem import SearchError
from search.sampling import Sampler
from supernet.config import ChannelConfig, ConfigError


def seed_keys(sampler: Sampler, memory: Memory, seeds: Sequence[ChannelConfig]) -> list[Key]:
    """The distinct seeds, narrowed to the limits; none where no config meets them.

    Raises:
        SearchError: a seed outside the space.
    """
    for at, config in enumerate(seeds):
        try:
            sampler.problem.space.check(config)
        except ConfigError as error:
            raise SearchError(f"seeds[{at}] must lie in the space: {error}") from None
    if sampler.anchor is None:
        return []
    return memory.new(sampler.repair(sampler.lattice.index(seeds), memory.rng))
