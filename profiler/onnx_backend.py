"""`OnnxBackend`: what backends share that run ONNX graphs; a subclass only loads and runs them.

Checks what is asked for and what a file holds, before a runtime sees it. Knows no runtime.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import onnx

from latency_tables.table import Target
from profiler.backend import BackendError, Runner, check_precision, check_size
from profiler.graph_writer import FLOAT, FLOAT16, UINT8
from profiler.graphs import block_model, chain_model, network_model
from profiler.graphs_roof import copy_model, gemm_model
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import Shape

TYPES = {FLOAT: "float", FLOAT16: "float16", UINT8: "uint8"}
"""Element types of inputs that we can fill."""


class OnnxBackend(ABC):
    """See `profiler.backend.Backend`; a subclass adds `unavailable`, `target` and `runner`."""

    name: str
    summary: str
    precisions: tuple[str, ...]
    files = True

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why this backend cannot run here, or None if it can."""

    @abstractmethod
    def target(self, precision: str, batch: int, threads: int) -> Target:
        """The target measured by models built with the same three settings."""

    @abstractmethod
    def runner(self, model: bytes | str, target: Target, what: str) -> Runner:
        """Loads a model.

        Args:
            model: a serialized model, or the path of a file, beside which its weights may lie.
            what: names it in errors.

        Raises:
            BackendError: the runtime refuses it.
        """

    def block(self, shape: Shape, target: Target) -> Runner:
        check_precision(self, target.precision)
        model = block_model(shape, target.batch, target.precision)
        return self.runner(model, target, shape.geometry)

    def chain(self, shapes: Sequence[Shape], target: Target) -> Runner:
        check_precision(self, target.precision)
        model = chain_model(shapes, target.batch, target.precision)
        return self.runner(model, target, f"chain of {len(shapes)}")

    def network(self, network: NetworkSpec, config: ChannelConfig, target: Target) -> Runner:
        check_precision(self, target.precision)
        model = network_model(network, config, target.batch, target.precision)
        return self.runner(model, target, "network")

    def file(self, path: str, target: Target) -> Runner:
        # by path, so that weights kept in files beside the model are found
        return self.runner(_checked(path, target.batch), target, path)

    def gemm(self, side: int, target: Target) -> Runner:
        check_precision(self, target.precision)
        check_size("side", side)
        return self.runner(gemm_model(side, target.precision), target, f"product of {side}")

    def copy(self, elements: int, target: Target) -> Runner:
        check_precision(self, target.precision)
        check_size("elements", elements)
        return self.runner(copy_model(elements, target.precision), target, f"copy of {elements}")


def with_batch(dims: Sequence[int | str | None], batch: int) -> tuple[int, ...]:
    """An input's shape, the batch filled in where the model leaves it open."""
    return tuple(dim if isinstance(dim, int) else batch for dim in dims)


def _checked(path: str, batch: int) -> str:
    """The path of a model file whose inputs we can fill, resolved."""
    try:
        found = Path(path).resolve(strict=True)
        graph = onnx.load(str(found), load_external_data=False).graph
    except OSError as error:
        raise BackendError(f"cannot read the model file: {error}") from None
    except Exception as error:  # which class depends on protobuf's implementation
        raise BackendError(f"{path} is not an ONNX model: {error}") from None
    weights = {weight.name for weight in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if not inputs:
        raise BackendError(f"{path} is not an ONNX model with inputs")
    for value in inputs:
        _check_input(value, batch, path)
    return str(found)


def _check_input(value: onnx.ValueInfoProto, batch: int, path: str) -> None:
    kind = value.type.tensor_type.elem_type
    if kind not in TYPES:
        found = onnx.TensorProto.DataType.Name(kind).lower()
        raise BackendError(
            f"{path}: inputs must be one of {', '.join(TYPES.values())}, "
            f"but {value.name} is {found}"
        )
    dims = value.type.tensor_type.shape.dim
    known = [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
    if None in known[1:]:
        raise BackendError(f"{path}: only the batch may be dynamic, but {value.name} is {known}")
    if known and known[0] not in (None, batch):
        raise BackendError(f"{path}: the model's batch is fixed to {known[0]}, but got {batch}")
