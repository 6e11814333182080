"""Peak and bandwidth of a target, measured: a large matrix product, and a copy.

The upper ends of the roofline (Williams, Waterman and Patterson 2009). The best of several rounds
counts, since the roof is what cannot be exceeded. Sizes grow until they keep the device busy for
long enough: what is large for a core is nothing to a GPU. Knows nothing of blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from latency_tables.table import Roof, Target
from profiler.backend import Backend, OutOfMemoryError, Runner

SIDES = (512, 1024, 1536, 4096, 8192)
"""Of the matrix products; the best one counts."""
LONG_MS = 10.0
"""No larger product after one that takes this long: it would take seconds and reach no more."""
ELEMENTS = (1 << 24, 1 << 26, 1 << 28)
"""Of the copy: the smallest is far beyond a core's own caches, the largest beyond a GPU's."""
LONG_COPY_MS = 0.25
BYTES = {"fp32": 4, "fp16": 2, "int8": 1}
ROUNDS = 7


def roof(backend: Backend, target: Target) -> Roof:
    """Measures the roof of a target; takes a second or two.

    Raises:
        BackendError: the runtime failed.
    """
    products = _grown(SIDES, LONG_MS, lambda side: backend.gemm(side, target))
    copies = _grown(ELEMENTS, LONG_COPY_MS, lambda elements: backend.copy(elements, target))
    peak = max(side**3 / ms for side, ms in products.items())
    largest = max(copies)  # a smaller one may fit a cache
    moved = 2 * largest * BYTES[target.precision]
    return Roof(
        gmacs=float(f"{peak / 1e6:.4g}"), gbytes=float(f"{moved / copies[largest] / 1e6:.4g}")
    )


def _grown(
    sizes: Sequence[int], long_ms: float, build: Callable[[int], Runner]
) -> dict[int, float]:
    """The best time in ms of each size, up to the first that takes long or finds no memory."""
    found: dict[int, float] = {}
    for size in sizes:
        try:
            found[size] = _best(build(size))
        except OutOfMemoryError:
            if not found:
                raise
            break
        if found[size] >= long_ms:
            break
    return found


def _best(runner: Runner) -> float:
    """The fastest of several runs, in ms."""
    runner(1)
    return min(runner(1) for _ in range(ROUNDS))
