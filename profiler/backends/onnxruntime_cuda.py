"""ONNX Runtime on a CUDA device; inputs and outputs stay in its memory.

The runs of a call are queued without waiting, and the last one waits for all: what is timed is
the device, or the host where it cannot queue as fast. A graph that would run partly on the CPU is
refused. Always device 0; CUDA_VISIBLE_DEVICES chooses another.
"""

from __future__ import annotations

from functools import partial

from latency_tables.table import Target
from profiler import cuda_device, machine
from profiler.backend import Runner, check_precision
from profiler.feed import INPUTS, cycled
from profiler.onnx_backend import OnnxBackend
from profiler.ort_session import bindings, missing_provider, open_session, session_options

PROVIDER = "CUDAExecutionProvider"
OPTIONS = {"device_id": "0", "use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE"}
ENTRIES = {
    "session.disable_cpu_ep_fallback": "1",
    # This provider has no integer convolution. Without the pairs' special treatment, those of the
    # weights are folded once, rather than computed in every run.
    "session.disable_quant_qdq": "1",
}


class Plugin(OnnxBackend):
    """Backend `onnxruntime_cuda`; see `profiler.backend.Backend`."""

    name = "onnxruntime_cuda"
    summary = "ONNX Runtime on a CUDA device, fp32 without TF32, fp16, int8 (Q/DQ in floats)"
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8")

    def unavailable(self) -> str | None:
        if reason := missing_provider(PROVIDER):
            return f"{reason}; onnxruntime-gpu has it, installed in onnxruntime's place"
        return None if cuda_device.names() else "no CUDA device, or no NVIDIA driver"

    def target(self, precision: str, batch: int, threads: int) -> Target:
        import onnxruntime

        check_precision(self, precision)
        return Target(
            device=cuda_device.names()[0],
            runtime=self.name,
            runtime_version=onnxruntime.__version__,
            precision=precision,
            batch=batch,
            threads=threads,
            details={
                **machine.facts(),
                **cuda_device.facts(),
                "host": machine.device(),
                "provider": PROVIDER,
                **OPTIONS,
                "arithmetic": "fp16" if precision == "fp16" else "fp32",
                "inputs": str(INPUTS),
            },
        )

    def runner(self, model: bytes | str, target: Target, what: str) -> Runner:
        import onnxruntime

        onnxruntime.preload_dlls(msvc=False)  # finds CUDA and cuDNN that pip installed
        options = session_options(target.threads, ENTRIES)
        session = open_session(model, options, (PROVIDER, OPTIONS), what)
        queued = onnxruntime.RunOptions()
        queued.add_run_config_entry("disable_synchronize_execution_providers", "1")
        return cycled(
            partial(session.run_with_iobinding, run_options=queued),
            bindings(session, target.batch, "cuda"),
            last=session.run_with_iobinding,
        )
