"""The packages that drive CUDA, as far as our adapters use them, over the simulated GPU.

Each behaves as the real one: torch and PyCUDA raise, cuda-python returns errors that nobody has to
look at. `failing` makes a call by that name fail. Names and signatures are held against the real
packages in `test_profiler_gpu_contract.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
from profiler_fake_cuda import UUID, Cuda, CudaError, Event, Graph, Own


class Faulty:
    """Calls that can be made to fail by name.

    Attributes:
        failing: the name of the call that fails.
        calls: names of all calls, in order.
    """

    def __init__(self, cuda: Cuda) -> None:
        self.cuda = cuda
        self.failing = ""
        self.calls: list[str] = []

    def call(self, name: str) -> None:
        self.calls.append(name)
        if name == self.failing:
            raise CudaError(f"{name} failed")


class TorchEvent:
    def __init__(self, torch: FakeTorch, enable_timing: bool) -> None:
        assert enable_timing
        with torch.errors("Event"):
            self.torch, self.event = torch, Event()

    def record(self, stream: TorchStream) -> None:
        with self.torch.errors("record"):
            self.torch.cuda_.record(self.event, stream.cuda_stream)

    def synchronize(self) -> None:
        with self.torch.errors("event.synchronize"):
            self.torch.cuda_.wait(self.event)

    def elapsed_time(self, end: TorchEvent) -> float:
        with self.torch.errors("elapsed_time"):
            return self.torch.cuda_.elapsed_ms(self.event, end.event)


class TorchStream:
    def __init__(self, torch: FakeTorch) -> None:
        with torch.errors("Stream"):
            self.torch, self.cuda_stream = torch, torch.cuda_.new_stream()

    def synchronize(self) -> None:
        with self.torch.errors("stream.synchronize"):
            self.torch.cuda_.synchronize(self.cuda_stream)


class TorchGraph:
    graph: Graph

    def __init__(self, torch: FakeTorch) -> None:
        self.torch = torch

    def capture_begin(self, pool: object = None, *, capture_error_mode: str) -> None:
        self.torch.pools.append(pool)
        assert capture_error_mode in ("global", "thread_local", "relaxed")
        with self.torch.errors("capture_begin"):
            self.torch.cuda_.begin_capture(self.torch.current)

    def capture_end(self) -> None:
        with self.torch.errors("capture_end"):
            self.graph = self.torch.cuda_.end_capture(self.torch.current)

    def replay(self) -> None:
        with self.torch.errors("replay"):
            self.torch.cuda_.launch(self.graph, self.torch.current)


class TorchTensor:
    def __init__(self, torch: FakeTorch, nbytes: int) -> None:
        self.torch, self.address = torch, torch.cuda_.malloc(nbytes)
        self.own = Own(self.address, torch.cuda_.free)

    def data_ptr(self) -> int:
        return self.address

    def copy_(self, source: np.ndarray[Any, Any]) -> None:
        with self.torch.errors("copy_"):
            self.torch.cuda_.write(self.address, source)


class FakeTorch(Faulty):
    """`torch`, with its current stream."""

    class OutOfMemoryError(RuntimeError):
        pass

    uint8 = np.uint8

    def __init__(self, cuda: Cuda) -> None:
        super().__init__(cuda)
        self.cuda_, self.current = cuda, 0
        self.pools: list[object] = []
        self.handles = count(1)
        self.cuda = SimpleNamespace(  # type: ignore[assignment]
            Event=lambda enable_timing: TorchEvent(self, enable_timing),
            Stream=lambda: TorchStream(self),
            CUDAGraph=lambda: TorchGraph(self),
            graph_pool_handle=lambda: (0, next(self.handles)),
            stream=self._on,
            synchronize=lambda: None,
            get_device_properties=self._properties,
        )

    def empty(self, nbytes: int, dtype: Any, device: str) -> TorchTensor:
        assert dtype is np.uint8
        assert device == "cuda:0"
        with self.errors("empty"):
            try:
                return TorchTensor(self, nbytes)
            except MemoryError as error:
                raise self.OutOfMemoryError(str(error)) from None

    def from_numpy(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return array

    def _properties(self, number: int) -> SimpleNamespace:
        with self.errors("get_device_properties"):
            return SimpleNamespace(name="Fake GPU", major=9, minor=0, uuid=UUID[4:])

    @contextmanager
    def errors(self, name: str) -> Iterator[None]:
        try:
            self.call(name)
            yield
        except CudaError as error:
            raise RuntimeError(f"CUDA error: {error}") from None

    @contextmanager
    def _on(self, stream: TorchStream) -> Iterator[None]:
        before, self.current = self.current, stream.cuda_stream
        try:
            yield
        finally:
            self.current = before


class CudaErrors(IntEnum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorIllegalAddress = 700


class FakeRuntime(Faulty):
    """`cuda.bindings.runtime`: every function returns its error first."""

    cudaError_t = CudaErrors
    cudaStreamNonBlocking = 1
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1)
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self, cuda: Cuda) -> None:
        super().__init__(cuda)
        self.destroyed: list[str] = []

    def _answer(self, name: str, work: Callable[[], Any], *, found: bool = True) -> tuple[Any, ...]:
        nothing = (None,) if found else ()
        try:
            self.call(name)
            value = work()
        except MemoryError:
            return (CudaErrors.cudaErrorMemoryAllocation, *nothing)
        except CudaError:
            return (CudaErrors.cudaErrorIllegalAddress, *nothing)
        return (CudaErrors.cudaSuccess, value) if found else (CudaErrors.cudaSuccess,)

    def _gone(self, name: str, work: Callable[[], Any]) -> tuple[Any, ...]:
        """Nobody waits for what a finalizer returns, so these calls are not among the tried."""
        self.destroyed.append(name)
        work()
        return (CudaErrors.cudaSuccess,)

    def cudaGetErrorString(self, error: CudaErrors) -> tuple[CudaErrors, bytes]:
        return CudaErrors.cudaSuccess, b"an illegal memory access was encountered"

    def cudaSetDevice(self, device: int) -> tuple[Any, ...]:
        assert device == 0
        return self._answer("cudaSetDevice", lambda: None, found=False)

    def cudaGetDeviceProperties(self, device: int) -> tuple[Any, ...]:
        uuid = SimpleNamespace(bytes=bytes(range(16)))
        found = SimpleNamespace(name=b"Fake GPU\0\0", major=9, minor=0, uuid=uuid)
        return self._answer("cudaGetDeviceProperties", lambda: found)

    def cudaDriverGetVersion(self) -> tuple[Any, ...]:
        return self._answer("cudaDriverGetVersion", lambda: 13000)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Any, ...]:
        assert flags == self.cudaStreamNonBlocking
        return self._answer("cudaStreamCreateWithFlags", self.cuda.new_stream)

    def cudaStreamDestroy(self, stream: int) -> tuple[Any, ...]:
        return self._gone("cudaStreamDestroy", lambda: self.cuda.drop_stream(stream))

    def cudaStreamSynchronize(self, stream: int) -> tuple[Any, ...]:
        work = lambda: self.cuda.synchronize(stream)  # noqa: E731
        return self._answer("cudaStreamSynchronize", work, found=False)

    def cudaEventCreate(self) -> tuple[Any, ...]:
        return self._answer("cudaEventCreate", Event)

    def cudaEventDestroy(self, event: Event) -> tuple[Any, ...]:
        return self._gone("cudaEventDestroy", lambda: None)

    def cudaEventRecord(self, event: Event, stream: int) -> tuple[Any, ...]:
        work = lambda: self.cuda.record(event, stream)  # noqa: E731
        return self._answer("cudaEventRecord", work, found=False)

    def cudaEventSynchronize(self, event: Event) -> tuple[Any, ...]:
        return self._answer("cudaEventSynchronize", lambda: self.cuda.wait(event), found=False)

    def cudaEventElapsedTime(self, start: Event, end: Event) -> tuple[Any, ...]:
        return self._answer("cudaEventElapsedTime", lambda: self.cuda.elapsed_ms(start, end))

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:
        return self._answer("cudaMalloc", lambda: self.cuda.malloc(size))

    def cudaFree(self, address: int) -> tuple[Any, ...]:
        return self._gone("cudaFree", lambda: self.cuda.free(address))

    def cudaMemcpy(self, dst: int, src: int, count: int, kind: int) -> tuple[Any, ...]:
        import ctypes

        assert kind == 1
        data = np.frombuffer(ctypes.string_at(src, count), np.uint8)
        return self._answer("cudaMemcpy", lambda: self.cuda.write(dst, data), found=False)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[Any, ...]:
        work = lambda: self.cuda.begin_capture(stream)  # noqa: E731
        return self._answer("cudaStreamBeginCapture", work, found=False)

    def cudaStreamEndCapture(self, stream: int) -> tuple[Any, ...]:
        return self._answer("cudaStreamEndCapture", lambda: self.cuda.end_capture(stream))

    def cudaGraphInstantiate(self, graph: Graph, flags: int) -> tuple[Any, ...]:
        return self._answer("cudaGraphInstantiate", lambda: Graph(graph.kernels))

    def cudaGraphDestroy(self, graph: Graph) -> tuple[Any, ...]:
        self.destroyed.append("cudaGraphDestroy")
        return self._answer("cudaGraphDestroy", lambda: None, found=False)

    def cudaGraphLaunch(self, graph: Graph, stream: int) -> tuple[Any, ...]:
        work = lambda: self.cuda.launch(graph, stream)  # noqa: E731
        return self._answer("cudaGraphLaunch", work, found=False)

    def cudaGraphExecDestroy(self, graph: Graph) -> tuple[Any, ...]:
        return self._gone("cudaGraphExecDestroy", lambda: None)


class PycudaError(Exception):
    """`pycuda.driver.Error`."""


class PycudaMemoryError(PycudaError):
    """`pycuda.driver.MemoryError`."""


class PycudaStream:
    def __init__(self, driver: FakePycuda, flags: int) -> None:
        assert flags == 1
        with driver.errors("Stream"):
            self.driver, self.handle = driver, driver.cuda.new_stream()
            self.own = Own(self.handle, driver.cuda.drop_stream)

    def synchronize(self) -> None:
        with self.driver.errors("stream.synchronize"):
            self.driver.cuda.synchronize(self.handle)


class PycudaEvent:
    def __init__(self, driver: FakePycuda) -> None:
        with driver.errors("Event"):
            self.driver, self.event = driver, Event()

    def record(self, stream: PycudaStream) -> None:
        with self.driver.errors("record"):
            self.driver.cuda.record(self.event, stream.handle)

    def synchronize(self) -> None:
        with self.driver.errors("event.synchronize"):
            self.driver.cuda.wait(self.event)

    def time_till(self, end: PycudaEvent) -> float:
        with self.driver.errors("time_till"):
            return self.driver.cuda.elapsed_ms(self.event, end.event)


class PycudaMemory:
    def __init__(self, driver: FakePycuda, nbytes: int) -> None:
        self.address = driver.cuda.malloc(nbytes)
        self.own = Own(self.address, driver.cuda.free)

    def __int__(self) -> int:
        return self.address


class PycudaDeviceHandle:
    """`pycuda.driver.Device`."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PycudaDeviceHandle) and other.number == self.number

    def __hash__(self) -> int:
        return self.number

    def name(self) -> str:
        return f"Fake GPU {self.number}" if self.number else "Fake GPU"

    def compute_capability(self) -> tuple[int, int]:
        return 9, 0


