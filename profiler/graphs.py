"""ONNX graphs of stems, bottlenecks, heads and whole networks with random weights.

Written node by node, because a table needs thousands of them: no torch, no tracing, milliseconds
each. Batch norm is folded into the convolution's bias, as every inference runtime does.
Latency does not depend on the weights' values, as long as they are neither zero nor denormal.
Knows nothing of runtimes, precisions and timing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape

OPSET = 17
IR_VERSION = 9
INPUT, OUTPUT = "input", "output"
POOL = 65_521
"""Random values drawn per graph; weights repeat them (a prime, so that rows do not line up)."""


def block_model(shape: Shape, batch: int, seed: int = 0) -> bytes:
    """One stem, bottleneck or head as a serialized ONNX model.

    Args:
        batch: images in the input [batch, channels, size, size], which is fixed in the graph.
    """
    graph = _Graph(seed)
    graph.piece(shape, INPUT, OUTPUT, "")
    return graph.serialize(input_shape(shape, batch), output_shape(shape, batch))


def network_model(network: NetworkSpec, config: ChannelConfig, batch: int, seed: int = 0) -> bytes:
    """A whole network as a serialized ONNX model; removed blocks leave no node.

    Raises:
        ConfigError: the config does not fit the network.
    """
    shapes, names = network.shapes(config), piece_names(network, config)
    graph = _Graph(seed)
    tensor = INPUT
    for shape, name in zip(shapes, names, strict=True):
        result = OUTPUT if isinstance(shape, HeadShape) else f"{name}/out"
        graph.piece(shape, tensor, result, f"{name}/")
        tensor = result
    return graph.serialize(input_shape(shapes[0], batch), output_shape(shapes[-1], batch))


def piece_names(network: NetworkSpec, config: ChannelConfig) -> list[str]:
    """Names of `network.shapes(config)`, in order: stem, stage1.0, ..., head."""
    blocks = [
        f"stage{stage + 1}.{index}"
        for (stage, index), (w1, _) in zip(network.positions(), config.inner, strict=True)
        if w1
    ]
    return ["stem", *blocks, "head"]


def input_shape(shape: Shape, batch: int) -> tuple[int, ...]:
    """[batch, channels, size, size] of what enters."""
    channels = shape.channels if isinstance(shape, StemShape) else shape.cin
    return (batch, channels, shape.size, shape.size)


def output_shape(shape: Shape, batch: int) -> tuple[int, ...]:
    """[batch, classes] of a head, [batch, cout, size, size] of the others."""
    if isinstance(shape, HeadShape):
        return (batch, shape.classes)
    return (batch, shape.cout, shape.out_size, shape.out_size)


class _Graph:
    """Nodes and weights of one model under construction."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.pool = np.random.default_rng(seed).standard_normal(POOL, dtype=np.float32)

    def piece(self, shape: Shape, tensor: str, result: str, prefix: str) -> None:
        match shape:
            case StemShape():
                self._stem(shape, tensor, result, prefix)
            case BlockShape():
                self._block(shape, tensor, result, prefix)
            case HeadShape():
                self._head(shape, tensor, result, prefix)

    def serialize(self, into: tuple[int, ...], out: tuple[int, ...]) -> bytes:
        graph = helper.make_graph(
            self.nodes,
            "stairprune",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, into)],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, out)],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        data: bytes = model.SerializeToString()
        return data

    def _stem(self, s: StemShape, tensor: str, result: str, prefix: str) -> None:
        relu = f"{prefix}relu.out" if s.kind == "7x7/2+maxpool" else result
        conv = self._conv(f"{prefix}conv", tensor, (s.cout, s.channels, s.kernel), s.stride)
        self._node("Relu", f"{prefix}relu", [conv], relu)
        if relu != result:
            self._node(
                "MaxPool",
                f"{prefix}maxpool",
                [relu],
                result,
                kernel_shape=[3, 3],
                strides=[2, 2],
                pads=[1] * 4,
            )

    def _block(self, s: BlockShape, tensor: str, result: str, prefix: str) -> None:
        x = self._conv(f"{prefix}conv1", tensor, (s.w1, s.cin, 1), 1)
        x = self._node("Relu", f"{prefix}relu1", [x])
        x = self._conv(f"{prefix}conv2", x, (s.w2, s.w1, 3), s.stride)
        x = self._node("Relu", f"{prefix}relu2", [x])
        x = self._conv(f"{prefix}conv3", x, (s.cout, s.w2, 1), 1)
        shortcut = tensor
        if s.shortcut == "projection":
            shortcut = self._conv(f"{prefix}projection", tensor, (s.cout, s.cin, 1), s.stride)
        x = self._node("Add", f"{prefix}add", [x, shortcut])
        self._node("Relu", f"{prefix}relu", [x], result)

    def _head(self, s: HeadShape, tensor: str, result: str, prefix: str) -> None:
        x = self._node("GlobalAveragePool", f"{prefix}pool", [tensor])
        x = self._node("Flatten", f"{prefix}flatten", [x])
        weight = self._weight(f"{prefix}fc.weight", (s.classes, s.cin), fan_in=s.cin)
        bias = self._weight(f"{prefix}fc.bias", (s.classes,), fan_in=s.cin)
        self._node("Gemm", f"{prefix}fc", [x, weight, bias], result, transB=1)

    def _conv(self, name: str, tensor: str, widths: tuple[int, int, int], stride: int) -> str:
        cout, cin, kernel = widths
        fan_in = cin * kernel**2
        weight = self._weight(f"{name}.weight", (cout, cin, kernel, kernel), fan_in=fan_in)
        bias = self._weight(f"{name}.bias", (cout,), fan_in=fan_in)
        return self._node(
            "Conv",
            name,
            [tensor, weight, bias],
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
        )

    def _node(
        self, op: str, name: str, inputs: list[str], result: str = "", **attributes: Any
    ) -> str:
        result = result or f"{name}.out"
        self.nodes.append(helper.make_node(op, inputs, [result], name=name, **attributes))
        return result

    def _weight(self, name: str, shape: tuple[int, ...], *, fan_in: int) -> str:
        # He-scaled (He et al. 2015), so that activations neither vanish into denormals, which
        # are slow on a CPU, nor overflow, however deep the network is.
        start = len(self.weights) * 7919 % POOL
        values: npt.NDArray[np.float32] = np.resize(np.roll(self.pool, -start), shape)
        values = values * np.float32(np.sqrt(2 / fan_in))
        self.weights.append(numpy_helper.from_array(values, name))
        return name
