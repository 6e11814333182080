"""ONNX Runtime sessions with everything bound beforehand; shared by this runtime's backends.

Knows nothing of targets and devices: a provider and the memory its tensors live in are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from profiler.backend import BackendError
from profiler.feed import INPUTS, samples
from profiler.onnx_backend import with_batch

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
Provider = tuple[str, Mapping[str, str]]


def missing_provider(name: str) -> str | None:
    """Why no session can have this provider, or None; a driver or device may still lack."""
    try:
        import onnxruntime
    except ImportError as error:
        return f"onnxruntime cannot be imported: {error}"
    if name not in onnxruntime.get_available_providers():
        return f"the installed onnxruntime has no {name}"
    return None


def session_options(threads: int, entries: Mapping[str, str]) -> Any:
    """Sequential execution, all graph optimisations, and these configuration entries."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if _shared:
        options.use_per_session_threads = False
    else:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    return options


_shared: list[int] = []
"""Threads of the pool that all sessions of this process share; empty where each has its own."""


def share_threads(threads: int) -> None:
    """All sessions of this process share `threads` threads from now on, and can have no others.

    Workers of an idle session go on spinning: with a pool for each of many sessions they would take
    the cores from the one that is measured.
    """
    import onnxruntime

    # an older runtime cannot share; one that has its pool already keeps it
    with suppress(AttributeError, RuntimeError):
        onnxruntime.set_global_thread_pool_sizes(threads, 1)
        _shared.append(threads)


def open_session(model: bytes | str, options: Any, provider: Provider, what: str) -> Any:
    """A session on this provider.

    Raises:
        BackendError: it cannot be loaded, or the runtime fell back to another provider.
    """
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(model, options, providers=[provider])
    except Exception as error:  # the runtime's own errors derive from Exception only
        raise BackendError(f"onnxruntime cannot load {what}: {error}") from None
    if session.get_providers()[0] != provider[0]:
        raise BackendError(
            f"onnxruntime cannot load {what}: {provider[0]} does not start on this machine"
        )
    return session


def bindings(session: Any, batch: int, device: str = "cpu") -> Sequence[Any]:
    """`INPUTS` bindings, each to its own inputs, all to the same outputs, all on `device`."""
    from onnxruntime import OrtValue

    found = [session.io_binding() for _ in range(INPUTS)]
    for node in session.get_inputs():
        values = samples(with_batch(node.shape, batch), DTYPES[node.type])
        for binding, array in zip(found, values, strict=True):
            binding.bind_ortvalue_input(node.name, OrtValue.ortvalue_from_numpy(array, device, 0))
    for node in session.get_outputs():
        # one run tells the shape, which an exported model need not declare
        found[0].bind_output(node.name, device, 0)
    session.run_with_iobinding(found[0])
    for node, value in zip(session.get_outputs(), found[0].get_outputs(), strict=True):
        for binding in found:
            binding.bind_ortvalue_output(node.name, value)
    return found
