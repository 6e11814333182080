"""The CUDA layer on a real GPU, without TensorRT: memory, events, graphs, NVML, clocks, errors.

`pytest -m gpu`; half a minute. Work on the device is the driver's own memset, so that no package
judges itself. No setting of the GPU is changed.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from profiler import cuda_device
from profiler.backend import BackendError, OutOfMemoryError
from profiler.gpu import choose, nvml
from profiler.gpu.device import Buffer, Device
from profiler.gpu.engine import IoTensor
from profiler.gpu.timing import EngineRunner
from profiler.gpu.watch import GpuWatch
from service import doctor_gpu

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not cuda_device.names(), reason="no CUDA device, or no NVIDIA driver"),
]
LARGE = 1 << 28
WARM_S = 0.3


@pytest.fixture(params=list(choose.PACKAGES))
def device(request: pytest.FixtureRequest) -> Device:
    if reason := choose.missing(request.param):
        pytest.skip(reason)
    return choose.open_device(request.param)


def graphs(device: Device) -> Device:
    if not device.graphs:
        pytest.skip(f"{device.name} has no CUDA graphs")
    return device


def read(buffer: Buffer) -> npt.NDArray[np.uint8]:
    found = np.empty(buffer.nbytes, dtype=np.uint8)
    driver = ctypes.CDLL("libcuda.so.1")
    address = ctypes.c_uint64(buffer.address)
    error = driver.cuMemcpyDtoH_v2(
        ctypes.c_void_p(found.ctypes.data), address, ctypes.c_size_t(found.nbytes)
    )
    assert error == 0
    return found


def memset(address: int, value: int, nbytes: int, stream: int) -> None:
    error = ctypes.CDLL("libcuda.so.1").cuMemsetD8Async(
        ctypes.c_uint64(address), ctypes.c_ubyte(value), ctypes.c_size_t(nbytes),
        ctypes.c_void_p(stream),
    )  # fmt: skip
    if error:
        raise BackendError(f"cuMemsetD8Async gave {error}")


class Memset:
    """An engine that writes its output."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes, self.address = nbytes, 0

    @property
    def tensors(self) -> Sequence[IoTensor]:
        shape = (self.nbytes,)
        return [
            IoTensor(name="y", is_input=False, dtype="int8", shape=shape, nbytes=self.nbytes),
        ]

    def bind(self, name: str, address: int) -> None:
        self.address = address

    def enqueue(self, stream: int) -> None:
        memset(self.address, 7, self.nbytes, stream)

    def notes(self) -> dict[str, str]:
        return {}


def best_ms(device: Device, nbytes: int) -> float:
    """Once the clocks are up: an idle GPU takes a while to raise them."""
    runner = EngineRunner(Memset(nbytes), device)
    began = time.monotonic()
    while time.monotonic() - began < WARM_S:
        runner(30)
    return min(runner(30) for _ in range(10))


def test_package_driver_and_nvml_mean_the_same_gpu(device: Device) -> None:
    identity, facts = device.identity(), cuda_device.facts()
    assert identity.name == cuda_device.names()[0]
    assert identity.uuid.lower() == facts[cuda_device.UUID].lower()
    assert identity.compute_capability == facts["compute_capability"]
    assert identity.driver == facts["cuda_driver"]
    found = nvml.here()
    if not isinstance(found, str):
        assert int(facts["multiprocessors"]) > 0
        assert found.limit_w is None or found.limit_w > 0


def test_bytes_arrive_and_memory_comes_back(device: Device) -> None:
    data = np.random.default_rng(0).integers(0, 256, 1 << 20, dtype=np.uint8)
    for _ in range(3):
        buffer = device.alloc(data.nbytes)
        device.fill(buffer, data)
        np.testing.assert_array_equal(read(buffer), data)
    for _ in range(100):  # 200 GiB in all, were nothing freed
        device.alloc(1 << 31)


