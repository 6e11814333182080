"""ONNX graphs that find a roofline's two limits: a matrix product, and a copy.

Neither has a batch: what they measure belongs to the device, the runtime and the precision.
"""

from __future__ import annotations

import numpy as np

from profiler.graph_writer import Writer, writer
from profiler.pieces import INPUT, OUTPUT, copy_shape

LEAST, MOST = 1, 254
"""Bounds of the int8 copy; within uint8's own, or a runtime would drop the clipping."""


def gemm_model(side: int, precision: str = "fp32", seed: int = 0) -> bytes:
    """[side, side] times constant weights [side, side], as a serialized ONNX model.

    int8: uint8 in and out, int8 weights with one scale; Q/DQ as in the networks.
    """
    graph = writer(precision, seed)
    tensor = graph.enter(INPUT, image=False)
    if precision == "int8":
        product = graph.node("MatMul", "gemm", [tensor, _integers(graph, side)])
        graph.settled(product, OUTPUT)
    else:
        # scaled by the fan-in, so that fp16 does not overflow
        values = graph.drawn((side, side)) * np.float32(side**-0.5)
        weight = graph.constant("gemm.weight", values.astype(graph.dtype))
        graph.node("MatMul", "gemm", [tensor, weight], OUTPUT)
    return graph.serialize((side, side), (side, side), image=False, logits=False)


def copy_model(elements: int, precision: str = "fp32", seed: int = 0) -> bytes:
    """Reads `elements` values and writes as many, as a serialized ONNX model.

    A runtime may drop a node that only copies, or let it alias its input. So floats go through
    a ReLU, and int8 through a Clip of plain uint8 values: a quantised ReLU would vanish in the
    rounding beside it. Both are cheap next to memory, and run on all threads.
    """
    graph = writer(precision, seed)
    if precision == "int8":
        bounds = [graph.constant(f"bound{n}", np.array(n, dtype=np.uint8)) for n in (LEAST, MOST)]
        graph.node("Clip", "copy", [INPUT, *bounds], OUTPUT)
    else:
        graph.relu("copy", INPUT, OUTPUT)
    shape = copy_shape(elements)
    return graph.serialize(shape, shape, image=False, logits=False)


def _integers(graph: Writer, side: int) -> str:
    """int8 weights [side, side], dequantised by one scale."""
    values = graph.random.integers((side, side), len(graph.weights))
    weight = graph.constant("gemm.weight", values)
    scale = graph.constant("gemm.scale", np.array(side**-0.5 / 40, dtype=np.float32))
    zero = graph.constant("gemm.zero", np.array(0, dtype=np.int8))
    return graph.node("DequantizeLinear", "gemm.weight.dq", [weight, scale, zero])
