"""The ONNX graphs in every precision: valid, and with exactly the MACs of our arithmetic."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper, shape_inference

from profiler.graphs import block_model, chain_model, network_model
from profiler.pieces import input_shape, output_shape, piece_names
from supernet.arithmetic import count
from supernet.config import ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import STEM_KINDS, BlockShape, HeadShape, Shape, StemShape
from supernet.space import SearchSpace

NETWORK = NetworkSpec(width=0.125, stem="3x3/1", resolution=16, channels=1, classes=5)
PRECISIONS = ("fp32", "fp16", "int8")
width = st.integers(1, 24)


@st.composite
def any_shape(draw: st.DrawFn) -> Shape:
    size = draw(st.integers(1, 9))
    match draw(st.sampled_from(["stem", "identity", "projection", "head"])):
        case "stem":
            kind = draw(st.sampled_from(STEM_KINDS))
            return StemShape(kind, size, draw(st.integers(1, 4)), draw(width))
        case "identity":
            outer = draw(width)
            return BlockShape(size, 1, "identity", outer, draw(width), draw(width), outer)
        case "projection":
            stride = draw(st.integers(1, 2))
            return BlockShape(
                size, stride, "projection", draw(width), draw(width), draw(width), draw(width)
            )
        case _:
            return HeadShape(size, draw(width), draw(st.integers(1, 12)))


def counted_macs(data: bytes) -> int:
    """Multiply-adds of the convolutions and matrix products that are really in the graph."""
    model = shape_inference.infer_shapes(onnx.load_from_string(data), strict_mode=True)
    graph = model.graph
    sides = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    sides |= {w.name: list(w.dims) for w in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            total += int(np.prod(sides[node.output[0]]) * np.prod(sides[node.input[1]][1:]))
        elif node.op_type == "Gemm":
            total += int(np.prod(sides[node.output[0]]) * sides[node.input[1]][1])
    return total


def outputs(data: bytes, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    values = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    if entry.type == "tensor(uint8)":
        values = np.clip(40 * np.abs(values), 0, 255).astype(np.uint8)
    elif entry.type == "tensor(float16)":
        values = values.astype(np.float16)
    (result,) = session.run(None, {entry.name: values})
    return np.asarray(result)


@settings(max_examples=90, deadline=None)
@given(any_shape(), st.integers(1, 3), st.sampled_from(PRECISIONS))
def test_every_shape_is_a_valid_graph_that_runs_with_our_macs(
    shape: Shape, batch: int, precision: str
) -> None:
    data = block_model(shape, batch, precision)
    onnx.checker.check_model(data, full_check=True)
    assert counted_macs(data) == batch * shape.macs
    result = outputs(data, input_shape(shape, batch))
    assert result.shape == output_shape(shape, batch)
    assert np.isfinite(result).all()


def test_a_precision_that_no_graph_has_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of fp32, fp16, int8, but got 'fp8'"):
        block_model(HeadShape(1, 1, 1), 1, "fp8")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("seed", range(2))
def test_a_network_has_our_macs_and_no_node_of_a_removed_block(seed: int, precision: str) -> None:
    space = SearchSpace.from_ratios(NETWORK, [0.3, 0.6, 1.0], removable=True)
    config = space.sample(np.random.default_rng(seed))
    data = network_model(NETWORK, config, 2, precision)
    onnx.checker.check_model(data, full_check=True)
    assert counted_macs(data) == 2 * count(NETWORK, config)[0]
    names = [node.name for node in onnx.load_from_string(data).graph.node]
    assert len(set(names)) == len(names)
    pieces = {name.split("/")[0] for name in names if "/" in name}
    assert pieces == set(piece_names(NETWORK, config))
    assert outputs(data, (2, 1, 16, 16)).shape == (2, 5)


def test_resnet50_keeps_activations_in_a_sane_range() -> None:
    network = NetworkSpec(resolution=64)
    result = outputs(network_model(network, network.dense(), 1), (1, 3, 64, 64))
    assert np.isfinite(result).all()
    assert 1e-3 < np.abs(result).mean() < 1e6


def test_weights_are_seeded_non_zero_and_scaled_by_fan_in() -> None:
    shape = BlockShape(4, 1, "identity", 256, 64, 64, 256)
    assert block_model(shape, 1, seed=3) == block_model(shape, 1, seed=3)
    assert block_model(shape, 1, seed=3) != block_model(shape, 1, seed=4)
    for tensor in onnx.load_from_string(block_model(shape, 1)).graph.initializer:
        values = numpy_helper.to_array(tensor)
        assert np.count_nonzero(values) == values.size, tensor.name
        if tensor.name == "piece0/conv2.weight":
            assert values.std() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
            break
    else:
        pytest.fail("no weight of the second convolution")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_chain_is_its_pieces_one_after_another(precision: str) -> None:
    shapes = NETWORK.shapes(NETWORK.dense())
    data = chain_model(shapes[1:4], 2, precision)
    onnx.checker.check_model(data, full_check=True)
    assert counted_macs(data) == 2 * sum(shape.macs for shape in shapes[1:4])
    result = outputs(data, input_shape(shapes[1], 2))
    assert result.shape == output_shape(shapes[3], 2)


def test_a_whole_network_is_the_chain_of_all_its_pieces() -> None:
    shapes = NETWORK.shapes(NETWORK.dense())
    assert all(output_shape(a, 2) == input_shape(b, 2) for a, b in pairwise(shapes))
    chain = outputs(chain_model(shapes, 2), (2, 1, 16, 16))
    whole = outputs(network_model(NETWORK, NETWORK.dense(), 2), (2, 1, 16, 16))
    np.testing.assert_array_equal(chain, whole)


@pytest.mark.parametrize(
    "after",
    [
        BlockShape(7, 1, "identity", 9, 4, 4, 9),
        BlockShape(14, 1, "identity", 8, 4, 4, 8),
        StemShape("3x3/1", 7, 3, 8),
        HeadShape(14, 8, 5),
    ],
    ids=["other width", "other size", "stem", "head of another size"],
)
def test_a_chain_refuses_pieces_that_do_not_fit(after: Shape) -> None:
    before = BlockShape(14, 2, "projection", 16, 4, 4, 8)
    with pytest.raises(ConfigError, match="cannot follow"):
        chain_model([before, after], 1)


def test_nothing_follows_a_head_and_a_chain_is_not_empty() -> None:
    head = HeadShape(7, 8, 8)
    with pytest.raises(ConfigError, match="cannot follow"):
        chain_model([head, head], 1)
    with pytest.raises(ConfigError, match="needs at least 1 piece"):
        chain_model([], 1)


def test_names_say_which_block() -> None:
    names = piece_names(NetworkSpec(), NetworkSpec().dense())
    assert names[0] == "stem"
    assert names[-1] == "head"
    assert names[1:5] == ["stage1.0", "stage1.1", "stage1.2", "stage2.0"]
