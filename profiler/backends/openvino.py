"""OpenVINO on the CPU; inputs and outputs are bound once.

Runs are synchronous: handing a run to another thread and waiting for it would cost more than a
small block does. Where the CPU has bfloat16 instructions, OpenVINO would compute fp32 graphs in
bfloat16 unless told otherwise; it is told otherwise. Nor may it pin threads: it would move the
calling thread away from the cores it is kept on, and put workers beside it. Nor may importing it
send usage statistics, which it does unless its package for that is missing.
"""

from __future__ import annotations

import sys
from functools import cached_property
from typing import Any

from latency_tables.table import Target
from profiler import machine
from profiler.backend import BackendError, Runner, check_precision
from profiler.feed import INPUTS, cycled, samples
from profiler.onnx_backend import OnnxBackend, with_batch

DEVICE = "CPU"


class Plugin(OnnxBackend):
    """Backend `openvino`; see `profiler.backend.Backend`."""

    name = "openvino"
    summary = "OpenVINO on the CPU, fp32 (never bfloat16) and int8 (Q/DQ)"
    precisions: tuple[str, ...] = ("fp32", "int8")

    def unavailable(self) -> str | None:
        try:
            devices = self._core.available_devices
        except ImportError as error:
            return f"openvino cannot be imported: {error}"
        return None if DEVICE in devices else "the installed openvino has no CPU plugin"

    def target(self, precision: str, batch: int, threads: int) -> Target:
        check_precision(self, precision)
        known = {name.lower(): str(value) for name, value in settings(threads).items()}
        return Target(
            device=machine.device(),
            runtime=self.name,
            runtime_version=runtime().__version__,
            precision=precision,
            batch=batch,
            threads=threads,
            details={**machine.facts(), **known, "execution": "sync", "inputs": str(INPUTS)},
        )

    def runner(self, model: bytes | str, target: Target, what: str) -> Runner:
        try:
            network = self._core.read_model(model)
            if network.is_dynamic():
                network.reshape(_shapes(network, target.batch))
            compiled = self._core.compile_model(network, DEVICE, settings(target.threads))
            runner = cycled(_infer, _requests(compiled))
        except RuntimeError as error:
            raise BackendError(f"openvino cannot load {what}: {error}") from None
        # it takes fewer without a word, and counts the cores only once a process
        if (threads := compiled.get_property("INFERENCE_NUM_THREADS")) != target.threads:
            raise BackendError(
                f"threads must be at most the {threads} that openvino found cores for when it "
                f"was first used, but got {target.threads}"
            )
        return runner

    @cached_property
    def _core(self) -> Any:
        return runtime().Core()


def runtime() -> Any:
    """The module `openvino`, imported as if its package for usage statistics were missing."""
    telemetry = "openvino_telemetry"
    hidden = telemetry not in sys.modules
    if hidden:
        sys.modules[telemetry] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if hidden:
            del sys.modules[telemetry]
    return openvino


def settings(threads: int) -> dict[str, str | int | bool]:
    """What is asked of the runtime, and recorded."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
        "ENABLE_HYPER_THREADING": True,
    }


def _shapes(network: Any, batch: int) -> dict[int, tuple[int, ...]]:
    """Every input's shape, by its number, the batch filled in."""
    known = [
        [dim.get_length() if dim.is_static else None for dim in port.partial_shape]
        for port in network.inputs
    ]
    return {number: with_batch(dims, batch) for number, dims in enumerate(known)}


def _requests(compiled: Any) -> list[Any]:
    """`INPUTS` requests, each with its own inputs, all with the same outputs."""
    tensor = runtime().Tensor
    requests = [compiled.create_infer_request() for _ in range(INPUTS)]
    for number, port in enumerate(compiled.inputs):
        values = samples(tuple(port.shape), port.element_type.to_dtype())
        for request, array in zip(requests, values, strict=True):
            request.set_input_tensor(number, tensor(array))
    for number, port in enumerate(compiled.outputs):
        output = tensor(port.element_type, port.shape)
        for request in requests:
            request.set_output_tensor(number, output)
    return requests


def _infer(request: Any) -> None:
    request.infer(share_outputs=True)
