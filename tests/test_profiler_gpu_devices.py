"""Each package's device does the same on the simulated GPU, and every error it gives is ours."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

import numpy as np
import pytest
from profiler_fake_cuda import UUID, Cuda, FakeEngine
from profiler_fake_packages import FakePycuda, FakeRuntime, FakeTorch, Faulty

from profiler import cuda_device
from profiler.backend import BackendError, BrokenError, OutOfMemoryError
from profiler.gpu import choose
from profiler.gpu.cuda_python_device import CudaPythonDevice
from profiler.gpu.device import Device
from profiler.gpu.pycuda_device import PycudaDevice
from profiler.gpu.timing import EngineRunner
from profiler.gpu.torch_device import TorchDevice

Opened = tuple[Device, Faulty]


def with_torch(cuda: Cuda) -> Opened:
    package = FakeTorch(cuda)
    return TorchDevice(package), package


def with_cuda_python(cuda: Cuda) -> Opened:
    package = FakeRuntime(cuda)
    return CudaPythonDevice(package), package


def with_pycuda(cuda: Cuda) -> Opened:
    package = FakePycuda(cuda)
    return PycudaDevice(package, package.autoprimaryctx), package


OPENERS = (with_torch, with_cuda_python, with_pycuda)


@pytest.fixture(autouse=True)
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_device, "uuid", lambda: UUID)
    monkeypatch.setattr(cuda_device, "driver_version", lambda: "13.0")


@pytest.mark.parametrize("opened", OPENERS)
def test_a_device_times_an_engine_and_gives_everything_back(
    opened: Callable[[Cuda], Opened],
) -> None:
    cuda = Cuda()
    device, _ = opened(cuda)
    runner = EngineRunner(FakeEngine(cuda, 0.07), device, cuda.clock_ns)
    assert runner(10) == pytest.approx(0.07, rel=0.01)
    assert (cuda.launches > 0) == device.graphs
    assert len(cuda.fills) == 4
    del runner
    cuda.captured.clear()
    gc.collect()
    assert not any(piece.alive for piece in cuda.memory)


@pytest.mark.parametrize("opened", OPENERS)
def test_a_device_says_which_gpu_it_is(opened: Callable[[Cuda], Opened]) -> None:
    found = opened(Cuda())[0].identity()
    assert (found.name, found.uuid) == ("Fake GPU", UUID)
    assert (found.compute_capability, found.driver) == ("9.0", "13.0")


def calls_of(opened: Callable[[Cuda], Opened]) -> list[str]:
    cuda = Cuda()
    device, package = opened(cuda)
    use(cuda, device)
    return list(dict.fromkeys(package.calls))


def use(cuda: Cuda, device: Device) -> None:
    device.identity()
    EngineRunner(FakeEngine(cuda, 0.07), device, cuda.clock_ns)(10)


CALLS = [(opened, call) for opened in OPENERS for call in calls_of(opened)]


@pytest.mark.parametrize(("opened", "call"), CALLS, ids=[f"{o.__name__}-{c}" for o, c in CALLS])
def test_no_error_of_any_call_goes_unseen(opened: Callable[[Cuda], Opened], call: str) -> None:
    cuda = Cuda()
    device, package = opened(cuda)
    package.failing = call
    if call == "cudaSetDevice":
        with pytest.raises(BrokenError, match="cudaSetDevice failed"):
            CudaPythonDevice(package)
        return
    with pytest.raises(BrokenError, match=r"CUDA .* failed"):
        use(cuda, device)


def test_the_calls_tried_above_are_all_that_an_adapter_makes() -> None:
    wanted = {"Event", "Stream", "capture_begin", "capture_end", "copy_", "elapsed_time", "empty",
              "event.synchronize", "get_device_properties", "record", "replay",
              "stream.synchronize"}  # fmt: skip
    assert set(calls_of(with_torch)) == wanted
    assert len(calls_of(with_cuda_python)) == 16


@pytest.mark.parametrize("opened", OPENERS)
def test_too_little_memory_is_an_error_that_leaves_the_context_whole(
    opened: Callable[[Cuda], Opened],
) -> None:
    device = opened(Cuda(most_bytes=100))[0]
    with pytest.raises(OutOfMemoryError, match=r"allocation|cudaMalloc"):
        device.alloc(101)
    assert device.alloc(99).nbytes == 99


@pytest.mark.parametrize("opened", [with_torch, with_cuda_python])
def test_a_capture_that_fails_ends_and_keeps_its_own_error(
    opened: Callable[[Cuda], Opened],
) -> None:
    cuda = Cuda()
    device = opened(cuda)[0]
    stream = device.stream()

    def work() -> None:
        engine = FakeEngine(cuda, 0.1, [])
        engine.unseen = False
        engine.enqueue(stream.handle)
        raise BackendError("the runtime refuses")

    with pytest.raises(BackendError, match="the runtime refuses"):
        device.capture(stream, work)
    assert not cuda.capturing


def test_pycuda_has_no_graphs_and_says_so() -> None:
    device = with_pycuda(Cuda())[0]
    assert not device.graphs
    with pytest.raises(BackendError, match="no CUDA graphs"):
        device.capture(device.stream(), lambda: None)
    with pytest.raises(BackendError, match="no CUDA graphs"):
        device.launch(None, device.stream())


def test_pycuda_on_another_device_than_the_first_is_refused() -> None:
    package = FakePycuda(Cuda(), number=1)
    with pytest.raises(BackendError, match="took Fake GPU 1; unset CUDA_DEVICE"):
        PycudaDevice(package, package.autoprimaryctx)


def test_host_bytes_arrive_whatever_their_strides() -> None:
    for opened in OPENERS[1:]:
        cuda = Cuda()
        device = opened(cuda)[0]
        data = np.arange(1, 201, dtype=np.uint8)[::2]
        device.fill(device.alloc(100), data)
        np.testing.assert_array_equal(cuda.fills[-1], data)


def test_the_package_is_the_one_asked_for_or_the_best_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lacking: set[str] = set()
    monkeypatch.setattr(choose, "missing", lambda name: "no" if name in lacking else None)
    assert choose.chosen() == "torch"
    lacking.add("torch")
    assert choose.chosen() == "cuda-python"
    monkeypatch.setenv(choose.VARIABLE, "pycuda")
    assert choose.chosen() == "pycuda"
    lacking.update(choose.PACKAGES)
    with pytest.raises(BackendError, match="needs the package pycuda, which is not installed"):
        choose.chosen()
    with pytest.raises(BackendError, match="torch or cuda-python or pycuda"):
        choose.chosen("auto")
    with pytest.raises(BackendError, match=r"must be one of auto, torch, .* but got 'cupy'"):
        choose.chosen("cupy")


def test_what_is_not_installed_is_known_without_an_import() -> None:
    assert choose.missing("torch") is None
    assert "pycuda" in sys.modules or choose.missing("pycuda") in (
        None,
        "pycuda is not installed",
    )


def modules(name: str, package: Any) -> dict[str, Any]:
    if name == "pycuda":
        return {"pycuda.driver": package, "pycuda.autoprimaryctx": package.autoprimaryctx}
    return {{"torch": "torch", "cuda-python": "cuda.bindings.runtime"}[name]: package}


@pytest.mark.parametrize(
    ("name", "package", "kind"),
    [
        ("torch", FakeTorch, TorchDevice),
        ("cuda-python", FakeRuntime, CudaPythonDevice),
        ("pycuda", FakePycuda, PycudaDevice),
    ],
)
def test_a_device_is_opened_through_its_package(
    name: str,
    package: Callable[[Cuda], Faulty],
    kind: type,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choose, "missing", lambda name: None)
    for module, found in modules(name, package(Cuda())).items():
        monkeypatch.setitem(sys.modules, module, cast("ModuleType", found))
    found = choose.open_device(name)
    assert isinstance(found, kind)
    assert found.name == name


def test_a_package_that_cannot_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead() -> Device:
        raise OSError("libcuda.so.1 is missing")

    monkeypatch.setitem(choose.PACKAGES, "torch", ("torch", dead))
    with pytest.raises(BackendError, match="cannot be opened with torch: libcuda"):
        choose.open_device("torch")
    broken = FakeRuntime(Cuda())
    broken.failing = "cudaSetDevice"
    monkeypatch.setitem(choose.PACKAGES, "cuda-python", ("torch", lambda: CudaPythonDevice(broken)))
    with pytest.raises(BackendError, match="cudaSetDevice failed"):
        choose.open_device("cuda-python")
