"""Writing a network's ONNX file in eight bits: pairs of QuantizeLinear and DequantizeLinear.

Weights are int8, symmetric per output channel; maps are quantised per tensor wherever they are
kept, the residual inputs among them. The rest is the form's, see `export.int8.form`.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import TensorsData, save_tensors_data

from export.int8.form import Form
from export.onnx_file import ExportError


def quantise(
    source: Path,
    path: Path,
    found: TensorsData,
    form: Form,
    *,
    only: Collection[str] = (),
    keep: Collection[str] = (),
) -> None:
    """Writes `source` with integers; the file is whole or not there.

    Args:
        found: of `export.int8.calibration.ranges`, over the same file.
        only: names of the nodes to quantise; all where none are given.
        keep: layers that stay in floating point.

    Raises:
        ExportError: the file has no such layer, cannot be quantised, or onnx refuses the result.
    """
    layers = convolutions(source) if keep else {}
    if unknown := sorted(set(keep) - layers.keys()):
        valid = ", ".join(layers)
        raise ExportError(f"{source} has no layer {unknown[0]!r}; it has {valid}")
    temporary = path.with_name(path.name + ".tmp")
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "ranges.json"
        save_tensors_data(found, cache)
        try:
            _write(source, temporary, cache, found, form, only, [layers[name] for name in keep])
            model = onnx.load(str(temporary))
            if form.kind == "symmetric":
                _free_additions(model)
            onnx.checker.check_model(model, full_check=True)
            onnx.save(model, str(temporary))
        except Exception as error:  # the tool's own errors share no narrower base
            temporary.unlink(missing_ok=True)
            raise ExportError(f"{source}: cannot be quantised: {error}") from error
    temporary.replace(path)


def convolutions(path: Path) -> dict[str, str]:
    """Nodes with weights, in order: the name of the layer to the name of its node."""
    nodes = onnx.load(str(path)).graph.node
    weighty = [node for node in nodes if node.op_type in ("Conv", "Gemm")]
    return {node.input[1].removesuffix(".weight"): node.name for node in weighty}


def _write(
    source: Path,
    path: Path,
    cache: Path,
    found: TensorsData,
    form: Form,
    only: Collection[str],
    keep: Collection[str],
) -> None:
    symmetric = form.kind == "symmetric"
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it advises a preparation that the exporter did already
    try:
        quantize_static(
            source,
            path,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=form.reduce_range,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=found.calibration_method,
            calibration_cache_path=cache,
            nodes_to_quantize=list(only) or None,
            nodes_to_exclude=list(keep) or None,
            extra_options=_options(symmetric),
        )
    finally:
        logger.setLevel(level)


def _options(symmetric: bool) -> dict[str, Any]:
    # Rounded logits would tie, and a class more likely than another be lost.
    common = {"OpTypesToExcludeOutputQuantization": ["Gemm"]}
    if not symmetric:
        return common
    return common | {
        "ActivationSymmetric": True,
        "QuantizeBias": False,  # TensorRT dequantises no int32
    }


def _free_additions(model: onnx.ModelProto) -> None:
    """Takes the rounding away between a bottleneck's last convolution and the addition."""
    made = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.op_type != "Add":
            continue
        for place, name in enumerate(node.input):
            real = _behind_pair(name, made)
            if real is not None and made[real].op_type == "Conv":
                node.input[place] = real
                break  # the other one stays: it is kept in memory, and eight bits are less to read
    _drop_unused(model)


def _behind_pair(name: str, made: dict[str, onnx.NodeProto]) -> str | None:
    """The tensor that a Q/DQ pair rounds, if `name` is the result of one."""
    back = made.get(name)
    if back is None or back.op_type != "DequantizeLinear":
        return None
    forth = made.get(back.input[0])
    if forth is None or forth.op_type != "QuantizeLinear" or forth.input[0] not in made:
        return None
    return str(forth.input[0])


def _drop_unused(model: onnx.ModelProto) -> None:
    graph = model.graph
    while True:
        read = {name for node in graph.node for name in node.input}
        read |= {value.name for value in graph.output}
        idle = [node for node in graph.node if not any(name in read for name in node.output)]
        if not idle:
            break
        for node in idle:
            graph.node.remove(node)
    for tensor in [t for t in graph.initializer if t.name not in read]:
        graph.initializer.remove(tensor)
