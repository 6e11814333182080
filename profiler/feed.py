"""What every backend does around a built model: its distinct inputs, and the loop that times it.

Runs cycle through several inputs, so that no run finds its own input in the cache just because
it is always the same one. Knows nothing of runtimes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from time import perf_counter_ns
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from profiler.backend import Runner

Feed = TypeVar("Feed")

INPUTS = 4
"""Distinct inputs of a model."""
POOL = 65_521
"""Random values drawn; inputs repeat them (a prime, so that rows do not line up)."""


def samples(shape: Sequence[int], dtype: npt.DTypeLike) -> Iterator[npt.NDArray[Any]]:
    """`INPUTS` arrays like what a ReLU leaves, but without its zeros.

    Integers of a byte span 1 to their largest.
    """
    values = np.abs(np.random.default_rng(0).standard_normal(POOL)) + 0.01
    if np.dtype(dtype) in (np.uint8, np.int8):
        most = np.iinfo(np.dtype(dtype)).max
        values = np.clip(values * most / 6.375, 1, most)
    pool = values.astype(dtype)
    for number in range(INPUTS):
        yield np.resize(np.roll(pool, number * POOL // INPUTS), shape)


def cycled(
    run: Callable[[Feed], object],
    feeds: Sequence[Feed],
    last: Callable[[Feed], object] | None = None,
) -> Runner:
    """Times `run`, which takes one of `feeds` after another.

    Args:
        last: what runs the last one of a call instead, where `run` does not wait for its result.
    """
    following = cycle(feeds)
    finish = last or run

    def runner(n: int) -> float:
        *chosen, final = [next(following) for _ in range(n)]
        start = perf_counter_ns()
        for feed in chosen:
            run(feed)
        finish(final)
        return (perf_counter_ns() - start) / n / 1e6

    return runner
