"""`NetworkWriter`: layers of a TensorRT network, in floating point; int8 is a subclass.

Written through TensorRT's network API, without ONNX: thousands of blocks are built for a table.
Types are strong: a layer computes in the type of what it reads. Knows no bottlenecks, and not how
engines are built.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from profiler.random_weights import RandomWeights, fan_in_scale
from profiler.trt import api, formats
from profiler.trt.errors import Log
from profiler.trt.module import TensorRT

SPATIAL = 1 << 2 | 1 << 3
"""Height and width, as bits of the dimensions."""
L = TypeVar("L", bound=api.ILayer)
Array = npt.NDArray[Any]


class NetworkWriter:
    """A `profiler.pieces.Layers` whose tensors are TensorRT's.

    Attributes:
        precision: of maps that enter and leave: fp32, fp16 or int8.
        real: of images, logits and weights: fp32 or fp16.
        kept: weights that TensorRT reads while it builds; the writer must outlive that.
    """

    def __init__(
        self, trt: TensorRT, network: api.INetworkDefinition, log: Log, *, precision: str, seed: int
    ) -> None:
        self.trt = trt
        self.network = network
        self.log = log
        self.precision = precision
        self.real = "fp16" if precision == "fp16" else "fp32"
        self.random = RandomWeights(seed)
        self.kept: list[Array] = []

    def enter(self, tensor: api.ITensor, *, image: bool) -> api.ITensor:
        """What the network's input is, ready for the first layer."""
        return tensor

    def settled(self, tensor: api.ITensor, result: str = "") -> api.ITensor:
        """`tensor` as the next layer may read it."""
        return tensor

    def addend(self, tensor: api.ITensor) -> api.ITensor:
        """As it is: TensorRT fuses the addition into the convolution before it."""
        return tensor

    def conv(
        self, name: str, tensor: api.ITensor, widths: tuple[int, int, int], stride: int
    ) -> api.ITensor:
        """A convolution with bias; `widths` are outputs, inputs, and the kernel's side."""
        cout, cin, kernel = widths
        sides = (kernel, kernel)
        weight, bias = self.values((cout, cin, kernel, kernel)), self.values((cout,), cin)
        layer = self.log.need(
            self.network.add_convolution_nd(
                tensor, cout, sides, self.weights(weight), self.weights(bias)
            ),
            f"add the convolution {name}",
        )
        layer.stride_nd = (stride, stride)
        layer.padding_nd = (kernel // 2, kernel // 2)
        return self.output(layer, name)

    def relu(self, name: str, tensor: api.ITensor, result: str = "") -> api.ITensor:
        """ReLU."""
        relu = self.trt.ActivationType.RELU
        return self.output(self.network.add_activation(tensor, relu), name)

    def add(self, name: str, tensor: api.ITensor, other: api.ITensor) -> api.ITensor:
        """The sum of two tensors: the residual addition, or a bias."""
        total = self.trt.ElementWiseOperation.SUM
        return self.output(self.network.add_elementwise(tensor, other, total), name)

    def max_pool(self, name: str, tensor: api.ITensor, result: str = "") -> api.ITensor:
        """3x3 max-pool with stride 2."""
        layer = self.log.need(
            self.network.add_pooling_nd(tensor, self.trt.PoolingType.MAX, (3, 3)),
            f"add the pooling {name}",
        )
        layer.stride_nd = (2, 2)
        layer.padding_nd = (1, 1)
        return self.output(layer, name)

    def average_pool(self, name: str, tensor: api.ITensor) -> api.ITensor:
        """Global average pool, flattened."""
        mean = self.trt.ReduceOperation.AVG
        pooled = self.output(self.network.add_reduce(tensor, mean, SPATIAL, False), name)
        return self.settled(pooled)

    def linear(
        self, name: str, tensor: api.ITensor, widths: tuple[int, int], result: str
    ) -> api.ITensor:
        """A fully connected layer, written as ONNX parsers do: a matrix product, then the bias."""
        operation = self.trt.MatrixOperation
        weight = self.weight_tensor(f"{name}.weight", self.values(widths))
        product = self.output(
            self.network.add_matrix_multiply(tensor, operation.NONE, weight, operation.TRANSPOSE),
            name,
        )
        bias = self.constant(f"{name}.bias", self.values((1, widths[0]), widths[1]))
        return self.add(f"{name}.add", product, bias)

    def gemm(self, tensor: api.ITensor, side: int) -> api.ITensor:
        """The input [side, side] times constant weights, the limit of a roofline."""
        operation = self.trt.MatrixOperation.NONE
        weight = self.weight_tensor("gemm.weight", self.values((side, side)), channels=False)
        layer = self.network.add_matrix_multiply(tensor, operation, weight, operation)
        return self.settled(self.output(layer, "gemm"), "output")

    def weight_tensor(self, name: str, values: Array, *, channels: bool = True) -> api.ITensor:
        """Weights that a layer reads; `channels`: their first dimension are its outputs."""
        return self.constant(name, values)

    def constant(self, name: str, values: Array) -> api.ITensor:
        """A tensor that never changes."""
        return self.output(
            self.network.add_constant(tuple(values.shape), self.weights(values)), name
        )

    def values(self, shape: tuple[int, ...], fan_in: int = 0) -> Array:
        """Random weights [outputs, inputs, ...]; `fan_in`, for a bias, is how many inputs."""
        scale = fan_in_scale((1, fan_in) if fan_in else shape)
        drawn = self.random.draw(shape, len(self.kept)) * np.float32(scale)
        return drawn.astype(np.float16 if self.real == "fp16" else np.float32)

    def weights(self, values: Array) -> api.Weights:
        """For TensorRT to read: it copies nothing."""
        self.kept.append(values)
        return self.trt.Weights(values)

    def output(self, layer: L | None, name: str) -> api.ITensor:
        """What a new layer gives, named as the layer."""
        made = self.log.need(layer, f"add the layer {name}")
        made.name = name
        tensor = self.log.need(made.get_output(0), f"tell what {name} gives")
        tensor.name = f"{name}.out"
        return tensor

    def begin(self, shape: Sequence[int], *, image: bool, allowed: Sequence[str]) -> api.ITensor:
        """The network's input."""
        kind = formats.types(self.trt)[self.type_at(image)]
        tensor = self.network.add_input("input", kind, tuple(shape))
        tensor = self.log.need(tensor, f"take an input of {list(shape)}")
        formats.allow(self.trt, tensor, allowed)
        return tensor

    def finish(self, tensor: api.ITensor, *, allowed: Sequence[str]) -> None:
        """Makes a tensor the network's output."""
        tensor.name = "output"
        self.network.mark_output(tensor)
        formats.allow(self.trt, tensor, allowed)

    def type_at(self, end: bool) -> str:
        """Precision of an input or output; `end`: an image or logits, no map."""
        return self.real if end else self.precision