def test_more_memory_than_there_is_leaves_the_context_whole(device: Device) -> None:
    with pytest.raises(OutOfMemoryError):
        device.alloc(1 << 50)
    buffer = device.alloc(16)
    device.fill(buffer, np.arange(16, dtype=np.uint8))
    np.testing.assert_array_equal(read(buffer), np.arange(16))


def test_a_graph_runs_when_launched_and_not_before(device: Device) -> None:
    graphs(device)
    stream, buffer = device.stream(), device.alloc(64)
    assert stream.handle != 0
    device.fill(buffer, np.zeros(64, dtype=np.uint8))
    graph = device.capture(stream, lambda: memset(buffer.address, 9, 64, stream.handle))
    device.synchronize(stream)
    assert not read(buffer).any()
    device.launch(graph, stream)
    device.synchronize(stream)
    assert (read(buffer) == 9).all()


def test_a_capture_that_fails_leaves_the_stream_usable(device: Device) -> None:
    graphs(device)
    stream, buffer = device.stream(), device.alloc(64)

    def refused() -> None:
        memset(buffer.address, 1, 64, stream.handle)
        raise BackendError("the runtime refuses")

    with pytest.raises(BackendError, match="the runtime refuses"):
        device.capture(stream, refused)
    memset(buffer.address, 5, 64, stream.handle)
    device.synchronize(stream)
    assert (read(buffer) == 5).all()


def test_twice_the_bytes_take_twice_the_time(device: Device) -> None:
    """Far beyond any cache; and no memory of 2026 writes more than 20 TB/s."""
    one, two = best_ms(device, 2 * LARGE), best_ms(device, 4 * LARGE)
    assert two == pytest.approx(2 * one, rel=0.1)
    assert 50 < 2 * LARGE / one / 1e6 < 20_000


def test_short_runs_are_timed_without_their_launch(device: Device) -> None:
    graphs(device)
    took = best_ms(device, 1 << 10)
    assert 0.0002 < took < 0.01


def test_packages_time_alike() -> None:
    names = [n for n in choose.WITH_GRAPHS if choose.missing(n) is None]
    if len(names) < 2:
        pytest.skip(f"only {names} installed")
    first, second = (best_ms(choose.open_device(name), LARGE) for name in names)
    assert first == pytest.approx(second, rel=0.05)


def test_nvml_tells_clocks_power_and_no_work_but_ours(device: Device) -> None:
    found = nvml.here()
    if isinstance(found, str):
        pytest.skip(found)
    watch = GpuWatch(found)
    best_ms(device, LARGE)
    watch(1.0)
    now = found.sample()
    assert now.sm_mhz is not None
    assert 100 < now.sm_mhz < 5_000
    assert now.reasons is not None
    assert now.celsius is None or 10 < now.celsius < 110
    assert not now.computing
    assert nvml.facts(found)["nvml"] == "available"


def test_doctor_names_the_gpu() -> None:
    lines = dict(doctor_gpu.rows(doctor_gpu.examine()))
    assert cuda_device.names()[0] in lines["GPU"]
    assert lines["CUDA driver"].endswith(cuda_device.driver_version())


BREAK = """
import sys, torch
from profiler.backend import BrokenError
from profiler.gpu import choose
device = choose.open_device(sys.argv[1])
stream, event = device.stream(), device.event()
torch.zeros(4, device="cuda")[torch.tensor([9], device="cuda")]
try:
    device.record(event, stream)
    device.synchronize(stream)
    device.wait(event)
    device.alloc(16)
except BrokenError as error:
    print("broken:", str(error).splitlines()[0])
"""


@pytest.mark.parametrize("name", choose.WITH_GRAPHS)
def test_a_broken_context_is_told_as_broken(name: str) -> None:
    """An index out of bounds ends a context for good; in a process of its own."""
    if (reason := choose.missing(name) or choose.missing("torch")) is not None:
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, "-c", BREAK, name], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.startswith("broken: CUDA "), done.stderr[-2000:]
