"""`Device`: the few things of a CUDA device that timing needs, whichever package offers them.

Memory and streams live as long as the values that stand for them: addresses and handles are plain
numbers to a runtime, so whoever gave it one keeps the value. Always device 0; CUDA_VISIBLE_DEVICES
chooses another. Knows nothing of engines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Handle = Any
"""An event or a graph of a device, to be given back to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which GPU this is.

    Attributes:
        uuid: as NVML writes it, "GPU-..."; empty where the package does not tell.
        compute_capability: such as "9.0".
        driver: the CUDA version of the driver, such as "13.0".
    """

    name: str
    uuid: str
    compute_capability: str
    driver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream of its own, never the default one; `own` keeps it alive."""

    handle: int
    own: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """Device memory; freed once nothing holds this value."""

    address: int
    nbytes: int
    own: Any


class Device(Protocol):
    """Device 0 through one package. Every method raises BrokenError where CUDA reports an error."""

    name: str
    """Of the package."""
    graphs: bool
    """Whether it offers CUDA graphs; `capture` and `launch` are called only then."""

    def identity(self) -> Identity:
        """Which GPU this is."""

    def stream(self) -> Stream:
        """A new stream that does not wait for the default one."""

    def synchronize(self, stream: Stream) -> None:
        """Waits until everything queued on the stream is done."""

    def event(self) -> Handle:
        """A new event that takes the time."""

    def record(self, event: Handle, stream: Stream) -> None:
        """Queues the event."""

    def wait(self, event: Handle) -> None:
        """Waits until the event has passed, spinning where the driver does so by default."""

    def elapsed_ms(self, start: Handle, end: Handle) -> float:
        """Milliseconds between two events, both passed; in steps of about 0.5 µs."""

    def alloc(self, nbytes: int) -> Buffer:
        """Device memory.

        Raises:
            OutOfMemoryError: there is not as much.
        """

    def fill(self, buffer: Buffer, data: npt.NDArray[np.uint8]) -> None:
        """Copies host bytes, as many as the buffer has, and waits."""

    def capture(self, stream: Stream, work: Callable[[], None]) -> Handle:
        """A graph of what `work` queues on the stream, which thereby does not run."""

    def launch(self, graph: Handle, stream: Stream) -> None:
        """Queues a graph."""
