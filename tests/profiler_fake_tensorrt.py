"""TensorRT on the simulated GPU: the strict stand-in of its running half, and a builder's.

What lies between is real: the backend, the engine class, the runner, torch's adapter.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trt_fake
from profiler_fake_cuda import UUID, Cuda, FakeEngine
from profiler_fake_packages import FakeTorch

from profiler import cuda_device
from profiler.backends import tensorrt as plugin
from profiler.gpu import choose, nvml
from profiler.gpu.engine import IoTensor
from profiler.gpu.torch_device import TorchDevice

IO = [
    IoTensor(
        name="input", is_input=True, dtype="fp16", shape=(2, 37, 4, 4), nbytes=2 * 40 * 16 * 2
    ),
    IoTensor(name="output", is_input=False, dtype="fp32", shape=(2, 5), nbytes=2 * 5 * 4),
]


class Context(trt_fake.Context):
    """An execution context that runs on the simulated GPU, and answers as TensorRT does."""

    fake: Module

    def __init__(self, fake: Module) -> None:
        super().__init__(fake)
        self.engine = FakeEngine(fake.cuda, fake.ms, IO)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        bound = super().set_tensor_address(name, memory)
        if bound:
            self.engine.bind(name, memory)
        return bound

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self.fake.refuses:
            return self.fake.refused("it cannot run")
        self.engine.enqueue(stream_handle)
        return True


class Engine(trt_fake.Engine):
    fake: Module

    def create_execution_context(self) -> Context | None:
        if self.fake.short:
            self.fake.refused("Error Code 2: OutOfMemory (Requested size was 123 bytes.)")
            return None
        return Context(self.fake)


class Module(trt_fake.Fake):
    """`tensorrt` on the simulated GPU."""

    def __init__(self, cuda: Cuda, ms: float = 0.05) -> None:
        super().__init__()
        self.cuda, self.ms, self.refuses, self.short = cuda, ms, False, False

    def Runtime(self, logger: Any) -> Any:
        self.logger = logger
        return SimpleNamespace(deserialize_cuda_engine=lambda plan: Engine(self))


class Builder:
    """In place of `profiler.trt.build.Factory`."""

    asked: list[str]
    caches: list[Path]

    def __init__(self, trt: Any, settings: Any, *, cache: Any) -> None:
        assert not settings.tf32
        assert settings.avg_timing_iterations >= 8
        self.caches.append(cache.path)

    def build(self, fill: Any, what: str) -> bytes:
        assert callable(fill)
        self.asked.append(what)
        return trt_fake.PLAN


def simulated(patch: pytest.MonkeyPatch, folder: Path) -> Module:
    """Makes this a machine with one simulated GPU, TensorRT and torch; `folder` is its cache."""
    cuda = Cuda()
    found = Module(cuda)
    patch.setitem(sys.modules, "tensorrt", found)
    patch.setenv("XDG_CACHE_HOME", str(folder))
    patch.setattr(cuda_device, "names", lambda: ["Fake GPU"])
    patch.setattr(cuda_device, "uuid", lambda: UUID)
    patch.setattr(cuda_device, "driver_version", lambda: "13.0")
    patch.setattr(cuda_device, "facts", lambda: {cuda_device.UUID: UUID})
    patch.setattr(nvml, "here", lambda: "nvidia-ml-py is not installed")
    patch.setattr(choose, "open_device", lambda: TorchDevice(FakeTorch(cuda)))
    patch.setattr(plugin, "Factory", Builder)
    patch.setattr(Builder, "asked", [], raising=False)
    patch.setattr(Builder, "caches", [], raising=False)
    return found
