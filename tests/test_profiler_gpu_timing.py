"""Timing engines on the strict simulated GPU, and that it is strict."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest
from profiler_fake_cuda import Cuda, FakeDevice, FakeEngine, MisuseError, tensors

from profiler.backend import BackendError, BrokenError, Remarking
from profiler.feed import INPUTS
from profiler.gpu.device import Buffer, Stream
from profiler.gpu.engine import IoTensor
from profiler.gpu.pool import Pool
from profiler.gpu.timing import GRAPH_MS, MOST_RUNS, EngineRunner

LATENCIES = (0.0021, 0.017, 0.0873, 0.31, 4.0)


def runner_of(ms: float, *, graphs: bool = True, cuda: Cuda | None = None) -> EngineRunner:
    device = FakeDevice(cuda or Cuda(), graphs=graphs)
    return EngineRunner(FakeEngine(device.cuda, ms), device, device.cuda.clock_ns)


@pytest.mark.parametrize("ms", LATENCIES)
def test_a_run_costs_what_it_takes_on_the_device(ms: float) -> None:
    runner = runner_of(ms)
    for n in (1, 3, 200):
        assert runner(n) == pytest.approx(ms, rel=0.01)
    assert isinstance(runner, Remarking)
    assert runner.remarks().flags == ()


@pytest.mark.parametrize("ms", LATENCIES)
def test_a_graph_is_long_enough_and_no_longer_than_needed(ms: float) -> None:
    runner = runner_of(ms)
    assert runner.runs == min(MOST_RUNS, int(np.ceil(GRAPH_MS / ms)))


@pytest.mark.parametrize("n", [1, 40, 41])
def test_at_least_as_many_runs_as_asked_for_are_timed(n: int) -> None:
    cuda = Cuda()
    runner = runner_of(0.05, cuda=cuda)
    before = cuda.launches
    runner(n)
    timed = cuda.launches - before - 1  # the first one hides the launch
    assert (timed - 1) * runner.runs < n <= timed * runner.runs


def test_runs_cycle_through_distinct_inputs_that_fill_their_padding() -> None:
    cuda = Cuda()
    runner = runner_of(0.4, cuda=cuda)
    assert len({data.tobytes() for data in cuda.fills}) == len(cuda.fills) == INPUTS
    assert all(data.size == 4096 for data in cuda.fills)
    engine = cuda.captured[0].kernels[0].engine
    engine.read_from.clear()
    runner(2 * INPUTS - 1)
    assert len(engine.read_from) == 2 * INPUTS
    assert len(set(engine.read_from)) == INPUTS


def test_without_graphs_runs_are_queued_one_by_one_and_inputs_still_cycle() -> None:
    cuda = Cuda()
    runner = runner_of(0.4, graphs=False, cuda=cuda)
    assert runner(8) == pytest.approx(0.4, rel=0.01)
    assert cuda.launches == 0
    assert runner.remarks().flags == ()
    assert "no CUDA graph" in runner.remarks().notes


@pytest.mark.parametrize(
    ("queue_us", "bound"), [(7.0, False), (8.2, True), (30.0, True)], ids="{} us".format
)
def test_a_host_that_queues_too_slowly_is_noted_and_without_graphs_a_flag(
    queue_us: float, bound: bool
) -> None:
    for graphs in (True, False):
        device = FakeDevice(graphs=graphs)
        engine = FakeEngine(device.cuda, 0.01, queue_us=queue_us)
        runner = EngineRunner(engine, device, device.cuda.clock_ns)
        found = runner(50)
        remarks = runner.remarks()
        assert ("enqueue-bound" in remarks.flags) == (bound and not graphs)
        note = "enqueue-bound without a CUDA graph"
        assert (note in remarks.notes) == (bound and graphs)
        slow = max(0.01, queue_us / 1000)
        assert found == pytest.approx(0.01 if graphs else slow, rel=0.05)


@pytest.mark.parametrize(("spread", "noted"), [(0.01, False), (0.08, True)])
def test_runs_that_vary_are_noted(spread: float, noted: bool) -> None:
    rng = np.random.default_rng(0)
    cuda = Cuda(noise=lambda number: 1 + spread * rng.standard_normal())
    runner = runner_of(1.0, cuda=cuda)
    for _ in range(100):
        runner(1)
    notes = [note for note in runner.remarks().notes if note.startswith("runs vary by")]
    assert bool(notes) == noted
    assert "tiles 128x64x32" in runner.remarks().notes


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "int8"])
def test_inputs_are_valid_values_of_every_type(dtype: str) -> None:
    cuda = Cuda()
    io = [
        IoTensor(name="a", is_input=True, dtype=dtype, shape=(1, 3, 7, 7), nbytes=1000),
        IoTensor(name="b", is_input=True, dtype=dtype, shape=(1, 3, 7, 7), nbytes=1000),
        IoTensor(name="c", is_input=False, dtype=dtype, shape=(1, 3, 7, 7), nbytes=1000),
    ]
    device = FakeDevice(cuda)
    runner = EngineRunner(FakeEngine(cuda, 0.5, io), device, cuda.clock_ns)
    assert runner(1) == pytest.approx(0.5, rel=0.01)
    kind = {"fp32": np.float32, "fp16": np.float16, "int8": np.int8}[dtype]
    for data in cuda.fills:
        values = data.view(kind)
        assert np.isfinite(values.astype(float)).all()
        assert (values > 0).all()


def test_an_engine_without_inputs_is_timed() -> None:
    cuda = Cuda()
    device = FakeDevice(cuda)
    runner = EngineRunner(FakeEngine(cuda, 0.5, tensors()[1:]), device, cuda.clock_ns)
    assert runner(1) == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("at", [1, 5, 8, 15, 21])
def test_a_runtime_that_refuses_a_run_is_our_error_whenever_it_does(at: int) -> None:
    device = FakeDevice()
    engine = FakeEngine(device.cuda, 0.2, failing_at=at)
    with pytest.raises(BackendError, match="could not queue a run") as caught:
        EngineRunner(engine, device, device.cuda.clock_ns)(1)
    assert not isinstance(caught.value, BrokenError)


@pytest.mark.parametrize("at", [1, 5, 8, 15, 21])
def test_a_context_broken_by_a_run_is_told_apart_whenever_it_breaks(at: int) -> None:
    device = FakeDevice()
    engine = FakeEngine(device.cuda, 0.2, failing_at=at, breaks=True)
    with pytest.raises(BrokenError, match="illegal memory access"):
        EngineRunner(engine, device, device.cuda.clock_ns)(1)


def test_a_device_without_enough_memory_is_our_error() -> None:
    device = FakeDevice(Cuda(most_bytes=10_000))
    with pytest.raises(BackendError, match="out of memory"):
        EngineRunner(FakeEngine(device.cuda, 0.2), device, device.cuda.clock_ns)


def test_engines_of_a_pool_share_memory_and_inputs_stay_what_they_are() -> None:
    cuda = Cuda()
    device = FakeDevice(cuda)
    pool = Pool(device)
    sizes = (1000, 4096, 70_000, 300, 70_000)
    runners = [
        EngineRunner(FakeEngine(cuda, 0.5, tensors(size)), device, cuda.clock_ns, pool=pool)
        for size in sizes
    ]
    assert all(runner(3) == pytest.approx(0.5, rel=0.01) for runner in runners)
    alive = sum(piece.nbytes for piece in cuda.memory if piece.alive)
    assert alive <= (INPUTS + 1) * 2 * 131_072
    outputs = {engine.bound["output"] for engine in engines(cuda)}
    inputs = {address for engine in engines(cuda) for address in engine.read_from}
    assert not outputs & inputs


def engines(cuda: Cuda) -> list[FakeEngine]:
    return [graph.kernels[0].engine for graph in cuda.captured]


def test_memory_and_streams_are_given_back_with_the_runner() -> None:
    cuda = Cuda()
    runner = runner_of(0.5, cuda=cuda)
    assert sum(piece.alive for piece in cuda.memory) == INPUTS + 1
    cuda.captured.clear()
    del runner
    gc.collect()
    assert not any(piece.alive for piece in cuda.memory)
    assert not cuda.busy_us


class Cold(EngineRunner):
    """Captures without a warm run."""

    def _warm(self) -> None:
        pass


class OnDefaultStream(EngineRunner):
    def _enqueue(self) -> None:
        self._engine.enqueue(0)


class Impatient(EngineRunner):
    """Reads the time before it has passed."""

    def _timed(self, launches: int) -> float:
        self._device.record(self._start, self._stream)
        for _ in range(launches):
            next(self._work)()
        self._device.record(self._end, self._stream)
        return self._device.elapsed_ms(self._start, self._end)


class Rebinding(EngineRunner):
    """Binds other inputs once its graphs are captured."""

    def __call__(self, n: int) -> float:
        self._bind(self._feeds[0])
        return super().__call__(n)


class Forgetful(EngineRunner):
    """Lets go of the memory that its graphs read."""

    def __call__(self, n: int) -> float:
        self._feeds.clear()
        gc.collect()
        return super().__call__(n)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (Cold, "work under way|warm run"),
        (OnDefaultStream, "default stream"),
        (Impatient, "has not passed"),
        (Rebinding, "bound after the capture"),
        (Forgetful, "after it was freed"),
    ],
)
def test_a_runner_with_a_mistake_does_not_pass(wrong: type[EngineRunner], what: str) -> None:
    device = FakeDevice()
    with pytest.raises(MisuseError, match=what):
        wrong(FakeEngine(device.cuda, 0.1), device, device.cuda.clock_ns)(4)


class Setting:
    """An engine bound on a device, ready to be misused."""

    def __init__(self) -> None:
        self.device = FakeDevice()
        self.cuda = self.device.cuda
        self.engine = FakeEngine(self.cuda, 0.1)
        self.stream: Stream = self.device.stream()
        self.buffers = [self.filled(), self.device.alloc(4096)]
        self.start, self.end = self.device.event(), self.device.event()

    def filled(self) -> Buffer:
        buffer = self.device.alloc(4096)
        self.device.fill(buffer, np.ones(4096, np.uint8))
        return buffer

    def bind(self) -> None:
        for tensor, buffer in zip(self.engine.tensors, self.buffers, strict=True):
            self.engine.bind(tensor.name, buffer.address)

    def warm(self) -> None:
        self.bind()
        self.engine.enqueue(self.stream.handle)
        self.device.synchronize(self.stream)

    def capture(self) -> object:
        return self.device.capture(self.stream, lambda: self.engine.enqueue(self.stream.handle))


def capture_cold(s: Setting) -> None:
    s.bind()
    s.capture()


def capture_under_way(s: Setting) -> None:
    s.bind()
    s.engine.enqueue(s.stream.handle)
    s.capture()


def bind_after_capture(s: Setting) -> None:
    s.warm()
    graph = s.device.capture(s.stream, lambda: s.engine.enqueue(s.stream.handle))
    s.buffers.append(s.filled())
    s.engine.bind("input", s.buffers[-1].address)
    s.device.launch(graph, s.stream)


def default_stream(s: Setting) -> None:
    s.bind()
    s.engine.enqueue(0)


def unpadded(s: Setting) -> None:
    s.buffers[0] = s.device.alloc(37 * 25 * 2)
    s.engine.bind("input", s.buffers[0].address)


def unbound(s: Setting) -> None:
    s.engine.bind("input", s.buffers[0].address)
    s.engine.enqueue(s.stream.handle)


def unfilled(s: Setting) -> None:
    s.buffers[0] = s.device.alloc(4096)
    s.warm()


def all_zero(s: Setting) -> None:
    s.device.fill(s.buffers[0], np.zeros(4096, np.uint8))


def early_elapsed(s: Setting) -> None:
    s.warm()
    s.device.record(s.start, s.stream)
    s.engine.enqueue(s.stream.handle)
    s.device.record(s.end, s.stream)
    s.device.elapsed_ms(s.start, s.end)


def used_after_free(s: Setting) -> None:
    s.bind()
    s.buffers.clear()
    gc.collect()
    s.engine.enqueue(s.stream.handle)


def stream_gone(s: Setting) -> None:
    s.warm()
    handle, s.stream = s.stream.handle, s.device.stream()
    gc.collect()
    s.engine.enqueue(handle)


def profiled(s: Setting) -> None:
    s.warm()
    s.engine.profiler = object()
    s.engine.enqueue(s.stream.handle)


def synchronize_in_capture(s: Setting) -> None:
    s.warm()
    s.device.capture(s.stream, lambda: s.device.synchronize(s.stream))


def graph_without_graphs(s: Setting) -> None:
    s.warm()
    graph = s.device.capture(s.stream, lambda: s.engine.enqueue(s.stream.handle))
    s.device.graphs = False
    s.device.launch(graph, s.stream)


MISUSES: list[tuple[Callable[[Setting], None], str]] = [
    (capture_cold, "capture before a warm run"),
    (capture_under_way, "work under way"),
    (bind_after_capture, "bound after the capture"),
    (default_stream, "default stream"),
    (unpadded, "lacks its padding"),
    (unbound, "before every address was bound"),
    (unfilled, "never filled"),
    (all_zero, "all zero"),
    (early_elapsed, "has not passed"),
    (used_after_free, "after it was freed"),
    (stream_gone, "no stream"),
    (profiled, "profiler is attached"),
    (graph_without_graphs, "without graphs"),
    (synchronize_in_capture, "synchronize while capturing"),
]


@pytest.mark.parametrize(("misuse", "what"), MISUSES, ids=[m.__name__ for m, _ in MISUSES])
def test_the_simulated_device_forgives_nothing(
    misuse: Callable[[Setting], None], what: str
) -> None:
    with pytest.raises(MisuseError, match=what):
        misuse(Setting())


def test_the_simulated_device_lets_proper_use_pass() -> None:
    s = Setting()
    s.warm()
    graph = s.device.capture(s.stream, lambda: s.engine.enqueue(s.stream.handle))
    s.device.record(s.start, s.stream)
    s.device.launch(graph, s.stream)
    s.device.record(s.end, s.stream)
    s.device.wait(s.end)
    assert s.device.elapsed_ms(s.start, s.end) == pytest.approx(0.105, abs=0.001)
