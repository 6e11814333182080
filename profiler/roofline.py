"""Peak and bandwidth of a target, measured: a large matrix product, and a copy.

The upper ends of the roofline (Williams, Waterman and Patterson 2009). The best of several rounds
counts, since the roof is what cannot be exceeded. Knows nothing of blocks.
"""

from __future__ import annotations

from latency_tables.table import Roof, Target
from profiler.backend import Backend, Runner

SIDES = (512, 1024, 1536)
"""Of the matrix products; the best one counts."""
ELEMENTS = 1 << 24
"""Of the copy: far beyond a core's own caches."""
BYTES = {"fp32": 4, "fp16": 2, "int8": 1}
ROUNDS = 7


def roof(backend: Backend, target: Target) -> Roof:
    """Measures the roof of a target; takes a few seconds.

    Raises:
        BackendError: the runtime failed.
    """
    peak = max(side**3 / _best(backend.gemm(side, target)) for side in SIDES)
    moved = 2 * ELEMENTS * BYTES[target.precision]
    copied = moved / _best(backend.copy(ELEMENTS, target))
    return Roof(gmacs=float(f"{peak / 1e6:.4g}"), gbytes=float(f"{copied / 1e6:.4g}"))


def _best(runner: Runner) -> float:
    """The fastest of several runs, in ms."""
    runner(1)
    return min(runner(1) for _ in range(ROUNDS))
