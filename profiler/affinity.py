"""Which cores a measurement runs on: as many as it has threads, always the same ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from profiler import machine


class AffinityError(ValueError):
    """More threads asked for than cores may be used; says both."""


@contextmanager
def pinned(threads: int) -> Iterator[tuple[int, ...]]:
    """Keeps this thread, and those it starts meanwhile, on the last `threads` usable cores.

    The last ones, because the first core serves most interrupts. Where the system has no affinity
    nothing is pinned. The old affinity is back afterwards.

    Yields:
        The cores in use; empty where nothing was pinned.

    Raises:
        AffinityError: fewer cores may be used than there are threads.
    """
    usable = machine.affinity()
    if threads > machine.usable_cores():
        raise AffinityError(
            f"threads must be at most the {machine.usable_cores()} cores this process may use, "
            f"but got {threads}"
        )
    if not usable:
        yield ()
        return
    chosen = tuple(usable[-threads:])
    os.sched_setaffinity(0, chosen)
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, usable)
