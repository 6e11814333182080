"""Watching the GPU while it is measured, and holding its clocks still; see `profiler.measure`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from profiler.gpu.nvml import Nvml, Sample

MOVED = 0.02
"""A clock this far off the session's usual is a disturbance."""
FEWEST = 3
"""Samples that tell the usual."""
SWITCH = "STAIRPRUNE_LOCK_CLOCKS"
"""Set to 0 to leave the GPU's clocks alone."""


class GpuWatch:
    """Says what disturbed the GPU since the last call, or "".

    Clocks that move, what holds them back, and what others compute on it. It is asked right after
    something was measured, while the clocks are still those of a busy GPU.
    """

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._clocks: dict[str, list[int]] = {"SM": [], "memory": []}

    def __call__(self, ms: float) -> str:
        now = self._nvml.sample()
        found = [*now.throttles, *self._moved(now)]
        if now.computing:
            pids = ", ".join(str(pid) for pid in sorted(now.computing))
            found.append(f"other processes computing on the GPU ({pids})")
        return f"GPU disturbed by {'; '.join(found)}" if found else ""

    def _moved(self, now: Sample) -> Iterator[str]:
        for name, mhz in (("SM", now.sm_mhz), ("memory", now.memory_mhz)):
            if mhz is None:
                continue
            seen = self._clocks[name]
            seen.append(mhz)
            usual = median(seen)
            if len(seen) >= FEWEST and abs(mhz - usual) > MOVED * usual:
                yield f"its {name} clock at {mhz} MHz, usually {usual:g}"


@contextmanager
def still_clocks(nvml: Nvml | str) -> Iterator[str]:
    """Locks the SM clock where that is allowed, and releases it afterwards; yields what it did."""
    if isinstance(nvml, str):
        yield f"not locked: {nvml}"
        return
    if os.environ.get(SWITCH) == "0":
        yield f"not locked: {SWITCH}=0"
        return
    outcome = nvml.lock_clocks()
    try:
        yield outcome
    finally:
        if not outcome.startswith("not"):
            nvml.release_clocks()
