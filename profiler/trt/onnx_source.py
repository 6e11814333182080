"""Building from ONNX files, through TensorRT's parser; and which files TensorRT cannot take.

Types are those of the file: there is no precision to choose. Knows nothing of our own networks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from profiler.backend import BackendError
from profiler.onnx_backend import with_batch
from profiler.trt import api
from profiler.trt.errors import Log
from profiler.trt.formats import ENDS, allow
from profiler.trt.module import TensorRT
from profiler.trt.networks import Fill

PAIR = ("QuantizeLinear", "DequantizeLinear")


def onnx_file(path: str, batch: int) -> Fill:
    """A model file, weights beside it included; an open batch is fixed to `batch`.

    Raises:
        BackendError: unreadable, no ONNX, another batch, another open dimension, or asymmetric
            quantisation.
    """
    found, data, model = _read(path)
    check_symmetric(model, path, str(found.parent))

    def fill(trt: TensorRT, network: api.INetworkDefinition, log: Log) -> api.OnnxParser:
        parser = trt.OnnxParser(network, log.logger)
        if not parser.parse(data, str(found)):
            errors = [parser.get_error(number) for number in range(parser.num_errors)]
            log.messages[:0] = [f"{e.desc()} (node {e.node_name()})" for e in errors]
            log.fail(f"load {path}")
        for number in range(network.num_inputs):
            tensor = log.need(network.get_input(number), f"read the inputs of {path}")
            tensor.shape = _fixed(tensor, batch, path)
            allow(trt, tensor, ENDS)
        for number in range(network.num_outputs):
            allow(trt, log.need(network.get_output(number), f"read outputs of {path}"), ENDS)
        return parser  # its weights are the network's

    return fill


def check_symmetric(model: onnx.ModelProto, name: str, folder: str = "") -> None:
    """Holds a model to what TensorRT can quantise: int8, with zero points of 0.

    Args:
        folder: where weights lie that the model keeps in files of their own.

    Raises:
        BackendError: a zero point that is not 0, not int8, or cannot be read.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
    for node in model.graph.node:
        if node.op_type not in PAIR:
            continue
        if len(node.input) > 2 and node.input[2]:
            if node.input[2] not in constants:
                raise BackendError(f"{name}: the zero point of {node.name} is not constant")
            zero = _values(constants[node.input[2]], folder, name)
        else:
            zero = _implied(node)
        if zero.dtype != np.int8 or np.any(zero):
            raise BackendError(
                f"{name}: TensorRT needs symmetric int8, zero points of 0, but {node.name} has "
                f"{zero.dtype} {np.ravel(zero)[:1].tolist()}"
            )


def _implied(node: onnx.NodeProto) -> npt.NDArray[Any]:
    """The zero point of a node that names none."""
    chosen = [a.i for a in node.attribute if a.name == "output_dtype"]
    if node.op_type == "DequantizeLinear" or onnx.TensorProto.INT8 in chosen:
        return np.zeros((), dtype=np.int8)  # the type is that of its input, or as it says
    return np.zeros((), dtype=np.uint8)


def _read(path: str) -> tuple[Path, bytes, onnx.ModelProto]:
    try:
        found = Path(path).resolve(strict=True)
        data = found.read_bytes()
        model = onnx.load_model_from_string(data)
    except OSError as error:
        raise BackendError(f"cannot read the model file: {error}") from None
    except Exception as error:  # which class depends on protobuf's implementation
        raise BackendError(f"{path} is not an ONNX model: {error}") from None
    return found, data, model


def _values(tensor: onnx.TensorProto, folder: str, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(numpy_helper.to_array(tensor, base_dir=folder))
    except Exception as error:  # onnx has several kinds for files that are missing or strange
        raise BackendError(f"{name}: cannot read {tensor.name}: {error}") from None


def _fixed(tensor: api.ITensor, batch: int, path: str) -> tuple[int, ...]:
    shape = list(tensor.shape)
    if any(side < 0 for side in shape[1:]):
        raise BackendError(f"{path}: only the batch may be dynamic, but {tensor.name} is {shape}")
    if shape and shape[0] not in (-1, batch):
        raise BackendError(f"{path}: the model's batch is fixed to {shape[0]}, but got {batch}")
    return with_batch([side if side >= 0 else None for side in shape], batch)
