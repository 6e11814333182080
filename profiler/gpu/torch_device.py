"""`Device` through PyTorch; see `profiler.gpu.device`. The module is given, so that tests may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from profiler import cuda_device
from profiler.backend import BackendError, BrokenError, OutOfMemoryError
from profiler.gpu.device import Buffer, Handle, Identity, Stream


class TorchDevice:
    """Streams, events, graphs and memory of `torch.cuda`."""

    name = "torch"
    graphs = True

    def __init__(self, torch: Any) -> None:
        self._torch = torch

    def identity(self) -> Identity:
        with self._errors("device properties"):
            found = self._torch.cuda.get_device_properties(0)
        return Identity(
            name=found.name,
            uuid=f"GPU-{found.uuid}",
            compute_capability=f"{found.major}.{found.minor}",
            driver=cuda_device.driver_version(),
        )

    def stream(self) -> Stream:
        with self._errors("stream"):
            own = self._torch.cuda.Stream()
        return Stream(handle=int(own.cuda_stream), own=own)

    def synchronize(self, stream: Stream) -> None:
        with self._errors("synchronize"):
            stream.own.synchronize()

    def event(self) -> Handle:
        with self._errors("event"):
            return self._torch.cuda.Event(enable_timing=True)

    def record(self, event: Handle, stream: Stream) -> None:
        with self._errors("record"):
            event.record(stream.own)

    def wait(self, event: Handle) -> None:
        with self._errors("wait"):
            event.synchronize()

    def elapsed_ms(self, start: Handle, end: Handle) -> float:
        with self._errors("elapsed time"):
            return float(start.elapsed_time(end))

    def alloc(self, nbytes: int) -> Buffer:
        with self._errors("allocation"):
            own = self._torch.empty(nbytes, dtype=self._torch.uint8, device="cuda:0")
        return Buffer(address=int(own.data_ptr()), nbytes=nbytes, own=own)

    def fill(self, buffer: Buffer, data: npt.NDArray[np.uint8]) -> None:
        with self._errors("copy"):
            buffer.own.copy_(self._torch.from_numpy(data))
            self._torch.cuda.synchronize()

    def capture(self, stream: Stream, work: Callable[[], None]) -> Handle:
        graph = self._torch.cuda.CUDAGraph()
        with self._errors("capture"), self._torch.cuda.stream(stream.own):
            # of this thread: others may allocate meanwhile
            graph.capture_begin(**self._memory(), capture_error_mode="thread_local")
            try:
                work()
            except BaseException:
                with suppress(RuntimeError):  # the first error counts
                    graph.capture_end()
                raise
            graph.capture_end()
        return graph

    def launch(self, graph: Handle, stream: Stream) -> None:
        with self._errors("graph launch"), self._torch.cuda.stream(stream.own):
            graph.replay()

    def _memory(self) -> dict[str, Any]:
        """Where a graph's own memory comes from, as `capture_begin` takes it."""
        return {}

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._torch.OutOfMemoryError as error:
            raise OutOfMemoryError(f"CUDA {what} failed: {error}") from None
        except BackendError:
            raise
        except RuntimeError as error:
            raise BrokenError(f"CUDA {what} failed: {error}") from None


class SharingTorchDevice(TorchDevice):
    """All its streams are one, and its graphs share the memory that they allocate.

    For what allocates while it runs, as torch modules do: what graphs of a session hold between
    their kernels would not fit side by side. So only one may run at a time, and what it leaves is
    gone when the next one runs.
    """

    def __init__(self, torch: Any) -> None:
        super().__init__(torch)
        self._stream: Stream | None = None
        self._pool: Any = None

    def stream(self) -> Stream:
        self._stream = self._stream or super().stream()
        return self._stream

    def _memory(self) -> dict[str, Any]:
        self._pool = self._pool or self._torch.cuda.graph_pool_handle()
        return {"pool": self._pool}
