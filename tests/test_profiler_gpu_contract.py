"""Names and signatures that the GPU code uses, against the real packages; none needs a driver.

What is used is read from the source, so that a new use without a check fails here. PyCUDA builds
only beside CUDA's compiler: where it is not installed its names are held against a list read from
the source of its release 2026.1 (`src/wrapper/wrap_cudadrv.cpp`, `pycuda/autoprimaryctx.py`).
"""

from __future__ import annotations

import ast
import inspect
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from profiler_fake_packages import FakeRuntime

from profiler.gpu.nvml import THROTTLES

GPU = Path(__file__).parent.parent / "profiler" / "gpu"
PYCUDA = {
    "driver": {"Device", "Error", "Event", "MemoryError", "Stream", "get_driver_version",
               "mem_alloc", "memcpy_htod"},
    "Device": {"name", "compute_capability"},
    "Stream": {"handle", "synchronize"},
    "Event": {"record", "synchronize", "time_till"},
    "DeviceAllocation": {"__int__"},
}  # fmt: skip
"""Of each class of `pycuda.driver`, what is used; verified in the source of PyCUDA 2026.1."""


def tree(name: str) -> ast.Module:
    return ast.parse((GPU / name).read_text(encoding="utf-8"))


def attributes(name: str, base: str) -> set[str]:
    """Dotted names that a file uses below `base`, such as `self._cuda`."""
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            if text.startswith(f"{base}."):
                found.add(text.removeprefix(f"{base}."))
    return found


def strings(name: str, function: str) -> set[str]:
    """First arguments of calls of `self.function("...")` in a file."""
    return {
        str(node.args[0].value)
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == function
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def resolve(module: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        module = getattr(module, part)
    return module


def parameters(function: Any) -> list[str]:
    """Of a compiled function, from the first line of its docstring."""
    first = str(function.__doc__).strip().splitlines()[0]
    inside = re.fullmatch(r"\w+\((.*)\)", first)
    assert inside, first
    return [part.split(":")[0].split()[-1] for part in inside.group(1).split(",") if part.strip()]


def test_torch_has_every_name() -> None:
    torch = pytest.importorskip("torch")
    used = attributes("torch_device.py", "self._torch")
    assert {"cuda.CUDAGraph", "OutOfMemoryError", "cuda.get_device_properties"} <= used
    for name in used:
        assert resolve(torch, name) is not None, name
    assert issubclass(torch.OutOfMemoryError, RuntimeError)
    assert issubclass(torch.AcceleratorError, RuntimeError)
    members = {
        torch.cuda.Stream: ("cuda_stream", "synchronize"),
        torch.cuda.Event: ("record", "synchronize", "elapsed_time"),
        torch.cuda.CUDAGraph: ("capture_begin", "capture_end", "replay"),
        torch.Tensor: ("data_ptr", "copy_"),
    }
    for kind, names in members.items():
        for name in names:
            assert hasattr(kind, name), (kind, name)
    begin = inspect.signature(torch.cuda.CUDAGraph.capture_begin).parameters
    assert "capture_error_mode" in begin
    assert "enable_timing" in inspect.signature(torch.cuda.Event.__new__).parameters


def test_a_cuda_build_of_torch_tells_a_gpus_uuid() -> None:
    torch = pytest.importorskip("torch")
    kind = getattr(torch._C, "_CudaDeviceProperties", None)
    if kind is None or torch.version.cuda is None:
        pytest.skip("this torch is built without CUDA")
    for name in ("name", "major", "minor", "uuid"):
        assert hasattr(kind, name), name


def test_cuda_python_has_every_name_and_signature() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime")
    called = strings("cuda_python_device.py", "_checked")
    named = attributes("cuda_python_device.py", "self._cuda")
    assert len(called) == 16
    for name in called | named:
        assert resolve(runtime, name) is not None, name
    for name in called | {n for n in named if n.startswith("cuda") and hasattr(FakeRuntime, n)}:
        ours = getattr(FakeRuntime, name)
        if inspect.isfunction(ours):
            real = parameters(resolve(runtime, name))
            assert len(real) == len(inspect.signature(ours).parameters) - 1, (name, real)
    for name in ("name", "major", "minor", "uuid"):
        assert hasattr(runtime.cudaDeviceProp, name), name
    found = runtime.cudaDeviceProp()
    assert isinstance(found.name, bytes)
    assert isinstance(found.uuid.bytes, bytes)
    assert int(runtime.cudaStream_t(5)) == 5


def test_cuda_python_returns_its_error_first_and_raises_nothing() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime")
    error, *rest = runtime.cudaDriverGetVersion()
    assert isinstance(error, runtime.cudaError_t)
    assert len(rest) == 1
    error, text = runtime.cudaGetErrorString(runtime.cudaError_t.cudaErrorIllegalAddress)
    assert error == runtime.cudaError_t.cudaSuccess
    assert isinstance(text, bytes)
    for answer, values in ((runtime.cudaEventCreate(), 1), (runtime.cudaSetDevice(0), 0)):
        assert isinstance(answer[0], runtime.cudaError_t)
        assert len(answer) == 1 + values


def test_pycuda_has_every_name() -> None:
    used = attributes("pycuda_device.py", "self._cuda")
    used |= {name for name in attributes("pycuda_device.py", "driver") if "." not in name}
    assert used <= PYCUDA["driver"]
    assert PYCUDA["driver"] - used == set()
    if find_spec("pycuda") is None:
        pytest.skip("pycuda is not installed: its names were held against a list of its own")
    driver = pytest.importorskip("pycuda.driver")
    for name in PYCUDA["driver"]:
        assert hasattr(driver, name), name
    for kind in ("Device", "Stream", "Event", "DeviceAllocation"):
        for name in PYCUDA[kind]:
            assert hasattr(getattr(driver, kind), name), (kind, name)


def test_nvml_has_every_name_and_number() -> None:
    pynvml = pytest.importorskip("pynvml")
    used = attributes("nvml.py", "self._nvml") | attributes("nvml.py", "nvml")
    used |= attributes("nvml.py", "pynvml") | strings("nvml.py", "_ask")
    assert len(used) >= 14
    for name in used:
        assert hasattr(pynvml, name), name
    named = {
        0x04: "SwPowerCap",
        0x08: "HwSlowdown",
        0x20: "SwThermalSlowdown",
        0x40: "HwThermalSlowdown",
        0x80: "HwPowerBrakeSlowdown",
    }
    assert {
        getattr(pynvml, f"nvmlClocksEventReason{name}"): bit for bit, name in named.items()
    } == {bit: bit for bit in THROTTLES}
    takes = {"nvmlDeviceGetClockInfo": 2, "nvmlDeviceGetClock": 3, "nvmlDeviceGetTemperatureV": 3,
             "nvmlDeviceSetGpuLockedClocks": 3, "nvmlDeviceGetProcessUtilization": 2}  # fmt: skip
    for name, number in takes.items():
        assert len(inspect.signature(getattr(pynvml, name)).parameters) == number, name
    assert pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND).value == pynvml.NVML_ERROR_NOT_FOUND
    entry = dict(pynvml.c_nvmlProcessUtilizationSample_t._fields_)
    assert {"pid", "timeStamp", "smUtil"} <= set(entry)
