"""`Device` through PyCUDA; see `profiler.gpu.device`.

PyCUDA has no CUDA graphs, so runs are queued one by one, and short ones cost what queueing them
costs. `pycuda.autoprimaryctx` shares its context with the CUDA runtime that engines use. Both
modules are given, so that tests may give others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from profiler import cuda_device
from profiler.backend import BackendError, BrokenError, OutOfMemoryError
from profiler.gpu.device import Buffer, Handle, Identity, Stream

NON_BLOCKING = 1
"""`CU_STREAM_NON_BLOCKING` in cuda.h."""


class PycudaDevice:
    """Streams, events and memory of the CUDA driver, in the primary context."""

    name = "pycuda"
    graphs = False

    def __init__(self, driver: Any, autoprimaryctx: Any) -> None:
        self._cuda = driver
        self._device = autoprimaryctx.device
        if self._device != driver.Device(0):
            raise BackendError(
                f"PyCUDA must use device 0, but took {self._device.name()}; unset CUDA_DEVICE, and "
                "choose the device with CUDA_VISIBLE_DEVICES"
            )

    def identity(self) -> Identity:
        with self._errors("device properties"):
            major, minor = self._device.compute_capability()
            return Identity(
                name=self._device.name(),
                uuid=cuda_device.uuid(),  # PyCUDA does not tell it
                compute_capability=f"{major}.{minor}",
                driver=cuda_device.version_text(self._cuda.get_driver_version()),
            )

    def stream(self) -> Stream:
        with self._errors("stream"):
            own = self._cuda.Stream(NON_BLOCKING)
        return Stream(handle=int(own.handle), own=own)

    def synchronize(self, stream: Stream) -> None:
        with self._errors("synchronize"):
            stream.own.synchronize()

    def event(self) -> Handle:
        with self._errors("event"):
            return self._cuda.Event()

    def record(self, event: Handle, stream: Stream) -> None:
        with self._errors("record"):
            event.record(stream.own)

    def wait(self, event: Handle) -> None:
        with self._errors("wait"):
            event.synchronize()

    def elapsed_ms(self, start: Handle, end: Handle) -> float:
        with self._errors("elapsed time"):
            return float(start.time_till(end))

    def alloc(self, nbytes: int) -> Buffer:
        with self._errors("allocation"):
            own = self._cuda.mem_alloc(nbytes)
        return Buffer(address=int(own), nbytes=nbytes, own=own)

    def fill(self, buffer: Buffer, data: npt.NDArray[np.uint8]) -> None:
        with self._errors("copy"):
            self._cuda.memcpy_htod(buffer.own, np.ascontiguousarray(data))

    def capture(self, stream: Stream, work: Callable[[], None]) -> NoReturn:
        raise BackendError("PyCUDA has no CUDA graphs")

    def launch(self, graph: Handle, stream: Stream) -> NoReturn:
        raise BackendError("PyCUDA has no CUDA graphs")

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._cuda.MemoryError as error:
            raise OutOfMemoryError(f"CUDA {what} failed: {error}") from None
        except self._cuda.Error as error:
            raise BrokenError(f"CUDA {what} failed: {error}") from None
