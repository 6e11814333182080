"""A torch network as one ONNX file, and the check that onnxruntime computes the same from it.

Works for any network from images to logits; knows nothing of configs or training.
"""

from __future__ import annotations

import copy
import os
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from export.running import ExportError as ExportError  # most look for it here
from export.running import logits

INPUT, OUTPUT = "images", "logits"
OPSET = 18  # The exporter's own; TensorRT 8.6 and later read all that it uses.


def export(net: nn.Module, example: Tensor, path: Path, *, dynamic_batch: bool = False) -> None:
    """Writes `net` in evaluation mode, batch norm folded into the convolutions.

    The file holds its weights, is written whole or not at all, and passes onnx's checker. `net`
    itself is not changed.

    Args:
        example: images [n, channels, height, width]; n is the batch size of the file.
        dynamic_batch: let the file take any batch size instead.

    Raises:
        ExportError: torch cannot export the network, or onnx refuses the result.
    """
    model = _model(net, example, dynamic_batch)
    _strip(model)
    try:
        onnx.checker.check_model(model, full_check=True)
        data = model.SerializeToString()
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise ExportError(f"onnx refuses the exported network: {error}") from error
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def max_difference(net: nn.Module, path: Path, images: Tensor) -> float:
    """Largest |onnxruntime - torch| over all logits, in units of the largest |torch| logit.

    Args:
        images: [n, channels, height, width].

    Raises:
        ExportError: unreadable file, images of another shape, or logits that are not finite.
    """
    was_training = net.training
    try:
        with torch.no_grad():
            expected = net.eval()(images).float().cpu().numpy()
    finally:
        net.train(was_training)
    given = images.float().cpu().numpy()
    size = batch_of(path) or len(given)
    found = logits(path, [given[i : i + size] for i in range(0, len(given), size)])
    if found.shape != expected.shape:  # Otherwise numpy might stretch one over the other.
        raise ExportError(
            f"{path}: gives {list(found.shape)} where torch gives {list(expected.shape)}"
        )
    difference = np.abs(found - expected).max()
    scale = np.abs(expected).max()
    result = float(difference / scale) if scale else float(difference)
    if not np.isfinite(result):
        raise ExportError(f"{path}: outputs cannot be compared: NaN or Inf among them")
    return result


def check(net: nn.Module, path: Path, images: Tensor, *, tolerance: float = 1e-4) -> float:
    """`max_difference`, which must not exceed `tolerance`.

    Raises:
        ExportError: it does; or see `max_difference`.
    """
    difference = max_difference(net, path, images)
    if difference > tolerance:
        raise ExportError(
            f"{path}: outputs must agree with torch's to {tolerance:g} of their scale, "
            f"but differ by {difference:g}"
        )
    return difference


def _model(net: nn.Module, example: Tensor, dynamic_batch: bool) -> onnx.ModelProto:
    if dynamic_batch and len(example) == 1:
        # torch.export takes a dimension of 1 for a constant.
        example = example.expand(2, *example.shape[1:])
    # Channels-last weights would leave needless Gather and Reshape nodes in the graph.
    plain = copy.deepcopy(net).eval().to(memory_format=torch.contiguous_format)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Deprecations inside the exporter.
            program = torch.onnx.export(
                plain,
                (example.contiguous(),),
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},) if dynamic_batch else None,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        raise ExportError(f"torch cannot export {type(net).__name__}: {error}") from error
    assert program is not None
    model = program.model_proto
    assert isinstance(model, onnx.ModelProto)
    return model


def _strip(model: onnx.ModelProto) -> None:
    """Drops the exporter's traces of the source: local paths, and bytes that no runtime reads."""
    model.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.ClearField("metadata_props")
    for value in (*model.graph.input, *model.graph.output):
        value.ClearField("metadata_props")


def batch_of(path: Path) -> int | None:
    """The batch that a file is fixed to; None where it takes any.

    Raises:
        ExportError: no ONNX.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
        dim = model.graph.input[0].type.tensor_type.shape.dim[0]
    except Exception as error:  # which class depends on protobuf's implementation
        raise ExportError(f"{path} is not an ONNX model: {error}") from None
    return dim.dim_value if dim.HasField("dim_value") else None
