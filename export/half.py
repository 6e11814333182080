"""ONNX files in half precision, for runtimes that compute in the types a file names."""

from __future__ import annotations

from pathlib import Path

import onnx

QUANTISED = ("QuantizeLinear", "DequantizeLinear")


class HalfError(ValueError):
    """A file that cannot be turned into half precision; the message says why."""


def halve(source: Path, target: Path) -> None:
    """Writes `source` (fp32) as `target` with weights, maps, inputs and outputs in fp16.

    Values that fp16 cannot hold become its largest, and those below its smallest that: trained
    networks with batch norms folded have neither.

    Raises:
        HalfError: unreadable, no ONNX, or quantised: such a file names its types already.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    try:
        model = onnx.load(str(source))
    except OSError as error:
        raise HalfError(f"cannot read the model file: {error}") from None
    except Exception as error:  # which class depends on protobuf's implementation
        raise HalfError(f"{source} is not an ONNX model: {error}") from None
    if any(node.op_type in QUANTISED for node in model.graph.node):
        raise HalfError(f"{source} is quantised and cannot be turned into half precision")
    onnx.save(convert_float_to_float16(model), str(target))
