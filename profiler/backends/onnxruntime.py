"""ONNX Runtime on the CPU; inputs and outputs are bound once."""

from __future__ import annotations

from latency_tables.table import Target
from profiler import machine
from profiler.backend import Runner, check_precision
from profiler.feed import INPUTS, cycled
from profiler.onnx_backend import OnnxBackend
from profiler.ort_session import (
    bindings,
    missing_provider,
    open_session,
    session_options,
    share_threads,
)

PROVIDER = "CPUExecutionProvider"


class Plugin(OnnxBackend):
    """Backend `onnxruntime`; see `profiler.backend.Backend`."""

    name = "onnxruntime"
    summary = "ONNX Runtime on the CPU, fp32 and int8 (Q/DQ)"
    precisions: tuple[str, ...] = ("fp32", "int8")

    def unavailable(self) -> str | None:
        return missing_provider(PROVIDER)

    def target(self, precision: str, batch: int, threads: int) -> Target:
        import onnxruntime

        check_precision(self, precision)
        return Target(
            device=machine.device(),
            runtime=self.name,
            runtime_version=onnxruntime.__version__,
            precision=precision,
            batch=batch,
            threads=threads,
            details={**machine.facts(), **settings(threads)},
        )

    def alone(self, target: Target) -> None:
        if target.threads > 1:
            share_threads(target.threads)

    def runner(self, model: bytes | str, target: Target, what: str) -> Runner:
        spinning = settings(target.threads)["spinning"]
        options = session_options(target.threads, {"session.intra_op.allow_spinning": spinning})
        session = open_session(model, options, (PROVIDER, {}), what)
        return cycled(session.run_with_iobinding, bindings(session, target.batch))


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
