"""How inputs and outputs lie in device memory, and what they take there.

A block measured alone must not pay for changing its map's layout, which no block inside a network
does: its maps enter and leave in the formats that kernels of its precision use. A format may pack
several channels into a vector; memory is then needed for whole vectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from profiler.backend import BackendError
from profiler.trt import api
from profiler.trt.module import TensorRT

VECTORS = {"LINEAR": 1, "HWC": 1, "HWC8": 8, "HWC16": 16, "CHW32": 32}
"""Channels of a vector in each format that we ask for."""
MAPS = {"fp32": ("LINEAR", "HWC"), "fp16": ("HWC8",), "int8": ("HWC16", "CHW32")}
"""Formats of maps that enter or leave a block; where there are two, TensorRT picks one."""
ENDS = ("LINEAR",)
"""Format of images, logits and the probes of a roofline."""
ITEM = {"fp32": 4, "fp16": 2, "int8": 1}
"""Bytes of a number."""


def allow(trt: TensorRT, tensor: api.ITensor, formats: Sequence[str]) -> None:
    """Lets an input or output of a network have one of these formats.

    Raises:
        BackendError: a format that is not in `VECTORS`.
    """
    known: dict[str, api.TensorFormat] = {
        "LINEAR": trt.TensorFormat.LINEAR,
        "HWC": trt.TensorFormat.HWC,
        "HWC8": trt.TensorFormat.HWC8,
        "HWC16": trt.TensorFormat.HWC16,
        "CHW32": trt.TensorFormat.CHW32,
    }
    wrong = [name for name in formats if name not in known]
    if wrong or not formats:
        raise BackendError(f"formats must be among {', '.join(known)}, but got {wrong or 'none'}")
    tensor.allowed_formats = sum(1 << int(known[name]) for name in dict.fromkeys(formats))


def types(trt: TensorRT) -> dict[str, api.DataType]:
    """TensorRT's element type of each precision."""
    return {"fp32": trt.float32, "fp16": trt.float16, "int8": trt.int8}


def padded_bytes(shape: Sequence[int], precision: str, vector: int, dim: int = 1) -> int:
    """Bytes of a tensor whose dimension `dim` is packed into vectors of so many numbers.

    Raises:
        BackendError: a precision that has no known size, or a dimension that is not there.
    """
    if precision not in ITEM:
        raise BackendError(f"precision must be one of {', '.join(ITEM)}, but got {precision!r}")
    if vector > 1 and not 0 <= dim < len(shape):
        raise BackendError(f"dimension must be 0..{len(shape) - 1}, but got {dim}")
    sides = list(shape)
    if vector > 1:
        sides[dim] = -(-sides[dim] // vector) * vector
    return math.prod(sides) * ITEM[precision]
