"""`QuantisingWriter`: explicit INT8 graphs, with QuantizeLinear/DequantizeLinear pairs.

Weights are int8, symmetric per output channel; activations uint8 per tensor; biases int32. Every
map is quantised where it is kept: after each ReLU, and both sides of the residual addition, so that
a runtime fuses whole bottlenecks to integers. Maps enter and leave a block as uint8; images and
logits are float. Scales are fixed: latency does not depend on them.

A symmetric graph is what TensorRT reads: int8 activations with a zero point of 0, and float biases,
since it dequantises no int32. There the last convolution's output goes into the residual addition
as it is: TensorRT fuses the addition into the convolution only if nothing is rounded in between.
"""

from __future__ import annotations

import numpy as np

from profiler.graph_writer import FLOAT, INT8, UINT8, Writer
from profiler.pieces import OUTPUT
from profiler.random_weights import fan_in_scale

SCALE = 0.03
SIGNED = 128
"""Zero point of maps that may be negative; after a ReLU it is 0."""


class QuantisingWriter(Writer):
    """See the module, and `Writer`."""

    def __init__(self, seed: int, *, symmetric: bool = False) -> None:
        super().__init__(seed)
        self.symmetric = symmetric
        self.known: set[str] = set()

    def enter(self, tensor: str, *, image: bool) -> str:
        if image:
            return self.settled(tensor)
        return self.dequantised(tensor, 0)

    def settled(self, tensor: str, result: str = "") -> str:
        return self._rounded(tensor, SIGNED, result)

    def addend(self, tensor: str) -> str:
        return tensor if self.symmetric else self.settled(tensor)

    def relu(self, name: str, tensor: str, result: str = "") -> str:
        return self._rounded(super().relu(name, tensor), 0, result)

    def max_pool(self, name: str, tensor: str, result: str = "") -> str:
        return self._rounded(super().max_pool(name, tensor), 0, result)

    def average_pool(self, name: str, tensor: str) -> str:
        pooled = self._rounded(self.node("GlobalAveragePool", name, [tensor]), 0)
        return self._rounded(self.node("Flatten", f"{name}.flatten", [pooled]), 0)

    def parameters(self, name: str, tensor: str, shape: tuple[int, ...]) -> tuple[str, str]:
        values = self.random.integers(shape, len(self.weights))
        scales = np.full(shape[0], fan_in_scale(shape) / 40, dtype=np.float32)
        weight = self.constant(f"{name}.weight", values)
        scale = self.constant(f"{name}.weight.scale", scales)
        zero = self.constant(f"{name}.weight.zero", np.zeros(shape[0], dtype=np.int8))
        weight = self.node("DequantizeLinear", f"{name}.weight.dq", [weight, scale, zero], axis=0)
        if self.symmetric:
            floats = self.drawn(shape[:1]) * fan_in_scale(shape)
            return weight, self.constant(f"{name}.bias", floats)
        biases = np.rint(self.drawn(shape[:1]) * 100).astype(np.int32)
        bias = self.constant(f"{name}.bias", biases)
        scale = self.constant(f"{name}.bias.scale", scales * np.float32(SCALE))
        zero = self.constant(f"{name}.bias.zero", np.zeros(shape[0], dtype=np.int32))
        return weight, self.node("DequantizeLinear", f"{name}.bias.dq", [bias, scale, zero], axis=0)

    def types(self, *, image: bool, logits: bool) -> tuple[int, int]:
        kind = INT8 if self.symmetric else UINT8
        return FLOAT if image else kind, FLOAT if logits else kind

    def dequantised(self, tensor: str, zero: int) -> str:
        """`tensor` (integers) as real numbers."""
        return self.node("DequantizeLinear", f"{tensor}.dq", [tensor, *self._scale(zero)])

    def _rounded(self, tensor: str, zero: int, result: str = "") -> str:
        inputs = [tensor, *self._scale(zero)]
        if result == OUTPUT:
            return self.node("QuantizeLinear", f"{tensor}.q", inputs, result)
        return self.dequantised(self.node("QuantizeLinear", f"{tensor}.q", inputs), zero)

    def _scale(self, zero: int) -> tuple[str, str]:
        point = np.int8(0) if self.symmetric else np.uint8(zero)
        names = ("scale", f"zero{point}")
        for name, value in zip(names, (np.float32(SCALE), point), strict=True):
            if name not in self.known:
                self.known.add(name)
                self.constant(name, np.array(value))
        return names
