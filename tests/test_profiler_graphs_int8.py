"""The int8 graphs become integers: no float layer is left after onnxruntime's optimisation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from profiler.graphs import block_model, chain_model, network_model
from profiler.graphs_roof import gemm_model
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape, parse_shape

RESNET50 = NetworkSpec()
SMALL = NetworkSpec(width=0.125, resolution=32, classes=5)
DENSE = {shape.geometry: shape for shape in RESNET50.shapes(RESNET50.dense())}
MOVES = {"Transpose", "Flatten", "Reshape"}
INTEGER = {
    "QLinearConv",
    "QLinearAdd",
    "QGemm",
    "QLinearMatMul",
    "QLinearGlobalAveragePool",
    "MaxPool",
    "NhwcMaxPool",
}


def optimised(data: bytes, folder: Path) -> Counter[str]:
    """How often each operator stands in the graph that onnxruntime really runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3  # it warns that such a file fits this CPU only
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    graph = onnx.load(options.optimized_model_filepath).graph
    return Counter(node.op_type for node in graph.node)


def pruned(shape: Shape, *, odd: bool) -> Shape:
    """`shape` at a quarter of its widths, a multiple of 4, or three less."""
    widths = [width // 4 - 3 * odd for width in shape.widths]
    return parse_shape(shape.geometry, tuple(widths))


@pytest.mark.parametrize("odd", [False, True], ids=["aligned", "odd"])
@pytest.mark.parametrize("geometry", DENSE)
def test_every_piece_of_resnet50_becomes_integer(geometry: str, odd: bool, tmp_path: Path) -> None:
    shape = pruned(DENSE[geometry], odd=odd)
    found = optimised(block_model(shape, 1, "int8"), tmp_path)
    match shape:
        case StemShape():
            assert found["QuantizeLinear"] == 1  # of the image
            assert found["QLinearConv"] == 1
        case BlockShape():
            assert found["QLinearConv"] == (4 if shape.shortcut == "projection" else 3)
            assert found["QLinearAdd"] == 1
        case HeadShape():
            assert found["QLinearGlobalAveragePool"] == found["QGemm"] == 1
    image = {"QuantizeLinear"} if isinstance(shape, StemShape) else set()
    assert set(found) <= INTEGER | MOVES | image


@pytest.mark.parametrize("shape", [BlockShape(1, 1, "identity", 1, 1, 1, 1), HeadShape(1, 1, 1)])
def test_even_a_single_channel_becomes_integer(shape: Shape, tmp_path: Path) -> None:
    assert set(optimised(block_model(shape, 2, "int8"), tmp_path)) <= INTEGER | MOVES


def test_a_network_is_float_at_its_two_ends_only(tmp_path: Path) -> None:
    found = optimised(network_model(SMALL, SMALL.uniform(0.7), 1, "int8"), tmp_path)
    assert set(found) <= INTEGER | MOVES | {"QuantizeLinear"}
    assert found["QuantizeLinear"] == 1
    assert found["QLinearConv"] == 53
    assert found["QLinearAdd"] == 16


def test_a_chain_after_a_projection_changes_its_layout_only_at_its_ends(tmp_path: Path) -> None:
    first = BlockShape(7, 1, "projection", 8, 8, 8, 32)
    block = BlockShape(7, 1, "identity", 32, 8, 8, 32)
    found = optimised(chain_model([first, *[block] * 3], 1, "int8"), tmp_path)
    assert found["QLinearConv"] == 13
    assert found["Transpose"] == 2


@pytest.mark.parametrize("geometry", DENSE)
def test_a_symmetric_graph_has_int8_maps_and_no_other_zero_point_than_0(geometry: str) -> None:
    shape = pruned(DENSE[geometry], odd=True)
    data = block_model(shape, 1, "int8", symmetric=True)
    onnx.checker.check_model(data, full_check=True)
    model = onnx.load_from_string(data)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    kinds = ("QuantizeLinear", "DequantizeLinear")
    pairs = [node for node in model.graph.node if node.op_type in kinds]
    assert pairs
    for node in pairs:
        zero = values[node.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    kind = np.float32 if isinstance(shape, StemShape) else np.int8
    image = np.random.default_rng(0).integers(0, 127, entry.shape).astype(kind)
    (result,) = session.run(None, {entry.name: image})
    assert result.dtype == (np.float32 if isinstance(shape, HeadShape) else np.int8)
    assert len(np.unique(result)) > 3


def test_only_a_symmetric_graph_adds_an_unrounded_convolution() -> None:
    block = BlockShape(7, 1, "projection", 8, 8, 8, 32)
    for symmetric, maker in ((True, "Conv"), (False, "DequantizeLinear")):
        model = onnx.load_from_string(block_model(block, 1, "int8", symmetric=symmetric))
        made_by = {node.output[0]: node.op_type for node in model.graph.node}
        (add,) = [node for node in model.graph.node if node.op_type == "Add"]
        assert [made_by[name] for name in add.input] == [maker, "DequantizeLinear"]


@pytest.mark.parametrize("side", [32, 31])
def test_the_matrix_product_becomes_integer(side: int, tmp_path: Path) -> None:
    assert optimised(gemm_model(side, "int8"), tmp_path) == {"QLinearMatMul": 1}
