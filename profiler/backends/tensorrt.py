"""TensorRT on a CUDA device: engines built here, timed with CUDA graphs and events.

Rows are differences of chains (`profiler.rows`), since an engine of a single block pays for its
borders; the isolated engine stays beside each row. Always device 0; CUDA_VISIBLE_DEVICES chooses
another. The SM clock is locked while measuring where that is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from latency_tables.table import Target
from profiler import cuda_device, machine
from profiler.backend import BackendError, OutOfMemoryError, Runner, check_precision, check_size
from profiler.feed import INPUTS
from profiler.gpu import choose
from profiler.gpu.backend import OWN, GpuBackend
from profiler.gpu.device import Device
from profiler.gpu.pool import Pool
from profiler.gpu.timing import EngineRunner
from profiler.lock import cache_dir
from profiler.trt import loading, networks
from profiler.trt.build import Factory
from profiler.trt.engine import TensorRtEngine
from profiler.trt.networks import Fill
from profiler.trt.settings import Settings
from profiler.trt.timing_cache import TimingCache
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import Shape

SETTINGS = Settings()
SHORT = re.compile(r"out ?of ?memory", re.IGNORECASE)


class Plugin(GpuBackend):
    """Backend `tensorrt`; see `profiler.backend.Backend` and `profiler.capabilities`."""

    name = "tensorrt"
    summary = "TensorRT on a CUDA device, fp32 without TF32, fp16, int8 (Q/DQ)"
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8")
    files = True
    own = replace(OWN, rows="in-context")

    def __init__(self) -> None:
        self._factories: dict[str, Factory] = {}

    def unavailable(self) -> str | None:
        if not cuda_device.names():
            return "no CUDA device, or no NVIDIA driver"
        try:
            choose.chosen()
        except BackendError as error:
            return str(error)
        return loading.unavailable()

    def target(self, precision: str, batch: int, threads: int) -> Target:
        check_precision(self, precision)
        version = loading.load().__version__
        return Target(
            device=cuda_device.names()[0],
            runtime=self.name,
            runtime_version=version,
            precision=precision,
            batch=batch,
            threads=threads,
            details={
                **self.facts(),
                **SETTINGS.facts(),
                "host": machine.device(),
                "cuda_package": choose.chosen(),
                "cuda_graphs": "1" if choose.chosen() in choose.WITH_GRAPHS else "0",
                "inputs": str(INPUTS),
            },
        )

    def block(self, shape: Shape, target: Target) -> Runner:
        fill = networks.chain([shape], target.batch, target.precision)
        return self._runner(fill, target, shape.geometry)

    def chain(self, shapes: Sequence[Shape], target: Target) -> Runner:
        fill = networks.chain(shapes, target.batch, target.precision)
        return self._runner(fill, target, f"chain of {len(shapes)}")

    def network(self, network: NetworkSpec, config: ChannelConfig, target: Target) -> Runner:
        fill = networks.whole(network, config, target.batch, target.precision)
        return self._runner(fill, target, "network")

    def file(self, path: str, target: Target) -> Runner:
        from profiler.trt.onnx_source import onnx_file

        return self._runner(onnx_file(path, target.batch), target, path)

    def gemm(self, side: int, target: Target) -> Runner:
        check_size("side", side)
        return self._runner(networks.gemm(side, target.precision), target, f"product of {side}")

    def copy(self, elements: int, target: Target) -> Runner:
        check_size("elements", elements)
        fill = networks.copy(elements, target.precision)
        return self._runner(fill, target, f"copy of {elements}")

    def _runner(self, fill: Fill, target: Target, what: str) -> Runner:
        check_precision(self, target.precision)
        self.check_device(self._device, target)
        try:
            plan = self._factory(target).build(fill, what)
            engine = TensorRtEngine(loading.load(), plan, what)
            return EngineRunner(engine, self._device, pool=self._pool)
        except BackendError as error:
            if SHORT.search(str(error)):  # TensorRT says it in its own words only
                raise OutOfMemoryError(str(error)) from None
            raise

    @cached_property
    def _device(self) -> Device:
        return choose.open_device()

    @cached_property
    def _pool(self) -> Pool:
        return Pool(self._device)

    def _factory(self, target: Target) -> Factory:
        """One builder for all engines, with the kernel timings of this GPU at these clocks."""
        gpu = [
            target.device,
            *(target.details.get(key, "") for key in (cuda_device.UUID, cuda_device.CLOCKS)),
        ]
        known = " ".join(filter(None, gpu))
        if known not in self._factories:
            trt = loading.load()
            cache = TimingCache(
                cache_dir() / "tensorrt",
                gpu=known,
                driver=cuda_device.driver_version(),
                version=trt.__version__,
            )
            self._factories[known] = Factory(trt, SETTINGS, cache=cache)
        return self._factories[known]
