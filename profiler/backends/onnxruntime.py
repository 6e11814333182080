"""ONNX Runtime on the CPU.

Inputs and outputs are bound once; runs cycle through several distinct inputs, so that no run
finds its own input in the cache just because it is always the same one.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from latency_tables.table import Target
from profiler import machine
from profiler.backend import BackendError, Runner
from profiler.graphs import block_model, network_model
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import Shape

PROVIDER = "CPUExecutionProvider"
INPUTS = 4
DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class Plugin:
    """Backend `onnxruntime`; see `profiler.backend.Backend`."""

    name = "onnxruntime"
    summary = "ONNX Runtime on the CPU, fp32"
    precisions = ("fp32",)

    def unavailable(self) -> str | None:
        try:
            import onnxruntime
        except ImportError as error:
            return f"onnxruntime cannot be imported: {error}"
        if PROVIDER not in onnxruntime.get_available_providers():
            return f"this onnxruntime has no {PROVIDER}"
        return None

    def target(self, precision: str, batch: int, threads: int) -> Target:
        import onnxruntime

        self._check(precision)
        wanted = Target(
            device=machine.device(),
            runtime=self.name,
            runtime_version=onnxruntime.__version__,
            precision=precision,
            batch=batch,
            threads=threads,
        )
        return replace(wanted, details={**machine.facts(), **settings(threads)})

    def block(self, shape: Shape, target: Target) -> Runner:
        self._check(target.precision)
        return self._runner(block_model(shape, target.batch), target, shape.geometry)

    def network(self, network: NetworkSpec, config: ChannelConfig, target: Target) -> Runner:
        self._check(target.precision)
        return self._runner(network_model(network, config, target.batch), target, "network")

    def file(self, path: str, target: Target) -> Runner:
        try:
            # by path, so that weights kept in files beside the model are found
            return self._runner(str(Path(path).resolve(strict=True)), target, path)
        except OSError as error:
            raise BackendError(f"cannot read the model file: {error}") from None

    def _check(self, precision: str) -> None:
        if precision not in self.precisions:
            raise BackendError(
                f"precision of {self.name} must be one of {', '.join(self.precisions)}, "
                f"but got {precision!r}"
            )

    def _runner(self, model: bytes | str, target: Target, what: str) -> Runner:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = target.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        spinning = settings(target.threads)["spinning"]
        options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
        try:
            session = onnxruntime.InferenceSession(model, options, providers=[PROVIDER])
        except Exception as error:  # the runtime's own errors derive from Exception only
            raise BackendError(f"onnxruntime cannot load {what}: {error}") from None
        return _timed(session, _bindings(session, target.batch, what))


def settings(threads: int) -> dict[str, str]:
    """What is chosen for the runtime, for the record.

    Worker threads spin between operators: it is the runtime's default, and the lowest latency on
    a machine that measures one thing at a time. A single thread has nobody to wait for.
    """
    return {
        "provider": PROVIDER,
        "execution": "sequential",
        "graph_optimization": "all",
        "inter_op_threads": "1",
        "spinning": "1" if threads > 1 else "0",
        "inputs": str(INPUTS),
    }


def _bindings(session: Any, batch: int, what: str) -> list[Any]:
    """`INPUTS` bindings, each to its own non-zero inputs, all to the same outputs."""
    from onnxruntime import OrtValue

    rng = np.random.default_rng(0)
    wanted = [(node, _fixed(node, batch, what)) for node in session.get_inputs()]
    bindings = []
    for _ in range(INPUTS):
        binding = session.io_binding()
        for node, shape in wanted:
            # like what a ReLU leaves, but without its zeros
            values = np.abs(rng.standard_normal(shape, dtype=np.float32)) + np.float32(0.01)
            value = OrtValue.ortvalue_from_numpy(values.astype(DTYPES[node.type]))
            binding.bind_ortvalue_input(node.name, value)
        bindings.append(binding)
    for node in session.get_outputs():
        # one run tells the shape, which an exported model need not declare
        bindings[0].bind_output(node.name)
    session.run_with_iobinding(bindings[0])
    for node, value in zip(session.get_outputs(), bindings[0].get_outputs(), strict=True):
        for binding in bindings:
            binding.bind_ortvalue_output(node.name, value)
    return bindings


def _fixed(node: Any, batch: int, what: str) -> tuple[int, ...]:
    """The input's shape with the batch filled in."""
    if node.type not in DTYPES:
        raise BackendError(
            f"{what}: inputs must be one of {', '.join(DTYPES)}, but {node.name} is {node.type}"
        )
    first, *rest = node.shape or [None]
    if isinstance(first, int) and first != batch:
        raise BackendError(f"{what}: the model's batch is fixed to {first}, but got {batch}")
    if not all(isinstance(side, int) for side in rest):
        raise BackendError(
            f"{what}: only the batch may be dynamic, but {node.name} is {node.shape}"
        )
    return (batch, *rest)


def _timed(session: Any, bindings: list[Any]) -> Runner:
    inputs = cycle(bindings)
    run = session.run_with_iobinding

    def runner(n: int) -> float:
        chosen = [next(inputs) for _ in range(n)]
        start = perf_counter_ns()
        for binding in chosen:
            run(binding)
        return (perf_counter_ns() - start) / n / 1e6

    return runner
