"""The int8 graphs become integers: no float layer is left after onnxruntime's optimisation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import onnxruntime
import pytest

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


@pytest.mark.parametrize("side", [32, 31])
def test_the_matrix_product_becomes_integer(side: int, tmp_path: Path) -> None:
    assert optimised(gemm_model(side, "int8"), tmp_path) == {"QLinearMatMul": 1}
