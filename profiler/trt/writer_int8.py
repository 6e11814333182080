"""`QuantisingNetworkWriter`: explicit INT8 networks of TensorRT.

Quantised with scales and zero points of 0, as TensorRT has it: weights per output channel, maps per
tensor. Maps are rounded after each ReLU and pooling, and where a projection enters the residual
addition; so every layer reads integers, and TensorRT fuses a bottleneck into integer kernels. The
last convolution's output is not rounded: the addition and the ReLU are fused into that convolution
(NVIDIA, "Working with Quantized Types", on residual connections). Maps enter and leave as int8;
images and logits are fp32. Scales are fixed: latency does not depend on them.
"""

from __future__ import annotations

import numpy as np

from profiler.pieces import OUTPUT
from profiler.random_weights import fan_in_scale
from profiler.trt import api
from profiler.trt.errors import Log
from profiler.trt.module import TensorRT
from profiler.trt.writer import Array, NetworkWriter

SCALE = 0.03
WEIGHT_SCALE = 1 / 40
"""Of normal weights: 127 steps reach beyond three standard deviations."""


class QuantisingNetworkWriter(NetworkWriter):
    """See the module, and `NetworkWriter`."""

    def __init__(
        self, trt: TensorRT, network: api.INetworkDefinition, log: Log, *, seed: int
    ) -> None:
        super().__init__(trt, network, log, precision="int8", seed=seed)
        self.scale = self.constant("scale", np.array(SCALE, dtype=np.float32))

    def enter(self, tensor: api.ITensor, *, image: bool) -> api.ITensor:
        if image:
            return self.settled(tensor)
        return self.dequantised(tensor)

    def settled(self, tensor: api.ITensor, result: str = "") -> api.ITensor:
        name = f"{tensor.name}.q"
        rounded = self.output(self.network.add_quantize(tensor, self.scale, self.trt.int8), name)
        return rounded if result == OUTPUT else self.dequantised(rounded)

    def conv(
        self, name: str, tensor: api.ITensor, widths: tuple[int, int, int], stride: int
    ) -> api.ITensor:
        cout, cin, kernel = widths
        sides = (kernel, kernel)
        weight = self.weight_tensor(f"{name}.weight", self.values((cout, cin, *sides)))
        bias = self.weights(self.values((cout,), cin))
        nothing = self.trt.Weights(self.trt.float32)  # the weights are the second input
        layer = self.log.need(
            self.network.add_convolution_nd(tensor, cout, sides, nothing, bias),
            f"add the convolution {name}",
        )
        layer.set_input(1, weight)
        layer.stride_nd = (stride, stride)
        layer.padding_nd = (kernel // 2, kernel // 2)
        return self.output(layer, name)

    def relu(self, name: str, tensor: api.ITensor, result: str = "") -> api.ITensor:
        return self.settled(super().relu(name, tensor), result)

    def max_pool(self, name: str, tensor: api.ITensor, result: str = "") -> api.ITensor:
        return self.settled(super().max_pool(name, tensor), result)

    def weight_tensor(self, name: str, values: Array, *, channels: bool = True) -> api.ITensor:
        # floats, rounded by a layer that TensorRT folds: the form its documentation has for them
        step = fan_in_scale(values.shape) * WEIGHT_SCALE
        steps = np.full(values.shape[0] if channels else (), step, dtype=np.float32)
        scale = self.constant(f"{name}.scale", steps)
        given = self.constant(name, values)
        quantise = self.log.need(
            self.network.add_quantize(given, scale, self.trt.int8), f"round {name}"
        )
        if channels:
            quantise.axis = 0
        rounded = self.output(quantise, f"{name}.q")
        dequantise = self.log.need(
            self.network.add_dequantize(rounded, scale, self.trt.float32), f"read {name}"
        )
        if channels:
            dequantise.axis = 0
        return self.output(dequantise, f"{name}.dq")

    def dequantised(self, tensor: api.ITensor) -> api.ITensor:
        """`tensor` (int8) as real numbers."""
        layer = self.network.add_dequantize(tensor, self.scale, self.trt.float32)
        return self.output(layer, f"{tensor.name}.dq")
