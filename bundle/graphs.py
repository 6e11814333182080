"""What an ONNX file in a bundle may hold: the operators of a ResNet, its weights inside."""

from __future__ import annotations

import math
from pathlib import Path

import onnx

from bundle.manifest import BundleError, brief
from supernet.network import NetworkSpec

OPERATORS = {
    "Add", "AveragePool", "Constant", "Conv", "DequantizeLinear", "Flatten", "Gemm",
    "GlobalAveragePool", "Identity", "MatMul", "MaxPool", "QuantizeLinear", "ReduceMean", "Relu",
    "Reshape", "Slice", "Squeeze",
}  # fmt: skip

_KINDS = onnx.AttributeProto
ATTRIBUTES = {
    _KINDS.FLOAT, _KINDS.INT, _KINDS.STRING, _KINDS.TENSOR, _KINDS.FLOATS, _KINDS.INTS,
}  # fmt: skip
MOST_PIXELS = 1 << 28
"""Of one batch: a gigabyte in float32."""


def check(path: Path, source: Path, spec: NetworkSpec) -> None:
    """Refuses what a runtime should not be given.

    Raises:
        BundleError: no ONNX, weights outside the file, operators of other domains or with graphs
            inside, a broken graph, or other images and logits than the network's.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # which class depends on protobuf's implementation
        raise BundleError(f"{source}: {path.name} is not ONNX: {brief(error)}") from None
    if model.functions or any(entry.domain not in ("", "ai.onnx") for entry in model.opset_import):
        raise BundleError(f"{source}: {path.name} uses operators of other domains")
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
            name = f"{node.domain}.{node.op_type}".strip(".")
            raise BundleError(f"{source}: {path.name} uses {name!r:.100}, which is not allowed")
    attributes = [a for node in model.graph.node for a in node.attribute]
    if model.graph.sparse_initializer or any(a.type not in ATTRIBUTES for a in attributes):
        raise BundleError(f"{source}: {path.name} holds graphs or sparse tensors inside")
    tensors = [*model.graph.initializer, *(a.t for a in attributes)]
    if any(t.external_data or t.data_location == t.EXTERNAL for t in tensors):
        raise BundleError(f"{source}: {path.name} keeps weights in other files")
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker's errors share no base
        raise BundleError(f"{source}: {path.name} is broken: {brief(error)}") from None
    images = (spec.channels, spec.resolution, spec.resolution)
    batch = model.graph.input[0].type.tensor_type.shape.dim[:1] if model.graph.input else []
    if max([1, *(dim.dim_value for dim in batch)]) * math.prod(images) > MOST_PIXELS:
        raise BundleError(f"{source}: {path.name} takes more than {MOST_PIXELS} values at a time")
    for kind, ports, sizes in (
        ("takes", model.graph.input, images),
        ("gives", model.graph.output, (spec.classes,)),
    ):
        if [_sizes(port) for port in ports] != [sizes]:
            wanted = ", ".join(map(str, sizes))
            raise BundleError(f"{source}: {path.name} {kind} something else than [n, {wanted}]")


def _sizes(port: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """Sizes of a float32 tensor without its batch; an open size is 0. None for anything else."""
    tensor = port.type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT or not tensor.shape.dim:
        return None
    return tuple(dim.dim_value for dim in tensor.shape.dim[1:])
