"""`Device` through NVIDIA's cuda-python; see `profiler.gpu.device`.

Its functions return an error beside what they found, and raise nothing: each goes through
`_checked`. The module `cuda.bindings.runtime` is given, so that tests may give another.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from profiler import cuda_device
from profiler.backend import BrokenError, OutOfMemoryError
from profiler.gpu.device import Buffer, Handle, Identity, Stream


class _Owned:
    """What CUDA made for us: destroyed once nothing holds this."""

    def __init__(self, value: Any, destroy: Callable[[Any], object]) -> None:
        self.value = value
        self._finalizer = weakref.finalize(self, destroy, value)
        self._finalizer.atexit = False  # the driver may be gone by then


class CudaPythonDevice:
    """Streams, events, graphs and memory of the CUDA runtime, in its primary context."""

    name = "cuda-python"
    graphs = True

    def __init__(self, runtime: Any) -> None:
        self._cuda = runtime
        self._checked("cudaSetDevice", 0)

    def identity(self) -> Identity:
        found = self._checked("cudaGetDeviceProperties", 0)
        name = found.name.split(b"\0")[0].decode(errors="replace")
        return Identity(
            name=name,
            uuid=f"GPU-{UUID(bytes=bytes(found.uuid.bytes))}",
            compute_capability=f"{found.major}.{found.minor}",
            driver=cuda_device.version_text(self._checked("cudaDriverGetVersion")),
        )

    def stream(self) -> Stream:
        made = self._checked("cudaStreamCreateWithFlags", self._cuda.cudaStreamNonBlocking)
        return Stream(handle=int(made), own=_Owned(made, self._cuda.cudaStreamDestroy))

    def synchronize(self, stream: Stream) -> None:
        self._checked("cudaStreamSynchronize", stream.own.value)

    def event(self) -> Handle:
        return _Owned(self._checked("cudaEventCreate"), self._cuda.cudaEventDestroy)

    def record(self, event: Handle, stream: Stream) -> None:
        self._checked("cudaEventRecord", event.value, stream.own.value)

    def wait(self, event: Handle) -> None:
        self._checked("cudaEventSynchronize", event.value)

    def elapsed_ms(self, start: Handle, end: Handle) -> float:
        return float(self._checked("cudaEventElapsedTime", start.value, end.value))

    def alloc(self, nbytes: int) -> Buffer:
        address = self._checked("cudaMalloc", nbytes)
        own = _Owned(address, self._cuda.cudaFree)
        return Buffer(address=int(address), nbytes=nbytes, own=own)

    def fill(self, buffer: Buffer, data: npt.NDArray[np.uint8]) -> None:
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        source = np.ascontiguousarray(data)
        self._checked("cudaMemcpy", buffer.address, source.ctypes.data, source.nbytes, kind)

    def capture(self, stream: Stream, work: Callable[[], None]) -> Handle:
        mode = self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._checked("cudaStreamBeginCapture", stream.own.value, mode)
        try:
            work()
        except BaseException:
            self._cuda.cudaStreamEndCapture(stream.own.value)
            raise
        graph = self._checked("cudaStreamEndCapture", stream.own.value)
        try:
            made = self._checked("cudaGraphInstantiate", graph, 0)
        finally:
            self._checked("cudaGraphDestroy", graph)
        return _Owned(made, self._cuda.cudaGraphExecDestroy)

    def launch(self, graph: Handle, stream: Stream) -> None:
        self._checked("cudaGraphLaunch", graph.value, stream.own.value)

    def _checked(self, function: str, *arguments: Any) -> Any:
        error, *found = getattr(self._cuda, function)(*arguments)
        errors = self._cuda.cudaError_t
        if error == errors.cudaErrorMemoryAllocation:
            raise OutOfMemoryError(f"CUDA {function} failed: not enough device memory")
        if error != errors.cudaSuccess:
            _, text = self._cuda.cudaGetErrorString(error)
            raise BrokenError(f"CUDA {function} failed: {text.decode(errors='replace')}")
        return found[0] if found else None