class FakePycuda(Faulty):
    """`pycuda.driver`; `autoprimaryctx` is the module beside it."""

    Error, MemoryError, Device = PycudaError, PycudaMemoryError, PycudaDeviceHandle

    def __init__(self, cuda: Cuda, number: int = 0) -> None:
        super().__init__(cuda)
        self.autoprimaryctx = SimpleNamespace(device=PycudaDeviceHandle(number))

    def get_driver_version(self) -> int:
        with self.errors("get_driver_version"):
            return 13000

    def Stream(self, flags: int) -> PycudaStream:
        return PycudaStream(self, flags)

    def Event(self) -> PycudaEvent:
        return PycudaEvent(self)

    def mem_alloc(self, nbytes: int) -> PycudaMemory:
        with self.errors("mem_alloc"):
            try:
                return PycudaMemory(self, nbytes)
            except MemoryError as error:
                raise PycudaMemoryError(str(error)) from None

    def memcpy_htod(self, dest: PycudaMemory, src: np.ndarray[Any, Any]) -> None:
        with self.errors("memcpy_htod"):
            self.cuda.write(int(dest), src)

    @contextmanager
    def errors(self, name: str) -> Iterator[None]:
        try:
            self.call(name)
            yield
        except CudaError as error:
            raise PycudaError(str(error)) from None
