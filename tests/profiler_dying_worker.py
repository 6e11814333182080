"""A measuring process whose runtime kills it, or breaks its context, on widths that say so.

Run in place of `python -m profiler.worker`; everything else in it is the real thing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import profiler.backends.onnxruntime as backend
from latency_tables.table import Target
from profiler import worker
from profiler.backend import BrokenError, OutOfMemoryError, Runner
from supernet.shapes import BlockShape, Shape

DIES, BREAKS, SHORT_OF_MEMORY = 13, 11, 7
"""Inner widths of a block that kill the process, break its context, and are too much memory."""
ONCE = "PROFILER_DIES_ONCE"
"""Names a file: while it is there, the next process dies, and takes it away."""


class Dying(backend.Plugin):
    def block(self, shape: Shape, target: Target) -> Runner:
        once = Path(os.environ.get(ONCE, "/nonexistent"))
        if once.exists():
            once.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if isinstance(shape, BlockShape):
            check(shape)
        return super().block(shape, target)

    def chain(self, shapes: Sequence[Shape], target: Target) -> Runner:
        for shape in shapes:
            if isinstance(shape, BlockShape):
                check(shape)
        return super().chain(shapes, target)


def check(shape: BlockShape) -> None:
    if shape.w1 == DIES:
        os.kill(os.getpid(), signal.SIGKILL)
    if shape.w1 == BREAKS:
        raise BrokenError("CUDA graph launch failed: an illegal memory access was encountered")
    if shape.w1 == SHORT_OF_MEMORY:
        raise OutOfMemoryError("CUDA allocation failed: out of memory")


if __name__ == "__main__":
    backend.Plugin = Dying  # type: ignore[misc]
    worker.main()
