"""How models are shared out among sessions: few enough to be alive at once, all of like number.

Knows nothing of what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from profiler.machine import free_bytes

Item = TypeVar("Item")

ALIVE = 64
"""Models alive at once."""
WEIGHTS = 1_500_000_000
"""Weights alive at once, where memory allows: networks of one session need no common scale."""
BYTES = 12
"""Of memory a weight, at most: a runtime may keep its own copy, and a packed one."""
SHARE = 0.5
"""Of the free memory that models may take."""


def batches(
    items: Sequence[Item], weights: Callable[[Item], int], alive: int = ALIVE
) -> Iterator[list[Item]]:
    """Splits into runs of at most `alive` items and about `WEIGHTS` weights, of like length."""
    batch: list[Item] = []
    load = 0
    heaviest = min(WEIGHTS, int(SHARE * free_bytes() / BYTES))
    pieces = -(-len(items) // alive)
    most = -(-len(items) // pieces) if pieces else alive
    for item in items:
        if batch and (len(batch) == most or load + weights(item) > heaviest):
            yield batch
            batch, load = [], 0
        batch.append(item)
        load += weights(item)
    if batch:
        yield batch
