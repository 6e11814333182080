"""One strict simulated GPU: what real ones punish late, silently or not at all, fails here at once.

`Cuda` keeps time, memory, streams, events and graphs; `FakeDevice` shows it as
`profiler.gpu.device.Device`, and `profiler_fake_packages` as the packages that adapters use. Time
passes on the device when kernels run, and on the host when something is queued.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from profiler.backend import BackendError, BrokenError, OutOfMemoryError
from profiler.gpu.device import Buffer, Identity, Stream
from profiler.gpu.engine import IoTensor

DEFAULT_STREAMS = (0, 1, 2)
QUEUE_US = 2.0
LAUNCH_US = 5.0
RESOLUTION_US = 0.5
UUID = "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"


class CudaError(Exception):
    """What CUDA reports once a context is broken."""


class MisuseError(AssertionError):
    """The device was used in a way that real ones do not forgive."""


@dataclass
class Memory:
    """A piece of device memory and what was written to it."""

    address: int
    nbytes: int
    alive: bool = True
    written: npt.NDArray[np.uint8] | None = None


@dataclass
class Kernel:
    """One run of an engine as it was queued."""

    engine: FakeEngine
    ms: float
    addresses: dict[str, int]


@dataclass
class Graph:
    """What was captured."""

    kernels: list[Kernel]


@dataclass
class Event:
    """When it passes on the device, once recorded."""

    at_us: float | None = None


class Own:
    """Stands for something of the device; `gone` runs when nothing holds it."""

    def __init__(self, value: Any, gone: Callable[[Any], None]) -> None:
        self.value = value
        weakref.finalize(self, gone, value)


@dataclass
class Cuda:
    """The state of one GPU.

    Attributes:
        noise: factor of each kernel's time, by its number.
        broken: every call fails from now on.
        most_bytes: of memory.
    """

    host_us: float = 0.0
    noise: Callable[[int], float] = lambda number: 1.0
    broken: bool = False
    most_bytes: int = 1 << 40
    busy_us: dict[int, float] = field(default_factory=dict)
    memory: list[Memory] = field(default_factory=list)
    capturing: dict[int, list[Kernel]] = field(default_factory=dict)
    fills: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    launches: int = 0
    captured: list[Graph] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: count(16))
    _kernels: Any = field(default_factory=count)

    def clock_ns(self) -> int:
        """The host's clock."""
        return round(1000 * self.host_us)

    def new_stream(self) -> int:
        self._idle("a stream")
        handle = next(self._numbers)
        self.busy_us[handle] = 0.0
        return int(handle)

    def drop_stream(self, handle: int) -> None:
        del self.busy_us[handle]

    def malloc(self, nbytes: int) -> int:
        self._idle("an allocation")
        if nbytes <= 0:
            raise MisuseError(f"allocation of {nbytes} bytes")
        if sum(piece.nbytes for piece in self.memory if piece.alive) + nbytes > self.most_bytes:
            raise MemoryError("out of memory")
        last = self.memory[-1] if self.memory else Memory(1 << 20, 0)
        address = (last.address + last.nbytes + 1023) // 512 * 512
        self.memory.append(Memory(address, nbytes))
        return address

    def free(self, address: int) -> None:
        self.at(address).alive = False

    def at(self, address: int) -> Memory:
        """The living memory that starts at an address."""
        for piece in self.memory:
            if piece.address == address:
                if not piece.alive:
                    raise MisuseError(f"use of {address:#x} after it was freed")
                return piece
        raise MisuseError(f"no memory starts at {address:#x}")

    def write(self, address: int, data: npt.NDArray[np.uint8]) -> None:
        self._idle("a copy")
        piece = self.at(address)
        if data.dtype != np.uint8 or data.size != piece.nbytes:
            raise MisuseError(f"{data.nbytes} bytes copied to memory of {piece.nbytes}")
        if not data.any():
            raise MisuseError("an input is all zero")
        piece.written = data.copy()
        self.fills.append(piece.written)

    def queue(self, handle: int, kernel: Kernel) -> None:
        self._check(handle)
        self.host_us += kernel.engine.queue_us
        if handle in self.capturing:
            self.capturing[handle].append(kernel)
        else:
            self._run(handle, kernel)

    def _run(self, handle: int, kernel: Kernel) -> None:
        kernel.engine.read(kernel.addresses)
        start = max(self.host_us, self.busy_us[handle])
        self.busy_us[handle] = start + 1000 * kernel.ms * self.noise(next(self._kernels))

    def record(self, event: Event, handle: int) -> None:
        self._check(handle)
        if handle in self.capturing:
            raise MisuseError("an event recorded while capturing")
        event.at_us = max(self.host_us, self.busy_us[handle])

    def wait(self, event: Event) -> None:
        self._idle("a wait")
        if event.at_us is None:
            raise MisuseError("a wait for an event that was never recorded")
        self.host_us = max(self.host_us, event.at_us)

    def elapsed_ms(self, start: Event, end: Event) -> float:
        self._idle("elapsed time")
        for event in (start, end):
            if event.at_us is None or event.at_us > self.host_us:
                raise MisuseError("elapsed time of an event that has not passed")
        assert start.at_us is not None
        assert end.at_us is not None
        steps = round((end.at_us - start.at_us) / RESOLUTION_US)
        return steps * RESOLUTION_US / 1000

    def synchronize(self, handle: int) -> None:
        self._idle("synchronize")
        self._check(handle)
        self.host_us = max(self.host_us, self.busy_us[handle])

    def begin_capture(self, handle: int) -> None:
        self._check(handle)
        if self.busy_us[handle] > self.host_us:
            raise MisuseError("capture on a stream with work under way")
        self.capturing[handle] = []

    def end_capture(self, handle: int) -> Graph:
        found = self.capturing.pop(handle)
        if not found:
            raise MisuseError("nothing was captured")
        self.captured.append(Graph(found))
        return self.captured[-1]

    def launch(self, graph: Graph, handle: int) -> None:
        self._check(handle)
        self._idle("a graph launch")
        self.launches += 1
        self.host_us += LAUNCH_US
        for kernel in graph.kernels:
            if kernel.engine.unseen:
                raise MisuseError("an address was bound after the capture of a graph")
            self._run(handle, kernel)

    def _check(self, handle: int) -> None:
        self._alive()
        if handle in DEFAULT_STREAMS:
            raise MisuseError("work on the default stream")
        if handle not in self.busy_us:
            raise MisuseError(f"no stream {handle}")

    def _alive(self) -> None:
        if self.broken:
            raise CudaError("an illegal memory access was encountered")

    def _idle(self, what: str) -> None:
        self._alive()
        if self.capturing:
            raise MisuseError(f"{what} while capturing")


