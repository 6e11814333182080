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
            graph.capture_begin(capture_error_mode="thread_local")
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
