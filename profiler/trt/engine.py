"""`TensorRtEngine`: an engine ready to run on the device of this process; a `gpu.engine.Engine`.

It queues, and nothing else: memory, streams and timing belong to others.
"""

from __future__ import annotations

from collections.abc import Sequence

from profiler.gpu.engine import IoTensor
from profiler.trt import formats
from profiler.trt.errors import Log
from profiler.trt.inspector import Inspection, parse
from profiler.trt.module import TensorRT


class TensorRtEngine:
    """A deserialised engine with one execution context.

    Args:
        plan: a serialized engine that we built; TensorRT runs whatever code it holds.
        what: names it in errors.

    Raises:
        BackendError: TensorRT cannot read or prepare it here; with its own message.
    """

    def __init__(self, trt: TensorRT, plan: bytes, what: str) -> None:
        self._trt = trt
        self._what = what
        # all of them must outlive the context
        self._log = Log(trt)
        self._runtime = self._log.made(trt.Runtime, "its runtime")
        self._engine = self._log.need(
            self._runtime.deserialize_cuda_engine(plan), f"read the engine of {what}"
        )
        self._context = self._log.need(
            self._engine.create_execution_context(), f"prepare the engine of {what}"
        )
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self._tensors = [self._tensor(name) for name in names]

    @property
    def tensors(self) -> Sequence[IoTensor]:
        """Inputs and outputs."""
        return self._tensors

    def bind(self, name: str, address: int) -> None:
        """Tells where a tensor lies in device memory.

        Raises:
            BackendError: TensorRT refuses it.
        """
        if not self._context.set_tensor_address(name, address):
            self._log.fail(f"bind {name} of {self._what}")

    def enqueue(self, stream: int) -> None:
        """Queues one run on a stream, given by its handle; does not wait.

        Raises:
            BackendError: TensorRT refuses it.
        """
        if not self._context.execute_async_v3(stream):
            self._log.fail(f"queue {self._what}")

    def inspection(self) -> Inspection:
        """Layers, kernels and tiles of the engine.

        Raises:
            BackendError: TensorRT has no inspector, or its report cannot be read.
        """
        inspector = self._log.need(self._engine.create_engine_inspector(), "inspect an engine")
        return parse(inspector.get_engine_information(self._trt.LayerInformationFormat.JSON))

    def notes(self) -> dict[str, str]:
        """Kernels, tile sizes, and the formats chosen for inputs and outputs."""
        chosen = {f"format_{tensor.name}": self._format(tensor.name) for tensor in self._tensors}
        return {**self.inspection().facts(), **chosen}

    def _tensor(self, name: str) -> IoTensor:
        engine = self._engine
        kinds = {kind: precision for precision, kind in formats.types(self._trt).items()}
        kind = engine.get_tensor_dtype(name)
        precision = self._log.need(kinds.get(kind), f"run {self._what}: {name} is {kind}")
        shape = tuple(engine.get_tensor_shape(name))
        dim = engine.get_tensor_vectorized_dim(name)  # -1 where nothing is packed
        vector = engine.get_tensor_components_per_element(name) if dim >= 0 else 1
        return IoTensor(
            name=name,
            is_input=engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT,
            dtype=precision,
            shape=shape,
            nbytes=formats.padded_bytes(shape, precision, vector, dim),
        )

    def _format(self, name: str) -> str:
        return str(self._engine.get_tensor_format(name)).rpartition(".")[2]
