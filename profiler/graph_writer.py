"""`Writer`: the nodes and weights of one ONNX graph, in floating point; int8 is a subclass.

Batch norm is folded into the convolution's bias, as every inference runtime does.
Knows nothing of bottlenecks and networks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from profiler.pieces import INPUT, OUTPUT
from profiler.random_weights import Floats, RandomWeights, fan_in_scale

OPSET = 17
IR_VERSION = 9


def writer(precision: str, seed: int, *, symmetric: bool = False) -> Writer:
    """A writer of this precision.

    Args:
        symmetric: int8 with zero points of 0 only; the other precisions have none.

    Raises:
        ValueError: not fp32, fp16 or int8.
    """
    if precision == "int8":
        from profiler.graph_writer_int8 import QuantisingWriter

        return QuantisingWriter(seed, symmetric=symmetric)
    if precision not in ("fp32", "fp16"):
        raise ValueError(f"precision must be one of fp32, fp16, int8, but got {precision!r}")
    return Writer(seed, np.float16 if precision == "fp16" else np.float32)


class Writer:
    """A `profiler.pieces.Layers` whose tensors are names."""

    def __init__(self, seed: int, dtype: type[np.floating[Any]] = np.float32) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.dtype = dtype
        self.random = RandomWeights(seed)

    def enter(self, tensor: str, *, image: bool) -> str:
        """What the graph's input is, ready for the first layer; `image`: a picture, no map."""
        return tensor

    def settled(self, tensor: str, result: str = "") -> str:
        """`tensor` as the next layer may read it: rounded, where the precision rounds."""
        return tensor

    def addend(self, tensor: str) -> str:
        """The last convolution's output as the residual addition may read it."""
        return self.settled(tensor)

    def conv(self, name: str, tensor: str, widths: tuple[int, int, int], stride: int) -> str:
        """A convolution with bias; `widths` are outputs, inputs, and the kernel's side."""
        cout, cin, kernel = widths
        weight, bias = self.parameters(name, tensor, (cout, cin, kernel, kernel))
        return self.node(
            "Conv",
            name,
            [tensor, weight, bias],
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
        )

    def relu(self, name: str, tensor: str, result: str = "") -> str:
        """ReLU."""
        return self.node("Relu", name, [tensor], result)

    def add(self, name: str, tensor: str, other: str) -> str:
        """The residual addition."""
        return self.node("Add", name, [tensor, other])

    def max_pool(self, name: str, tensor: str, result: str = "") -> str:
        """3x3 max-pool with stride 2."""
        sides: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}
        return self.node("MaxPool", name, [tensor], result, **sides)

    def average_pool(self, name: str, tensor: str) -> str:
        """Global average pool, flattened."""
        pooled = self.settled(self.node("GlobalAveragePool", name, [tensor]))
        return self.settled(self.node("Flatten", f"{name}.flatten", [pooled]))

    def linear(self, name: str, tensor: str, widths: tuple[int, int], result: str) -> str:
        """A fully connected layer; `widths` are outputs and inputs."""
        weight, bias = self.parameters(name, tensor, widths)
        return self.node("Gemm", name, [tensor, weight, bias], result, transB=1)

    def parameters(self, name: str, tensor: str, shape: tuple[int, ...]) -> tuple[str, str]:
        """Weight and bias of a layer that reads `tensor`."""
        scale = fan_in_scale(shape)
        weight = (self.drawn(shape) * scale).astype(self.dtype)
        bias = (self.drawn(shape[:1]) * scale).astype(self.dtype)
        return self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)

    def drawn(self, shape: tuple[int, ...]) -> Floats:
        """Standard normal values."""
        return self.random.draw(shape, len(self.weights))

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        """An initializer."""
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(
        self, op: str, name: str, inputs: list[str], result: str = "", **attributes: Any
    ) -> str:
        """One node."""
        result = result or f"{name}.out"
        self.nodes.append(helper.make_node(op, inputs, [result], name=name, **attributes))
        return result

    def types(self, *, image: bool, logits: bool) -> tuple[int, int]:
        """ONNX element types of the graph's input and output."""
        kind = int(helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype)))
        return kind, kind

    def serialize(
        self, into: tuple[int, ...], out: tuple[int, ...], *, image: bool, logits: bool
    ) -> bytes:
        """The model file's bytes; `into` and `out` are the shapes of its input and output."""
        kind_in, kind_out = self.types(image=image, logits=logits)
        graph = helper.make_graph(
            self.nodes,
            "stairprune",
            [helper.make_tensor_value_info(INPUT, kind_in, into)],
            [helper.make_tensor_value_info(OUTPUT, kind_out, out)],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        data: bytes = model.SerializeToString()
        return data


FLOAT, FLOAT16 = int(TensorProto.FLOAT), int(TensorProto.FLOAT16)
INT8, UINT8 = int(TensorProto.INT8), int(TensorProto.UINT8)