@dataclass
class FakeDevice:
    """`profiler.gpu.device.Device` of a `Cuda`."""

    cuda: Cuda = field(default_factory=Cuda)
    name: str = "fake"
    graphs: bool = True

    def identity(self) -> Identity:
        return Identity(name="Fake GPU", uuid=UUID, compute_capability="9.0", driver="13.0")

    def stream(self) -> Stream:
        handle = self.cuda.new_stream()
        return Stream(handle=handle, own=Own(handle, self.cuda.drop_stream))

    def synchronize(self, stream: Stream) -> None:
        try:
            self.cuda.synchronize(stream.handle)
        except CudaError as error:
            raise BrokenError(str(error)) from None

    def event(self) -> Event:
        return Event()

    def record(self, event: Event, stream: Stream) -> None:
        self.cuda.record(event, stream.handle)

    def wait(self, event: Event) -> None:
        self.cuda.wait(event)

    def elapsed_ms(self, start: Event, end: Event) -> float:
        return self.cuda.elapsed_ms(start, end)

    def alloc(self, nbytes: int) -> Buffer:
        try:
            address = self.cuda.malloc(nbytes)
        except MemoryError as error:
            raise OutOfMemoryError(str(error)) from None
        return Buffer(address=address, nbytes=nbytes, own=Own(address, self.cuda.free))

    def fill(self, buffer: Buffer, data: npt.NDArray[np.uint8]) -> None:
        self.cuda.write(buffer.address, data)

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        self.cuda.begin_capture(stream.handle)
        try:
            work()
        except BaseException:
            self.cuda.capturing.clear()
            raise
        return self.cuda.end_capture(stream.handle)

    def launch(self, graph: Graph, stream: Stream) -> None:
        if not self.graphs:
            raise MisuseError("a graph launched on a device without graphs")
        self.cuda.launch(graph, stream.handle)


def tensors(nbytes: int = 4096) -> list[IoTensor]:
    """An input and an output whose padded buffers are larger than their values."""
    return [
        IoTensor(name="input", is_input=True, dtype="fp16", shape=(1, 37, 5, 5), nbytes=nbytes),
        IoTensor(name="output", is_input=False, dtype="fp16", shape=(1, 8, 5, 5), nbytes=nbytes),
    ]


class FakeEngine:
    """`profiler.gpu.engine.Engine` whose runs take a known time on a `Cuda`."""

    def __init__(
        self,
        cuda: Cuda,
        ms: float,
        io: Sequence[IoTensor] | None = None,
        queue_us: float = QUEUE_US,
        failing_at: int = -1,
        breaks: bool = False,
    ) -> None:
        self.cuda, self.ms, self.queue_us = cuda, ms, queue_us
        self.failing_at, self.breaks = failing_at, breaks
        self.tensors = tensors() if io is None else io
        self.bound: dict[str, int] = {}
        self.unseen = True
        self.profiler: object | None = None
        self.enqueues = 0
        self.read_from: list[int] = []

    def bind(self, name: str, address: int) -> None:
        tensor = next(t for t in self.tensors if t.name == name)
        if self.cuda.at(address).nbytes < tensor.nbytes:
            raise MisuseError(f"the buffer of {name} lacks its padding")
        if self.bound.get(name) != address:
            self.bound[name], self.unseen = address, True

    def enqueue(self, stream: int) -> None:
        if len(self.bound) != len(self.tensors):
            raise MisuseError("a run before every address was bound")
        if self.profiler is not None:
            raise MisuseError("a profiler is attached while timing")
        if stream in self.cuda.capturing and self.unseen:
            raise MisuseError("capture before a warm run with these addresses")
        self.enqueues += 1
        if self.enqueues == self.failing_at:
            self.cuda.broken = self.breaks
            raise BackendError("the runtime could not queue a run")
        self.unseen = False
        self.cuda.queue(stream, Kernel(self, self.ms, dict(self.bound)))

    def read(self, addresses: dict[str, int]) -> None:
        """What a run does with its memory."""
        for tensor in self.tensors:
            memory = self.cuda.at(addresses[tensor.name])
            if tensor.is_input:
                if memory.written is None:
                    raise MisuseError(f"{tensor.name} was never filled")
                self.read_from.append(memory.address)

    def notes(self) -> dict[str, str]:
        return {"tiles": "128x64x32"}
